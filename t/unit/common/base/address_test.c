#include "common/base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/attributes.h"
#include "common/base/fault.h"

static struct ip ip(const char *text)
{
	struct ip out = {0};

	if (!ip_parse(slice_of_cstr(text), &out))
		fail_msg("%s is no address", text);
	return out;
}

static void an_address_is_printed_in_its_shortest_form(void **state)
{
	static const char *const pairs[][2] = {
		{"192.0.2.1", "192.0.2.1"},
		{"255.255.255.255", "255.255.255.255"},
		{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
		{"::", "::"},
		{"::1", "::1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"0:0:0:0:0:ffff:c000:201", "192.0.2.1"},
	};
	char text[IP_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++) {
		struct ip parsed = ip(pairs[i][0]);

		assert_string_equal(ip_text(&parsed, text), pairs[i][1]);
	}
	assert_string_equal(ip_text(&(struct ip){0}, text), "none");
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const wrong[] = {
		"", "localhost", "192.0.2", "192.0.2.256", "192.0.2.1 ", "192.0.2.1:25", "[::1]", ":::", "1::2::3", "2001:db8::1%eth0",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
	};
	struct ip out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++)
		if (ip_parse(slice_of_cstr(wrong[i]), &out))
			fail_msg("\"%s\" was taken", wrong[i]);
	assert_false(ip_parse(slice_of("192.0.2.1\0", 10), &out));
	assert_false(ip_parse(SLICE_EMPTY, &out));
}

static void addresses_of_two_families_are_never_equal(void **state)
{
	struct ip four = ip("0.0.0.0"), six = ip("::"), other = ip("0.0.0.1"), mapped = ip("::ffff:0.0.0.1");

	(void)state;
	assert_false(ip_equal(&four, &six));
	assert_false(ip_equal(&four, &other));
	assert_true(ip_equal(&other, &mapped));
}

static void a_network_holds_what_shares_its_bits(void **state)
{
	static const struct {
		const char *address, *network;
		unsigned bits;
		bool in;
	} cases[] = {
		{"192.0.2.1", "192.0.2.0", 24, true},	 {"192.0.3.1", "192.0.2.0", 24, false},
		{"192.0.3.1", "192.0.2.0", 23, true},	 {"192.0.2.1", "192.0.2.1", 32, true},
		{"192.0.2.0", "192.0.2.1", 32, false},	 {"203.0.113.9", "0.0.0.0", 0, true},
		{"192.0.2.1", "192.0.2.1", 33, false},	 {"2001:db8::1", "2001:db8::", 32, true},
		{"2001:db9::1", "2001:db8::", 32, false}, {"2001:db9::1", "2001:db8::", 31, true},
		{"::1", "::1", 128, true},		 {"::1", "::", 128, false},
		{"192.0.16.0", "192.0.0.0", 19, true},	 {"192.0.32.0", "192.0.0.0", 19, false},
		{"::1", "::1", 129, false},		 {"192.0.2.1", "::", 0, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct ip address = ip(cases[i].address), network = ip(cases[i].network);

		if (ip_in_network(&address, &network, cases[i].bits) != cases[i].in)
			fail_msg("%s in %s/%u", cases[i].address, cases[i].network, cases[i].bits);
	}
	assert_false(ip_in_network(&(struct ip){0}, &(struct ip){0}, 0));
}

static void loopback_is_127_and_one(void **state)
{
	struct ip a = ip("127.8.9.10"), b = ip("::1"), c = ip("128.0.0.1"), d = ip("::2"), e = ip("::ffff:127.0.0.1");

	(void)state;
	assert_true(ip_is_loopback(&a) && ip_is_loopback(&b) && ip_is_loopback(&e));
	assert_false(ip_is_loopback(&c) || ip_is_loopback(&d) || ip_is_loopback(&(struct ip){0}));
}

static void unspecified_is_all_zeros_of_either_family(void **state)
{
	struct ip a = ip("0.0.0.0"), b = ip("::"), c = ip("0.0.0.1"), d = ip("::1");

	(void)state;
	assert_true(ip_is_unspecified(&a) && ip_is_unspecified(&b));
	assert_false(ip_is_unspecified(&c) || ip_is_unspecified(&d) || ip_is_unspecified(&(struct ip){0}));
}

static void a_sockaddr_and_back_is_the_same(void **state)
{
	static const char *const addresses[] = {"192.0.2.1", "2001:db8::1"};
	struct sockaddr_storage storage;
	uint16_t port = 0;
	struct ip back;

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
		struct ip address = ip(addresses[i]);
		socklen_t n = ip_to_sockaddr(&address, 587, &storage);

		assert_int_equal(n, i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		assert_int_equal(storage.ss_family, i == 0 ? AF_INET : AF_INET6);
		ip_of_sockaddr((const struct sockaddr *)&storage, &back, &port);
		assert_true(ip_equal(&address, &back));
		assert_int_equal(port, 587);
	}
}

static void a_mapped_peer_is_seen_as_ipv4(void **state)
{
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(25)};
	struct ip seen, wanted = ip("192.0.2.1");
	uint16_t port;

	(void)state;
	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &mapped.sin6_addr), 1);
	ip_of_sockaddr((const struct sockaddr *)&mapped, &seen, &port);
	assert_true(ip_equal(&seen, &wanted));
	ip_of_sockaddr(&(struct sockaddr){.sa_family = AF_UNIX}, &seen, &port);
	assert_int_equal(seen.family, 0);
	assert_int_equal(port, 0);
}

static void address_and_port_are_read(void **state)
{
	struct ip out, four = ip("192.0.2.1"), six = ip("2001:db8::1");
	uint16_t port = 0;

	(void)state;
	assert_true(ip_port_parse(SLICE("192.0.2.1:25"), &out, &port, NULL));
	assert_true(ip_equal(&out, &four) && port == 25);
	assert_true(ip_port_parse(SLICE("[2001:db8::1]:65535"), &out, &port, NULL));
	assert_true(ip_equal(&out, &six) && port == 65535);
}

static void a_wrong_address_and_port_is_answered_with_the_right_form(void **state)
{
	static const char *const wrong[] = {
		"", ":", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:x", "192.0.2.1:-1", "localhost:25", "2001:db8::1:25", "[::1]", "[]:25",
		"[::1:25", "::1]:25", "[localhost]:25", " 192.0.2.1:25",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		struct fault why = {0};
		uint16_t port;
		struct ip out;

		if (ip_port_parse(slice_of_cstr(wrong[i]), &out, &port, &why))
			fail_msg("\"%s\" was taken", wrong[i]);
		assert_int_equal(why.class, FAULT_PERMANENT);
		assert_non_null(strstr(why.text, "[2001:db8::1]:25"));
	}
}

static void a_client_is_an_ipv4_address_or_64_bits_of_ipv6(void **state)
{
	struct ip a, b, c;

	(void)state;
	assert_true(ip_parse(SLICE("2001:db8:0:1::1"), &a) &&
		    ip_parse(SLICE("2001:db8:0:1:ffff::2"), &b) &&
		    ip_parse(SLICE("2001:db8:0:2::1"), &c));
	assert_true(slice_equal(ip_client_key(&a), ip_client_key(&b)));
	assert_false(slice_equal(ip_client_key(&a), ip_client_key(&c)));
	assert_true(ip_parse(SLICE("192.0.2.1"), &a) && ip_parse(SLICE("::ffff:192.0.2.1"), &b) &&
		    ip_parse(SLICE("192.0.2.2"), &c));
	assert_true(slice_equal(ip_client_key(&a), ip_client_key(&b)));
	assert_false(slice_equal(ip_client_key(&a), ip_client_key(&c)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_printed_in_its_shortest_form),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(addresses_of_two_families_are_never_equal),
		cmocka_unit_test(a_network_holds_what_shares_its_bits),
		cmocka_unit_test(loopback_is_127_and_one),
		cmocka_unit_test(unspecified_is_all_zeros_of_either_family),
		cmocka_unit_test(a_sockaddr_and_back_is_the_same),
		cmocka_unit_test(a_mapped_peer_is_seen_as_ipv4),
		cmocka_unit_test(address_and_port_are_read),
		cmocka_unit_test(a_wrong_address_and_port_is_answered_with_the_right_form),
		cmocka_unit_test(a_client_is_an_ipv4_address_or_64_bits_of_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
