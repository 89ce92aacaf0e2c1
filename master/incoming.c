#include "master/incoming.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/number.h"
#include "common/conf/settings.h"

static int open_folder(int in, const char *name)
{
	return openat(in, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int open_incoming(const struct settings *s, struct fault *why)
{
	char path[PATH_MAX];
	int fd;

	if (!layout_path(s->spool_dir, "incoming", path, sizeof(path), why))
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fault_errno(why, "4.3.0", "cannot open %s", path);
	return fd;
}

/* The new folder's descriptor, -1 with errno. */
static int make_folder(int incoming, const char *name, const struct accounts *a, enum layout_account account)
{
	int fd = open_folder(incoming, name), saved;

	if (fd < 0)
		return -1;
	/* The lock first: without it, and empty, the folder is nobody's. The setgid bit, which a change of owner may take away, last. */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    fchown(fd, a->of[account].uid, a->of[ACCOUNT_QUEUE].gid) == 0 && fchmod(fd, 02770) == 0)
		return fd;
	saved = errno;
	fd_close(&fd);
	errno = saved;
	return -1;
}

bool incoming_claim(const struct settings *s, const struct accounts *a, enum layout_account account, unsigned *number,
		    int *fd, struct fault *why)
{
	int incoming = open_incoming(s, why);
	char name[16] = "";

	*fd = -1;
	if (incoming < 0)
		return false;
	for (unsigned n = 0; n <= UINT16_MAX && *fd < 0; n++) {
		(void)snprintf(name, sizeof(name), "%u", n);
		if (mkdirat(incoming, name, 0700) == 0) {
			*number = n;
			*fd = make_folder(incoming, name, a, account);
			break;
		}
		if (errno != EEXIST)
			break;
	}
	if (*fd < 0)
		fault_errno(why, "4.3.0", "cannot make the folder incoming/%s", name);
	fd_close(&incoming);
	return *fd >= 0;
}

static void tidy_one(int incoming, const char *name)
{
	int fd = open_folder(incoming, name);

	/* The lock is free: no worker. A folder with files in it stays, rmdir sees to that. */
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)unlinkat(incoming, name, AT_REMOVEDIR);
	fd_close(&fd);
}

void incoming_tidy(const struct settings *s)
{
	int incoming = open_incoming(s, NULL);
	DIR *dir = incoming >= 0 ? fdopendir(incoming) : NULL;
	struct dirent *entry;
	uint64_t number;

	if (dir == NULL) {
		fd_close(&incoming);
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (number_u64(slice_of_cstr(entry->d_name), UINT16_MAX, &number))
			tidy_one(incoming, entry->d_name);
	(void)closedir(dir);
}
