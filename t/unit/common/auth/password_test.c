#include "common/auth/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "t/unit/vectors.h"

static void check_vector(struct slice line)
{
	static const char *const words[] = {[PASSWORD_RIGHT] = "right", [PASSWORD_WRONG] = "wrong", [PASSWORD_UNUSABLE] = "unusable"};
	struct slice rest = line, verdict = SLICE_EMPTY, kept = SLICE_EMPTY;

	assert_true(slice_cut(&rest, '\t', &verdict) && slice_cut(&rest, '\t', &kept));
	if (!slice_equal(slice_of_cstr(words[password_verify(kept, rest)]), verdict))
		fail_msg("%.*s", SLICE_PRINTF(line));
}

static void passwords_are_what_the_vectors_say(void **state)
{
	(void)state;
	each_vector("t/vectors/auth/passwords", 35, check_vector);
}

static void a_password_with_a_nul_is_wrong(void **state)
{
	(void)state;
	assert_int_equal(password_verify(SLICE("0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c"), SLICE("1111\0x")),
			 PASSWORD_WRONG);
	assert_int_equal(password_verify(SLICE("{BLF-CRYPT}$2y$05$7TsoLb.yfPsPlXmKC3FHT.c1O..5IgUNZ2Wo3JIm0YrzbxQ8H8W0W"), SLICE("correct horse\0")),
			 PASSWORD_WRONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passwords_are_what_the_vectors_say),
		cmocka_unit_test(a_password_with_a_nul_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
