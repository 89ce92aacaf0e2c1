/* `tassis test arc`. */
#include <stdio.h>
#include <time.h>

#include "admin/json.h"
#include "admin/test.h"
#include "admin/test_message.h"
#include "common/auth/arc.h"
#include "common/base/ascii.h"
#include "common/base/fault.h"

struct arc_test {
	struct arc arc;
	const struct canon_bodies *bodies;
};

static bool begin(void *arg, const struct test_message *m, struct canon_bodies *bodies,
		  struct answers *answers, struct arena *arena, struct fault *why)
{
	struct arc_test *t = arg;

	t->bodies = bodies;
	return arc_begin(&t->arc, &m->fields, (uint64_t)time(NULL), bodies, answers, arena, why);
}

static bool run(void *arg, struct answers *answers)
{
	struct arc_test *t = arg;

	return arc_finish(&t->arc, t->bodies, answers);
}

static const char *checked(enum dkim_verdict v)
{
	return v == DKIM_VERDICT_POLICY ? "permerror" : dkim_verdict_word(v);
}

static void json_set(const struct arc_set *set, size_t i, struct buf *out)
{
	enum dkim_verdict ams = set->ams_checked ? set->ams.verdict : DKIM_VERDICT_NONE;
	enum dkim_verdict seal = set->ams_checked ? set->seal_verdict : DKIM_VERDICT_NONE;

	buf_append_char(out, '{');
	json_name(out, "i");
	json_number(out, i);
	test_json_lower(out, "cv", set->cv);
	test_json_lower(out, "d", set->d);
	test_json_text(out, "s", set->s);
	test_json_text(out, "a", set->a);
	test_json_lower(out, "ams_d", set->ams.d);
	test_json_text(out, "ams_s", set->ams.s);
	test_json_text(out, "seal",
		       seal == DKIM_VERDICT_NONE ? SLICE_EMPTY : slice_of_cstr(checked(seal)));
	test_json_text(out, "ams",
		       ams == DKIM_VERDICT_NONE ? SLICE_EMPTY : slice_of_cstr(checked(ams)));
	buf_append_char(out, '}');
}

static void print_json(const void *arg, struct buf *out)
{
	const struct arc *a = &((const struct arc_test *)arg)->arc;

	buf_append_char(out, '{');
	test_json_text(out, "test", SLICE("arc"));
	test_json_text(out, "result", slice_of_cstr(arc_result_word(a->result)));
	test_json_text(out, "code", slice_of_cstr(arc_code_word(a->code)));
	json_name(out, "temporary");
	buf_append_cstr(out, a->temporary ? "true" : "false");
	test_json_text(out, "reason", slice_of_cstr(a->reason));
	json_name(out, "instances");
	json_number(out, a->n);
	json_name(out, "oldest_pass");
	if (a->result == ARC_PASS)
		json_number(out, a->oldest_pass);
	else
		buf_append_cstr(out, "null");
	json_name(out, "sets");
	buf_append_char(out, '[');
	for (size_t i = 0; i < a->n; i++) {
		if (i > 0)
			buf_append_char(out, ',');
		json_set(&a->sets[i], i + 1, out);
	}
	buf_append_cstr(out, "]}\n");
}

static void print_text(const void *arg, struct buf *out)
{
	const struct arc *a = &((const struct arc_test *)arg)->arc;

	buf_printf(out, "ARC: %s. %s.\n", arc_result_word(a->result), a->reason);
	for (size_t i = 0; i < a->n; i++) {
		const struct arc_set *set = &a->sets[i];

		buf_printf(out, "%zu: sealed by %.*s (cv=%.*s): %s; message signature: %s\n", i + 1,
			   SLICE_PRINTF(set->d), SLICE_PRINTF(set->cv),
			   set->reason[0] != '\0' ? set->reason : "not checked",
			   set->ams_checked ? set->ams.reason : "not checked");
	}
	if (a->result == ARC_PASS && a->oldest_pass > 0)
		buf_printf(out, "the message was changed before set %u\n", a->oldest_pass);
}

static bool passed(const void *arg)
{
	return ((const struct arc_test *)arg)->arc.result == ARC_PASS;
}

int test_arc(const struct test_options *o)
{
	static const struct message_check check = {begin, run, print_json, print_text, passed};
	struct arc_test t = {.bodies = NULL};

	return test_message(o, &check, &t);
}
