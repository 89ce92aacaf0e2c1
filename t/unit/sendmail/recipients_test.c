#include "sendmail/recipients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fault.h"

static void expect_mailbox(const char *address, const char *mailbox)
{
	struct fault why = {0};
	struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(
		mailbox_complete(slice_of_cstr(address), SLICE("mx.test.com"), true, &out, &why),
		mailbox != NULL);
	if (mailbox != NULL)
		assert_string_equal(buf_cstr(&out), mailbox);
	else
		assert_int_equal(why.class, FAULT_PERMANENT);
	buf_fini(&out);
}

static void an_address_without_a_domain_is_this_hosts(void **state)
{
	(void)state;
	expect_mailbox("root", "root@mx.test.com");
	expect_mailbox("ann@A.EXAMPLE", "ann@a.example");
	expect_mailbox("\"a@b\"", "\"a@b\"@mx.test.com");
	expect_mailbox("@r.example:ann@a.example", "ann@a.example");
	expect_mailbox("", "");
	expect_mailbox("<>", "");
}

static void what_no_smtp_server_takes_is_refused(void **state)
{
	(void)state;
	expect_mailbox("ann@", NULL);
	expect_mailbox("ann@a.example> X", NULL);
	expect_mailbox("ann bob", NULL);
	expect_mailbox("ann\r\nQUIT", NULL);
	expect_mailbox("j\xc3\xbcrgen@a.example", NULL);
}

static void expect_all(const struct recipients *r, const char *all)
{
	struct buf seen;

	buf_init(&seen, 4096);
	for (struct recipient *one = NULL; (one = recipients_next(r, one, RECIPIENT_OPEN)) != NULL;)
		assert_true(buf_printf(&seen, "%.*s ", SLICE_PRINTF(one->mailbox)));
	assert_string_equal(buf_cstr(&seen), all);
	buf_fini(&seen);
}

static void each_is_kept_once(void **state)
{
	struct fault why = {0};
	struct recipients r;

	(void)state;
	recipients_init(&r, SLICE("mx.test.com"));
	assert_true(recipients_add(&r, SLICE("ann@a.example, root"), &why));
	assert_true(recipients_add(&r, SLICE("root@MX.test.com, bob@b.example"), &why));
	expect_all(&r, "ann@a.example root@mx.test.com bob@b.example ");
	assert_int_equal(r.n, 3);
	recipients_move(&r, RECIPIENT_OPEN, RECIPIENT_LATER);
	assert_null(recipients_next(&r, NULL, RECIPIENT_OPEN));
	recipients_fini(&r);
}

static void expect_of_header(const char *header, const char *all)
{
	struct fault why = {0};
	struct recipients r;

	recipients_init(&r, SLICE("mx.test.com"));
	assert_int_equal(recipients_add_of_header(&r, slice_of_cstr(header), &why), all != NULL);
	if (all != NULL)
		expect_all(&r, all);
	recipients_fini(&r);
}

static void to_cc_and_bcc_are_read_or_their_resent_forms(void **state)
{
	(void)state;
	expect_of_header("From: x\r\nTo: ann@a.example,\r\n\tbob\r\nCC: Carl <c@c.example>\r\nbcc: "
			 "d@d.example\r\nSubject: e@e.example\r\n",
			 "ann@a.example bob@mx.test.com c@c.example d@d.example ");
	expect_of_header(
		"To: ann@a.example\r\nResent-To: bob@b.example\r\nResent-Bcc: c@c.example\r\n",
		"bob@b.example c@c.example ");
	expect_of_header("To: undisclosed-recipients:;\r\n", "");
	expect_of_header("To: ann bob\r\n", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_without_a_domain_is_this_hosts),
		cmocka_unit_test(what_no_smtp_server_takes_is_refused),
		cmocka_unit_test(each_is_kept_once),
		cmocka_unit_test(to_cc_and_bcc_are_read_or_their_resent_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
