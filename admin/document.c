/* The commands for domains and people, as tassis(8) lists them. */
#include "admin/objects.h"
#include "common/base/buf.h"
#include "common/base/mdoc.h"

/* "local|relay" as Cm local | Cm relay, "DOMAIN" as Ar DOMAIN. */
static void put_value(struct buf *out, struct slice value)
{
	const char *between = " ";
	struct slice word;

	for (; value.n > 0 && slice_cut(&value, '|', &word); between = " | ")
		buf_printf(out, "%s%s %.*s", between, word.n > 0 && word.p[0] >= 'A' && word.p[0] <= 'Z' ? "Ar" : "Cm", SLICE_PRINTF(word));
}

static void put_usage(struct buf *out, struct slice usage)
{
	struct usage_part part;

	while (usage_next(&usage, &part)) {
		if (part.optional)
			buf_append_cstr(out, " Oo");
		if (part.option)
			buf_printf(out, " Fl %.*s", SLICE_PRINTF(slice_tail(part.name, 1)));
		put_value(out, part.option ? part.value : part.name);
		if (part.repeated)
			buf_append_cstr(out, " ...");
		if (part.optional)
			buf_append_cstr(out, " Oc");
	}
	buf_append_char(out, '\n');
}

/* An example is for the shell: its apostrophes stay what they are. */
static void put_example(struct buf *out, const char *example)
{
	buf_append_cstr(out, ".Dl ");
	for (; *example != '\0'; example++)
		buf_append_cstr(out, *example == '\'' ? "\\(aq" : (char[]){*example, '\0'});
	buf_append_char(out, '\n');
}

static void put_object(struct buf *out, const char *object, const char *help)
{
	buf_printf(out, ".It Cm %s\n", object);
	mdoc_append(out, help);
	buf_append_cstr(out, ".Bl -tag -width Ds\n");
	for (size_t i = 0; i < n_verb_descriptions; i++) {
		const struct verb_description *v = &verb_descriptions[i];

		if (!slice_equal(slice_of_cstr(v->object), slice_of_cstr(object)))
			continue;
		buf_printf(out, ".It Cm %s %s", v->object, v->verb);
		put_usage(out, slice_of_cstr(v->usage));
		mdoc_append(out, v->help);
		put_example(out, v->example);
	}
	buf_append_cstr(out, ".El\n");
}

bool objects_print_mdoc(struct buf *out)
{
	buf_append_cstr(out, ".Bl -tag -width Ds\n");
#define O(object, help) put_object(out, #object, help);
	OBJECTS(O)
#undef O
	return buf_append_cstr(out, ".El\n");
}
