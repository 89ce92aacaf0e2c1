#include "deliverd/local/quota.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/number.h"
#include "common/base/random.h"
#include "deliverd/local/folder.h"

#define STALE_S (15 * 60)
#define COUNTS_MAX 3

/* ---- counting ---- */

struct count {
	int maildir;
	struct quota used;
	uint64_t stamp; /* the sum of the folders' mtimes: another one when one of them has changed
			 */
	int error;	/* errno of what failed */
};

/* ",S=123" behind which the name ends or goes on with ',' or ':'. */
static bool size_in_name(const char *name, uint64_t *out)
{
	const char *size = strstr(name, ",S=");

	return size && number_u64(slice_of(size + 3, strcspn(size + 3, ",:")), INT64_MAX, out);
}

static bool count_file(struct count *c, int folder, const char *name)
{
	struct stat st;
	uint64_t size;

	if (!size_in_name(name, &size)) {
		if (fstatat(folder, name, &st, 0) < 0) {
			c->error = errno == ENOENT ? 0 : errno; /* gone meanwhile */
			return c->error == 0;
		}
		size = (uint64_t)st.st_size;
	}
	if (__builtin_add_overflow(c->used.bytes, size, &c->used.bytes))
		c->used.bytes = UINT64_MAX;
	c->used.messages++;
	return true;
}

/* NULL, and no error: it is no folder. */
static DIR *open_folder(struct count *c, const char *path)
{
	int fd = openat(c->maildir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		c->error = errno == ENOENT || errno == ENOTDIR ? 0 : errno;
		fd_close(&fd);
	}
	return dir;
}

/* What is in new/ or cur/ of a folder; with only_stamp its time alone. */
static bool count_one(struct count *c, const char *folder, const char *sub, bool only_stamp)
{
	char path[NAME_MAX + 8];
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", folder, sub);
	if ((dir = open_folder(c, path)) == NULL)
		return c->error == 0;
	if (fstat(dirfd(dir), &st) == 0)
		c->stamp +=
			(uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	while (!only_stamp && c->error == 0) {
		errno = 0;
		if ((entry = readdir(dir)) == NULL) {
			c->error = errno;
			break;
		}
		if (entry->d_name[0] != '.')
			(void)count_file(c, dirfd(dir), entry->d_name);
	}
	closedir(dir);
	return c->error == 0;
}

/* The root as ".", and the folders in it; what begins with ".." is Dovecot's own. */
static bool is_folder(const char *name)
{
	return name[0] == '.' && name[1] != '.';
}

static bool count_all(struct count *c, bool only_stamp)
{
	struct dirent *entry;
	DIR *dir = open_folder(c, ".");

	c->stamp = 0;
	while (dir && c->error == 0) {
		errno = 0;
		if ((entry = readdir(dir)) == NULL) {
			c->error = errno;
			break;
		}
		if (is_folder(entry->d_name) && count_one(c, entry->d_name, "new", only_stamp))
			(void)count_one(c, entry->d_name, "cur", only_stamp);
	}
	if (dir)
		closedir(dir);
	return c->error == 0;
}

/* Again when something has changed while it was counted; a Maildir that never rests is counted
 * COUNTS_MAX times. */
static bool count_steadily(struct count *c)
{
	struct count after = {.maildir = c->maildir};

	for (int i = 0; i < COUNTS_MAX; i++) {
		*c = (struct count){.maildir = c->maildir};
		if (!count_all(c, false))
			return false;
		after.error = 0;
		if (count_all(&after, true) && after.stamp == c->stamp)
			break;
	}
	return true;
}

/* ---- the file ---- */

/* Puts it in the place of the old one. What fails is tried again by the next who asks. */
static void put_file(int maildir, const struct maildirsize *m)
{
	char name[64];
	struct buf text;
	uint64_t id;
	bool ok;
	int fd;

	random_fill(&id, sizeof(id));
	snprintf(name, sizeof(name), "tmp/maildirsize.%016" PRIx64, id);
	fd = openat(maildir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	buf_init(&text, MAILDIRSIZE_MAX);
	ok = maildirsize_format(m, &text) &&
	     fd_write_all(fd, buf_slice(&text).p, buf_length(&text), -1) &&
	     renameat(maildir, name, maildir, "maildirsize") == 0;
	if (!ok)
		unlinkat(maildir, name, 0);
	buf_fini(&text);
	fd_close(&fd);
}

/* Counts, and makes the file anew. */
static bool count_anew(int root, struct slice maildir, struct maildirsize *m, struct fault *why)
{
	char path[MAILDIR_PATH_OCTETS];
	struct count c = {0};
	bool ok;

	snprintf(path, sizeof(path), "%.*s", SLICE_PRINTF(maildir));
	c.maildir = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.maildir < 0 && errno == ENOENT) {
		m->used = (struct quota){0};
		return true;
	}
	c.error = errno;
	ok = c.maildir >= 0 && count_steadily(&c);
	if (!ok) {
		errno = c.error;
		fault_errno(why, "4.3.0", "cannot count the messages in %s", path);
	}
	m->used = c.used;
	m->n_lines = 1;
	if (ok)
		put_file(c.maildir, m);
	fd_close(&c.maildir);
	return ok;
}

/* Reads the file. False: it is not there, or not to be believed. *stale: it is old. */
static bool read_file(int root, struct slice maildir, const struct quota *limit,
		      struct maildirsize *m, bool *stale)
{
	char path[MAILDIR_PATH_OCTETS], text[MAILDIRSIZE_MAX];
	uint64_t now_s = clock_wall_us() / 1000000;
	struct stat st;
	ssize_t n;
	int fd;

	maildir_path(path, maildir, "maildirsize", NULL);
	fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	*stale = fstat(fd, &st) < 0 || (uint64_t)st.st_mtime + STALE_S < now_s;
	fd_close(&fd);
	return n > 0 && n < MAILDIRSIZE_MAX && maildirsize_parse(slice_of(text, (size_t)n), m) &&
	       m->limit.bytes == limit->bytes && m->limit.messages == limit->messages &&
	       m->n_lines > 0;
}

/* ---- the question ---- */

static bool has_room(const struct maildirsize *m, uint64_t size_bytes)
{
	const struct quota *limit = &m->limit, *used = &m->used;

	if (limit->bytes &&
	    (used->bytes >= limit->bytes || size_bytes > limit->bytes - used->bytes))
		return false;
	return limit->messages == 0 || used->messages < limit->messages;
}

bool quota_fits(int root, struct slice maildir, const struct quota *limit, uint64_t size_bytes,
		bool *fits, struct fault *why)
{
	struct maildirsize m;
	bool stale = false;

	*fits = true;
	if (limit->bytes == 0 && limit->messages == 0)
		return true;
	if (read_file(root, maildir, limit, &m, &stale) &&
	    (has_room(&m, size_bytes) || (m.n_lines == 1 && !stale))) {
		*fits = has_room(&m, size_bytes);
		return true;
	}
	m = (struct maildirsize){.limit = *limit};
	if (!count_anew(root, maildir, &m, why))
		return false;
	*fits = has_room(&m, size_bytes);
	return true;
}

void quota_add(int root, struct slice maildir, uint64_t size_bytes)
{
	char path[MAILDIR_PATH_OCTETS], line[32];
	int n = snprintf(line, sizeof(line), "%" PRIu64 " 1\n", size_bytes), fd;

	maildir_path(path, maildir, "maildirsize", NULL);
	fd = openat(root, path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	/* One write, so that lines of others do not fall into it. What is torn is no line to go on
	 * behind: the file goes, and is made anew. */
	if (write(fd, line, (size_t)n) != n)
		unlinkat(root, path, 0);
	fd_close(&fd);
}
