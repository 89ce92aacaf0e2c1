#include "admin/adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/spool/file.h"
#include "common/spool/id.h"

#define COPY_BYTES 65536u
#define COPY_NAME ".adopted" /* no message's name: nobody takes it up */
#define PATH_SIZE 64u

static const char folders[] = "0123456789abcdefghjkmnpqrstvwxyz";

/* ---- looking ---- */

static bool check(int fd, struct slice id, struct fault *why)
{
	struct spool_header header;
	struct buf envelope;
	bool ok;

	buf_init(&envelope, SPOOL_ENVELOPE_MAX);
	ok = spool_header_read(fd, id, &header, why) && spool_envelope_read(fd, &header, &envelope, why) && spool_content_check(fd, &header, why);
	buf_fini(&envelope);
	return ok;
}

/* A file without header is what a writer that died leaves: nobody was told that its message is safe. */
static bool has_header(int fd)
{
	static const char mark[] = "tassis-spool ";
	char p[sizeof(mark) - 1];

	return fd_read_all(fd, p, sizeof(p), 0) && memcmp(p, mark, sizeof(p)) == 0;
}

static bool is_here(const struct adoption *a, const char *path, struct slice id)
{
	struct fault why;
	int fd = openat(a->spool, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool ok = fd >= 0 && check(fd, id, &why);

	fd_close(&fd);
	return ok;
}

/* ---- moving ---- */

static enum adopted failed(struct fault *why, const char *what, const char *path)
{
	fault_errno(why, "5.3.0", "cannot %s %s", what, path);
	return ADOPT_FAILED;
}

static bool owner_set(const struct adoption *a, int fd, uid_t uid, gid_t gid, mode_t mode)
{
	return (!a->owns || fchown(fd, uid, gid) == 0) && fchmod(fd, mode) == 0;
}

static bool octets_copy(int from, int to)
{
	char octets[COPY_BYTES];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(from, octets, sizeof(octets), at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || !fd_write_all(to, octets, (size_t)n, at))
			return false;
		at += n;
	}
	return true;
}

/* The copy stands under path, durable; EEXIST where something does already. */
static bool copy(const struct adoption *a, int fd, const struct stat *st, uid_t uid, gid_t gid, mode_t mode, const char *folder, const char *path)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	char name[PATH_SIZE];
	int to, at = openat(a->spool, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), e;
	bool ok;

	(void)snprintf(name, sizeof(name), "%s/" COPY_NAME, folder);
	(void)unlinkat(a->spool, name, 0); /* of a run that was killed */
	to = openat(a->spool, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	ok = at >= 0 && to >= 0 && octets_copy(fd, to) && owner_set(a, to, uid, gid, mode) && futimens(to, times) == 0 && fsync(to) == 0 &&
	     renameat2(a->spool, name, a->spool, path, RENAME_NOREPLACE) == 0 && fsync(at) == 0;
	e = errno;
	fd_close(&to);
	fd_close(&at);
	if (!ok)
		(void)unlinkat(a->spool, name, 0);
	errno = e;
	return ok;
}

static enum adopted move(const struct adoption *a, int from, const char *name, int fd, const struct stat *st, uid_t uid, gid_t gid, mode_t mode,
			 const char *folder, struct fault *why)
{
	char path[PATH_SIZE];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (mkdirat(a->spool, folder, 0700) == 0 && a->owns && fchownat(a->spool, folder, a->queue_uid, a->queue_gid, AT_SYMLINK_NOFOLLOW) != 0)
		return failed(why, "give away the folder", folder);
	if (!owner_set(a, fd, uid, gid, mode))
		return failed(why, "give away the file", name);
	if (renameat2(from, name, a->spool, path, RENAME_NOREPLACE) == 0)
		return ADOPT_MOVED;
	if (errno == EXDEV && copy(a, fd, st, uid, gid, mode, folder, path))
		return unlinkat(from, name, 0) == 0 ? ADOPT_MOVED : failed(why, "remove the copied file", name);
	if (errno != EEXIST)
		return failed(why, "move to", path);
	if (!is_here(a, path, slice_of_cstr(name))) {
		fault_set(why, "5.3.0", "%s is here already, and cannot be read", path);
		return ADOPT_FAILED;
	}
	return unlinkat(from, name, 0) == 0 ? ADOPT_HERE : failed(why, "remove", name);
}

static int file_open(int from, const char *name, struct stat *st, enum adopted *fate, struct fault *why)
{
	int fd = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0) {
		*fate = errno == ENOENT || errno == ELOOP ? ADOPT_GONE : failed(why, "open", name);
		return -1;
	}
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	*fate = ADOPT_GONE;
	fd_close(&fd);
	return -1;
}

enum adopted adopt_message(const struct adoption *a, int from, struct slice id, struct fault *why)
{
	char name[SPOOL_ID_LENGTH + 1], folder[PATH_SIZE];
	enum adopted fate = ADOPT_FAILED;
	struct stat st;
	int fd;

	if (!slice_cstr(id, name, sizeof(name), why) || (fd = file_open(from, name, &st, &fate, why)) < 0)
		return fate;
	(void)snprintf(folder, sizeof(folder), "queue/%c", spool_id_hash(id));
	if (check(fd, id, why))
		fate = move(a, from, name, fd, &st, a->queue_uid, a->queue_gid, 0600 | (st.st_mode & SPOOL_HELD_MODE), folder, why);
	else if (why->class != FAULT_PERMANENT)
		fate = ADOPT_FAILED;
	else
		fate = has_header(fd) ? ADOPT_BROKEN : ADOPT_UNDONE;
	fd_close(&fd);
	return fate;
}

enum adopted adopt_dropped(const struct adoption *a, int from, struct slice id, struct fault *why)
{
	char name[SPOOL_ID_LENGTH + 1];
	enum adopted fate = ADOPT_FAILED;
	struct stat st;
	int fd;

	if (!slice_cstr(id, name, sizeof(name), why) || (fd = file_open(from, name, &st, &fate, why)) < 0)
		return fate;
	fate = move(a, from, name, fd, &st, st.st_uid, a->maildrop_gid, 0640, "maildrop", why);
	fd_close(&fd);
	return fate;
}

/* ---- syncing ---- */

static bool folder_sync(int at, const char *path, struct fault *why)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 ? fsync(fd) == 0 : errno == ENOENT;

	if (!ok)
		fault_errno(why, "5.3.0", "cannot sync the folder %s", path);
	fd_close(&fd);
	return ok;
}

bool adopt_sync(const struct adoption *a, int from, struct fault *why)
{
	char path[PATH_SIZE];

	for (const char *c = folders; *c != '\0'; c++) {
		(void)snprintf(path, sizeof(path), "queue/%c", *c);
		if (!folder_sync(a->spool, path, why))
			return false;
	}
	return folder_sync(a->spool, "queue", why) && folder_sync(a->spool, "maildrop", why) && folder_sync(from, ".", why);
}
