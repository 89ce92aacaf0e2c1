#include "admin/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/fault.h"

static void network_is(const char *text, const char *expected)
{
	char out[NAMES_NETWORK_MAX];
	struct fault why;

	if (!names_network(text, out, &why))
		fail_msg("%s: %s", text, why.text);
	assert_string_equal(out, expected);
}

static void network_is_refused(const char *text, const char *with)
{
	char out[NAMES_NETWORK_MAX];
	struct fault why;

	assert_false(names_network(text, out, &why));
	assert_string_equal(why.status, "5.5.4");
	if (strstr(why.text, with) == NULL)
		fail_msg("%s: %s", text, why.text);
}

static void network_is_written_as_cidr_writes_it(void **state)
{
	(void)state;
	network_is("192.0.2.0/24", "192.0.2.0/24");
	network_is("192.0.2.1", "192.0.2.1/32");
	network_is("192.0.2.128/25", "192.0.2.128/25");
	network_is("2001:DB8:0:0::/32", "2001:db8::/32");
	network_is("2001:db8::8000:0/97", "2001:db8::8000:0/97");
	network_is("::1", "::1/128");
	network_is("::ffff:192.0.2.1", "192.0.2.1/32");
	network_is("128.0.0.0/1", "128.0.0.0/1");
}

static void network_with_host_bits_is_refused_with_what_is_right(void **state)
{
	(void)state;
	network_is_refused("192.0.2.7/24", "the network is 192.0.2.0/24, the address alone is 192.0.2.7");
	network_is_refused("192.0.2.192/25", "192.0.2.128/25");
	network_is_refused("2001:db8::1/127", "2001:db8::/127");
	network_is_refused("0.0.0.0/0", "everybody");
	network_is_refused("::/0", "everybody");
	network_is_refused("192.0.2.0/33", "1 to 32");
	network_is_refused("2001:db8::/129", "1 to 128");
	network_is_refused("192.0.2.0/", "1 to 32");
	network_is_refused("192.0.2", "no network");
	network_is_refused("", "no network");
}

static void address_is(const char *text, const char *local_part, const char *domain)
{
	struct names_address a;
	struct fault why;

	if (!names_address(text, NAMES_CATCH_ALL, &a, &why))
		fail_msg("%s: %s", text, why.text);
	assert_string_equal(a.local_part, local_part);
	assert_string_equal(a.domain, domain);
	assert_int_equal(strlen(a.whole), strlen(local_part) + 1 + strlen(domain));
}

static void address_is_written_as_the_tables_keep_it(void **state)
{
	(void)state;
	address_is("Ann@Example.ORG", "ann", "example.org");
	address_is("\"Ann Lee\"@example.org", "ann lee", "example.org");
	address_is("ann@B\xc3\xbc" "cher.example", "ann", "xn--bcher-kva.example");
	address_is("\xc3\xa4nn@example.org", "\xc3\xa4nn", "example.org");
	address_is("@Example.org", "", "example.org");
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const wrong[] = {"ann", "", "@", "ann@", "ann@[192.0.2.1]", "ann@b@c.example", "a b@example.org", "ann@example..org", "ann@example.org,bob@example.org",
					    "\xff@example.org"};
	struct names_address a;
	struct fault why;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (names_address(wrong[i], NAMES_CATCH_ALL, &a, &why))
			fail_msg("%s", wrong[i]);
		assert_string_equal(why.status, "5.5.4");
		assert_non_null(strstr(why.text, "right would be"));
	}
	assert_false(names_address("@example.org", 0, &a, &why));
}

static void filter_is_a_domain_or_a_pattern(void **state)
{
	struct names_filter f;
	struct fault why;

	(void)state;
	assert_true(names_filter("", &f, &why) && f.domain == NULL && f.pattern == NULL);
	assert_true(names_filter("Example.org", &f, &why) && f.pattern == NULL);
	assert_string_equal(f.domain, "example.org");
	assert_true(names_filter("A_n*@?x%", &f, &why) && f.domain == NULL);
	assert_string_equal(f.pattern, "a\\_n%@_x\\%");
	assert_false(names_filter("a b", &f, &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(network_is_written_as_cidr_writes_it),
		cmocka_unit_test(network_with_host_bits_is_refused_with_what_is_right),
		cmocka_unit_test(address_is_written_as_the_tables_keep_it),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(filter_is_a_domain_or_a_pattern),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
