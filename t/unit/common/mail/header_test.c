#include "common/mail/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "t/unit/vectors.h"

static void note(void *arg, struct slice name, struct slice value, bool cut)
{
	assert_true(buf_printf(arg, "%.*s=%.*s%s|", SLICE_PRINTF(name), SLICE_PRINTF(value),
			       cut ? "~" : ""));
}

/* The fields found in message, fed whole and in pieces of every size. */
static void expect(const char *message, const char *fields, unsigned n_received, bool ended)
{
	struct slice all = slice_of_cstr(message);
	struct buf seen;

	buf_init(&seen, 4096);
	for (size_t size = 1; size <= all.n; size++) {
		struct header h;

		buf_reset(&seen);
		header_init(&h, 64, note, &seen);
		for (size_t at = 0; at < all.n; at += size)
			header_feed(&h, slice_head(slice_tail(all, at), size));
		assert_int_equal(h.ended, ended);
		header_end(&h);
		assert_true(h.ended);
		assert_string_equal(buf_cstr(&seen), fields);
		assert_int_equal(h.n_received, n_received);
		header_fini(&h);
	}
	buf_fini(&seen);
}

static void fields_are_given_whole(void **state)
{
	(void)state;
	expect("Subject: hello\r\nFrom: ann@example.org\r\n\r\nbody: no field\r\n",
	       "Subject=hello|From=ann@example.org|", 0, true);
}

static void folded_fields_are_one(void **state)
{
	(void)state;
	expect("To: a@b.example,\r\n\tc@d.example\r\n e@f.example\r\nX:\r\n\r\n",
	       "To=a@b.example,\r\n\tc@d.example\r\n e@f.example|X=|", 0, true);
}

static void received_is_counted_in_any_case(void **state)
{
	(void)state;
	expect("Received: 1\r\nRECEIVED: 2\r\nReceived : 3\r\nX-Received: 4\r\nreceived:5\r\n "
	       "6\r\n\r\nReceived: 7\r\n",
	       "Received=1|RECEIVED=2|Received=3|X-Received=4|received=5\r\n 6|", 4, true);
}

static void a_line_that_is_no_field_ends_the_header(void **state)
{
	(void)state;
	expect("A: 1\r\nthis is text\r\nReceived: 2\r\n", "A=1|", 0, true);
	expect("no header at all\r\nReceived: 2\r\n", "", 0, true);
	expect(" blank first\r\nReceived: 2\r\n", "", 0, true);
	expect(": no name\r\nReceived: 2\r\n", "", 0, true);
	expect("\r\nReceived: 2\r\n", "", 0, true);
}

static void a_message_without_body_has_its_last_field(void **state)
{
	(void)state;
	expect("A: 1\r\nReceived: 2\r\n", "A=1|Received=2|", 1, false);
	expect("A: 1\r\nReceived: 2", "A=1|Received=2|", 1, false);
}

static void a_long_field_is_cut_and_counted(void **state)
{
	(void)state;
	expect("Received: "
	       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	       "\r\nB: 2\r\n\r\n",
	       "Received=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa~|B=2|", 1, true);
}

static void a_header_without_end_takes_no_memory(void **state)
{
	struct header h;

	(void)state;
	header_init(&h, 64, NULL, NULL);
	header_feed(&h, SLICE("X: "));
	for (int i = 0; i < 100000; i++)
		header_feed(&h, SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	assert_true(h.field.capacity <= 128);
	header_fini(&h);
}

static void note_match(void *arg, struct slice name, struct slice value, bool cut)
{
	struct slice *rule = arg;

	(void)cut;
	if (header_field_begins(*rule, name, value))
		*rule = SLICE_EMPTY;
}

static void check_rule(struct slice line)
{
	struct slice rest = line, rule = {0}, field = {0}, wanted = {0};
	struct buf octets;
	struct header h;

	assert_true(slice_cut(&rest, '\t', &rule) && slice_cut(&rest, '\t', &field) &&
		    slice_cut(&rest, '\t', &wanted));
	buf_init(&octets, 4096);
	vector_octets(field, &octets);
	header_init(&h, 1024, note_match, &rule);
	header_feed(&h, buf_slice(&octets));
	header_end(&h);
	header_fini(&h);
	buf_fini(&octets);
	if (slice_equal(wanted, SLICE("yes")) != (rule.n == 0))
		fail_msg("%.*s: it is not so", SLICE_PRINTF(line));
}

static void rules_of_spam_fit_the_fields_that_the_vectors_say(void **state)
{
	(void)state;
	each_vector("t/vectors/mail/field_rules", 20, check_rule);
}

static void what_is_missing_of_a_cut_field_does_not_matter(void **state)
{
	(void)state;
	assert_true(header_field_begins(SLICE("X-Spam: YES"), SLICE("X-Spam"), SLICE("YES, bec")));
	assert_false(header_field_begins(SLICE("X-Spam: YES"), SLICE("X-Spam"), SLICE("YE")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_given_whole),
		cmocka_unit_test(folded_fields_are_one),
		cmocka_unit_test(received_is_counted_in_any_case),
		cmocka_unit_test(a_line_that_is_no_field_ends_the_header),
		cmocka_unit_test(a_message_without_body_has_its_last_field),
		cmocka_unit_test(a_long_field_is_cut_and_counted),
		cmocka_unit_test(a_header_without_end_takes_no_memory),
		cmocka_unit_test(rules_of_spam_fit_the_fields_that_the_vectors_say),
		cmocka_unit_test(what_is_missing_of_a_cut_field_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
