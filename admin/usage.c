#include "admin/usage.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/memory.h"

#define MANY SLICE("\xe2\x80\xa6") /* … */

enum role { ROLE_NONE, ROLE_WORD, ROLE_OPTION, ROLE_VALUE };

/* ---- the usage ---- */

static bool take_many(struct slice *s)
{
	bool many = slice_ends(*s, MANY);

	if (many)
		s->n -= MANY.n;
	return many;
}

bool usage_next(struct slice *rest, struct usage_part *out)
{
	struct slice part, next;
	size_t end;

	memset(out, 0, sizeof(*out));
	*rest = slice_trim(*rest);
	if (rest->n == 0)
		return false;
	out->optional = rest->p[0] == '[';
	if (out->optional) {
		*rest = slice_tail(*rest, 1);
		end = slice_find(*rest, ']');
		part = slice_head(*rest, end);
		*rest = slice_tail(*rest, part.n + 1);
	} else {
		part = slice_head(*rest, slice_find(*rest, ' '));
		*rest = slice_tail(*rest, part.n);
	}
	out->repeated = take_many(&part);
	out->option = slice_starts(part, SLICE("-"));
	out->name = part;
	if (!out->option)
		return true;
	if (out->optional) {
		out->name = slice_head(part, slice_find(part, ' '));
		out->value = slice_trim(slice_tail(part, out->name.n));
	} else if (slice_word(rest, &next)) { /* what must be there has a value */
		out->repeated = take_many(&next);
		out->value = next;
	}
	return true;
}

static bool find_option(struct slice usage, struct slice name, struct usage_part *out)
{
	while (usage_next(&usage, out))
		if (out->option && slice_equal(out->name, name))
			return true;
	return false;
}

/* ---- the command line ---- */

/* The option in front of '=', if there is one. */
static struct slice option_name(const char *word)
{
	struct slice s = slice_of_cstr(word);

	return slice_head(s, slice_find(s, '='));
}

static bool wrong(struct fault *why, const char *text, struct slice what)
{
	fault_set(why, "5.5.4", "%.*s %s", SLICE_PRINTF(what), text);
	return false;
}

/* Words in small letters are the only ones that it may be. */
static bool value_fits(const struct usage_part *part, struct slice value, struct fault *why)
{
	struct slice rest = part->value, word;

	if (rest.n == 0 || rest.p[0] < 'a' || rest.p[0] > 'z')
		return true;
	while (slice_cut(&rest, '|', &word))
		if (slice_equal(word, value))
			return true;
	fault_set(why, "5.5.4", "%.*s %.*s: right would be one of %.*s", SLICE_PRINTF(part->name), SLICE_PRINTF(value),
		  SLICE_PRINTF(part->value));
	return false;
}

static bool was_there(const struct arguments *a, struct slice name)
{
	for (size_t i = 1; i < a->argc; i++)
		if (a->role[i] == ROLE_OPTION && slice_equal(option_name(a->argv[i]), name))
			return true;
	return false;
}

/* argv[*i] is an option; *i goes to the last word of it. */
static bool parse_option(struct arguments *a, size_t *i, struct fault *why)
{
	struct slice word = slice_of_cstr(a->argv[*i]), name = option_name(a->argv[*i]);
	struct usage_part part;

	if (!find_option(a->usage, name, &part))
		return wrong(why, "is no option of this command", name);
	if (!part.repeated && was_there(a, name))
		return wrong(why, "is there twice", name);
	a->role[*i] = ROLE_OPTION;
	if (part.value.n == 0)
		return name.n == word.n || wrong(why, "takes no value", name);
	if (name.n < word.n)
		return value_fits(&part, slice_tail(word, name.n + 1), why);
	if (*i + 1 >= a->argc)
		return wrong(why, "wants a value behind it", name);
	a->role[++*i] = ROLE_VALUE;
	return value_fits(&part, slice_of_cstr(a->argv[*i]), why);
}

/* Is all there that must be, and no word more than may be? */
static bool complete(const struct arguments *a, struct fault *why)
{
	struct slice usage = a->usage;
	struct usage_part part;
	size_t n = 0;
	bool any_number = false;

	while (usage_next(&usage, &part)) {
		if (part.option && !part.optional && !was_there(a, part.name))
			return wrong(why, "is missing", part.name);
		if (part.option)
			continue;
		if (!part.optional && arguments_word(a, n) == NULL)
			return wrong(why, "is missing", part.name);
		any_number = any_number || part.repeated;
		n++;
	}
	if (!any_number && arguments_word(a, n) != NULL)
		return wrong(why, "is one word too many", slice_of_cstr(arguments_word(a, n)));
	return true;
}

bool arguments_parse(struct arguments *a, const char *usage, int argc, char **argv, struct fault *why)
{
	bool options = true;

	*a = (struct arguments){.argv = argv, .argc = (size_t)argc, .usage = slice_of_cstr(usage)};
	a->role = memory_alloc((size_t)argc + 1, sizeof(a->role[0]), why);
	if (a->role == NULL)
		return false;
	for (size_t i = 1; i < a->argc; i++) {
		if (options && strcmp(argv[i], "--") == 0)
			options = false;
		else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
			if (!parse_option(a, &i, why))
				return false;
		} else
			a->role[i] = ROLE_WORD;
	}
	return complete(a, why);
}

void arguments_fini(struct arguments *a)
{
	free(a->role);
	a->role = NULL;
}

char *arguments_word(const struct arguments *a, size_t i)
{
	for (size_t at = 1; at < a->argc; at++)
		if (a->role[at] == ROLE_WORD && i-- == 0)
			return a->argv[at];
	return NULL;
}

char *arguments_next(const struct arguments *a, const char *option, size_t *at)
{
	for (size_t i = *at; i < a->argc; i++) {
		struct slice name = option_name(a->argv[i]);

		if (a->role[i] != ROLE_OPTION || !slice_equal(name, slice_of_cstr(option)))
			continue;
		*at = i + 1;
		if (a->argv[i][name.n] == '=')
			return a->argv[i] + name.n + 1;
		return a->role[i + 1] == ROLE_VALUE ? a->argv[i + 1] : a->argv[i];
	}
	*at = a->argc;
	return NULL;
}

bool arguments_has(const struct arguments *a, const char *option)
{
	return arguments_value(a, option) != NULL;
}

char *arguments_value(const struct arguments *a, const char *option)
{
	size_t at = 0;

	return arguments_next(a, option, &at);
}
