#include "master/sealed.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"

bool sealed_make(const char *name, struct slice octets, int *fd, struct fault *why)
{
	int made = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), read_only;
	char path[64];

	if (made < 0 || !fd_write_all(made, octets.p, octets.n, 0) ||
	    fcntl(made, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
		fault_errno(why, "4.3.0", "cannot make a file in memory for %s", name);
		fd_close(&made);
		return false;
	}
	/* A receiver wants a descriptor that cannot write; the seals alone would do. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", made);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	if (read_only >= 0) {
		fd_close(&made);
		made = read_only;
	}
	*fd = made;
	return true;
}
