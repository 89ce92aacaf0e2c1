#include "sendmail/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/attributes.h"
#include "common/base/fault.h"

#define AT_US 1795622415000000u
#define DATE "Date: Wed, 25 Nov 2026 16:00:15 +0000\r\n"
#define ID "Message-ID: <06ed@mx.test.com>\r\n"
#define FROM "From: \"Ann Other\" <ann@mx.test.com>\r\n"

static bool read_text(const char *input, bool dot_is_text, uint64_t max, struct message *m,
		      struct fault *why)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	bool ok;

	assert_int_equal(write(fd, input, strlen(input)), strlen(input));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	ok = message_read(fd, dot_is_text, max, m, why);
	close(fd);
	return ok;
}

static void expect(const char *input, bool dot_is_text, const char *header, const char *body)
{
	struct fault why = {0};
	struct message m;

	assert_true(read_text(input, dot_is_text, 1 << 20, &m, &why));
	assert_string_equal(buf_cstr(&m.header), header);
	assert_string_equal(buf_cstr(&m.body), body);
	message_fini(&m);
}

static void line_ends_become_cr_lf(void **state)
{
	(void)state;
	expect("A: b\n\nc\nd\n", false, "A: b\r\n", "c\r\nd\r\n");
	expect("A: b\r\n\r\nc\r\nd\r\n", false, "A: b\r\n", "c\r\nd\r\n");
	expect("A: b\n\nno end", false, "A: b\r\n", "no end\r\n");
	expect("A: b\r\r\n\nc\r\r\nd\n", false, "A: b\r\n", "c\r\nd\r\n");
}

static void a_cr_within_a_line_is_a_line_end_in_the_body_and_a_blank_in_the_header(void **state)
{
	(void)state;
	expect("Subject: a\rBcc: b\n\n10 %\r20 %\r\n", false, "Subject: a Bcc: b\r\n",
	       "10 %\r\n20 %\r\n");
}

static void a_dot_alone_ends_the_input_unless_it_is_text(void **state)
{
	(void)state;
	expect("A: b\n\nc\n.\nd\n", false, "A: b\r\n", "c\r\n");
	expect("A: b\n\nc\n.\r\nd\n", false, "A: b\r\n", "c\r\n");
	expect("A: b\n\nc\n.\nd\n", true, "A: b\r\n", "c\r\n.\r\nd\r\n");
	expect("A: b\n\n.c\n..\n", false, "A: b\r\n", ".c\r\n..\r\n");
}

static void what_is_no_header_is_body(void **state)
{
	(void)state;
	expect("hello\nworld\n", false, "", "hello\r\nworld\r\n");
	expect("A: b\nhello\n\nworld\n", false, "A: b\r\n", "hello\r\n\r\nworld\r\n");
	expect("A: b\n c\nD: e\n", false, "A: b\r\n c\r\nD: e\r\n", "");
	expect(" a: b\n", false, "", " a: b\r\n");
	expect("From ann Wed Nov 25 16:00:15 2026\nA: b\n\nc\n", false, "A: b\r\n", "c\r\n");
	expect("", false, "", "");
}

static void eight_bit_is_seen(void **state)
{
	struct fault why = {0};
	struct message m;

	(void)state;
	assert_true(read_text("A: b\n\nJ\xc3\xbcrgen\n", false, 1000, &m, &why));
	assert_true(m.eight_bit);
	message_fini(&m);
	assert_true(read_text("A: b\n\nJuergen\n", false, 1000, &m, &why));
	assert_false(m.eight_bit);
	message_fini(&m);
}

static void what_is_too_large_is_refused_for_good(void **state)
{
	struct fault why = {0};
	struct message m;

	(void)state;
	assert_false(read_text("A: b\n\nmore than fifteen octets\n", false, 15, &m, &why));
	assert_string_equal(why.status, "5.3.4");
	assert_int_equal(why.class, FAULT_PERMANENT);
	message_fini(&m);
}

static void expect_complete(const char *input, const char *header)
{
	struct author ann = {SLICE("ann@mx.test.com"), SLICE("Ann Other")};
	struct fault why = {0};
	struct message m;

	assert_true(read_text(input, false, 1 << 20, &m, &why));
	assert_true(message_complete(&m, &ann, SLICE("06ed"), SLICE("mx.test.com"), AT_US, &why));
	assert_string_equal(buf_cstr(&m.header), header);
	message_fini(&m);
}

static void missing_fields_are_added_and_bcc_goes(void **state)
{
	(void)state;
	expect_complete("hello\n", DATE ID FROM);
	expect_complete("From: x@y.example\nTo: b\nBCC: c,\n d\nSubject: e\n\n",
			DATE ID "From: x@y.example\r\nTo: b\r\nSubject: e\r\n");
	expect_complete("Date: x\nMessage-Id: y\nFrom: z\n\n",
			"Date: x\r\nMessage-Id: y\r\nFrom: z\r\n");
}

static void expect_name(const char *name, const char *wanted)
{
	struct buf out;

	buf_init(&out, 4096);
	assert_true(message_append_name(slice_of_cstr(name), &out));
	assert_string_equal(buf_cstr(&out), wanted);
	buf_fini(&out);
}

static void a_name_is_quoted_or_encoded(void **state)
{
	(void)state;
	expect_name("", "");
	expect_name("Ann \"A\" Other", "\"Ann \\\"A\\\" Other\"");
	expect_name("J\xc3\xbcrgen O.", "=?UTF-8?Q?J=C3=BCrgen=20O=2E?=");
	expect_name("two\r\nlines: 1", "=?UTF-8?Q?two=0D=0Alines=3A=201?=");
	expect_name("\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3"
		    "\xbc\xc3\xbc\xc3\xbc",
		    "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_ends_become_cr_lf),
		cmocka_unit_test(
			a_cr_within_a_line_is_a_line_end_in_the_body_and_a_blank_in_the_header),
		cmocka_unit_test(a_dot_alone_ends_the_input_unless_it_is_text),
		cmocka_unit_test(what_is_no_header_is_body),
		cmocka_unit_test(eight_bit_is_seen),
		cmocka_unit_test(what_is_too_large_is_refused_for_good),
		cmocka_unit_test(missing_fields_are_added_and_bcc_goes),
		cmocka_unit_test(a_name_is_quoted_or_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
