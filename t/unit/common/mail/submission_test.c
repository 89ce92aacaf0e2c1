#include "common/mail/submission.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/attributes.h"

#define AT_US 1795622415000000u

static void expect_fields(const char *message, const char *names, const char *rest)
{
	struct slice left = slice_of_cstr(message), field, name;
	struct buf seen;

	buf_init(&seen, 4096);
	while (field_next(&left, &field, &name))
		assert_true(buf_printf(&seen, "%.*s=%.*s|", SLICE_PRINTF(name),
				       SLICE_PRINTF(field_value(field))));
	assert_string_equal(buf_cstr(&seen), names);
	assert_true(slice_equal(left, slice_of_cstr(rest)));
	buf_fini(&seen);
}

static void fields_are_cut_with_their_folds(void **state)
{
	(void)state;
	expect_fields("To: a,\r\n\tb\r\n c\r\nX :y\r\n\r\nbody: no\r\n", "To=a,\r\n\tb\r\n c|X=y|",
		      "\r\nbody: no\r\n");
	expect_fields("A: 1\r\nB: 2", "A=1|B=2|", "");
	expect_fields("A: 1\r\nno field\r\n", "A=1|", "no field\r\n");
	expect_fields(" folded without a field\r\n", "", " folded without a field\r\n");
	expect_fields("", "", "");
}

static void expect_added(const char *message, const char *added)
{
	struct submission s = submission_look(slice_of_cstr(message));
	struct buf out;

	buf_init(&out, 4096);
	assert_true(
		submission_append_missing(&s, SLICE("06ed"), SLICE("mx.test.com"), AT_US, &out));
	assert_string_equal(buf_cstr(&out), added);
	buf_fini(&out);
}

static void date_and_message_id_are_added_where_missing(void **state)
{
	(void)state;
	expect_added("From: a@b.example\r\n\r\nDate: in the body\r\n",
		     "Date: Wed, 25 Nov 2026 16:00:15 +0000\r\nMessage-ID: <06ed@mx.test.com>\r\n");
	expect_added("DATE: x\r\n\r\n", "Message-ID: <06ed@mx.test.com>\r\n");
	expect_added("message-id : x\r\n\r\n", "Date: Wed, 25 Nov 2026 16:00:15 +0000\r\n");
	expect_added("Date: x\r\nMessage-Id: y\r\n\r\n", "");
}

static void bcc_goes_with_its_folds_and_nothing_else(void **state)
{
	struct slice message = SLICE("To: a\r\nBcc: b,\r\n c\r\nX-Bcc: d\r\nRESENT-BCC:\r\n e\r\n"
				     "Subject: x\r\n\ty\r\n\r\nBcc: f\r\n");
	struct submission s = submission_look(message);
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_true(s.has_bcc);
	assert_true(submission_append_shown(slice_head(message, s.header_bytes), &out));
	assert_string_equal(buf_cstr(&out), "To: a\r\nX-Bcc: d\r\nSubject: x\r\n\ty\r\n");
	assert_true(slice_equal(slice_tail(message, s.header_bytes), SLICE("\r\nBcc: f\r\n")));
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_cut_with_their_folds),
		cmocka_unit_test(date_and_message_id_are_added_where_missing),
		cmocka_unit_test(bcc_goes_with_its_folds_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
