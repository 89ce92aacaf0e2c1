/* `tassis check`: looks for what would keep tassis from working, and says the mend of each; changes nothing. The parts are in check_*.c.
 * Touches: main.conf, standard output; what the parts touch stands in their files. */
#include "admin/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/commands.h"
#include "admin/json.h"
#include "common/base/fault.h"
#include "common/conf/settings.h"
#include "common/service/main_conf.h"

#define FINDINGS_MAX (4u << 20)
#define TEXT_MAX 2048

/* ---- what was found ---- */

static void tell(struct check *c, bool error, const char *about, struct slice text)
{
	if (error)
		c->n_errors++;
	else
		c->n_warnings++;
	if (!c->json) {
		(void)printf("%s: %.*s\n", error ? "error" : "warning", SLICE_PRINTF(text));
		return;
	}
	buf_append_cstr(&c->findings, c->n_errors + c->n_warnings > 1 ? ",{" : "{");
	json_name(&c->findings, "level");
	json_string(&c->findings, slice_of_cstr(error ? "error" : "warning"));
	json_name(&c->findings, "about");
	json_string(&c->findings, slice_of_cstr(about));
	json_name(&c->findings, "text");
	json_string(&c->findings, text);
	buf_append_char(&c->findings, '}');
}

static void tell_formatted(struct check *c, bool error, const char *about, const char *template, va_list args) PRINTF_LIKE(4, 0);
static void tell_formatted(struct check *c, bool error, const char *about, const char *template, va_list args)
{
	char text[TEXT_MAX];

	(void)vsnprintf(text, sizeof(text), template, args);
	tell(c, error, about, slice_of_cstr(text));
}

void check_error(struct check *c, const char *about, const char *template, ...)
{
	va_list args;

	va_start(args, template);
	tell_formatted(c, true, about, template, args);
	va_end(args);
}

void check_warning(struct check *c, const char *about, const char *template, ...)
{
	va_list args;

	va_start(args, template);
	tell_formatted(c, false, about, template, args);
	va_end(args);
}

void check_fault(struct check *c, const char *about, const struct fault *why)
{
	tell(c, true, about, slice_of_cstr(why->text));
}

/* ---- the whole ---- */

static void found_folder(void *arg, const struct fault *why)
{
	check_fault(arg, "folders", why);
}

static void check_all(struct check *c)
{
	struct fault why = {0};

	check_programs(c);
	if (accounts_find(c->settings, &c->accounts, &why)) {
		layout_check(c->settings, &c->accounts, found_folder, c);
		check_database(c);
	} else {
		check_fault(c, "accounts", &why);
	}
	check_spool_file_system(c);
	check_ports(c);
	check_certificate(c);
	check_delivery_ca(c);
	check_log(c);
	check_dns(c);
	check_aliases_file(c);
	check_postmaster(c);
}

/* The settings as master would run with them; every mistake is said. */
static bool read_effective(struct check *c, const char *main_conf, struct settings **out)
{
	struct settings *read = NULL;
	struct buf problems, waiting;
	struct fault why = {0};
	struct slice rest, line;
	bool ok = false;

	buf_init(&problems, 65536);
	buf_init(&waiting, 4096);
	if (main_conf_read(main_conf, &read, &problems) && !(ok = main_conf_effective(read, NULL, out, &waiting, &why)))
		check_fault(c, "main.conf", &why);
	rest = slice_trim(buf_slice(&problems));
	while (rest.n > 0 && slice_cut(&rest, '\n', &line))
		tell(c, true, "main.conf", line);
	settings_destroy(read);
	buf_fini(&problems);
	buf_fini(&waiting);
	return ok;
}

static void print_json(const struct check *c, const char *main_conf)
{
	struct buf out;

	buf_init(&out, FINDINGS_MAX + 65536);
	buf_append_char(&out, '{');
	json_name(&out, "main_conf");
	json_string(&out, slice_of_cstr(main_conf));
	json_name(&out, "errors");
	json_number(&out, c->n_errors);
	json_name(&out, "warnings");
	json_number(&out, c->n_warnings);
	json_name(&out, "findings");
	buf_append_char(&out, '[');
	buf_append(&out, buf_slice(&c->findings));
	buf_append_cstr(&out, "]}\n");
	(void)fwrite(buf_slice(&out).p, 1, buf_length(&out), stdout);
	buf_fini(&out);
}

static void print_sum(const struct check *c, const char *main_conf)
{
	if (c->n_errors > 0)
		(void)printf("%u mistake%s", c->n_errors, c->n_errors == 1 ? "" : "s");
	if (c->n_warnings > 0)
		(void)printf("%s%u warning%s", c->n_errors > 0 ? " and " : "", c->n_warnings, c->n_warnings == 1 ? "" : "s");
	if (c->n_errors + c->n_warnings > 0)
		(void)printf(" with %s\n", main_conf);
	else
		(void)printf("%s and what it names are right\n", main_conf);
}

int command_check(const struct admin *a, int argc, char **argv)
{
	struct settings *settings = NULL;
	struct check c = {.json = argc == 2 && strcmp(argv[1], "--json") == 0};

	if (argc > 2 || (argc == 2 && !c.json))
		return admin_usage("check");
	buf_init(&c.findings, FINDINGS_MAX);
	if (read_effective(&c, a->main_conf, &settings)) {
		c.settings = settings;
		c.running = admin_is_running(settings);
		check_all(&c);
	}
	settings_destroy(settings);
	if (c.json)
		print_json(&c, a->main_conf);
	else
		print_sum(&c, a->main_conf);
	buf_fini(&c.findings);
	return c.n_errors > 0 ? ADMIN_FAILED : ADMIN_DONE;
}
