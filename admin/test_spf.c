/* `tassis test spf`. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "admin/json.h"
#include "admin/test.h"
#include "common/auth/spf.h"
#include "common/base/fault.h"

#define ANSWERS_BYTES ((size_t)4 << 20)
#define STEPS_BYTES 65536

struct spf_test {
	struct spf spf;
	struct spf_result result;
};

static bool run(void *arg, struct answers *answers)
{
	struct spf_test *t = arg;

	return spf_check(&t->spf, answers, &t->result);
}

static void print_json(const struct spf_result *r, struct slice steps, struct buf *out)
{
	buf_append_char(out, '{');
	test_json_text(out, "test", SLICE("spf"));
	test_json_text(out, "result", slice_of_cstr(spf_code_name(r->code)));
	test_json_text(out, "scope", slice_of_cstr(r->of_helo ? "helo" : "mfrom"));
	test_json_lower(out, "domain", r->domain);
	test_json_text(out, "mechanism",
		       r->code == SPF_NEUTRAL && r->mechanism.n == 0 ? SLICE("default")
								     : r->mechanism);
	test_json_text(out, "explanation", r->code == SPF_FAIL ? r->explanation : SLICE_EMPTY);
	json_name(out, "lookups");
	json_number(out, r->lookups);
	json_name(out, "void_lookups");
	json_number(out, r->void_lookups);
	test_json_text(out, "reason", slice_of_cstr(r->reason));
	test_json_lines(out, "steps", steps);
	buf_append_cstr(out, "}\n");
}

static void print_text(const struct spf_result *r, struct slice steps, struct buf *out)
{
	buf_printf(out, "SPF: %s. %s.\n", spf_code_name(r->code), r->reason);
	buf_printf(out,
		   "%.*s (%s), %u of %u terms that ask DNS, %u of %u names that do not exist\n",
		   SLICE_PRINTF(r->domain), r->of_helo ? "HELO" : "MAIL FROM", r->lookups,
		   SPF_LOOKUPS_MAX, r->void_lookups, SPF_VOID_LOOKUPS_MAX);
	if (r->code == SPF_FAIL && r->explanation.n > 0)
		buf_printf(out, "the domain says: %.*s\n", SLICE_PRINTF(r->explanation));
	buf_append(out, steps);
}

int test_spf(const struct test_options *o)
{
	char hostname[256] = "localhost";
	struct spf_ask ask = {.now_s = (uint64_t)time(NULL)};
	struct spf_test t = {0};
	struct answers answers;
	struct fault why = {0};
	struct buf steps, out;
	int status;

	if (o->ip == NULL || o->helo == NULL || o->from == NULL)
		return test_refuse(
			"--ip, --helo and --from are needed; --from '' is the null sender");
	if (!ip_parse(slice_of_cstr(o->ip), &ask.client))
		return test_refuse(
			"--ip: \"%s\" is no IP address; right would be 192.0.2.1 or 2001:db8::1",
			o->ip);
	if (gethostname(hostname, sizeof(hostname) - 1) != 0)
		hostname[0] = '\0';
	ask.helo = slice_of_cstr(o->helo);
	ask.reverse_path = slice_of_cstr(o->from);
	ask.receiver = slice_of_cstr(hostname);
	buf_init(&steps, STEPS_BYTES);
	buf_init(&out, 16 * STEPS_BYTES);
	answers_init(&answers, ANSWERS_BYTES);
	spf_init(&t.spf, &ask, &steps);
	if (!test_run(o, &answers, run, &t, &why)) {
		status = test_refuse("%s", why.text);
		goto out;
	}
	if (o->json)
		print_json(&t.result, buf_slice(&steps), &out);
	else
		print_text(&t.result, buf_slice(&steps), &out);
	(void)fwrite(buf_slice(&out).p, 1, buf_slice(&out).n, stdout);
	status = t.result.code == SPF_PASS ? 0 : 1;
out:
	spf_fini(&t.spf);
	answers_fini(&answers);
	buf_fini(&steps);
	buf_fini(&out);
	return status;
}
