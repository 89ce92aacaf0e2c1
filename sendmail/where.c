#include "sendmail/where.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/conf/settings.h"
#include "common/service/main_conf.h"

#define PROBLEMS_MAX 65536

/* NULL: it cannot be read, or has mistakes, of which why (may be NULL) has the first. */
static struct settings *read_file(const char *path, struct fault *why)
{
	struct settings *found = NULL;
	struct slice rest, line = SLICE_EMPTY;
	struct buf problems;

	buf_init(&problems, PROBLEMS_MAX);
	if (!main_conf_read(path, &found, &problems)) {
		found = NULL;
		rest = buf_slice(&problems);
		(void)slice_cut(&rest, '\n', &line);
		fault_set(why, "5.3.5", "%.*s", SLICE_PRINTF(line));
	}
	buf_fini(&problems);
	return found;
}

static struct settings *read_usual(const char *folder, struct fault *why)
{
	static const char *const names[] = {"main.conf", "sendmail.conf"};
	struct settings *found = NULL;
	char path[PATH_MAX];
	struct buf problems;

	for (size_t i = 0; i < ARRAY_LENGTH(names) && found == NULL; i++)
		if (snprintf(path, sizeof(path), "%s/%s", folder, names[i]) < (int)sizeof(path))
			found = read_file(path, NULL);
	if (found != NULL)
		return found;
	buf_init(&problems, PROBLEMS_MAX);
	if (!settings_parse(SLICE_EMPTY, "the defaults", &found, &problems)) {
		found = NULL;
		fault_set(why, "4.3.1", "out of memory");
	}
	buf_fini(&problems);
	return found;
}

/* As main.conf says, or the system; a host without a full name is called what it is called. */
static void find_hostname(const struct settings *s, struct where *out)
{
	if (settings_hostname(s, out->hostname, sizeof(out->hostname), NULL))
		return;
	if (gethostname(out->hostname, sizeof(out->hostname) - 1) != 0 || out->hostname[0] == '\0')
		(void)snprintf(out->hostname, sizeof(out->hostname), "localhost");
}

static void take(const struct settings *s, struct where *out)
{
	find_hostname(s, out);
	out->message_size_max = s->message_size_max;
	out->max_recipients = s->smtp_max_recipients;
}

bool where_find(const char *conf, const char *folder, struct where *out, struct fault *why)
{
	struct settings *s = conf != NULL ? read_file(conf, why) : read_usual(folder, why),
			*published;
	char path[PATH_MAX];
	bool ok =
		s != NULL && layout_path(s->spool_dir, "", out->spool, sizeof(out->spool), why) &&
		layout_path(s->spool_dir, LAYOUT_PUBLIC_SETTINGS, path, sizeof(path), why) &&
		layout_socket_path(s, LAYOUT_SUBMIT_FOLDER, LAYOUT_SUBMIT_NAME, out->submit, why) &&
		layout_socket_path(s, "control", "queued.0", out->queued, why);

	if (ok) {
		published = read_file(path, NULL);
		take(published != NULL ? published : s, out);
		settings_destroy(published);
	}
	settings_destroy(s);
	return ok;
}
