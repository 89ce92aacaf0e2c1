#include "deliverd/local/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/crc32c.h"
#include "common/base/fault.h"
#include "common/base/fd.h"

#define HOSTNAME_OCTETS 128
#define COMPARE_OCTETS 8192

bool maildir_name(uint64_t received_us, struct slice id, struct slice recipient,
		  struct slice folder, struct slice hostname, char *out, size_t size,
		  struct fault *why)
{
	uint32_t hash = crc32c(crc32c(0, recipient.p, recipient.n), folder.p, folder.n);
	int n = snprintf(out, size, "%llu.M%06lluI%.*sR%08x.%.*s",
			 (unsigned long long)(received_us / 1000000),
			 (unsigned long long)(received_us % 1000000), SLICE_PRINTF(id), hash,
			 SLICE_PRINTF(slice_head(hostname, HOSTNAME_OCTETS)));

	if (n > 0 && (size_t)n < size)
		return true;
	fault_set(why, "4.3.5", "\"%.*s\" is too long for a file name", SLICE_PRINTF(id));
	return false;
}

bool maildir_has(int root, const struct maildir_folder *folder, const char *name)
{
	char path[MAILDIR_PATH_OCTETS];
	struct dirent *entry;
	size_t n = strlen(name);
	bool found = false;
	DIR *dir;
	int fd;

	maildir_path(path, folder->path, folder->seen ? "cur" : "new", NULL);
	fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (dir = fdopendir(fd)) == NULL) {
		fd_close(&fd);
		return false;
	}
	while (!found && (entry = readdir(dir)) != NULL)
		found = strncmp(entry->d_name, name, n) == 0 && entry->d_name[n] == ',';
	closedir(dir);
	return found;
}

bool maildir_begin(struct maildir_file *f, int root, const struct maildir_folder *folder,
		   const char *name, struct fault *why)
{
	char path[MAILDIR_PATH_OCTETS];

	*f = (struct maildir_file){.root = root, .folder = folder, .fd = -1};
	snprintf(f->name, sizeof(f->name), "%s", name); /* maildir_name saw to it that it fits */
	maildir_path(path, folder->path, "tmp", name);
	for (int tries = 0; tries < 3; tries++) {
		f->fd = openat(root, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			       0600);
		if (f->fd >= 0)
			return true;
		if (errno == EEXIST && unlinkat(root, path, 0) == 0)
			continue; /* a dead process's: one at a time has a message */
		if (errno != ENOENT)
			break;
		if (!maildir_folder_make(root, folder, why))
			return false;
	}
	fault_errno(why, "4.3.0", "cannot make a file in the mailbox %.*s",
		    SLICE_PRINTF(folder->path));
	return false;
}

bool maildir_write(struct maildir_file *f, struct slice octets, struct fault *why)
{
	if (fd_write_all(f->fd, octets.p, octets.n, -1))
		return true;
	fault_errno(why, "4.3.0", "cannot write to the mailbox %.*s",
		    SLICE_PRINTF(f->folder->path));
	return false;
}

void maildir_seal(struct maildir_file *f, uint64_t size_bytes, uint64_t virtual_bytes)
{
	/* Asks for nothing to be durable: it only has the data on its way before the name is. */
	sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	f->size_bytes = size_bytes;
	snprintf(f->sizes, sizeof(f->sizes), ",S=%llu,W=%llu", (unsigned long long)size_bytes,
		 (unsigned long long)virtual_bytes);
}

static void make_final_path(char out[MAILDIR_PATH_OCTETS], const struct maildir_folder *folder,
			    const char *name, const char *sizes)
{
	snprintf(out, MAILDIR_PATH_OCTETS, "%.*s/%s/%s%s%s", SLICE_PRINTF(folder->path),
		 folder->seen ? "cur" : "new", name, sizes, folder->seen ? ":2,S" : "");
}

static bool is_same(int a, int b)
{
	char x[COMPARE_OCTETS], y[COMPARE_OCTETS];
	struct stat of_a, of_b;

	if (fstat(a, &of_a) < 0 || fstat(b, &of_b) < 0 || of_a.st_size != of_b.st_size)
		return false;
	for (off_t at = 0; at < of_a.st_size;) {
		size_t n = of_a.st_size - at < COMPARE_OCTETS ? (size_t)(of_a.st_size - at)
							      : COMPARE_OCTETS;

		if (!fd_read_all(a, x, n, at) || !fd_read_all(b, y, n, at) || memcmp(x, y, n) != 0)
			return false;
		at += (off_t)n;
	}
	return true;
}

/* A file of that name is there: an earlier attempt's, which died before it could say so.
 * MAILDIR_IMPOSSIBLE: it is not the same, or it has gone meanwhile. */
static enum maildir_put take_earlier(const struct maildir_file *f, const char *path,
				     struct fault *why)
{
	int fd = openat(f->root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	enum maildir_put put = MAILDIR_IMPOSSIBLE;

	if (fd >= 0 && is_same(f->fd, fd)) {
		put = fsync(fd) == 0 ? MAILDIR_WAS_THERE : MAILDIR_FAILED;
		if (put == MAILDIR_FAILED) {
			fault_errno(why, "4.3.0",
				    "cannot make durable what an earlier attempt left at %s", path);
			unlinkat(f->root, path, 0); /* a second fsync would say that all is well */
		}
	}
	fd_close(&fd);
	return put;
}

/* Another file system; one that knows no links; too many of them. */
static bool is_impossible(int error)
{
	return error == EXDEV || error == EPERM || error == EOPNOTSUPP || error == EMLINK;
}

enum maildir_put maildir_link(const struct maildir_file *f, const struct maildir_folder *folder,
			      const char *name, struct fault *why)
{
	char from[MAILDIR_PATH_OCTETS], to[MAILDIR_PATH_OCTETS];
	enum maildir_put put;

	maildir_path(from, f->folder->path, "tmp", f->name);
	make_final_path(to, folder, name, f->sizes);
	for (int tries = 0; tries < 3; tries++) {
		if (linkat(f->root, from, f->root, to, 0) == 0)
			return MAILDIR_PUT;
		if (errno == EEXIST) {
			if ((put = take_earlier(f, to, why)) != MAILDIR_IMPOSSIBLE)
				return put;
			unlinkat(f->root, to, 0);
			continue;
		}
		if (is_impossible(errno))
			return MAILDIR_IMPOSSIBLE;
		if (errno != ENOENT)
			break;
		if (!maildir_folder_make(f->root, folder, why))
			return MAILDIR_FAILED;
	}
	fault_errno(why, "4.3.0", "cannot put the message into the mailbox %.*s",
		    SLICE_PRINTF(folder->path));
	return MAILDIR_FAILED;
}

/* As rename, but never over a file that is there; a file system that cannot say so (NFS) has link
 * for it. */
static bool rename_to_new(const struct maildir_file *f, const char *tmp, const char *new)
{
	if (renameat2(f->root, tmp, f->root, new, RENAME_NOREPLACE) == 0)
		return true;
	if (errno != EINVAL || linkat(f->root, tmp, f->root, new, 0) < 0)
		return false;
	unlinkat(f->root, tmp, 0);
	return true;
}

enum maildir_put maildir_publish(struct maildir_file *f, struct fault *why)
{
	char tmp[MAILDIR_PATH_OCTETS], new[MAILDIR_PATH_OCTETS];
	enum maildir_put put;

	maildir_path(tmp, f->folder->path, "tmp", f->name);
	make_final_path(new, f->folder, f->name, f->sizes);
	for (int tries = 0; tries < 3; tries++) {
		if (rename_to_new(f, tmp, new)) {
			f->name[0] = '\0';
			return MAILDIR_PUT;
		}
		if (errno == EEXIST) {
			if ((put = take_earlier(f, new, why)) != MAILDIR_IMPOSSIBLE)
				return put; /* ours stays open until maildir_end: its links need its
					       data */
			unlinkat(f->root, new, 0);
			continue;
		}
		if (errno != ENOENT)
			break;
		if (!maildir_folder_make(f->root, f->folder,
					 why)) /* tmp/ was there; new/ may not be */
			return MAILDIR_FAILED;
	}
	fault_errno(why, "4.3.0", "cannot put the message into the mailbox %.*s",
		    SLICE_PRINTF(f->folder->path));
	return MAILDIR_FAILED;
}

void maildir_withdraw(const struct maildir_file *f, const struct maildir_folder *folder,
		      const char *name)
{
	char path[MAILDIR_PATH_OCTETS];

	make_final_path(path, folder, name, f->sizes);
	unlinkat(f->root, path, 0);
}

bool maildir_sync(struct maildir_file *f, struct fault *why)
{
	if (fsync(f->fd) == 0)
		return true;
	fault_errno(why, "4.3.0", "cannot make the message in the mailbox %.*s durable",
		    SLICE_PRINTF(f->folder->path));
	return false;
}

void maildir_end(struct maildir_file *f)
{
	char path[MAILDIR_PATH_OCTETS];

	if (f->fd >= 0 && f->name[0]) {
		maildir_path(path, f->folder->path, "tmp", f->name);
		unlinkat(f->root, path, 0);
	}
	fd_close(&f->fd);
}
