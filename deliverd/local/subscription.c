#include "deliverd/local/subscription.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "deliverd/local/folder.h"

#define FIRST_LINES "V\t2\n\n" /* of the newer form, whose names have tabs between their parts */
#define LIST_MAX (1u << 20)
#define LOCK_TRIES 50
#define LOCK_PAUSE_MS 20
#define LOCK_STALE_S 30 /* Dovecot, too, takes an older one for a dead process's */

static bool is_stale(int root, const char *path)
{
	struct stat st;

	return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_mtime + LOCK_STALE_S < (time_t)(clock_wall_us() / 1000000);
}

/* The lock is the file that takes the list's place. */
static int lock(int root, const char *path)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};

	for (int tries = 0; tries < LOCK_TRIES; tries++) {
		int fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
				0600);

		if (fd >= 0 || errno != EEXIST)
			return fd;
		if (is_stale(root, path))
			unlinkat(root, path, 0);
		else
			nanosleep(&pause, NULL);
	}
	return -1;
}

static bool read_list(int root, const char *path, struct buf *list)
{
	int fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool ok;

	if (fd < 0)
		return errno == ENOENT && buf_append_cstr(list, FIRST_LINES);
	ok = fd_slurp(fd, list, NULL);
	fd_close(&fd);
	if (ok && buf_length(list) && !slice_ends(buf_slice(list), SLICE("\n")))
		buf_append_char(list, '\n');
	return ok && !list->failed;
}

static bool has_line(struct slice list, struct slice line)
{
	struct slice one;

	while (slice_cut(&list, '\n', &one))
		if (slice_equal(one, line))
			return true;
	return false;
}

/* Makes list what it is to be. False: the name stands there, or there is no room. */
static bool add_line(struct buf *list, struct slice name)
{
	char separator = slice_starts(buf_slice(list), SLICE("V\t")) ? '\t' : '.';
	struct buf line;
	bool ok;

	buf_init(&line, 1024);
	for (size_t i = 0; i < name.n; i++)
		buf_append_char(&line, name.p[i] == '.' ? separator : name.p[i]);
	ok = !line.failed && !has_line(buf_slice(list), buf_slice(&line)) &&
	     buf_append(list, buf_slice(&line)) && buf_append_char(list, '\n');
	buf_fini(&line);
	return ok;
}

void subscription_add(int root, struct slice maildir, struct slice name)
{
	char path[MAILDIR_PATH_OCTETS], locked[MAILDIR_PATH_OCTETS];
	struct buf list;
	bool ok;
	int fd;

	maildir_path(path, maildir, "subscriptions", NULL);
	maildir_path(locked, maildir, "subscriptions.lock", NULL);
	if ((fd = lock(root, locked)) < 0)
		return;
	buf_init(&list, LIST_MAX);
	ok = read_list(root, path, &list) && add_line(&list, name) &&
	     fd_write_all(fd, buf_slice(&list).p, buf_length(&list), -1) &&
	     renameat(root, locked, root, path) == 0;
	if (!ok)
		unlinkat(root, locked, 0);
	buf_fini(&list);
	fd_close(&fd);
}
