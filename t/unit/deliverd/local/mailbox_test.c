#include "deliverd/local/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/fault.h"

/* What becomes of it; NULL: it is refused. */
static const char *named(struct buf *out, struct slice mailbox)
{
	struct fault why = {0};

	buf_reset(out);
	if (mailbox_folder_name(mailbox, out, &why)) {
		assert_string_equal(why.text, "");
		return buf_cstr(out);
	}
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_string_equal(why.status, "4.3.5");
	return NULL;
}

static void inbox_in_any_case_is_the_root(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_string_equal(named(&out, SLICE("")), "");
	assert_string_equal(named(&out, SLICE("inbox")), "");
	assert_string_equal(named(&out, SLICE("InBox")), "");
	assert_string_equal(named(&out, SLICE("inboxes")), ".inboxes");
	assert_string_equal(named(&out, SLICE("inbox/old")), ".INBOX.old");
	buf_fini(&out);
}

/* The right sides are what Dovecot 2.3 made of them. */
static void names_are_encoded_as_dovecot_does(void **state)
{
	static const char *const cases[][2] = {
		{"spam", ".spam"},
		{"Lists.tassis", ".Lists.tassis"},
		{"Lists/tassis", ".Lists.tassis"},
		{"R&D", ".R&-D"},
		{"&", ".&-"},
		{"two words ", ".two words "},
		{"Entw\u00fcrfe", ".Entw&APw-rfe"},
		{"\u65e5\u672c\u8a9e/\u53f0\u5317", ".&ZeVnLIqe-.&U,BTFw-"},
		{"\u00fc&\u00fc", ".&APw-&-&APw-"},
		{"a\u00fc\u00fcb", ".a&APwA,A-b"},
		{"\U0001f4ee", ".&2D3c7g-"},
	};
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(named(&out, slice_of_cstr(cases[i][0])), cases[i][1]);
	buf_fini(&out);
}

static void name_that_could_leave_the_maildir_or_be_found_by_nobody_is_refused(void **state)
{
	static const char *const cases[] = {
		".",
		"..",
		"/",
		"../x",
		"x/../y",
		"/etc",
		"a..b",
		"a.",
		".a",
		"a//b",
		"~x",
		"a\nb",
		"a\x7f",
		"\xc2\x80",
		"\xff",
		"a\xc3",
		"\xc0\xaf",
		"\xe0\x80\xaf",
		"\xed\xa0\x80",
		"\xf4\x90\x80\x80",
		"\xf0\x80\x80\xaf",
		"\x80",
	};
	struct buf out;
	char name[300];

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_null(named(&out, slice_of_cstr(cases[i])));
	assert_null(named(&out, SLICE("a\0b")));
	memset(name, 'a', sizeof(name));
	assert_null(named(&out, slice_of(name, 255)));
	assert_non_null(named(&out, slice_of(name, 254)));
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inbox_in_any_case_is_the_root),
		cmocka_unit_test(names_are_encoded_as_dovecot_does),
		cmocka_unit_test(
			name_that_could_leave_the_maildir_or_be_found_by_nobody_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
