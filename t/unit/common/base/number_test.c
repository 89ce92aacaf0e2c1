#include "common/base/number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/attributes.h"

struct number_case {
	const char *text;
	uint64_t max, wanted;
	bool ok;
};

typedef bool number_fn(struct slice s, uint64_t max, uint64_t *out);

static void check(number_fn *fn, const struct number_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t got = 4711;

		if (fn(slice_of_cstr(cases[i].text), cases[i].max, &got) != cases[i].ok)
			fail_msg("\"%s\" up to %ju", cases[i].text, (uintmax_t)cases[i].max);
		assert_int_equal(got, cases[i].ok ? cases[i].wanted : 4711);
	}
}

static void decimal_is_whole_or_refused(void **state)
{
	static const struct number_case cases[] = {
		{"0", 0, 0, true},
		{"007", 7, 7, true},
		{"8", 7, 0, false},
		{"18446744073709551615", UINT64_MAX, UINT64_MAX, true},
		{"18446744073709551616", UINT64_MAX, 0, false},
		{"99999999999999999999999999", UINT64_MAX, 0, false},
		{"00000000000000000000000000000000001", UINT64_MAX, 1, true},
		{"", UINT64_MAX, 0, false},
		{"-1", UINT64_MAX, 0, false},
		{"+1", UINT64_MAX, 0, false},
		{" 1", UINT64_MAX, 0, false},
		{"1 ", UINT64_MAX, 0, false},
		{"1a", UINT64_MAX, 0, false},
		{"0x1", UINT64_MAX, 0, false},
		{"1.0", UINT64_MAX, 0, false},
	};

	(void)state;
	check(number_u64, cases, ARRAY_LENGTH(cases));
}

static void hexadecimal_is_whole_or_refused(void **state)
{
	static const struct number_case cases[] = {
		{"ffffffffffffffff", UINT64_MAX, UINT64_MAX, true},
		{"10000000000000000", UINT64_MAX, 0, false},
		{"BeeF", 0xbeef, 0xbeef, true},
		{"BeeF", 0xbeee, 0, false},
		{"0x1", UINT64_MAX, 0, false},
		{"g", UINT64_MAX, 0, false},
		{"", UINT64_MAX, 0, false},
	};

	(void)state;
	check(number_hex_u64, cases, ARRAY_LENGTH(cases));
}

static void octal_is_whole_or_refused(void **state)
{
	static const struct number_case cases[] = {
		{"0755", UINT64_MAX, 0755, true},
		{"1777777777777777777777", UINT64_MAX, UINT64_MAX, true},
		{"2000000000000000000000", UINT64_MAX, 0, false},
		{"8", UINT64_MAX, 0, false},
		{"", UINT64_MAX, 0, false},
	};

	(void)state;
	check(number_octal_u64, cases, ARRAY_LENGTH(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimal_is_whole_or_refused),
		cmocka_unit_test(hexadecimal_is_whole_or_refused),
		cmocka_unit_test(octal_is_whole_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
