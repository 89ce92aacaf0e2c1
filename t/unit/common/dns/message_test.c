#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "common/base/fault.h"
#include "common/base/random.h"
#include "common/dns/message.h"
#include "common/ipc/frame.h"
#include "t/unit/common/dns/answer.h"

#define ID 4711

struct fixture {
	struct dns_question q;
	struct dns_answer a;
	struct buf message, records;
};

static void begin(struct fixture *f, const char *name, uint16_t type)
{
	buf_init(&f->message, 65535);
	buf_init(&f->records, 65535);
	assert_true(dns_question_set(&f->q, slice_of_cstr(name), type, NULL));
}

static void end(struct fixture *f)
{
	buf_fini(&f->message);
	buf_fini(&f->records);
}

static bool decode(struct fixture *f)
{
	return dns_answer_decode(buf_slice(&f->message), &f->q, ID, &f->a, &f->records);
}

static void question_has_the_name_in_lower_case_and_edns(void **state)
{
	static const char wire[] = "\x12\x34\x01\x20\0\1\0\0\0\0\0\1\7example\3org\0\0\x0f\0\1\0\0"
				   "\x29\x04\xd0\0\0\0\0\0\0";
	struct fixture f;

	(void)state;
	begin(&f, "Example.ORG.", DNS_MX);
	assert_string_equal(f.q.name, "example.org");
	assert_true(dns_question_encode(&f.q, 0x1234, true, &f.message));
	assert_int_equal(buf_length(&f.message), sizeof(wire) - 1);
	assert_memory_equal(buf_slice(&f.message).p, wire, sizeof(wire) - 1);
	end(&f);
}

static void name_with_an_empty_label_is_refused(void **state)
{
	struct dns_question q;
	struct fault why = {0};

	(void)state;
	assert_false(dns_question_set(&q, SLICE("a..b"), DNS_A, &why));
	assert_int_equal(why.class, FAULT_PERMANENT);
	assert_false(dns_question_set(&q, SLICE(".a"), DNS_A, &why));
}

static void mx_come_with_preference_and_least_ttl(void **state)
{
	struct ipc_dns_record r;
	struct fixture f;
	struct slice list;
	bool broken = false;

	(void)state;
	begin(&f, "example.org", DNS_MX);
	answer_begin(&f.message, &f.q, ID, 0x20, 2, 0);
	answer_put_mx(&f.message, "EXAMPLE.org", 300, 10, "a.example.org");
	answer_put_mx(&f.message, "example.org", 200, 20, "b.example.org");
	assert_true(decode(&f));
	assert_int_equal(f.a.outcome, DNS_OK);
	assert_int_equal(f.a.ttl_s, 200);
	assert_true(f.a.authentic);
	list = buf_slice(&f.records);
	assert_true(ipc_next_dns_record(&list, &r, &broken));
	assert_int_equal(r.preference, 10);
	assert_true(slice_equal(r.name, SLICE("a.example.org")));
	assert_true(ipc_next_dns_record(&list, &r, &broken));
	assert_int_equal(r.preference, 20);
	assert_false(ipc_next_dns_record(&list, &r, &broken) || broken);
	end(&f);
}

static void aliases_are_followed_in_any_order_and_left_out(void **state)
{
	struct ipc_dns_record r;
	struct fixture f;
	struct slice list;
	bool broken = false;

	(void)state;
	begin(&f, "www.test", DNS_A);
	answer_begin(&f.message, &f.q, ID, 0, 3, 0);
	answer_put_record(&f.message, "c.test", DNS_A, 60, "\xc0\0\2\1", 4);
	answer_put_cname(&f.message, "b.test", 50, "c.test");
	answer_put_cname(&f.message, "www.test", 70, "b.test");
	assert_true(decode(&f));
	assert_int_equal(f.a.outcome, DNS_OK);
	assert_int_equal(f.a.ttl_s, 50);
	list = buf_slice(&f.records);
	assert_true(ipc_next_dns_record(&list, &r, &broken));
	assert_int_equal(r.address.family, 4);
	assert_int_equal(list.n, 0);
	end(&f);
}

static void alias_that_leaves_the_answer_is_named(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "www.test", DNS_A);
	answer_begin(&f.message, &f.q, ID, 0, 1, 0);
	answer_put_cname(&f.message, "www.test", 70, "elsewhere.example");
	assert_true(decode(&f));
	assert_string_equal(f.a.alias, "elsewhere.example");
	end(&f);
}

static void ring_of_aliases_ends(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "a.test", DNS_A);
	answer_begin(&f.message, &f.q, ID, 0, 2, 0);
	answer_put_cname(&f.message, "a.test", 70, "b.test");
	answer_put_cname(&f.message, "b.test", 70, "a.test");
	assert_true(decode(&f));
	assert_int_equal(f.a.outcome, DNS_FAILED);
	end(&f);
}

static void no_holds_as_long_as_the_soa_says(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "nobody.test", DNS_A);
	answer_begin(&f.message, &f.q, ID, 3, 0, 1);
	answer_put_soa(&f.message, "test", 500, 30);
	assert_true(decode(&f));
	assert_int_equal(f.a.outcome, DNS_NO_NAME);
	assert_int_equal(f.a.ttl_s, 30);
	answer_begin(&f.message, &f.q, ID, 0, 0, 1);
	answer_put_soa(&f.message, "test", 20, 30);
	assert_true(decode(&f));
	assert_int_equal(f.a.outcome, DNS_NO_DATA);
	assert_int_equal(f.a.ttl_s, 20);
	end(&f);
}

static void strings_of_a_txt_are_joined(void **state)
{
	struct ipc_dns_record r;
	struct fixture f;
	struct slice list;
	bool broken = false;

	(void)state;
	begin(&f, "test", DNS_TXT);
	answer_begin(&f.message, &f.q, ID, 0, 1, 0);
	answer_put_record(&f.message, "test", DNS_TXT, 60, "\3v=s\4pf1 ", 9);
	assert_true(decode(&f));
	list = buf_slice(&f.records);
	assert_true(ipc_next_dns_record(&list, &r, &broken));
	assert_true(slice_equal(r.data, SLICE("v=spf1 ")));
	end(&f);
}

static void truncated_and_refused_answers_are_told_apart(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "test", DNS_A);
	answer_begin(&f.message, &f.q, ID, 0x200, 0, 0);
	assert_true(decode(&f));
	assert_true(f.a.truncated);
	answer_begin(&f.message, &f.q, ID, 2, 0, 0);
	assert_true(decode(&f));
	assert_true(f.a.refused && !f.a.no_edns);
	answer_begin(&f.message, &f.q, ID, 1, 0, 0);
	assert_true(decode(&f));
	assert_true(f.a.refused && f.a.no_edns);
	end(&f);
}

static void name_with_a_blank_comes_back_with_an_escape(void **state)
{
	static const char address[] = "\xc0\0\2\1";
	struct fixture f;

	(void)state;
	begin(&f, "a b.example.org", DNS_A);
	answer_begin(&f.message, &f.q, ID, 0, 1, 0);
	answer_put_record(&f.message, "a b.example.org", DNS_A, 60, address, 4);
	assert_true(decode(&f));
	assert_int_equal(f.a.outcome, DNS_OK);
	assert_true(buf_length(&f.records) > 0);
	end(&f);
}

static void answer_to_another_question_is_none(void **state)
{
	struct dns_question other;
	struct fixture f;

	(void)state;
	begin(&f, "example.org", DNS_A);
	answer_begin(&f.message, &f.q, ID + 1, 0, 0, 0);
	assert_false(decode(&f));
	assert_true(dns_question_set(&other, SLICE("example.com"), DNS_A, NULL));
	answer_begin(&f.message, &other, ID, 0, 0, 0);
	assert_false(decode(&f));
	assert_true(dns_question_set(&other, SLICE("example.org"), DNS_AAAA, NULL));
	answer_begin(&f.message, &other, ID, 0, 0, 0);
	assert_false(decode(&f));
	end(&f);
}

static void broken_record_is_passed_over(void **state)
{
	struct ipc_dns_record r;
	struct fixture f;
	struct slice list;
	bool broken = false;

	(void)state;
	begin(&f, "test", DNS_A);
	answer_begin(&f.message, &f.q, ID, 0, 2, 0);
	answer_put_record(&f.message, "test", DNS_A, 60, "\xc0\0", 2);
	answer_put_record(&f.message, "test", DNS_A, 60, "\xc0\0\2\1", 4);
	assert_true(decode(&f));
	list = buf_slice(&f.records);
	assert_true(ipc_next_dns_record(&list, &r, &broken));
	assert_int_equal(list.n, 0);
	end(&f);
}

static void name_that_fits_into_no_message_is_refused(void **state)
{
	struct dns_question q;
	struct fault why = {0};
	char name[260];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[64] = '.';
	assert_false(
		dns_question_set(&q, slice_of(name, 70), DNS_A, &why)); /* a label of 64 octets */
	assert_int_equal(why.class, FAULT_PERMANENT);
	for (int i = 0; i < 256; i += 2)
		name[i] = '.';
	assert_false(dns_question_set(&q, slice_of(name + 1, 255), DNS_A,
				      &why)); /* 128 labels and the root: 257 octets */
	assert_true(dns_question_set(&q, slice_of(name + 1, 253), DNS_A, &why));
	assert_true(dns_question_set(&q, SLICE("."), DNS_MX, &why));
	assert_string_equal(q.name, "");
}

/* Records that cannot be read are no proof that there are none: "no MX" would send the mail
 * elsewhere, "no address" would bounce it. */
static void answer_whose_records_cannot_be_read_is_no_answer(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "example.org", DNS_MX);
	answer_begin(&f.message, &f.q, ID, 0, 1, 0);
	buf_append(&f.message,
		   SLICE("\xc0\xff\0\x0f\0\1\0\0\0\1\0\3\0\1\0")); /* the owner's name is a pointer
								      past the end */
	assert_true(decode(&f));
	assert_true(f.a.refused);
	answer_begin(&f.message, &f.q, ID, 0, 1, 0);
	answer_put_record(&f.message, "example.org", DNS_MX, 60, "\0\1\xc0\xff", 4);
	assert_true(decode(&f));
	assert_true(f.a.refused);
	end(&f);
}

static void referral_is_no_statement_about_the_name(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "example.org", DNS_A);
	answer_begin(&f.message, &f.q, ID, 0, 0, 0);
	f.message.p[3] = 0; /* RA is not set, nor AA: the server does not look for others */
	assert_true(decode(&f));
	assert_true(f.a.refused);
	answer_begin(&f.message, &f.q, ID, 0x400, 0, 0);
	f.message.p[3] = 0; /* it knows itself */
	assert_true(decode(&f));
	assert_false(f.a.refused);
	assert_int_equal(f.a.outcome, DNS_NO_DATA);
	end(&f);
}

static void server_that_knows_no_edns_may_leave_the_question_out(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "example.org", DNS_A);
	buf_append(&f.message,
		   SLICE("\x12\x67\x81\x81\0\0\0\0\0\0\0\0")); /* FORMERR, a header and nothing
								  else, id 4711 */
	assert_true(decode(&f));
	assert_true(f.a.refused && f.a.no_edns);
	f.message.p[3] = (char)0x80;
	assert_false(decode(&f));
	end(&f);
}

static void extended_code_of_edns_is_read(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "example.org", DNS_A);
	answer_begin(&f.message, &f.q, ID, 0, 0, 0);
	f.message.p[11] = 1;
	buf_append(&f.message, SLICE("\0\0\x29\x04\xd0\1\0\0\0\0\0")); /* BADVERS, RFC 6891 6.1.3 */
	assert_true(decode(&f));
	assert_true(f.a.refused && f.a.no_edns);
	end(&f);
}

static void ttl_with_its_highest_bit_is_none(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "test", DNS_A); /* RFC 2181 8 */
	answer_begin(&f.message, &f.q, ID, 0, 1, 0);
	answer_put_record(&f.message, "test", DNS_A, 0x80000001u, "\xc0\0\2\1", 4);
	assert_true(decode(&f));
	assert_int_equal(f.a.outcome, DNS_OK);
	assert_int_equal(f.a.ttl_s, 0);
	end(&f);
}

static void name_that_an_alias_leads_to_is_missing_no_longer_than_the_alias_holds(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "www.test", DNS_A);
	answer_begin(&f.message, &f.q, ID, 3, 1, 1);
	answer_put_cname(&f.message, "www.test", 7, "gone.test");
	answer_put_soa(&f.message, "test", 500, 300);
	assert_true(decode(&f));
	assert_int_equal(f.a.outcome, DNS_NO_NAME);
	assert_int_equal(f.a.ttl_s, 7);
	end(&f);
}

static void noise_never_passes_for_an_answer_nor_is_it_read_past_its_end(void **state)
{
	struct fixture f;
	struct buf whole;

	(void)state;
	begin(&f, "example.org", DNS_MX);
	buf_init(&whole, 1000);
	answer_begin(&whole, &f.q, ID, 0, 1, 0);
	answer_put_mx(&whole, "example.org", 300, 10, "a.example.org");
	for (size_t n = 0; n < buf_length(&whole);
	     n++) { /* each beginning of it, in memory of just that size */
		buf_fini(&f.message);
		buf_append(&f.message, slice_head(buf_slice(&whole), n));
		(void)decode(&f);
	}
	for (int i = 0; i < 20000; i++) { /* each octet may be anything */
		buf_reset(&f.message);
		buf_append(&f.message, buf_slice(&whole));
		for (int k = 0; k < 3; k++)
			random_fill(f.message.p + random_below((uint32_t)f.message.n), 1);
		buf_reset(&f.records);
		(void)decode(&f);
	}
	buf_fini(&whole);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(question_has_the_name_in_lower_case_and_edns),
		cmocka_unit_test(name_with_an_empty_label_is_refused),
		cmocka_unit_test(mx_come_with_preference_and_least_ttl),
		cmocka_unit_test(aliases_are_followed_in_any_order_and_left_out),
		cmocka_unit_test(alias_that_leaves_the_answer_is_named),
		cmocka_unit_test(ring_of_aliases_ends),
		cmocka_unit_test(no_holds_as_long_as_the_soa_says),
		cmocka_unit_test(strings_of_a_txt_are_joined),
		cmocka_unit_test(truncated_and_refused_answers_are_told_apart),
		cmocka_unit_test(name_with_a_blank_comes_back_with_an_escape),
		cmocka_unit_test(answer_to_another_question_is_none),
		cmocka_unit_test(broken_record_is_passed_over),
		cmocka_unit_test(name_that_fits_into_no_message_is_refused),
		cmocka_unit_test(answer_whose_records_cannot_be_read_is_no_answer),
		cmocka_unit_test(referral_is_no_statement_about_the_name),
		cmocka_unit_test(server_that_knows_no_edns_may_leave_the_question_out),
		cmocka_unit_test(extended_code_of_edns_is_read),
		cmocka_unit_test(ttl_with_its_highest_bit_is_none),
		cmocka_unit_test(
			name_that_an_alias_leads_to_is_missing_no_longer_than_the_alias_holds),
		cmocka_unit_test(noise_never_passes_for_an_answer_nor_is_it_read_past_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
