#include "common/service/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"

enum base { SPOOL, MAIL, STATE };

/* A name that ends in '*' stands for 32 folders, one for each character of an id (common/spool/id.h). */
static const struct folder {
	enum base base;
	const char *name; /* "": the folder of main.conf itself */
	enum layout_account owner;
	enum layout_account group;
	mode_t mode;
} folders[] = {
	{SPOOL, "", ACCOUNT_ROOT, ACCOUNT_ROOT, 0755},
	{SPOOL, "incoming", ACCOUNT_ROOT, ACCOUNT_QUEUE, 0751},
	{SPOOL, "queue", ACCOUNT_QUEUE, ACCOUNT_QUEUE, 0700},
	{SPOOL, "queue/*", ACCOUNT_QUEUE, ACCOUNT_QUEUE, 0700},
	{SPOOL, "corrupt", ACCOUNT_QUEUE, ACCOUNT_QUEUE, 0700},
	{SPOOL, "private", ACCOUNT_ROOT, ACCOUNT_ROOT, 0711},
	{SPOOL, "control", ACCOUNT_ROOT, ACCOUNT_ROOT, 0711},
	{SPOOL, "public", ACCOUNT_ROOT, ACCOUNT_ROOT, 0755},
	/* Anybody may put a file there, and read only that; the setgid bit makes it queued's to read. */
	{SPOOL, "maildrop", ACCOUNT_QUEUE, ACCOUNT_QUEUE, 03733},
	{SPOOL, "empty", ACCOUNT_ROOT, ACCOUNT_ROOT, 0555},
	{MAIL, "", ACCOUNT_MAIL, ACCOUNT_MAIL, 0700},
	{STATE, "", ACCOUNT_ROOT, ACCOUNT_ROOT, 0755},
	{STATE, "tls", ACCOUNT_ROOT, ACCOUNT_ROOT, 0700},
};
static const char hash_letters[] = "0123456789abcdefghjkmnpqrstvwxyz";

/* ---- accounts ---- */

static const char *const account_names[] = {
#define A(name, account) account,
	LAYOUT_ACCOUNTS(A)
#undef A
};

static void all_the_caller(struct accounts *out)
{
	for (size_t i = 0; i < N_LAYOUT_ACCOUNTS; i++) {
		out->of[i].uid = geteuid();
		out->of[i].gid = getegid();
	}
}

bool accounts_find(const struct settings *s, struct accounts *out, struct fault *why)
{
	char missing[256] = "";

	*out = (struct accounts){.change = s->accounts == ACCOUNTS_AUTO && geteuid() == 0};
	if (!out->change) {
		all_the_caller(out);
		return true;
	}
	for (size_t i = 0; i < N_LAYOUT_ACCOUNTS; i++) {
		struct passwd *pw = getpwnam(account_names[i]);
		size_t used = strlen(missing);

		if (pw != NULL) {
			out->of[i].uid = pw->pw_uid;
			out->of[i].gid = pw->pw_gid;
		} else {
			(void)snprintf(missing + used, sizeof(missing) - used, " %s", account_names[i]);
		}
	}
	if (missing[0] != '\0') {
		fault_set(why, "4.3.5", "missing accounts:%s; `make install` makes them, or: "
			  "`useradd --system --user-group --no-create-home --shell /usr/sbin/nologin NAME` for each; "
			  "or set accounts = caller in main.conf", missing);
		return false;
	}
	return true;
}

/* ---- paths ---- */

bool layout_path(struct slice dir, const char *name, char *out, size_t size, struct fault *why)
{
	int n = snprintf(out, size, "%.*s%s%s", SLICE_PRINTF(dir), name[0] != '\0' ? "/" : "", name);

	if (n < 0 || (size_t)n >= size) {
		fault_set(why, "5.3.5", "the path %.*s/%s is too long", SLICE_PRINTF(dir), name);
		return false;
	}
	return true;
}

bool layout_socket_path(const struct settings *s, const char *folder, const char *name, char out[LAYOUT_SOCKET_PATH_MAX],
			struct fault *why)
{
	int n = snprintf(out, LAYOUT_SOCKET_PATH_MAX, "%.*s/%s/%s", SLICE_PRINTF(s->spool_dir), folder, name);

	if (n < 0 || n >= LAYOUT_SOCKET_PATH_MAX) {
		fault_set(why, "5.3.5", "spool_dir is too long for sockets below it: 80 octets are enough for all");
		return false;
	}
	return true;
}

static struct slice base_of(const struct settings *s, enum base base)
{
	return base == SPOOL ? s->spool_dir : base == MAIL ? s->mail_dir : s->state_dir;
}

static const char *base_name(enum base base)
{
	return base == SPOOL ? "spool_dir" : base == MAIL ? "mail_dir" : "state_dir";
}

/* ---- one folder ---- */

struct place {
	const struct folder *folder;
	const struct accounts *accounts;
	char path[PATH_MAX];
};

static uid_t owner_of(const struct place *p)
{
	return p->accounts->of[p->folder->owner].uid;
}

static gid_t group_of(const struct place *p)
{
	return p->accounts->of[p->folder->group].gid;
}

/* Is what stands there as it should be? The folders of main.conf: owner, and nobody else who may write. The others: to the letter. */
static bool place_is_right(const struct place *p, const struct stat *st, struct fault *why)
{
	bool of_main_conf = p->folder->name[0] == '\0';

	if (!S_ISDIR(st->st_mode)) {
		fault_set(why, "4.3.5", "%s is no folder", p->path);
		return false;
	}
	if (st->st_uid != owner_of(p)) {
		fault_set(why, "4.3.5", "%s belongs to uid %u and should belong to uid %u: `chown %u %s`", p->path,
			  (unsigned)st->st_uid, (unsigned)owner_of(p), (unsigned)owner_of(p), p->path);
		return false;
	}
	if (of_main_conf && (st->st_mode & 022) != 0 && p->folder->base != MAIL) {
		fault_set(why, "4.3.5", "others may write to %s (%s): `chmod %o %s`", p->path,
			  base_name(p->folder->base), (unsigned)p->folder->mode, p->path);
		return false;
	}
	if (!of_main_conf && (st->st_gid != group_of(p) || (st->st_mode & 07777) != p->folder->mode)) {
		fault_set(why, "4.3.5", "%s has group %u and mode %o and should have %u and %o: a start of tassis mends it",
			  p->path, (unsigned)st->st_gid, (unsigned)(st->st_mode & 07777), (unsigned)group_of(p),
			  (unsigned)p->folder->mode);
		return false;
	}
	return true;
}

/* Makes the folders above path, as mkdir -p does. */
static bool make_parents(const char *path, struct fault *why)
{
	char part[PATH_MAX];
	size_t n = strlen(path);

	for (size_t i = 1; i < n && i < sizeof(part); i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST) {
			fault_errno(why, "4.3.5", "cannot make the folder %s", part);
			return false;
		}
	}
	return true;
}

static bool give(const struct place *p, int fd, struct fault *why)
{
	/* The mode last: a change of owner may take the setgid bit away. */
	if (fchown(fd, owner_of(p), group_of(p)) != 0 || fchmod(fd, p->folder->mode) != 0) {
		fault_errno(why, "4.3.5", "cannot give %s its owner and mode", p->path);
		return false;
	}
	return true;
}

static bool place_make(const struct place *p, struct fault *why)
{
	bool of_main_conf = p->folder->name[0] == '\0', made, ok = false;
	struct stat st;
	int fd = -1;

	if (of_main_conf && !make_parents(p->path, why))
		return false;
	made = mkdir(p->path, 0700) == 0;
	if (!made && errno != EEXIST) {
		fault_errno(why, "4.3.5", "cannot make the folder %s", p->path);
		return false;
	}
	fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (of_main_conf ? 0 : O_NOFOLLOW));
	if (fd < 0 || fstat(fd, &st) != 0) {
		fault_errno(why, "4.3.5", "cannot open the folder %s", p->path);
		goto out;
	}
	if (!made && of_main_conf)
		ok = place_is_right(p, &st, why);
	else
		ok = (!made && place_is_right(p, &st, NULL)) || give(p, fd, why);
out:
	fd_close(&fd);
	return ok;
}

/* ---- all of them ---- */

typedef bool place_fn(const struct place *p, void *arg, struct fault *why);

/* Calls fn for each place until one fails. */
static bool each_place(const struct settings *s, const struct accounts *a, place_fn *fn, void *arg, struct fault *why)
{
	struct place p = {.accounts = a};

	for (size_t i = 0; i < ARRAY_LENGTH(folders); i++) {
		size_t n = strlen(folders[i].name);
		bool many = n > 0 && folders[i].name[n - 1] == '*';

		p.folder = &folders[i];
		if (!layout_path(base_of(s, folders[i].base), folders[i].name, p.path, sizeof(p.path), why))
			return false;
		n = strlen(p.path);
		for (size_t letter = 0; letter < (many ? sizeof(hash_letters) - 1 : 1); letter++) {
			if (many)
				p.path[n - 1] = hash_letters[letter];
			if (!fn(&p, arg, why))
				return false;
		}
	}
	return true;
}

static bool make_one(const struct place *p, void *arg, struct fault *why)
{
	(void)arg;
	return place_make(p, why);
}

bool layout_make(const struct settings *s, const struct accounts *a, struct fault *why)
{
	return each_place(s, a, make_one, NULL, why);
}

struct check {
	layout_found_fn *found;
	void *arg;
};

static bool check_one(const struct place *p, void *arg, struct fault *why)
{
	struct check *check = arg;
	struct fault wrong = {0};
	struct stat st;

	(void)why;
	if ((p->folder->name[0] == '\0' ? stat : lstat)(p->path, &st) != 0) {
		if (errno == ENOENT)
			return true;
		fault_errno(&wrong, "4.3.5", "cannot look at %s", p->path);
		check->found(check->arg, &wrong);
	} else if (!place_is_right(p, &st, &wrong)) {
		check->found(check->arg, &wrong);
	}
	return true;
}

void layout_check(const struct settings *s, const struct accounts *a, layout_found_fn *found, void *arg)
{
	struct check check = {.found = found, .arg = arg};
	struct fault why = {0};

	if (!each_place(s, a, check_one, &check, &why))
		found(arg, &why);
}
