#include "admin/queue_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/spool/id.h"
#include "common/spool/summary.h"

struct name {
	char id[SPOOL_ID_LENGTH + 1];
	uint16_t folder;
};

struct names {
	struct name *p;
	size_t n, capacity;
	char (*folders)[64];
	size_t n_folders;
};

static bool names_add(struct names *names, const char *id, struct fault *why)
{
	if (names->n == names->capacity) {
		size_t capacity = names->capacity == 0 ? 1024 : 2 * names->capacity;
		struct name *p = reallocarray(names->p, capacity, sizeof(*p));

		if (p == NULL) {
			fault_set(why, "4.3.1", "out of memory");
			return false;
		}
		names->p = p;
		names->capacity = capacity;
	}
	memcpy(names->p[names->n].id, id, SPOOL_ID_LENGTH + 1);
	names->p[names->n++].folder = (uint16_t)(names->n_folders - 1);
	return true;
}

static bool folders_add(struct names *names, const char *parent, const char *name, struct fault *why)
{
	char(*p)[64] = names->n_folders == UINT16_MAX ? NULL : reallocarray(names->folders, names->n_folders + 1, sizeof(*p));

	if (p == NULL) {
		fault_set(why, "4.3.1", "out of memory");
		return false;
	}
	names->folders = p;
	(void)snprintf(p[names->n_folders++], sizeof(*p), "%s/%.40s", parent, name);
	return true;
}

/* The names in one folder that are ids. A folder that is gone meanwhile, or is none, has none. */
static bool folder_read(struct names *names, int spool, struct fault *why)
{
	int fd = openat(spool, names->folders[names->n_folders - 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool ok = true;

	if (dir == NULL) {
		fd_close(&fd);
		return true;
	}
	while (ok && (entry = readdir(dir)) != NULL)
		if (spool_id_is_valid(slice_of_cstr(entry->d_name)))
			ok = names_add(names, entry->d_name, why);
	(void)closedir(dir);
	return ok;
}

static bool folders_read(struct names *names, int spool, const char *parent, struct fault *why)
{
	int fd = openat(spool, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool ok = true;

	if (dir == NULL) {
		fault_errno(why, "4.3.0", "cannot read the spool's folder %s", parent);
		fd_close(&fd);
		return false;
	}
	while (ok && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			ok = folders_add(names, parent, entry->d_name, why) && folder_read(names, spool, why);
	(void)closedir(dir);
	return ok;
}

static int name_compare(const void *a, const void *b)
{
	return memcmp(((const struct name *)a)->id, ((const struct name *)b)->id, SPOOL_ID_LENGTH);
}

/* Is it there still, and a message? One that is not committed is nobody's message yet: it is left out without a word. */
static bool name_read(const struct names *names, const struct name *name, int spool, queue_file_fn *fn, void *arg)
{
	struct spool_summary s = {0};
	struct stat st;
	struct fault why;
	char path[128];
	int fd;
	bool ok;

	(void)snprintf(path, sizeof(path), "%s/%s", names->folders[name->folder], name->id);
	if ((fd = openat(spool, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0)
		return false;
	ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && spool_summary_read(fd, slice_of_cstr(name->id), &s, &why);
	if (ok)
		fn(arg, &s, (uint64_t)(st.st_mtime < 0 ? 0 : st.st_mtime) * 1000000, (st.st_mode & SPOOL_HELD_MODE) != 0);
	else if (strncmp(path, "queue/", 6) == 0)
		(void)fprintf(stderr, "tassis queue: %s: %s\n", path, why.text);
	spool_summary_fini(&s);
	fd_close(&fd);
	return ok;
}

static int spool_open(const struct settings *settings, struct fault *why)
{
	char path[4096];
	int spool;

	if (!slice_cstr(settings->spool_dir, path, sizeof(path), why))
		return -1;
	if ((spool = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		fault_errno(why, "4.3.0", "cannot open %s", path);
	return spool;
}

static bool spool_read(struct names *names, int spool, struct fault *why)
{
	return folders_read(names, spool, "incoming", why) && folders_read(names, spool, "queue", why);
}

bool queue_files_each(const struct settings *settings, struct slice id, queue_file_fn *fn, void *arg, struct fault *why)
{
	struct names names = {0};
	size_t n = 0;
	int spool = spool_open(settings, why);
	bool ok = false;

	if (spool < 0)
		return false;
	if (!spool_read(&names, spool, why))
		goto out;
	if (names.n > 0)
		qsort(names.p, names.n, sizeof(*names.p), name_compare);
	for (size_t i = 0; i < names.n; i++)
		if (id.n == 0 || slice_equal(id, slice_of_cstr(names.p[i].id)))
			n += name_read(&names, &names.p[i], spool, fn, arg);
	ok = n > 0 || id.n == 0;
	if (!ok)
		fault_set(why, "5.3.0", "there is no message %.*s", SLICE_PRINTF(id));
out:
	free(names.p);
	free(names.folders);
	fd_close(&spool);
	return ok;
}

/* A message goes from incoming/ to queue/, never back; so what is in neither is gone. */
static int name_open(const struct names *names, const struct name *name, int spool)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", names->folders[name->folder], name->id);
	return openat(spool, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

int queue_file_open(const struct settings *settings, struct slice id, struct fault *why)
{
	struct names names = {0};
	char path[128];
	int spool = spool_open(settings, why), fd = -1;

	if (spool < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "queue/%c/%.*s", spool_id_hash(id), SLICE_PRINTF(id));
	if ((fd = openat(spool, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) >= 0 || !spool_read(&names, spool, why))
		goto out;
	for (size_t i = 0; i < names.n && fd < 0; i++)
		if (slice_equal(id, slice_of_cstr(names.p[i].id)))
			fd = name_open(&names, &names.p[i], spool);
	if (fd < 0)
		fault_set(why, "5.3.0", "there is no message %.*s", SLICE_PRINTF(id));
out:
	free(names.p);
	free(names.folders);
	fd_close(&spool);
	return fd;
}
