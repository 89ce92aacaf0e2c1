#include "common/auth/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
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
	each_vector("t/vectors/auth/passwords", 63, check_vector);
}

static void a_password_with_a_nul_is_wrong(void **state)
{
	(void)state;
	assert_int_equal(password_verify(SLICE("0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c"), SLICE("1111\0x")),
			 PASSWORD_WRONG);
	assert_int_equal(password_verify(SLICE("{BLF-CRYPT}$2y$05$7TsoLb.yfPsPlXmKC3FHT.c1O..5IgUNZ2Wo3JIm0YrzbxQ8H8W0W"), SLICE("correct horse\0")),
			 PASSWORD_WRONG);
}

static void a_made_password_is_right_and_no_other_is(void **state)
{
	struct fault why;
	struct buf a, b;

	(void)state;
	buf_init(&a, 1024);
	buf_init(&b, 1024);
	assert_true(password_make(SLICE("a secret"), &a, &why));
	assert_true(password_make(SLICE("a secret"), &b, &why));
	assert_true(slice_starts(buf_slice(&a), SLICE("{SCRAM-SHA-256}15000,")));
	assert_false(slice_equal(buf_slice(&a), buf_slice(&b))); /* each has its own salt */
	assert_int_equal(password_verify(buf_slice(&a), SLICE("a secret")), PASSWORD_RIGHT);
	assert_int_equal(password_verify(buf_slice(&b), SLICE("a secret")), PASSWORD_RIGHT);
	assert_int_equal(password_verify(buf_slice(&a), SLICE("A secret")), PASSWORD_WRONG);
	buf_fini(&a);
	buf_fini(&b);
}

static void what_is_no_password_is_not_made_one(void **state)
{
	struct fault why;
	struct buf out;

	(void)state;
	buf_init(&out, 20);
	assert_false(password_make(SLICE_EMPTY, &out, &why));
	assert_string_equal(why.status, "5.5.4");
	assert_false(password_make(SLICE("a\0b"), &out, &why));
	assert_false(password_make(SLICE("too long for the room"), &out, &why));
	assert_string_equal(why.status, "4.3.1");
	assert_int_equal(buf_length(&out), 0);
	buf_fini(&out);
}

static void weak_forms_are_told_from_strong_ones(void **state)
{
	static const char *const weak[] = {
		"0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c",
		"{SHA256.HEX}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c",
		"{sha256.hex}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c",
		"{CRYPT}abhfCpXqd4GrI",
		"{CRYPT}$1$yriRHEnt$Q53sJAtwwJbxEvn4o2fO7.",
		"{CRYPT}$5$1f64DoTOLDO5zEff$9evPwIr3qojj0JJtBlWjKS6wOaLniqRXbXhk.0ftcK5",
		"{SCRAM-SHA-256}4095,salt,key,key",
	};
	static const char *const strong[] = {
		"{SCRAM-SHA-256}4096,salt,key,key",
		"{SCRAM-SHA-256}15000,salt,key,key",
		"{SHA512-CRYPT}$6$salt$hash",
		"{BLF-CRYPT}$2y$05$hash",
		"{CRYPT}$6$salt$hash",
		"{CRYPT}$2b$05$hash",
		"{CRYPT}$y$j9T$salt$hash",
		"{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$salt$hash",
		"{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$salt$hash",
		"{UNKNOWN}hash",
		"",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(weak); i++)
		assert_false(password_is_strong(slice_of_cstr(weak[i])));
	for (size_t i = 0; i < ARRAY_LENGTH(strong); i++)
		assert_true(password_is_strong(slice_of_cstr(strong[i])));
}

static void a_made_password_is_strong(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1024);
	assert_true(password_make(SLICE("a secret"), &out, NULL));
	assert_true(password_is_strong(buf_slice(&out)));
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passwords_are_what_the_vectors_say),
		cmocka_unit_test(a_password_with_a_nul_is_wrong),
		cmocka_unit_test(a_made_password_is_right_and_no_other_is),
		cmocka_unit_test(what_is_no_password_is_not_made_one),
		cmocka_unit_test(weak_forms_are_told_from_strong_ones),
		cmocka_unit_test(a_made_password_is_strong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
