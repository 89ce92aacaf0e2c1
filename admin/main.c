/* admin/main.c: the programs behind `tassis check`, `config`, `status` and so on: one program, a table of subcommands (commands.h).
 * Touches: main.conf, standard output and standard error; what a subcommand touches stands in its file. */
#include "admin/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/objects.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/conf/settings.h"
#include "common/service/main_conf.h"

#define PROBLEMS_MAX 65536

static const struct command {
	const char *name;
	bool reads_settings;
	const char *usage, *help;
	admin_command_fn *fn;
} commands[] = {
#define C(name, reads_settings, usage, help) {#name, reads_settings, usage, help, command_##name},
	ADMIN_COMMANDS(C)
#undef C
#define O(name, help) {#name, false, "VERB …", help, command_##name},
	OBJECTS(O)
#undef O
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int help(FILE *out, int status)
{
	(void)fputs("usage: tassis [-c MAIN_CONF] COMMAND …\n", out);
#define S(name, help) (void)fputs("  " #name "\n      " help "\n", out);
	ADMIN_SCRIPT_COMMANDS(S)
#undef S
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		(void)fprintf(out, "  %s%s%s\n      %s\n", commands[i].name, commands[i].usage[0] != '\0' ? " " : "",
			      commands[i].usage, commands[i].help);
	return status;
}

int admin_usage(const char *command)
{
	const struct command *c = find_command(command);

	if (c == NULL)
		return help(stderr, ADMIN_USAGE);
	(void)fprintf(stderr, "usage: tassis %s%s%s\n%s\n", c->name, c->usage[0] != '\0' ? " " : "", c->usage, c->help);
	return ADMIN_USAGE;
}

bool admin_read_settings(const char *main_conf, struct settings **out)
{
	struct buf problems;
	bool ok;

	buf_init(&problems, PROBLEMS_MAX);
	ok = main_conf_read(main_conf, out, &problems);
	(void)fprintf(stderr, "%.*s", SLICE_PRINTF(buf_slice(&problems)));
	buf_fini(&problems);
	return ok;
}

int main(int argc, char **argv)
{
	struct admin a = {.main_conf = getenv("MAIN_CONF")};
	struct settings *settings = NULL;
	const struct command *c;
	int at = 1, status = ADMIN_FAILED;

	if (a.main_conf == NULL || a.main_conf[0] == '\0')
		a.main_conf = TASSIS_SYSCONFDIR "/main.conf";
	if (argc > 2 && strcmp(argv[1], "-c") == 0) {
		a.main_conf = argv[2];
		at = 3;
	}
	if (at < argc && (strcmp(argv[at], "help") == 0 || strcmp(argv[at], "--help") == 0))
		return help(stdout, ADMIN_DONE);
	if (at < argc && strcmp(argv[at], "complete") == 0)
		return admin_complete(a.main_conf, argc - at, argv + at);
	if (at >= argc || (c = find_command(argv[at])) == NULL)
		return help(stderr, ADMIN_USAGE);
	if (!c->reads_settings || admin_read_settings(a.main_conf, &settings)) {
		a.settings = settings;
		status = c->fn(&a, argc - at, argv + at);
	}
	settings_destroy(settings);
	return status;
}
