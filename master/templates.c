#include "master/templates.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/base/ascii.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/log/log.h"
#include "master/sealed.h"

#define OURS TASSIS_SHAREDIR "/templates"
#define THEIRS TASSIS_SYSCONFDIR "/templates"
#define TEXT_MAX 65536u        /* octets of one */
#define TEXTS_MAX (2u << 20)   /* of all */
#define ENDING ".txt"

/* A language or a kind: letters, digits and hyphens, so a backup file of an editor is neither. */
static bool is_name(const char *name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!ascii_is_alnum(name[i]) && name[i] != '-')
			return false;
	return n > 0 && n < 64;
}

static bool join(char *out, const char *folder, const char *name)
{
	int n = snprintf(out, PATH_MAX, "%s/%s", folder, name);

	return n > 0 && n < PATH_MAX;
}

/* At its end nothing of a text that cannot be used stands in pack. */
static bool text_add(const char *path, const char *language, const char *kind, size_t kind_n, struct buf *pack, struct fault *why)
{
	struct buf text;
	bool ok;

	buf_init(&text, TEXT_MAX);
	ok = fd_slurp_path(path, &text, NULL, why);
	if (ok && buf_length(pack) + buf_length(&text) + PATH_MAX + 256 > TEXTS_MAX) {
		fault_set(why, "4.3.5", "all texts together are larger than %u octets", TEXTS_MAX);
		ok = false;
	}
	ok = ok && buf_printf(pack, "template %s/%.*s %zu %s\n", language, slice_int(kind_n), kind, buf_length(&text), path) &&
	     buf_append(pack, buf_slice(&text));
	buf_fini(&text);
	return ok;
}

static void language_add(const char *folder, const char *language, struct buf *pack)
{
	char path[PATH_MAX], file[PATH_MAX];
	struct dirent *entry;
	DIR *dir = join(path, folder, language) ? opendir(path) : NULL;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		struct slice name = slice_of_cstr(entry->d_name);
		struct fault why = {0};

		if (!slice_ends(name, SLICE(ENDING)) || !is_name(name.p, name.n - strlen(ENDING)) || !join(file, path, entry->d_name))
			continue;
		if (!text_add(file, language, name.p, name.n - strlen(ENDING), pack, &why))
			log_event(file_unusable, F_TEXT(file, file), F_FAULT(&why));
	}
	if (dir != NULL)
		(void)closedir(dir);
}

/* A folder that is not there has no texts. */
static void folder_add(const char *folder, struct buf *pack)
{
	struct dirent *entry;
	struct fault why = {0};
	DIR *dir = opendir(folder);

	if (dir == NULL && errno != ENOENT) {
		fault_errno(&why, "4.3.5", "cannot open %s", folder);
		log_event(file_unusable, F_TEXT(file, folder), F_FAULT(&why));
	}
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (is_name(entry->d_name, strlen(entry->d_name)))
			language_add(folder, entry->d_name, pack);
	if (dir != NULL)
		(void)closedir(dir);
}

bool templates_seal(const struct settings *s, int *fd, struct fault *why)
{
	char theirs[PATH_MAX] = THEIRS;
	struct buf pack;
	bool ok;

	if (s->notice_templates.n > 0 && !slice_cstr(s->notice_templates, theirs, sizeof(theirs), why))
		return false;
	buf_init(&pack, TEXTS_MAX);
	folder_add(OURS, &pack);
	folder_add(theirs, &pack);
	ok = sealed_make("templates", buf_slice(&pack), fd, why);
	buf_fini(&pack);
	return ok;
}
