/* `tassis test dmarc`: DKIM is checked, and SPF where the client is given; then the policy of the
 * author's domain. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/json.h"
#include "admin/test.h"
#include "admin/test_message.h"
#include "common/auth/dmarc.h"
#include "common/auth/organization.h"
#include "common/base/fault.h"
#include "common/base/random.h"

#define STEPS_BYTES ((size_t)1 << 20)

struct dmarc_test {
	const struct canon_bodies *bodies;
	struct dkim dkim;
	struct spf spf;
	struct spf_result spf_result;
	bool with_spf, spf_done, begun;
	bool by_list;
	struct psl_ctx_st *list;
	const struct fields *fields;
	struct dmarc dmarc;
	struct buf steps;
	struct dmarc_verdict verdict;
};

static bool begin(void *arg, const struct test_message *m, struct canon_bodies *bodies,
		  struct answers *answers, struct arena *arena, struct fault *why)
{
	struct dmarc_test *t = arg;

	t->bodies = bodies;
	t->fields = &m->fields;
	return dkim_begin(&t->dkim, &m->fields, (uint64_t)time(NULL), bodies, answers, arena, why);
}

/* Together, so that all that can be known is asked for at once. */
static bool run(void *arg, struct answers *answers)
{
	struct dmarc_test *t = arg;
	struct dmarc_ask ask = {
		.fields = t->fields, .dkim = &t->dkim, .by_list = t->by_list, .list = t->list};
	bool dkim_done = dkim_finish(&t->dkim, t->bodies, answers);

	if (t->with_spf && !t->spf_done)
		t->spf_done = spf_check(&t->spf, answers, &t->spf_result);
	if (!dkim_done || (t->with_spf && !t->spf_done))
		return false;
	if (!t->begun) {
		ask.chance = random_below(100);
		ask.spf = t->with_spf ? &t->spf_result : NULL;
		dmarc_init(&t->dmarc, &ask, &t->steps);
		t->begun = true;
	}
	return dmarc_check(&t->dmarc, answers, &t->verdict);
}

static void json_bool(struct buf *out, const char *name, bool value)
{
	json_name(out, name);
	buf_append_cstr(out, value ? "true" : "false");
}

static void json_word(struct buf *out, const char *name, bool has, const char *word)
{
	test_json_text(out, name, has ? slice_of_cstr(word) : SLICE_EMPTY);
}

static void json_record(const struct dmarc_verdict *v, struct buf *out)
{
	const struct dmarc_record *r = &v->record;
	bool has = v->policy_domain.n > 0, counts = has && r->usable;

	test_json_text(out, "record", has ? r->text : SLICE_EMPTY);
	json_word(out, "p", counts, dmarc_policy_word(r->p));
	json_word(out, "sp", counts && r->has_sp, dmarc_policy_word(r->sp));
	json_word(out, "np", counts && r->has_np, dmarc_policy_word(r->np));
	json_word(out, "adkim", has, r->strict_dkim ? "s" : "r");
	json_word(out, "aspf", has, r->strict_spf ? "s" : "r");
	json_name(out, "pct");
	if (has)
		json_number(out, r->percent);
	else
		buf_append_cstr(out, "null");
}

static void json_signatures(const struct dmarc_test *t, struct buf *out)
{
	json_name(out, "dkim");
	buf_append_char(out, '[');
	for (size_t i = 0; i < t->dkim.n; i++) {
		const struct signature *s = &t->dkim.all[i];

		buf_append_cstr(out, i > 0 ? ",{" : "{");
		test_json_text(out, "result", slice_of_cstr(dkim_verdict_word(s->verdict)));
		test_json_lower(out, "d", s->d);
		test_json_text(out, "s", s->s);
		json_bool(out, "aligned", dmarc_is_dkim_aligned(&t->verdict, i));
		buf_append_char(out, '}');
	}
	buf_append_char(out, ']');
}

static void print_json(const void *arg, struct buf *out)
{
	const struct dmarc_test *t = arg;
	const struct dmarc_verdict *v = &t->verdict;
	bool applies = v->applies && (v->result == DMARC_PASS || v->result == DMARC_FAIL);

	buf_append_char(out, '{');
	test_json_text(out, "test", SLICE("dmarc"));
	test_json_text(out, "result", slice_of_cstr(dmarc_result_word(v->result)));
	test_json_text(out, "author_domain", v->author_domain);
	test_json_text(out, "org_domain", v->org_domain);
	test_json_text(out, "policy_domain", v->policy_domain);
	json_record(v, out);
	json_bool(out, "testing", !t->by_list && v->record.testing);
	json_word(out, "policy", applies, dmarc_policy_word(v->policy));
	json_word(out, "disposition", applies, dmarc_policy_word(v->disposition));
	json_bool(out, "sampled", v->sampled);
	json_name(out, "spf");
	buf_append_char(out, '{');
	test_json_text(out, "result",
		       slice_of_cstr(t->with_spf ? spf_code_name(t->spf_result.code) : "none"));
	test_json_lower(out, "domain", t->with_spf ? t->spf_result.domain : SLICE_EMPTY);
	json_bool(out, "aligned", v->spf_aligned);
	buf_append_char(out, '}');
	json_signatures(t, out);
	test_json_text(out, "reason", slice_of_cstr(v->reason));
	test_json_lines(out, "steps", buf_slice(&t->steps));
	buf_append_cstr(out, "}\n");
}

static void print_text(const void *arg, struct buf *out)
{
	const struct dmarc_test *t = arg;
	const struct dmarc_verdict *v = &t->verdict;

	buf_printf(out, "DMARC: %s. %s.\n", dmarc_result_word(v->result), v->reason);
	buf_append(out, buf_slice(&t->steps));
	if (v->result == DMARC_FAIL)
		buf_printf(out, "the domain asks for %s; to be done here: %s%s\n",
			   dmarc_policy_word(v->policy), dmarc_policy_word(v->disposition),
			   v->sampled			      ? " (pct leaves it to chance)"
			   : v->record.testing && !t->by_list ? " (it is only testing)"
							      : "");
}

/* False: a sentence is on standard error. */
static bool options_are_sound(const struct test_options *o, struct dmarc_test *t,
			      struct spf_ask *spf)
{
	t->by_list = o->org_domain != NULL && strcmp(o->org_domain, "psl") == 0;
	if (o->org_domain != NULL && !t->by_list && strcmp(o->org_domain, "tree") != 0)
		return test_refuse("--org-domain: \"%s\" is neither psl nor tree", o->org_domain) ==
		       0;
	t->with_spf = o->ip != NULL;
	if (!t->with_spf)
		return (o->helo == NULL && o->from == NULL) ||
		       test_refuse("--helo and --from make sense with --ip alone") == 0;
	if (o->helo == NULL || o->from == NULL)
		return test_refuse("with --ip, --helo and --from are needed; --from '' is the null "
				   "sender") == 0;
	if (!ip_parse(slice_of_cstr(o->ip), &spf->client))
		return test_refuse("--ip: \"%s\" is no IP address; right would be 192.0.2.1 or "
				   "2001:db8::1",
				   o->ip) == 0;
	spf->helo = slice_of_cstr(o->helo);
	spf->reverse_path = slice_of_cstr(o->from);
	spf->receiver = SLICE("localhost");
	spf->now_s = (uint64_t)time(NULL);
	return true;
}

static bool passed(const void *arg)
{
	return ((const struct dmarc_test *)arg)->verdict.result == DMARC_PASS;
}

int test_dmarc(const struct test_options *o)
{
	static const struct message_check check = {begin, run, print_json, print_text, passed};
	struct spf_ask spf = {.now_s = 0};
	struct dmarc_test t = {.bodies = NULL};
	int status;

	if (!options_are_sound(o, &t, &spf))
		return ADMIN_USAGE;
	if (t.by_list && (t.list = organization_list_open()) == NULL)
		return test_refuse("there is no list of public suffixes; Debian's package "
				   "publicsuffix has it");
	buf_init(&t.steps, STEPS_BYTES);
	spf_init(&t.spf, &spf, NULL);
	status = test_message(o, &check, &t);
	dmarc_fini(&t.dmarc);
	spf_fini(&t.spf);
	organization_list_close(t.list);
	buf_fini(&t.steps);
	return status;
}
