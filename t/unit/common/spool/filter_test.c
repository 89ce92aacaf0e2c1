#include "common/spool/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"

static bool matches(const char *pattern, const char *text)
{
	return spool_pattern_matches(slice_of_cstr(pattern), slice_of_cstr(text));
}

static void a_pattern_without_signs_is_the_text_itself(void **state)
{
	(void)state;
	assert_true(matches("ann@example.com", "ann@example.com"));
	assert_true(matches("ANN@example.com", "ann@Example.COM"));
	assert_false(matches("ann@example.com", "ann@example.co"));
	assert_false(matches("ann@example.com", "xann@example.com"));
	assert_true(matches("", ""));
	assert_false(matches("", "a"));
	assert_false(matches("a", ""));
}

static void a_star_is_anything_and_a_question_mark_one_octet(void **state)
{
	(void)state;
	assert_true(matches("*", ""));
	assert_true(matches("*@example.com", "ann@example.com"));
	assert_true(matches("*@example.com", "@example.com"));
	assert_false(matches("*@example.com", "ann@example.com.org"));
	assert_true(matches("a*b*c", "aXbXbc"));
	assert_false(matches("a*b*c", "aXcXb"));
	assert_true(matches("a??@*", "ann@example.com"));
	assert_false(matches("a??@*", "an@example.com"));
	assert_true(matches("**a**", "bab"));
	assert_true(matches("*ab", "aab"));
	assert_true(matches("[a]", "[a]"));
}

/* Each star that goes back to each one before it would take hours here. */
static void many_stars_do_not_take_long(void **state)
{
	char pattern[1000], text[1000];
	uint64_t began_ms = clock_monotonic_ms();

	(void)state;
	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i % 2 == 0 ? '*' : 'a';
	pattern[sizeof(pattern) - 1] = 'b';
	assert_false(spool_pattern_matches(slice_of(pattern, sizeof(pattern)), slice_of(text, sizeof(text))));
	assert_true(clock_monotonic_ms() - began_ms < 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pattern_without_signs_is_the_text_itself),
		cmocka_unit_test(a_star_is_anything_and_a_question_mark_one_octet),
		cmocka_unit_test(many_stars_do_not_take_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
