/* `tassis config`: the settings, as main.conf and the defaults give them. Touches: main.conf. */
#include "admin/commands.h"

#include <stdio.h>
#include <string.h>

#include "admin/objects.h"
#include "common/base/buf.h"
#include "common/conf/settings.h"
#include "common/log/log.h"

#define TEXT_MAX (1u << 20)

static int print(const struct buf *text, bool ok, const char *what)
{
	if (!ok) {
		(void)fprintf(stderr, "tassis config: %s\n", what);
		return ADMIN_FAILED;
	}
	(void)fwrite(buf_slice(text).p, 1, buf_length(text), stdout);
	return fflush(stdout) == 0 ? ADMIN_DONE : ADMIN_FAILED;
}

/* What has no need of main.conf: the commented file as shipped, the lists of main.conf(5), tassis-log(5) and tassis(8). */
static int print_generated(bool (*generate)(struct buf *out))
{
	struct buf text;
	int status;

	buf_init(&text, TEXT_MAX);
	status = print(&text, generate(&text), "no memory");
	buf_fini(&text);
	return status;
}

static int print_settings(const struct settings *s, const char *argument)
{
	struct buf text;
	int status;

	buf_init(&text, TEXT_MAX);
	if (argument == NULL)
		status = print(&text, settings_print(s, SETTINGS_PRINT_ALL, &text), "no memory");
	else if (strcmp(argument, "-n") == 0)
		status = print(&text, settings_print(s, SETTINGS_PRINT_CHANGED, &text), "no memory");
	else
		status = print(&text, settings_print_one(s, slice_of_cstr(argument), &text),
			       "there is no setting of that name; `tassis config` shows them all");
	buf_fini(&text);
	return status;
}

int command_config(const struct admin *a, int argc, char **argv)
{
	const char *argument = argc > 1 ? argv[1] : NULL;
	struct settings *settings = NULL;
	int status;

	if (argc > 2)
		return admin_usage("config");
	if (argument != NULL && strcmp(argument, "--template") == 0)
		return print_generated(settings_print_template);
	if (argument != NULL && strcmp(argument, "--mdoc") == 0)
		return print_generated(settings_print_mdoc);
	if (argument != NULL && strcmp(argument, "--mdoc-log") == 0)
		return print_generated(log_print_mdoc);
	if (argument != NULL && strcmp(argument, "--mdoc-commands") == 0)
		return print_generated(objects_print_mdoc);
	if (argument != NULL && argument[0] == '-' && strcmp(argument, "-n") != 0)
		return admin_usage("config");
	if (!admin_read_settings(a->main_conf, &settings))
		return ADMIN_FAILED;
	status = print_settings(settings, argument);
	settings_destroy(settings);
	return status;
}
