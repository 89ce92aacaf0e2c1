#include "common/mail/from_field.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/attributes.h"
#include "common/mail/header.h"
#include "t/unit/vectors.h"

static void take(void *arg, struct slice name, struct slice value, bool cut)
{
	from_field_take(arg, name, value, cut);
}

static void expect(struct slice message, size_t field_max, struct slice wanted)
{
	struct from_field f;
	struct header h;

	from_field_init(&f);
	header_init(&h, field_max, take, &f);
	header_feed(&h, message);
	header_end(&h);
	header_fini(&h);
	if (!slice_equal(from_field_mailbox(&f), wanted))
		fail_msg("%.*s: got \"%.*s\"", SLICE_PRINTF(message),
			 SLICE_PRINTF(from_field_mailbox(&f)));
	from_field_fini(&f);
}

static void check_vector(struct slice line)
{
	struct slice rest = line, header = {0}, wanted = {0};
	struct buf octets;

	assert_true(slice_cut(&rest, '\t', &header) && slice_cut(&rest, '\t', &wanted));
	buf_init(&octets, 4096);
	vector_octets(header, &octets);
	expect(buf_slice(&octets), 1024, slice_equal(wanted, SLICE("-")) ? SLICE_EMPTY : wanted);
	buf_fini(&octets);
}

static void mailbox_is_the_one_that_the_vectors_say(void **state)
{
	(void)state;
	each_vector("t/vectors/mail/from_fields", 43, check_vector);
}

static void cut_from_names_nobody(void **state)
{
	(void)state;
	expect(SLICE("From: ann@example.org\r\n"), 20, SLICE_EMPTY);
	expect(SLICE("From: ann@example.org, bob@example.com\r\nSender: x@y.example\r\n"), 20,
	       SLICE_EMPTY);
	expect(SLICE("From: a@b.example,c@d.example\r\nSender: xxxxxxxxxxxxxxxxxxxxxxxx@y.example\r\n"),
	       35, SLICE("a@b.example"));
}

static void mailbox_too_long_for_a_path_is_none(void **state)
{
	struct buf long_one;

	(void)state;
	buf_init(&long_one, 4096);
	buf_append_cstr(&long_one, "From: ");
	for (int i = 0; i < 1200; i++)
		buf_append_char(&long_one, 'a');
	buf_append_cstr(&long_one, "@example.org\r\n");
	expect(buf_slice(&long_one), 4096, SLICE_EMPTY);
	buf_fini(&long_one);
}

static void zeroed_one_may_be_ended(void **state)
{
	struct from_field f = {0};

	(void)state;
	from_field_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mailbox_is_the_one_that_the_vectors_say),
		cmocka_unit_test(cut_from_names_nobody),
		cmocka_unit_test(mailbox_too_long_for_a_path_is_none),
		cmocka_unit_test(zeroed_one_may_be_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
