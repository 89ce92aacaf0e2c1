#include "lookupd/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/tls/key.h"

#define HOUR_US (3600ull * 1000000)

static struct buf certificate, pem;

static int set_up(void **state)
{
	struct fault why = {0};

	(void)state;
	buf_init(&certificate, 1 << 20);
	buf_init(&pem, 1 << 20);
	return tls_make_self_signed(SLICE("mx.test.com"), &certificate, &pem, &why) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	buf_fini(&certificate);
	buf_fini(&pem);
	return 0;
}

static struct keys *keys_of_pem(void)
{
	struct fault why = {0};
	struct keys *k = keys_create(NULL, &why);

	assert_non_null(k);
	assert_true(keys_load(k, buf_slice(&pem), &why));
	return k;
}

static void all_lookupd_make_the_same_ticket_keys(void **state)
{
	uint8_t one[TICKET_GENERATIONS][TICKET_KEY_N], other[TICKET_GENERATIONS][TICKET_KEY_N];
	struct keys *a = keys_of_pem(), *b = keys_of_pem();
	struct fault why = {0};
	uint64_t valid_ms;

	(void)state;
	assert_true(keys_tickets(a, 1200000 * HOUR_US, 0, one, &valid_ms, &why));
	assert_int_equal(valid_ms, TICKET_PERIOD_MS);
	assert_true(keys_tickets(b, 1200011 * HOUR_US, 0, other, &valid_ms, &why));
	assert_int_equal(valid_ms, TICKET_PERIOD_MS / 12);
	assert_memory_equal(one, other, sizeof(one));
	assert_memory_not_equal(one[0], one[1], TICKET_KEY_N);
	assert_true(keys_tickets(b, 1200000 * HOUR_US, 1, other, &valid_ms, &why));
	assert_memory_not_equal(one, other, sizeof(one));
	keys_destroy(a);
	keys_destroy(b);
}

static void the_ticket_key_of_before_is_kept_for_one_period(void **state)
{
	uint8_t now[TICKET_GENERATIONS][TICKET_KEY_N], next[TICKET_GENERATIONS][TICKET_KEY_N];
	struct keys *k = keys_of_pem();
	struct fault why = {0};
	uint64_t valid_ms;

	(void)state;
	assert_true(keys_tickets(k, 1200000 * HOUR_US, 0, now, &valid_ms, &why));
	assert_true(keys_tickets(k, 1200012 * HOUR_US, 0, next, &valid_ms, &why));
	assert_memory_equal(now[0], next[1], TICKET_KEY_N);
	assert_memory_not_equal(now[0], next[0], TICKET_KEY_N);
	keys_destroy(k);
}

static void without_a_key_there_are_no_tickets(void **state)
{
	uint8_t out[TICKET_GENERATIONS][TICKET_KEY_N];
	struct fault why = {0};
	struct keys *k = keys_create(NULL, &why);
	uint64_t valid_ms;

	(void)state;
	assert_false(keys_tickets(k, 1, 0, out, &valid_ms, &why));
	assert_int_equal(why.class, FAULT_TEMPORARY);
	keys_destroy(k);
}

static void a_broken_file_leaves_what_was_there(void **state)
{
	uint8_t out[TICKET_GENERATIONS][TICKET_KEY_N];
	struct keys *k = keys_of_pem();
	struct fault why = {0};
	uint64_t valid_ms;

	(void)state;
	assert_false(keys_load(k, SLICE("-----BEGIN PRIVATE KEY-----\nno\n-----END PRIVATE KEY-----\n"), &why));
	assert_false(keys_load(k, buf_slice(&certificate), &why));
	assert_true(keys_tickets(k, 1200000 * HOUR_US, 0, out, &valid_ms, &why));
	keys_destroy(k);
}

static void a_file_with_certificates_too_will_do(void **state)
{
	struct fault why = {0};
	struct keys *k = keys_create(NULL, &why);
	struct buf both;

	(void)state;
	buf_init(&both, 1 << 20);
	assert_true(buf_append(&both, buf_slice(&certificate)) && buf_append(&both, buf_slice(&pem)));
	assert_true(keys_load(k, buf_slice(&both), &why));
	assert_true(keys_load(k, buf_slice(&pem), &why)); /* the same again */
	buf_fini(&both);
	keys_destroy(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_lookupd_make_the_same_ticket_keys),
		cmocka_unit_test(the_ticket_key_of_before_is_kept_for_one_period),
		cmocka_unit_test(without_a_key_there_are_no_tickets),
		cmocka_unit_test(a_broken_file_leaves_what_was_there),
		cmocka_unit_test(a_file_with_certificates_too_will_do),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
