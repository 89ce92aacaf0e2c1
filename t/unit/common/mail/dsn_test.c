#include "common/mail/dsn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void notify_is_a_set_of_words(void **state)
{
	(void)state;
	assert_int_equal(dsn_notify_read(SLICE("never")), 0);
	assert_int_equal(dsn_notify_read(SLICE("SUCCESS")), DSN_SUCCESS);
	assert_int_equal(dsn_notify_read(SLICE("delay,Failure,DELAY")), DSN_FAILURE | DSN_DELAY);
	for (unsigned notify = 0; notify < 8; notify++)
		assert_int_equal(dsn_notify_read(slice_of_cstr(dsn_notify_text(notify))), notify);
}

static void without_notify_failure_and_delay_are_told(void **state)
{
	(void)state;
	assert_int_equal(dsn_notify_read(SLICE_EMPTY), DSN_FAILURE | DSN_DELAY);
}

static void decoded(struct slice xtext, struct slice wanted)
{
	struct buf out;

	buf_init(&out, 1000);
	assert_true(dsn_xtext_decode(xtext, &out));
	assert_true(slice_equal(buf_slice(&out), wanted));
	buf_fini(&out);
}

static void xtext_is_decoded(void **state)
{
	(void)state;
	decoded(SLICE("a+2Bb+3Dc"), SLICE("a+b=c"));
	decoded(SLICE_EMPTY, SLICE_EMPTY);
}

static void what_is_no_xtext_stays_as_it_is(void **state)
{
	(void)state;
	decoded(SLICE("a+2"), SLICE("a+2"));
	decoded(SLICE("+zz+"), SLICE("+zz+"));
}

static void orcpt(struct slice address, const char *wanted)
{
	struct buf out;

	buf_init(&out, 4000);
	assert_true(dsn_orcpt_make(address, &out));
	assert_string_equal(buf_cstr(&out), wanted);
	buf_fini(&out);
}

static void orcpt_is_the_address_as_xtext(void **state)
{
	(void)state;
	orcpt(SLICE("bob@example.org"), "rfc822;bob@example.org");
	orcpt(SLICE("bob+x=y@example.org"), "rfc822;bob+2Bx+3Dy@example.org");
	orcpt(SLICE("\"a b\"@example.org"), "rfc822;\"a+20b\"@example.org");
}

static void orcpt_of_an_address_in_utf8_is_of_that_type(void **state)
{
	(void)state;
	orcpt(SLICE("J\xc3\xbcrgen+\\@example.org"), "utf-8;J\\x{FC}rgen+2B\\x{5C}@example.org");
	orcpt(SLICE("\xf0\x9f\x98\x80@example.org"), "utf-8;\\x{1F600}@example.org");
}

static void orcpt_that_cannot_be_is_not_made(void **state)
{
	struct buf out;
	char lengthy[600];

	(void)state;
	for (size_t i = 0; i < sizeof(lengthy); i++)
		lengthy[i] = 'a';
	buf_init(&out, 4000);
	assert_false(dsn_orcpt_make(SLICE("\xc3@example.org"), &out));
	assert_false(dsn_orcpt_make(SLICE("x\xff"), &out));
	assert_false(dsn_orcpt_make(slice_of(lengthy, sizeof(lengthy)), &out));
	assert_int_equal(buf_length(&out), 0);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notify_is_a_set_of_words),
		cmocka_unit_test(without_notify_failure_and_delay_are_told),
		cmocka_unit_test(xtext_is_decoded),
		cmocka_unit_test(what_is_no_xtext_stays_as_it_is),
		cmocka_unit_test(orcpt_is_the_address_as_xtext),
		cmocka_unit_test(orcpt_of_an_address_in_utf8_is_of_that_type),
		cmocka_unit_test(orcpt_that_cannot_be_is_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
