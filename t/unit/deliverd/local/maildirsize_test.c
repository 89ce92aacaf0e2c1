#include "deliverd/local/maildirsize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void file_of_dovecot_is_read(void **state)
{
	struct maildirsize m;

	(void)state;
	assert_true(maildirsize_parse(SLICE("1000000S,100C\n20480 3\n1024 1\n-2048 -2\n"), &m));
	assert_int_equal(m.limit.bytes, 1000000);
	assert_int_equal(m.limit.messages, 100);
	assert_int_equal(m.used.bytes, 19456);
	assert_int_equal(m.used.messages, 2);
	assert_int_equal(m.n_lines, 3);
	assert_true(maildirsize_parse(SLICE("5C\n"), &m));
	assert_int_equal(m.limit.bytes, 0);
	assert_int_equal(m.limit.messages, 5);
	assert_int_equal(m.n_lines, 0);
	assert_true(maildirsize_parse(SLICE("0S\n   100   1  \n"), &m)); /* Courier pads */
	assert_int_equal(m.used.bytes, 100);
}

static void line_that_is_being_written_is_not_looked_at(void **state)
{
	struct maildirsize m;

	(void)state;
	assert_true(maildirsize_parse(SLICE("1000S\n100 1\n10"), &m));
	assert_int_equal(m.used.bytes, 100);
	assert_int_equal(m.n_lines, 1);
}

static void damaged_file_is_not_believed(void **state)
{
	static const char *const cases[] = {
		"",
		"1000S",
		"1000S\n100\n",
		"1000S\n100 1 1\n",
		"1000S\n\n",
		"1000S\nx 1\n",
		"1000S\n100 1\n-200 0\n",
		"1000S\n100 -1\n",
		"1000S\n--1 1\n",
		"1000S\n9223372036854775807 1\n1 1\n",
		"1000S\n9223372036854775808 1\n",
	};
	struct maildirsize m;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_false(maildirsize_parse(slice_of_cstr(cases[i]), &m));
	assert_false(maildirsize_parse(SLICE("1000S\n100 1\n\0\0\0\n"), &m));
	assert_false(maildirsize_parse(SLICE("1000\0S\n100 1\n"), &m));
}

static void limits_are_written_as_dovecot_writes_them(void **state)
{
	static const struct {
		struct quota limit;
		const char *text;
	} cases[] = {
		{{1000, 10}, "1000S,10C\n5 2\n"},
		{{1000, 0}, "1000S\n5 2\n"},
		{{0, 10}, "10C\n5 2\n"},
		{{0, 0}, "0S\n5 2\n"},
	};
	struct maildirsize m, again;
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		m = (struct maildirsize){.limit = cases[i].limit, .used = {5, 2}};
		buf_reset(&out);
		assert_true(maildirsize_format(&m, &out));
		assert_string_equal(buf_cstr(&out), cases[i].text);
		assert_true(maildirsize_parse(buf_slice(&out), &again));
		assert_int_equal(again.limit.bytes, m.limit.bytes);
		assert_int_equal(again.limit.messages, m.limit.messages);
	}
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_of_dovecot_is_read),
		cmocka_unit_test(line_that_is_being_written_is_not_looked_at),
		cmocka_unit_test(damaged_file_is_not_believed),
		cmocka_unit_test(limits_are_written_as_dovecot_writes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
