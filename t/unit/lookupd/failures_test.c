#include "lookupd/failures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct failure_waits waits = {1000, 30000};
static struct failures *f;

static int set_up(void **state)
{
	(void)state;
	return (f = failures_create(NULL)) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	failures_destroy(f);
	return 0;
}

static uint64_t count(const char *key, uint64_t now_ms)
{
	return failures_count(f, slice_of_cstr(key), &waits, now_ms);
}

static void the_wait_doubles_with_each_failure_up_to_the_most(void **state)
{
	static const uint64_t expected[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(expected); i++)
		assert_int_equal(count("test@test.com", 5 * i), expected[i]);
	assert_int_equal(count("other@test.com", 50), 1000);
}

static void each_five_minutes_without_take_one_back(void **state)
{
	uint64_t now_ms = 1;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		(void)count("a", now_ms);
	assert_int_equal(count("a", now_ms += FAILURE_STEP_MS - 1), 16000);
	assert_int_equal(count("a", now_ms += FAILURE_STEP_MS), 16000);
	assert_int_equal(count("a", now_ms += 3 * FAILURE_STEP_MS), 4000);
	assert_int_equal(count("a", now_ms += 100 * FAILURE_STEP_MS), 1000);
	assert_int_equal(count("a", now_ms), 2000);
}

static void what_is_beyond_the_most_is_not_counted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		(void)count("a", 1);
	assert_int_equal(count("a", 1 + FAILURE_STEP_MS), 30000);
	assert_int_equal(count("a", 1 + 3 * FAILURE_STEP_MS), 16000);
}

static void a_wait_of_zero_stays_zero(void **state)
{
	static const struct failure_waits none = {0, 30000}, most_none = {1000, 0};

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(failures_count(f, SLICE("a"), &none, i), 0);
		assert_int_equal(failures_count(f, SLICE("b"), &most_none, i), 0);
	}
}

static void what_is_forgotten_begins_anew(void **state)
{
	(void)state;
	(void)count("a", 1);
	(void)count("a", 1);
	(void)count("b", 1);
	failures_forget(f, SLICE("a"));
	failures_forget(f, SLICE("never seen"));
	assert_int_equal(count("a", 2), 1000);
	assert_int_equal(count("b", 2), 2000);
}

static void keys_are_any_octets(void **state)
{
	(void)state;
	assert_int_equal(failures_count(f, SLICE("\xc0\x00\x02\x01"), &waits, 1), 1000);
	assert_int_equal(failures_count(f, SLICE("\xc0\x00\x02\x02"), &waits, 1), 1000);
	assert_int_equal(failures_count(f, SLICE("\xc0\x00\x02\x01"), &waits, 1), 2000);
	assert_int_equal(failures_count(f, SLICE_EMPTY, &waits, 1), 1000);
	assert_int_equal(failures_count(f, SLICE_EMPTY, &waits, 1), 2000);
}

static void when_all_are_in_use_the_one_of_longest_ago_goes(void **state)
{
	char key[20];

	(void)state;
	for (unsigned i = 0; i < FAILURES_MAX; i++) {
		snprintf(key, sizeof(key), "%u", i);
		assert_int_equal(count(key, i), 1000);
	}
	assert_int_equal(count("0", FAILURES_MAX), 2000); /* now "1" is the one of longest ago */
	assert_int_equal(count("new", FAILURES_MAX), 1000);
	assert_int_equal(count("0", FAILURES_MAX), 4000);
	assert_int_equal(count("2", FAILURES_MAX), 2000);
	assert_int_equal(count("1", FAILURES_MAX), 1000); /* "3" goes */
	failures_forget(f, SLICE("new"));
	assert_int_equal(count("newer", FAILURES_MAX), 1000); /* in its place */
	assert_int_equal(count("4", FAILURES_MAX), 2000);
	assert_int_equal(count("3", FAILURES_MAX), 1000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_wait_doubles_with_each_failure_up_to_the_most),
		T(each_five_minutes_without_take_one_back),
		T(what_is_beyond_the_most_is_not_counted),
		T(a_wait_of_zero_stays_zero),
		T(what_is_forgotten_begins_anew),
		T(keys_are_any_octets),
		T(when_all_are_in_use_the_one_of_longest_ago_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
