#include "common/base/ascii.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void only_ascii_has_a_class(void **state)
{
	(void)state;
	for (int i = 0; i < 256; i++) {
		char c = (char)i;
		bool digit = i >= '0' && i <= '9', upper = i >= 'A' && i <= 'Z', lower = i >= 'a' && i <= 'z';

		assert_int_equal(ascii_is_digit(c), digit);
		assert_int_equal(ascii_is_upper(c), upper);
		assert_int_equal(ascii_is_lower(c), lower);
		assert_int_equal(ascii_is_alpha(c), upper || lower);
		assert_int_equal(ascii_is_alnum(c), upper || lower || digit);
		assert_int_equal(ascii_is_space(c), i == 32 || i == 9);
		assert_int_equal(ascii_is_print(c), i >= 32 && i < 127);
		assert_int_equal(ascii_is_control(c), i < 32 || i == 127);
	}
}

static void case_changes_letters_alone(void **state)
{
	(void)state;
	for (int i = 0; i < 256; i++) {
		char c = (char)i;

		assert_int_equal(ascii_lower(c), (char)(ascii_is_upper(c) ? i + 32 : i));
		assert_int_equal(ascii_upper(c), (char)(ascii_is_lower(c) ? i - 32 : i));
	}
}

static void hexadecimal_digits_are_22(void **state)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	int n = 0;

	(void)state;
	for (int i = 0; i < 256; i++)
		n += ascii_hex((char)i) >= 0;
	assert_int_equal(n, 22);
	for (int i = 0; i < 22; i++)
		assert_int_equal(ascii_hex(digits[i]), i < 16 ? i : i - 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_ascii_has_a_class),
		cmocka_unit_test(case_changes_letters_alone),
		cmocka_unit_test(hexadecimal_digits_are_22),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
