#include "admin/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void string_gives(struct slice in, const char *expected)
{
	struct buf out;

	buf_init(&out, 4096);
	json_string(&out, in);
	assert_string_equal(buf_cstr(&out), expected);
	buf_fini(&out);
}

static void quotes_and_control_octets_are_escaped(void **state)
{
	(void)state;
	string_gives(SLICE("a\"b\\c\n\x7f\0z"), "\"a\\\"b\\\\c\\u000a\\u007f\\u0000z\"");
	string_gives(SLICE_EMPTY, "\"\"");
}

static void letters_stay_and_what_is_no_utf8_is_replaced(void **state)
{
	(void)state;
	string_gives(SLICE("\xc3\xbc\xe2\x82\xac\xf0\x9f\x93\xaf"), "\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x93\xaf\"");
	string_gives(SLICE("\xff"), "\"\xef\xbf\xbd\"");
	string_gives(SLICE("\xc3"), "\"\xef\xbf\xbd\"");
	string_gives(SLICE("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	string_gives(SLICE("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	string_gives(SLICE("\xe0\x80\x80x"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\"");
	string_gives(SLICE("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void members_have_commas_between(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	buf_append_char(&out, '{');
	json_name(&out, "a");
	json_number(&out, 18446744073709551615u);
	json_name(&out, "b");
	json_time(&out, 0);
	json_name(&out, "c");
	json_time(&out, 1795622415123456);
	buf_append_char(&out, '}');
	assert_string_equal(buf_cstr(&out), "{\"a\":18446744073709551615,\"b\":null,\"c\":\"2026-11-25T16:00:15.123456Z\"}");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes_and_control_octets_are_escaped),
		cmocka_unit_test(letters_stay_and_what_is_no_utf8_is_replaced),
		cmocka_unit_test(members_have_commas_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
