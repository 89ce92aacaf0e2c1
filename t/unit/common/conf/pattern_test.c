#include "common/conf/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fault.h"

/* Up to a NULL: what matches, and what does not. */
static void check(const char *pattern, const char *const *right, const char *const *wrong)
{
	for (; *right; right++)
		if (!pattern_matches(pattern, slice_of_cstr(*right), NULL))
			fail_msg("%s \"%s\" was refused", pattern, *right);
	for (; *wrong; wrong++) {
		struct fault why = {0};

		if (pattern_matches(pattern, slice_of_cstr(*wrong), &why))
			fail_msg("%s \"%s\" was taken", pattern, *wrong);
		assert_int_equal(why.class, FAULT_PERMANENT);
		assert_non_null(strstr(why.text, "right would be"));
	}
}

#define LABEL_63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static void a_domain_is_letters_digits_hyphens_and_dots(void **state)
{
	static const char *const right[] = {
		"example.org", "MAIL.Example.ORG", "localhost", "a", "1.example", "3com.example", "xn--bcher-kva.example", "a-b.c1", LABEL_63 ".example",
		LABEL_63 "." LABEL_63 "." LABEL_63 ".abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghi", NULL,
	};
	static const char *const wrong[] = {
		"", ".", "example.org.", ".example.org", "a..b", "-a.example", "a-.example", "a_b.example", "a b.example", "b\xc3\xbc" "cher.example",
		"[192.0.2.1]", "192.0.2.1", "1", "user@example.org", "x" LABEL_63 ".example",
		LABEL_63 "." LABEL_63 "." LABEL_63 ".abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghij", NULL,
	};

	(void)state;
	check("domain", right, wrong);
}

static void a_path_is_whole(void **state)
{
	static const char *const right[] = {"/", "/var/spool/tassis", "/with blank", NULL};
	static const char *const wrong[] = {"", "var/spool", "./x", "~/x", " /x", NULL};

	(void)state;
	check("path", right, wrong);
}

static void a_name_server_is_an_address_with_or_without_port_and_trust(void **state)
{
	static const char *const right[] = {
		"192.0.2.53", "192.0.2.53:53", "2001:db8::53", "[2001:db8::53]:5353", "192.0.2.53 trusted", "[::1]:53\ttrusted", NULL,
	};
	static const char *const wrong[] = {
		"", "ns.example.org", "192.0.2.53:", "192.0.2.53:x", "[2001:db8::53]", "192.0.2.53 Trusted", "192.0.2.53 trusted too", "trusted", NULL,
	};

	(void)state;
	check("dns_server", right, wrong);
}

static void a_listener_is_address_kind_and_tls(void **state)
{
	static const char *const right[] = {
		"0.0.0.0:25 smtp starttls", "[::]:587 submission required", "127.0.0.1:465\tsubmission  implicit", "[::1]:0 smtp none", NULL,
	};
	static const char *const wrong[] = {
		"", "0.0.0.0:25", "0.0.0.0:25 smtp", "25 smtp none", "0.0.0.0:25 SMTP none", "0.0.0.0:25 smtp None", "0.0.0.0:25 smtp none none",
		"0.0.0.0:25 none smtp", "*:25 smtp none", NULL,
	};

	(void)state;
	check("listener", right, wrong);
}

static void without_a_pattern_all_is_right(void **state)
{
	static const char *const right[] = {"", "anything = at all", NULL}, *const wrong[] = {NULL};

	(void)state;
	check("", right, wrong);
}

static void a_listener_s_parts_are_told_apart(void **state)
{
	struct slice line = SLICE("[::]:587  submission required");
	struct listener l;

	(void)state;
	assert_true(listener_parse(line, &l, NULL));
	assert_true(slice_equal(l.text, line));
	assert_true(slice_equal(l.address, SLICE("[::]:587")));
	assert_int_equal(l.kind, LISTENER_SUBMISSION);
	assert_int_equal(l.tls, LISTENER_TLS_REQUIRED);
	assert_true(listener_parse(SLICE("192.0.2.1:25 smtp starttls"), &l, NULL));
	assert_int_equal(l.kind, LISTENER_SMTP);
	assert_int_equal(l.tls, LISTENER_TLS_STARTTLS);
	assert_true(listener_parse(SLICE("192.0.2.1:25 smtp none"), &l, NULL) && l.tls == LISTENER_TLS_NONE);
	assert_true(listener_parse(SLICE("192.0.2.1:25 smtp implicit"), &l, NULL) && l.tls == LISTENER_TLS_IMPLICIT);
}

static void quantities_are_read_in_their_units(void **state)
{
	static const struct {
		enum setting_type type;
		const char *text;
		uint64_t wanted;
	} cases[] = {
		{NUMBER, "10", 10},	     {NUMBER, "0", 0},
		{SIZE, "10", 10},	     {SIZE, "2k", 2048},
		{SIZE, "3M", 3 << 20},	     {SIZE, "4G", 4ull << 30},
		{SIZE, "17179869183G", 17179869183ull << 30}, {DURATION, "250ms", 250},
		{DURATION, "30s", 30000},    {DURATION, "5 min", 300000},
		{DURATION, "4h", 14400000},  {DURATION, "5d", 432000000},
		{DURATION, "0s", 0},
	};
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!pattern_quantity(cases[i].type, slice_of_cstr(cases[i].text), &n) || n != cases[i].wanted)
			fail_msg("%s", cases[i].text);
}

static void a_wrong_unit_no_digits_and_too_much_are_refused(void **state)
{
	static const struct {
		enum setting_type type;
		const char *text;
	} cases[] = {
		{NUMBER, ""}, {NUMBER, "k"}, {NUMBER, "1k"}, {NUMBER, "1s"}, {NUMBER, "-1"}, {NUMBER, "18446744073709551616"},
		{SIZE, ""}, {SIZE, "k"}, {SIZE, "1K"}, {SIZE, "1kk"}, {SIZE, "1.5M"}, {SIZE, "17179869184G"}, {SIZE, "0x10"},
		{DURATION, ""}, {DURATION, "5"}, {DURATION, "s"}, {DURATION, "5m"}, {DURATION, "5minutes"}, {DURATION, "1h30min"},
		{DURATION, "213503982335d"},
	};
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (pattern_quantity(cases[i].type, slice_of_cstr(cases[i].text), &n))
			fail_msg("\"%s\" was taken", cases[i].text);
}

static void a_quantity_is_printed_in_the_largest_unit_that_divides_it(void **state)
{
	static const struct {
		enum setting_type type;
		uint64_t n;
		const char *wanted;
	} cases[] = {
		{NUMBER, 1024, "1024"},	     {SIZE, 0, "0"},	       {SIZE, 1023, "1023"},	 {SIZE, 1536 << 10, "1536k"},
		{SIZE, 50 << 20, "50M"},     {SIZE, 4ull << 30, "4G"}, {DURATION, 0, "0ms"},	 {DURATION, 90000, "90s"},
		{DURATION, 1001, "1001ms"},  {DURATION, 3600000, "1h"}, {DURATION, 5400000, "90min"}, {DURATION, 432000000, "5d"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out;

		buf_init(&out, 100);
		pattern_print_quantity(cases[i].type, cases[i].n, &out);
		assert_string_equal(buf_cstr(&out), cases[i].wanted);
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_domain_is_letters_digits_hyphens_and_dots),
		cmocka_unit_test(a_path_is_whole),
		cmocka_unit_test(a_name_server_is_an_address_with_or_without_port_and_trust),
		cmocka_unit_test(a_listener_is_address_kind_and_tls),
		cmocka_unit_test(without_a_pattern_all_is_right),
		cmocka_unit_test(a_listener_s_parts_are_told_apart),
		cmocka_unit_test(quantities_are_read_in_their_units),
		cmocka_unit_test(a_wrong_unit_no_digits_and_too_much_are_refused),
		cmocka_unit_test(a_quantity_is_printed_in_the_largest_unit_that_divides_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
