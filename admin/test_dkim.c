/* `tassis test dkim`. */
#include <stdio.h>
#include <time.h>

#include "admin/json.h"
#include "admin/test.h"
#include "admin/test_message.h"
#include "common/auth/dkim.h"
#include "common/base/ascii.h"
#include "common/base/fault.h"

struct dkim_test {
	struct dkim dkim;
	const struct canon_bodies *bodies;
};

static bool begin(void *arg, const struct test_message *m, struct canon_bodies *bodies,
		  struct answers *answers, struct arena *arena, struct fault *why)
{
	struct dkim_test *t = arg;

	t->bodies = bodies;
	return dkim_begin(&t->dkim, &m->fields, (uint64_t)time(NULL), bodies, answers, arena, why);
}

static bool run(void *arg, struct answers *answers)
{
	struct dkim_test *t = arg;

	return dkim_finish(&t->dkim, t->bodies, answers);
}

static void json_optional(struct buf *out, const char *name, bool has, uint64_t n)
{
	json_name(out, name);
	if (has)
		json_number(out, n);
	else
		buf_append_cstr(out, "null");
}

static void json_bool(struct buf *out, const char *name, bool value)
{
	json_name(out, name);
	buf_append_cstr(out, value ? "true" : "false");
}

static void json_fields(struct buf *out, struct slice list)
{
	struct slice name;
	bool first = true;

	json_name(out, "h");
	if (list.p == NULL) {
		buf_append_cstr(out, "null");
		return;
	}
	buf_append_char(out, '[');
	while (tags_item(&list, &name)) {
		struct buf lower;

		buf_init(&lower, name.n + 1);
		for (size_t i = 0; i < name.n; i++)
			buf_append_char(&lower, ascii_lower(name.p[i]));
		if (!first)
			buf_append_char(out, ',');
		first = false;
		json_string(out, buf_slice(&lower));
		buf_fini(&lower);
	}
	buf_append_char(out, ']');
}

/* As published; its default is "@" and d=. */
static void json_identity(struct buf *out, const struct signature *s)
{
	struct buf text;

	buf_init(&text, 1024);
	if (s->i.p == NULL && tags_find(&s->tags, "i") == NULL && s->d.p != NULL) {
		buf_append_char(&text, '@');
		buf_append(&text, s->d);
	}
	test_json_text(out, "i", s->i.p != NULL ? s->i : buf_slice(&text));
	buf_fini(&text);
}

static void json_canon(struct buf *out, const struct signature *s)
{
	static const char *const words[] = {"simple", "relaxed"};
	char text[40];

	snprintf(text, sizeof(text), "%s/%s", words[s->head], words[s->body]);
	test_json_text(out, "c",
		       s->code == DKIM_CANONICALIZATION || s->tags.n == 0 ? SLICE_EMPTY
									  : slice_of_cstr(text));
}

static void json_signature(struct buf *out, const struct signature *s)
{
	buf_append_char(out, '{');
	test_json_text(out, "result", slice_of_cstr(dkim_verdict_word(s->verdict)));
	test_json_text(out, "code", slice_of_cstr(dkim_code_word(s->code)));
	test_json_text(out, "reason", slice_of_cstr(s->reason));
	test_json_lower(out, "d", s->d);
	test_json_text(out, "s", s->s);
	json_identity(out, s);
	test_json_text(out, "a", s->a);
	json_canon(out, s);
	json_fields(out, s->h);
	json_optional(out, "l", s->has_l, s->l);
	json_optional(out, "t", s->has_t, s->t);
	json_optional(out, "x", s->has_x, s->x);
	json_optional(out, "bits", s->bits > 0, s->bits);
	json_bool(out, "testing", s->testing);
	json_optional(out, "unsigned_octets", true, s->unsigned_octets);
	buf_append_char(out, '}');
}

static void print_json(const void *arg, struct buf *out)
{
	const struct dkim *d = &((const struct dkim_test *)arg)->dkim;
	const struct signature *of;
	enum dkim_verdict verdict = dkim_verdict(d, &of);

	buf_append_char(out, '{');
	test_json_text(out, "test", SLICE("dkim"));
	test_json_text(out, "result", slice_of_cstr(dkim_verdict_word(verdict)));
	test_json_text(out, "reason",
		       of != NULL ? slice_of_cstr(of->reason)
				  : SLICE("the message has no signature"));
	json_name(out, "signatures");
	buf_append_char(out, '[');
	for (size_t i = 0; i < d->n; i++) {
		if (i > 0)
			buf_append_char(out, ',');
		json_signature(out, &d->all[i]);
	}
	buf_append_cstr(out, "]}\n");
}

static void print_text(const void *arg, struct buf *out)
{
	const struct dkim *d = &((const struct dkim_test *)arg)->dkim;
	const struct signature *of;
	enum dkim_verdict verdict = dkim_verdict(d, &of);

	buf_printf(out, "DKIM: %s. %s.\n", dkim_verdict_word(verdict),
		   of != NULL ? of->reason : "The message has no signature");
	for (size_t i = 0; i < d->n; i++) {
		const struct signature *s = &d->all[i];

		buf_printf(out, "%zu: d=%.*s s=%.*s a=%.*s: %s (%s): %s", i + 1, SLICE_PRINTF(s->d),
			   SLICE_PRINTF(s->s), SLICE_PRINTF(s->a), dkim_verdict_word(s->verdict),
			   dkim_code_word(s->code), s->reason);
		if (s->bits > 0)
			buf_printf(out, "; %u bits", s->bits);
		if (s->unsigned_octets > 0)
			buf_printf(out, "; %llu octets at the end of the body are not signed",
				   (unsigned long long)s->unsigned_octets);
		buf_printf(out, "%s\n", s->testing ? "; its domain is only testing (t=y)" : "");
	}
}

static bool passed(const void *arg)
{
	const struct signature *of;

	return dkim_verdict(&((const struct dkim_test *)arg)->dkim, &of) == DKIM_VERDICT_PASS;
}

int test_dkim(const struct test_options *o)
{
	static const struct message_check check = {begin, run, print_json, print_text, passed};
	struct dkim_test t = {.bodies = NULL};

	return test_message(o, &check, &t);
}
