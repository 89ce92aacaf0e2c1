#include "deliverd/remote/extensions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void mechanisms_are_read_in_any_case_and_in_the_old_form(void **state)
{
	static const struct {
		const char *text;
		bool plain, login;
	} cases[] = {
		{"far.test\nAUTH PLAIN LOGIN", true, true},
		{"far.test\nauth login", false, true},
		{"far.test\nAUTH=PLAIN", true, false},
		{"far.test\nAUTH CRAM-MD5\nAUTH=LOGIN PLAIN", true, true},
		{"far.test\nAUTH", false, false},
		{"far.test\nAUTH PLAINER XLOGIN", false, false},
		{"AUTH PLAIN LOGIN", false, false}, /* that is its name */
		{"far.test\nPIPELINING\nPLAIN LOGIN", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct extensions e = extensions_read(slice_of_cstr(cases[i].text));

		assert_int_equal(e.auth_plain, cases[i].plain);
		assert_int_equal(e.auth_login, cases[i].login);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mechanisms_are_read_in_any_case_and_in_the_old_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
