/* SPF over a world of DNS that stands in t/vectors/auth/spf; and how it asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/auth/spf.h"
#include "common/base/fault.h"
#include "common/dns/message.h"
#include "common/ipc/frame.h"
#include "t/unit/vectors.h"

#define ANSWERS_BYTES ((size_t)1 << 20)
#define ZONE_MAX 300

static struct {
	struct slice name, type, value;
} zone[ZONE_MAX];
static size_t n_zone;

static struct slice word(struct slice *rest)
{
	struct slice w = SLICE_EMPTY;

	(void)slice_word(rest, &w);
	return w;
}

static uint16_t type_of(struct slice type)
{
	static const struct {
		const char *name;
		uint16_t type;
	} types[] = {{"TXT", DNS_TXT},
		     {"A", DNS_A},
		     {"AAAA", DNS_AAAA},
		     {"MX", DNS_MX},
		     {"PTR", DNS_PTR}};

	for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
		if (slice_equal(type, slice_of_cstr(types[i].name)))
			return types[i].type;
	return 0;
}

static void put_record(struct buf *records, uint16_t type, struct slice value)
{
	struct ipc_dns_record r = {.type = type};

	if (type == DNS_TXT)
		r.data = value;
	else if (type == DNS_MX || type == DNS_PTR)
		r.name = value;
	else
		assert_true(ip_parse(value, &r.address));
	assert_true(ipc_put_dns_record(records, &r));
}

/* What the world says. */
static void answer(struct answers *answers, struct slice name, uint16_t type)
{
	struct answer a = {.outcome = DNS_NO_NAME};
	struct buf records;

	buf_init(&records, 65536);
	for (size_t i = 0; i < n_zone; i++) {
		if (!slice_equal_nocase(zone[i].name, name))
			continue;
		if (a.outcome == DNS_NO_NAME)
			a.outcome = DNS_NO_DATA;
		if (slice_equal(zone[i].type, SLICE("FAIL")))
			a.outcome = DNS_FAILED;
		if (type_of(zone[i].type) != type)
			continue;
		a.outcome = DNS_OK;
		put_record(&records, type, zone[i].value);
	}
	a.records = buf_slice(&records);
	answers_put(answers, name, type, &a);
	buf_fini(&records);
}

/* Runs the check to its end; how many rounds of questions it took. */
static unsigned run(struct spf *spf, struct answers *answers, struct spf_result *result)
{
	struct slice name;
	unsigned rounds = 0;
	uint16_t type;

	while (!spf_check(spf, answers, result)) {
		bool any = false;

		while (answers_next(answers, &name, &type)) {
			answer(answers, name, type);
			any = true;
		}
		assert_true(any); /* it waits for something */
		rounds++;
	}
	return rounds;
}

static void check_line(struct slice line, struct slice rest)
{
	struct slice result = word(&rest), client = word(&rest), from;
	struct spf_ask ask = {.receiver = SLICE("mx.example.net"), .now_s = 1};
	struct answers answers;
	struct spf_result r;
	struct spf spf;

	assert_true(ip_parse(client, &ask.client));
	ask.helo = word(&rest);
	from = word(&rest);
	ask.reverse_path = slice_equal(from, SLICE("-")) ? SLICE_EMPTY : from;
	rest = slice_trim(rest);
	answers_init(&answers, ANSWERS_BYTES);
	spf_init(&spf, &ask, NULL);
	run(&spf, &answers, &r);
	if (!slice_equal(slice_of_cstr(spf_code_name(r.code)), result) ||
	    (rest.n > 0 && !slice_equal(rest, r.explanation)))
		fail_msg("%.*s: got %s (%s) \"%.*s\"", SLICE_PRINTF(line), spf_code_name(r.code),
			 r.reason, SLICE_PRINTF(r.explanation));
	spf_fini(&spf);
	answers_fini(&answers);
}

static void vector(struct slice line)
{
	struct slice rest = line, what = word(&rest);

	if (slice_equal(what, SLICE("check"))) {
		check_line(line, rest);
		return;
	}
	assert_true(slice_equal(what, SLICE("zone")) && n_zone < ZONE_MAX);
	zone[n_zone].name = word(&rest);
	zone[n_zone].type = word(&rest);
	zone[n_zone].value = slice_trim(rest);
	n_zone++;
}

static void each_domain_says_who_may_send_for_it(void **state)
{
	(void)state;
	n_zone = 0;
	each_vector("t/vectors/auth/spf", 110, vector);
}

static void world(const char *name, const char *type, const char *value)
{
	zone[n_zone].name = slice_of_cstr(name);
	zone[n_zone].type = slice_of_cstr(type);
	zone[n_zone++].value = slice_of_cstr(value);
}

static void all_that_a_record_names_is_asked_for_at_once(void **state)
{
	struct spf_ask ask = {.helo = SLICE("h.example"), .reverse_path = SLICE("ann@example.org")};
	struct answers answers;
	struct spf_result r;
	struct spf spf;

	(void)state;
	n_zone = 0;
	world("example.org", "TXT",
	      "v=spf1 a:a.example.org a:b.example.org mx:c.example.org include:d.example.org "
	      "exists:e.example.org -all");
	world("a.example.org", "A", "192.0.2.1");
	world("b.example.org", "A", "192.0.2.2");
	world("c.example.org", "MX", "b.example.org");
	world("d.example.org", "TXT", "v=spf1 ip4:192.0.2.4 -all");
	world("e.example.org", "A", "192.0.2.5");
	assert_true(ip_parse(SLICE("192.0.2.9"), &ask.client));
	answers_init(&answers, ANSWERS_BYTES);
	spf_init(&spf, &ask, NULL);
	assert_int_equal(run(&spf, &answers, &r),
			 2); /* the record; all the rest, for b's address is wanted already */
	assert_int_equal(r.code, SPF_PASS);
	spf_fini(&spf);
	answers_fini(&answers);
}

static void too_many_questions_are_a_failure_for_now(void **state)
{
	struct answers answers;
	char name[40];

	(void)state;
	answers_init(&answers, ANSWERS_BYTES);
	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		assert_null(answers_get(&answers, slice_of_cstr(name), DNS_A));
	}
	assert_int_equal(answers_get(&answers, SLICE("one.more.example"), DNS_A)->outcome,
			 DNS_FAILED);
	answers_fini(&answers);
}

static void names_are_the_same_in_any_case_and_with_a_dot(void **state)
{
	struct answer a = {.outcome = DNS_OK};
	struct answers answers;
	struct slice name;
	uint16_t type;

	(void)state;
	answers_init(&answers, ANSWERS_BYTES);
	assert_null(answers_get(&answers, SLICE("Example.ORG."), DNS_MX));
	assert_true(answers_next(&answers, &name, &type));
	assert_true(slice_equal(name, SLICE("example.org")));
	assert_int_equal(type, DNS_MX);
	assert_false(answers_next(&answers, &name, &type));
	assert_null(answers_get(&answers, SLICE("example.org"), DNS_MX));
	assert_false(answers_next(&answers, &name, &type)); /* asked for already */
	answers_put(&answers, name, type, &a);
	assert_int_equal(answers_get(&answers, SLICE("example.org"), DNS_MX)->outcome, DNS_OK);
	assert_int_equal(answers_get(&answers, SLICE("a..example"), DNS_MX)->outcome, DNS_NO_NAME);
	assert_int_equal(answers_get(&answers,
				     SLICE("a123456789012345678901234567890123456789012345678901234"
					   "567890123.example"),
				     DNS_A)
				 ->outcome,
			 DNS_NO_NAME);
	answers_fini(&answers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_domain_says_who_may_send_for_it),
		cmocka_unit_test(all_that_a_record_names_is_asked_for_at_once),
		cmocka_unit_test(too_many_questions_are_a_failure_for_now),
		cmocka_unit_test(names_are_the_same_in_any_case_and_with_a_dot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
