#include "deliverd/local/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "deliverd/local/subscription.h"

#define FOLDER_MAX 1000

bool maildir_folder_is_valid(struct slice path)
{
	struct slice part;

	if (path.n == 0 || path.n > FOLDER_MAX || memchr(path.p, '\0', path.n))
		return false;
	while (slice_cut(&path, '/', &part))
		if (part.n == 0 || part.n > 255 || slice_equal(part, SLICE(".")) ||
		    slice_equal(part, SLICE("..")))
			return false;
	return true;
}

struct slice maildir_folder_root(const struct maildir_folder *f)
{
	return slice_head(f->path, f->root_length);
}

struct slice maildir_folder_name(const struct maildir_folder *f)
{
	return slice_tail(f->path, f->root_length + 1);
}

void maildir_path(char out[MAILDIR_PATH_OCTETS], struct slice folder, const char *sub,
		  const char *name)
{
	snprintf(out, MAILDIR_PATH_OCTETS, "%.*s/%s%s%s", SLICE_PRINTF(folder), sub,
		 name ? "/" : "", name ? name : "");
}

/* Makes the folder at path where it is not there, and its name durable. */
static bool make_one(int root, const char *path, bool *made, struct fault *why)
{
	const char *slash = strrchr(path, '/');
	char parent[MAILDIR_PATH_OCTETS];
	bool ok;
	int fd;

	*made = false;
	if (mkdirat(root, path, 0700) < 0) {
		if (errno == EEXIST)
			return true;
		fault_errno(why, "4.3.0", "cannot make the folder %s", path);
		return false;
	}
	*made = true;
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 1,
		 slash ? path : ".");
	fd = openat(root, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok = fd >= 0 && fsync(fd) == 0;
	if (!ok)
		fault_errno(why, "4.3.0", "cannot make the name of %s durable", path);
	fd_close(&fd);
	return ok;
}

/* tmp, new and cur of one folder. */
static bool make_inside(int root, struct slice folder, struct fault *why)
{
	static const char *const subs[] = {"tmp", "new", "cur"};
	char path[MAILDIR_PATH_OCTETS];
	bool made;

	for (size_t i = 0; i < ARRAY_LENGTH(subs); i++) {
		maildir_path(path, folder, subs[i], NULL);
		if (!make_one(root, path, &made, why))
			return false;
	}
	return true;
}

/* An empty file of that name tells delivery agents that this is no Maildir of its own. */
static bool make_mark(int root, struct slice folder, struct fault *why)
{
	char path[MAILDIR_PATH_OCTETS];
	int fd;

	maildir_path(path, folder, "maildirfolder", NULL);
	fd = openat(root, path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		fault_errno(why, "4.3.0", "cannot make %s", path);
	else
		close(fd);
	return fd >= 0;
}

bool maildir_folder_make(int root, const struct maildir_folder *f, struct fault *why)
{
	struct slice name = maildir_folder_name(f);
	char path[MAILDIR_PATH_OCTETS];
	bool made = false;

	for (size_t i = 0; i <= f->path.n; i++) {
		if (i < f->path.n && f->path.p[i] != '/')
			continue;
		snprintf(path, sizeof(path), "%.*s", (int)i, f->path.p);
		if (!make_one(root, path, &made, why))
			return false;
	}
	if (!make_inside(root, maildir_folder_root(f), why))
		return false;
	if (name.n == 0)
		return true;
	if (!make_inside(root, f->path, why) || !make_mark(root, f->path, why))
		return false;
	if (made)
		subscription_add(root, maildir_folder_root(f), slice_tail(name, 1));
	return true;
}
