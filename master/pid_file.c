#include "master/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/slice.h"
#include "common/conf/settings.h"
#include "common/service/layout.h"

#define NAME "master.pid"
/* A master that was just killed holds its lock until the kernel has taken it apart: so long one waits for it. */
#define DYING_MS 1000
#define PAUSE_MS 20

/* Is fd still what path names? Else its owner removed it between our open and our lock. */
static bool is_named(int fd, const char *path)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
	       opened.st_dev == named.st_dev;
}

static struct slice content(int fd, char *out, size_t size)
{
	ssize_t n = pread(fd, out, size, 0);

	return slice_trim(slice_of(out, n > 0 ? (size_t)n : 0));
}

/* Takes the lock, or finds that it is somebody's who goes on living. */
static bool lock_waiting(int fd)
{
	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited_ms += PAUSE_MS) {
		if (errno != EWOULDBLOCK || waited_ms >= DYING_MS)
			return false;
		(void)usleep(PAUSE_MS * 1000);
	}
	return true;
}

static bool lock(const char *path, int *fd, struct fault *why)
{
	char pid[32];

	for (;;) {
		*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (*fd < 0) {
			fault_errno(why, "4.3.5", "cannot open %s", path);
			return false;
		}
		if (!lock_waiting(*fd)) {
			fault_set(why, "4.3.5", "tassis runs already on this spool, pid %.*s (%s)",
				  SLICE_PRINTF(content(*fd, pid, sizeof(pid))), path);
			fd_close(fd);
			return false;
		}
		if (is_named(*fd, path))
			return true;
		fd_close(fd);
	}
}

bool pid_file_take(const struct settings *s, int *fd, bool *after_a_crash, struct fault *why)
{
	char path[PATH_MAX], text[32];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	char old[32];

	if (!layout_path(s->spool_dir, NAME, path, sizeof(path), why) || !lock(path, fd, why))
		return false;
	*after_a_crash = content(*fd, old, sizeof(old)).n > 0;
	if (ftruncate(*fd, 0) != 0 || !fd_write_all(*fd, text, (size_t)n, 0)) {
		fault_errno(why, "4.3.5", "cannot write %s", path);
		fd_close(fd);
		return false;
	}
	return true;
}

void pid_file_remove(const struct settings *s, int *fd)
{
	char path[PATH_MAX];

	if (*fd >= 0 && layout_path(s->spool_dir, NAME, path, sizeof(path), NULL))
		(void)unlink(path);
	fd_close(fd);
}
