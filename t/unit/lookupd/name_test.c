#include "lookupd/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void addresses_become_what_the_schema_keeps(void **state)
{
	static const struct {
		const char *path, *local, *base, *domain;
	} cases[] = {
		{"a@b.example", "a", "a", "b.example"},
		{"A.b@B.Example.", "a.b", "a.b", "b.example"},
		{"a+b+c@b.example", "a+b+c", "a", "b.example"},
		{"+a@b.example", "+a", "+a", "b.example"},
		{"a", "a", "a", "mx.example"},
		{"\"a b\"@b.example", "a b", "a b", "b.example"},
		{"\"a\\\"b@c\"@b.example", "a\"b@c", "a\"b@c", "b.example"},
		{"a@[IPv6:2001:DB8::1]", "a", "a", "[ipv6:2001:db8::1]"},
		{"\xc3\xa4@b\xc3\xbc\x63her.example", "\xc3\xa4", "\xc3\xa4", "xn--bcher-kva.example"},
		{"a@B\xc3\x9c\x63HER.example", "a", "a", "xn--bcher-kva.example"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct name n;

		if (!name_parse(slice_of_cstr(cases[i].path), SLICE("mx.example"), &n))
			fail_msg("%s is refused", cases[i].path);
		if (!slice_equal(n.local, slice_of_cstr(cases[i].local)) || !slice_equal(n.base, slice_of_cstr(cases[i].base)) ||
		    !slice_equal(n.domain, slice_of_cstr(cases[i].domain)))
			fail_msg("%s: '%.*s' '%.*s' '%.*s'", cases[i].path, SLICE_PRINTF(n.local), SLICE_PRINTF(n.base), SLICE_PRINTF(n.domain));
		assert_int_equal(name_whole(&n).n, n.local.n + 1 + n.domain.n);
	}
}

static void what_postgresql_would_refuse_is_no_address(void **state)
{
	static const struct slice wrong[] = {
		SLICE(""), SLICE("@b.example"), SLICE("a@"), SLICE("a\0b@b.example"), SLICE("a@b\n.example"), SLICE("\xc3@b.example"),
		SLICE("\xc0\x80@b.example"), SLICE("\xed\xa0\x80@b.example"), SLICE("\xf4\x90\x80\x80@b.example"), SLICE("\"\"@b.example"),
		SLICE("\"a\\\"@b.example"), SLICE("a@\xff.example"), SLICE("a\x7f@b.example"),
	};
	char text[2048];
	struct name n;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (name_parse(wrong[i], SLICE("mx.example"), &n))
			fail_msg("number %zu is taken", i);
	}
	memset(text, 'a', sizeof(text));
	assert_false(name_parse(slice_of(text, 256), SLICE("mx.example"), &n));
	assert_true(name_parse(slice_of(text, 255), SLICE("mx.example"), &n));
	text[255] = '@';
	assert_true(name_parse(slice_of(text, 256 + 255), SLICE(""), &n));
	assert_false(name_parse(slice_of(text, 256 + 256), SLICE(""), &n));
	assert_false(name_parse(SLICE("a"), SLICE(""), &n));
}

static void folders_stay_below_mail_dir(void **state)
{
	static const char *const sound[] = {"a/", "a/b/", "test.com/.hidden/", "a/..b/"};
	static const char *const unsound[] = {"", "/", "a", "/a/", "a//b/", "../a/", "a/../b/", "./", "a/./", "a/\n/", "a/.."};

	(void)state;
	for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++)
		assert_true(folder_is_sound(slice_of_cstr(sound[i])));
	for (size_t i = 0; i < sizeof(unsound) / sizeof(unsound[0]); i++) {
		if (folder_is_sound(slice_of_cstr(unsound[i])))
			fail_msg("%s is taken", unsound[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_become_what_the_schema_keeps),
		cmocka_unit_test(what_postgresql_would_refuse_is_no_address),
		cmocka_unit_test(folders_stay_below_mail_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
