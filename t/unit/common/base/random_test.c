#include "common/base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void two_fills_differ_and_stay_within_their_length(void **state)
{
	unsigned char a[34] = {[32] = 1, [33] = 2}, b[32];

	(void)state;
	random_fill(a, 32);
	random_fill(b, 32);
	assert_memory_not_equal(a, b, 32);
	assert_int_equal(a[32], 1);
	assert_int_equal(a[33], 2);
	random_fill(a, 0);
}

static void every_number_below_the_bound_comes_and_no_other(void **state)
{
	unsigned seen[7] = {0};

	(void)state;
	for (int i = 0; i < 7000; i++) {
		uint32_t n = random_below(7);

		assert_true(n < 7);
		seen[n]++;
	}
	for (int i = 0; i < 7; i++)
		assert_in_range(seen[i], 800, 1200); /* 1000 is expected; 7 standard deviations off is no accident */
	assert_int_equal(random_below(0), 0);
	assert_int_equal(random_below(1), 0);
}

static void a_bound_over_half_the_range_is_kept_too(void **state)
{
	unsigned low = 0;

	(void)state;
	/* Without throwing away what does not divide, half of all would lie in the lowest third. */
	for (int i = 0; i < 6000; i++) {
		uint32_t n = random_below(0xc0000000);

		assert_true(n < 0xc0000000);
		low += n < 0x40000000;
	}
	assert_in_range(low, 1750, 2250);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_fills_differ_and_stay_within_their_length),
		cmocka_unit_test(every_number_below_the_bound_comes_and_no_other),
		cmocka_unit_test(a_bound_over_half_the_range_is_kept_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
