/* `tassis complete -- WORD…`: how a command line may go on, for a shell's completion (etc/completion/); the last word is the one that is being typed. Read from the
 * same lists as the commands, so that it cannot offer what they do not take.
 * Touches: main.conf and PostgreSQL for names of domains, users and networks, for at most LIMIT_S seconds and without a word when they are away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/database.h"
#include "admin/names.h"
#include "admin/objects.h"
#include "admin/usage.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/conf/settings.h"
#include "common/service/main_conf.h"

#define LIMIT_S 2
#define PROBLEMS_MAX 65536

struct completion {
	const char *main_conf;
	char **words;
	size_t n; /* the last one is being typed */
	struct slice typed;
	bool files; /* a file's name may stand there */
};

static void offer(const struct completion *c, struct slice word)
{
	if (slice_starts(word, c->typed))
		(void)printf("%.*s\n", SLICE_PRINTF(word));
}

/* ---- names from the database ---- */

static const struct {
	const char *what, *sql; /* $1: the beginning, $2: what stands before an '@', NULL: nothing does */
} names[] = {
	{"DOMAIN", "SELECT name FROM domains WHERE name LIKE $1 AND $2::text IS NULL ORDER BY 1 LIMIT 200"},
	{"ADDRESS",
	 "SELECT local_part || '@' || domain FROM users WHERE $2::text IS NULL AND local_part LIKE $1 "
	 "UNION SELECT $2 || '@' || name FROM domains WHERE $2 || '@' || name LIKE $1 ORDER BY 1 LIMIT 200"},
	{"NETWORK", "SELECT DISTINCT network::text FROM relays WHERE network::text LIKE $1 AND $2::text IS NULL ORDER BY 1 LIMIT 200"},
};

static void offer_names(const struct completion *c, const char *sql)
{
	size_t at = slice_find(c->typed, '@');
	char before[NAMES_WHOLE_MAX], like[NAMES_PATTERN_MAX];
	struct settings *settings = NULL;
	struct database db = {0};
	struct names_filter filter;
	struct fault why;
	struct buf problems;
	PGresult *r = NULL;

	(void)alarm(LIMIT_S);
	buf_init(&problems, PROBLEMS_MAX);
	(void)snprintf(like, sizeof(like), "%.*s*", SLICE_PRINTF(c->typed));
	if (slice_cstr(slice_head(c->typed, at == SIZE_MAX ? 0 : at), before, sizeof(before), &why) && names_filter(like, &filter, &why) &&
	    main_conf_read(c->main_conf, &settings, &problems) && database_open(&db, settings, &why) &&
	    database_run(&db, &r, &why, sql, PARAMS(filter.pattern, at == SIZE_MAX ? NULL : before)))
		for (int i = 0; i < PQntuples(r); i++)
			offer(c, slice_of_cstr(PQgetvalue(r, i, 0)));
	PQclear(r);
	database_close(&db);
	settings_destroy(settings);
	buf_fini(&problems);
	(void)alarm(0);
}

/* ---- what a usage says ---- */

/* what: "DOMAIN|*", "local|relay", "PATH". */
static void offer_value(struct completion *c, struct slice what)
{
	struct slice word;

	while (slice_cut(&what, '|', &word)) {
		if (slice_equal(word, SLICE("TARGET")))
			word = SLICE("ADDRESS");
		for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
			if (slice_equal(word, slice_of_cstr(names[i].what)))
				offer_names(c, names[i].sql);
		c->files = c->files || slice_equal(word, SLICE("DIR")) || slice_equal(word, SLICE("FILE")) || slice_equal(word, SLICE("PATH"));
		if (word.n > 0 && (word.p[0] == '*' || (word.p[0] >= 'a' && word.p[0] <= 'z')))
			offer(c, word);
	}
}

static bool find_part(struct slice usage, struct slice name, struct usage_part *out)
{
	while (usage_next(&usage, out))
		if (out->option && slice_equal(out->name, name))
			return true;
	return false;
}

static bool given(const struct completion *c, size_t first, struct slice option)
{
	for (size_t i = first; i + 1 < c->n; i++)
		if (slice_equal(slice_of_cstr(c->words[i]), option))
			return true;
	return false;
}

static void offer_options(const struct completion *c, struct slice usage, size_t first)
{
	struct usage_part part;

	while (usage_next(&usage, &part)) {
		/* "[-n | NAME | --template]" */
		struct slice rest = slice_starts(part.value, SLICE("|")) ? part.value : SLICE_EMPTY, word;

		if (part.option && (part.repeated || !given(c, first, part.name)))
			offer(c, part.name);
		while (slice_word(&rest, &word))
			if (slice_starts(word, SLICE("-")))
				offer(c, word);
	}
	offer(c, SLICE("--help"));
}

/* The words from the first on stand where usage is for. */
static void offer_usage(struct completion *c, struct slice usage, size_t first)
{
	struct slice rest = usage;
	struct usage_part part;
	size_t n_words = 0;

	for (size_t i = first; i + 1 < c->n; i++) {
		if (!find_part(usage, slice_of_cstr(c->words[i]), &part)) {
			n_words++;
		} else if (part.value.n > 0 && !slice_starts(part.value, SLICE("|")) && ++i + 1 == c->n) {
			offer_value(c, part.value);
			return;
		}
	}
	if (c->typed.n == 0 || c->typed.p[0] == '-')
		offer_options(c, usage, first);
	if (slice_starts(c->typed, SLICE("-")))
		return;
	while (usage_next(&rest, &part)) {
		if (part.option || (n_words > 0 && !part.repeated && n_words-- > 0))
			continue;
		offer_value(c, part.name);
		return;
	}
}

/* ---- commands ---- */

static void offer_object(struct completion *c, const char *object)
{
	for (size_t i = 0; i < n_verb_descriptions; i++) {
		const struct verb_description *v = &verb_descriptions[i];

		if (strcmp(v->object, object) != 0)
			continue;
		if (c->n == 2)
			offer(c, slice_of_cstr(v->verb));
		else if (strcmp(v->verb, c->words[1]) == 0)
			offer_usage(c, slice_of_cstr(v->usage), 2);
	}
}

/* Cuts "list [--json] | show ID" at the '|' that stands in no brackets. */
static bool cut_alternative(struct slice *rest, struct slice *out)
{
	int depth = 0;
	size_t i = 0;

	if (rest->n == 0)
		return false;
	for (; i < rest->n && !(depth == 0 && slice_starts(slice_tail(*rest, i), SLICE(" | "))); i++)
		depth += rest->p[i] == '[' ? 1 : rest->p[i] == ']' ? -1 : 0;
	*out = slice_head(*rest, i);
	*rest = slice_tail(*rest, i < rest->n ? i + 3 : i);
	return true;
}

static void offer_command(struct completion *c, const char *usage)
{
	struct slice rest = slice_of_cstr(usage), one;

	while (cut_alternative(&rest, &one)) {
		struct slice verb = slice_head(one, slice_find(one, ' '));

		if (verb.n == 0 || verb.p[0] < 'a' || verb.p[0] > 'z')
			offer_usage(c, one, 1);
		else if (c->n == 2)
			offer(c, verb);
		else if (slice_equal(verb, slice_of_cstr(c->words[1])))
			offer_usage(c, slice_tail(one, verb.n), 2);
	}
}

static void offer_commands(const struct completion *c)
{
#define C(name, reads_settings, usage, help) offer(c, SLICE(#name));
	ADMIN_COMMANDS(C)
#undef C
#define S(name, help) offer(c, SLICE(#name));
	ADMIN_SCRIPT_COMMANDS(S)
#undef S
#define O(name, help) offer(c, SLICE(#name));
	OBJECTS(O)
#undef O
	offer(c, SLICE("help"));
}

int admin_complete(const char *main_conf, int argc, char **argv)
{
	struct completion c = {.main_conf = main_conf, .words = argv + 1, .n = (size_t)argc - 1};
	bool skips = c.n > 0 && strcmp(c.words[0], "--") == 0;

	c.words += skips;
	c.n -= skips;
	if (c.n == 2 && strcmp(c.words[0], "-c") == 0)
		return ADMIN_COMPLETE_FILES;
	if (c.n > 2 && strcmp(c.words[0], "-c") == 0) {
		c.main_conf = c.words[1];
		c.words += 2;
		c.n -= 2;
	}
	if (c.n == 0)
		return ADMIN_DONE;
	c.typed = slice_of_cstr(c.words[c.n - 1]);
	if (c.n == 1)
		offer_commands(&c);
#define C(name, reads_settings, usage, help)                                                                       \
	else if (strcmp(c.words[0], #name) == 0) offer_command(&c, usage);
	ADMIN_COMMANDS(C)
#undef C
#define O(name, help) else if (strcmp(c.words[0], #name) == 0) offer_object(&c, #name);
	OBJECTS(O)
#undef O
	return c.files ? ADMIN_COMPLETE_FILES : ADMIN_DONE;
}
