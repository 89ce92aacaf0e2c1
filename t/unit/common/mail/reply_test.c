#include "common/mail/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/fault.h"

static void expect(const struct reply *r, const char *wire)
{
	struct buf out;

	buf_init(&out, 8192);
	assert_true(reply_encode(r, &out));
	assert_string_equal(buf_cstr(&out), wire);
	buf_fini(&out);
}

static void a_reply_has_code_status_and_text(void **state)
{
	struct reply r;

	(void)state;
	reply_set(&r, 550, "5.1.1", "no %s here", "ann");
	expect(&r, "550 5.1.1 no ann here\r\n");
	reply_set(&r, 354, "", "go on");
	expect(&r, "354 go on\r\n");
}

static void every_line_of_several_has_code_and_status(void **state)
{
	struct reply r;

	(void)state;
	reply_set(&r, 214, "2.0.0", "one\ntwo\nthree");
	expect(&r, "214-2.0.0 one\r\n214-2.0.0 two\r\n214 2.0.0 three\r\n");
}

static void no_peer_can_put_a_line_into_a_reply(void **state)
{
	struct reply r;

	(void)state;
	reply_set(&r, 501, "5.5.4", "bad %s", "a\r\b");
	expect(&r, "501 5.5.4 bad a??\r\n");
}

static void a_long_line_is_cut_at_512(void **state)
{
	char text[2000];
	struct reply r;
	struct buf out;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	reply_set(&r, 550, "5.1.1", "%s", text);
	buf_init(&out, 8192);
	assert_true(reply_encode(&r, &out));
	assert_int_equal(buf_length(&out), 512);
	buf_fini(&out);
}

static void a_faults_status_agrees_with_the_code(void **state)
{
	struct reply r;
	struct fault why = {0};

	(void)state;
	fault_set(&why, "4.3.1", "the disk is full");
	reply_set_fault(&r, 452, &why);
	expect(&r, "452 4.3.1 the disk is full\r\n");
	reply_set_fault(&r, 552, &why);
	expect(&r, "552 5.3.1 the disk is full\r\n");
}

static void replies_are_read_one_by_one(void **state)
{
	struct slice input = SLICE("250-2.1.0 one\r\n250 2.1.0 two\r\n354 go\n220\r\n25");
	struct reply r;

	(void)state;
	assert_int_equal(reply_read(&input, &r), REPLY_DONE);
	assert_int_equal(r.code, 250);
	assert_string_equal(r.status, "2.1.0");
	assert_string_equal(r.text, "one\ntwo");
	assert_int_equal(reply_read(&input, &r), REPLY_DONE);
	assert_int_equal(r.code, 354);
	assert_string_equal(r.status, "");
	assert_string_equal(r.text, "go");
	assert_int_equal(reply_read(&input, &r), REPLY_DONE);
	assert_int_equal(r.code, 220);
	assert_int_equal(reply_read(&input, &r), REPLY_MORE);
	assert_true(slice_equal(input, SLICE("25")));
}

static void a_half_reply_takes_nothing(void **state)
{
	struct slice input = SLICE("250-one\r\n250-two\r\n"), before = input;
	struct reply r;

	(void)state;
	assert_int_equal(reply_read(&input, &r), REPLY_MORE);
	assert_ptr_equal(input.p, before.p);
	assert_int_equal(input.n, before.n);
}

static void what_is_no_reply_is_told(void **state)
{
	static const char *const bad[] = {"hello\r\n", "2500 x\r\n", "25\r\n",
					  "199 x\r\n", "600 x\r\n",  "250-a\r\n251 b\r\n",
					  "25x a\r\n", "\r\n",	     "250_a\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		struct slice input = slice_of_cstr(bad[i]);
		struct reply r;

		if (reply_read(&input, &r) != REPLY_BAD)
			fail_msg("%s", bad[i]);
	}
}

static void only_a_status_of_the_codes_class_is_one(void **state)
{
	static const struct {
		const char *line, *status, *text;
	} cases[] = {
		{"550 5.1.1 x\r\n", "5.1.1", "x"},	{"550 4.1.1 x\r\n", "", "4.1.1 x"},
		{"550 5.1.1\r\n", "5.1.1", ""},		{"550 5.1.1234 x\r\n", "", "5.1.1234 x"},
		{"550 5.1 x\r\n", "", "5.1 x"},		{"550 5.1.1x\r\n", "", "5.1.1x"},
		{"250 2.0.0 ok\a\r\n", "2.0.0", "ok?"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct slice input = slice_of_cstr(cases[i].line);
		struct reply r;

		assert_int_equal(reply_read(&input, &r), REPLY_DONE);
		assert_string_equal(r.status, cases[i].status);
		assert_string_equal(r.text, cases[i].text);
	}
}

static void endless_lines_and_replies_are_bad(void **state)
{
	static char octets[100000];
	struct slice input = slice_of(octets, sizeof(octets));
	struct reply r;

	(void)state;
	memset(octets, '2', sizeof(octets));
	assert_int_equal(reply_read(&input, &r), REPLY_BAD);
	for (size_t i = 0; i + 10 <= sizeof(octets); i += 10)
		memcpy(octets + i, "250-abcd\r\n", 10);
	assert_int_equal(reply_read(&input, &r), REPLY_BAD);
}

static void a_reply_prints_as_one_line(void **state)
{
	struct reply r;
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	reply_set(&r, 550, "5.7.1", "no\nnever");
	assert_true(reply_print(&r, &out));
	assert_string_equal(buf_cstr(&out), "550 5.7.1 no never");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_has_code_status_and_text),
		cmocka_unit_test(every_line_of_several_has_code_and_status),
		cmocka_unit_test(no_peer_can_put_a_line_into_a_reply),
		cmocka_unit_test(a_long_line_is_cut_at_512),
		cmocka_unit_test(a_faults_status_agrees_with_the_code),
		cmocka_unit_test(replies_are_read_one_by_one),
		cmocka_unit_test(a_half_reply_takes_nothing),
		cmocka_unit_test(what_is_no_reply_is_told),
		cmocka_unit_test(only_a_status_of_the_codes_class_is_one),
		cmocka_unit_test(endless_lines_and_replies_are_bad),
		cmocka_unit_test(a_reply_prints_as_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
