/* The commands for domains and people: from the words to the verb and back.
 * Touches: main.conf, PostgreSQL, standard output and standard error. */
#include "admin/objects.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/conf/pattern.h"
#include "common/conf/settings.h"

const struct verb_description verb_descriptions[] = {
#define V(object, verb, usage, help, example) {#object, #verb, usage, help, example},
	VERBS(V)
#undef V
};
const size_t n_verb_descriptions = ARRAY_LENGTH(verb_descriptions);

static verb_fn *const verbs[] = {
#define V(object, verb, ...) object##_##verb,
	VERBS(V)
#undef V
};

/* ---- what verbs share ---- */

const char *task_word(const struct task *t, size_t i)
{
	const char *word = arguments_word(&t->args, i);

	return word != NULL ? word : "";
}

void task_say(const char *template, ...)
{
	va_list args;

	va_start(args, template);
	(void)vprintf(template, args);
	va_end(args);
	(void)putchar('\n');
}

void task_note(const char *template, ...)
{
	va_list args;

	(void)fflush(stdout);
	va_start(args, template);
	(void)vfprintf(stderr, template, args);
	va_end(args);
	(void)fputc('\n', stderr);
}

bool task_there(const struct task *t, const char *what, const char *name, struct fault *why)
{
	if (arguments_has(&t->args, "--if-not-exists")) {
		task_say("%s %s is there already", what, name);
		return true;
	}
	fault_set(why, "4.3.0", "%s %s is there already", what, name);
	return false;
}

bool task_not_there(const struct task *t, const char *what, const char *name, struct fault *why)
{
	if (arguments_has(&t->args, "--if-exists")) {
		task_say("there is no %s %s", what, name);
		return true;
	}
	fault_set(why, "4.3.0", "there is no %s %s", what, name);
	return false;
}

bool task_needs_domain(struct task *t, const char *domain, struct fault *why)
{
	uint64_t n;

	if (!database_ask_number(&t->db, &n, why, "SELECT count(*) FROM domains WHERE name = $1", PARAMS(domain)))
		return false;
	if (n == 0)
		fault_set(why, "4.3.0", "there is no domain %s; make it first: tassis domain add %s", domain, domain);
	return n > 0;
}

bool task_needs_user(struct task *t, const char *local_part, const char *domain, char **id, struct fault *why)
{
	if (!database_ask(&t->db, id, why, "SELECT id FROM users WHERE local_part = $1 AND domain = $2", PARAMS(local_part, domain)))
		return false;
	if (*id == NULL)
		fault_set(why, "4.3.0", "there is no user %s@%s", local_part, domain);
	return *id != NULL;
}

bool task_quantity(const struct task *t, const char *option, bool size, char out[TASK_QUANTITY_MAX], const char **value, struct fault *why)
{
	const char *text = arguments_value(&t->args, option);
	uint64_t n;

	*value = NULL;
	if (text == NULL || strcmp(text, "none") == 0)
		return true;
	if (!pattern_quantity(size ? SIZE : NUMBER, slice_of_cstr(text), &n) || n == 0 || n > INT64_MAX) {
		fault_set(why, "5.5.4", "%s %s: right would be %s", option, text, size ? "one such as 500M, 1G or none" : "a number from 1, or none");
		return false;
	}
	(void)snprintf(out, TASK_QUANTITY_MAX, "%llu", (unsigned long long)n);
	*value = out;
	return true;
}

/* ---- the command ---- */

static int help(FILE *out, const char *object, const char *text, int status)
{
	(void)fprintf(out, "usage: tassis %s VERB …\n%s\n", object, text);
	for (size_t i = 0; i < n_verb_descriptions; i++) {
		const struct verb_description *v = &verb_descriptions[i];

		if (strcmp(v->object, object) == 0)
			(void)fprintf(out, "  %s %s\n      %s\n", v->verb, v->usage, v->help);
	}
	return status;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

/* Where main.conf asks another table, what is changed here is read by nobody. */
static void note_replaced_query(const struct task *t)
{
	const struct {
		const char *object;
		struct slice query;
	} replaced[] = {
		{"domain", t->settings->query_domain}, {"user", t->settings->query_user},   {"alias", t->settings->query_alias},
		{"mailbox", t->settings->query_user},  {"relay", t->settings->query_relay}, {"route", t->settings->query_route},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(replaced); i++)
		if (strcmp(replaced[i].object, t->object) == 0 && replaced[i].query.n > 0)
			task_note("note: the setting query_%s asks another table; what stands here is not read",
				  strcmp(t->object, "mailbox") == 0 ? "user" : t->object);
}

static int run(const struct admin *a, size_t which, int argc, char **argv)
{
	const struct verb_description *v = &verb_descriptions[which];
	struct task t = {.object = v->object, .verb = v->verb};
	struct settings *settings = NULL;
	struct fault why = {0};
	bool parsed = arguments_parse(&t.args, v->usage, argc, argv, &why);
	bool read = parsed && admin_read_settings(a->main_conf, &settings);
	bool ok = false;

	if (read) {
		t.settings = settings;
		note_replaced_query(&t);
		ok = database_open(&t.db, settings, &why) && verbs[which](&t, &why);
	}
	if (fflush(stdout) != 0 && ok) {
		fault_errno(&why, "4.3.0", "cannot write to standard output");
		ok = false;
	}
	if (!ok && why.text[0] != '\0')
		(void)fprintf(stderr, "tassis %s %s: %s\n", v->object, v->verb, why.text);
	if (!parsed)
		(void)fprintf(stderr, "usage: tassis %s %s %s\n", v->object, v->verb, v->usage);
	database_close(&t.db);
	arguments_fini(&t.args);
	settings_destroy(settings);
	return ok ? ADMIN_DONE : strcmp(why.status, "5.5.4") == 0 ? ADMIN_USAGE : ADMIN_FAILED;
}

static int object_command(const struct admin *a, const char *object, const char *text, int argc, char **argv)
{
	bool asked = wants_help(argc, argv);

	for (size_t i = 0; argc > 1 && i < n_verb_descriptions; i++) {
		const struct verb_description *v = &verb_descriptions[i];

		if (strcmp(v->object, object) != 0 || strcmp(v->verb, argv[1]) != 0)
			continue;
		if (!asked)
			return run(a, i, argc - 1, argv + 1);
		(void)printf("usage: tassis %s %s %s\n%s\nexample: %s\n", v->object, v->verb, v->usage, v->help, v->example);
		return ADMIN_DONE;
	}
	return help(asked ? stdout : stderr, object, text, asked ? ADMIN_DONE : ADMIN_USAGE);
}

#define O(object, help)                                                                                            \
	int command_##object(const struct admin *a, int argc, char **argv)                                         \
	{                                                                                                          \
		return object_command(a, #object, help, argc, argv);                                               \
	}
OBJECTS(O)
#undef O
