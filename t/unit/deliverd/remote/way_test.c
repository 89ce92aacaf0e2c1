#include "deliverd/remote/way.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/buf.h"

/* What main.conf, the route's tls and its port come to: "port encryption", of two ways "port
 * encryption, port encryption". */
static const struct {
	const char *conf;
	enum route_tls tls;
	uint16_t port;
	const char *ways;
} cases[] = {
	{"", ROUTE_TLS_STARTTLS_IF_OFFERED, 0, "25 if offered"},
	{"", ROUTE_TLS_STARTTLS_IF_OFFERED, 2525, "2525 if offered"},
	{"", ROUTE_TLS_STARTTLS, 0, "25 starttls"},
	{"", ROUTE_TLS_STARTTLS, 587, "587 starttls"},
	{"", ROUTE_TLS_IMPLICIT, 0, "465 implicit"},
	{"", ROUTE_TLS_IMPLICIT, 2465, "2465 implicit"},
	{"", ROUTE_TLS_NONE, 0, "25 none"},
	{"delivery_port = 2525\n", ROUTE_TLS_NONE, 0, "2525 none"},
	{"delivery_secure = none\n", ROUTE_TLS_STARTTLS_IF_OFFERED, 0, "25 none"},
	{"delivery_secure = none\n", ROUTE_TLS_STARTTLS, 0, "25 starttls"},
	{"delivery_secure = none\n", ROUTE_TLS_IMPLICIT, 0, "465 implicit"},
	{"delivery_secure = smtps-first\n", ROUTE_TLS_STARTTLS_IF_OFFERED, 0,
	 "465 implicit, 25 if offered"},
	{"delivery_secure = smtps-first\n", ROUTE_TLS_STARTTLS_IF_OFFERED, 25,
	 "465 implicit, 25 if offered"},
	{"delivery_secure = smtps-first\n", ROUTE_TLS_STARTTLS_IF_OFFERED, 10025,
	 "10025 if offered"},
	{"delivery_secure = smtps-first\n", ROUTE_TLS_STARTTLS, 0, "25 starttls"},
	{"delivery_secure = smtps-first\n", ROUTE_TLS_IMPLICIT, 0, "465 implicit"},
	{"delivery_secure = smtps-first\n", ROUTE_TLS_NONE, 0, "25 none"},
	{"delivery_secure = smtps-first\ndelivery_smtps_port = 2465\n",
	 ROUTE_TLS_STARTTLS_IF_OFFERED, 0, "2465 implicit, 25 if offered"},
	{"delivery_tls_trust = ca\n", ROUTE_TLS_STARTTLS_IF_OFFERED, 0, "25 starttls"},
	{"delivery_tls_trust = ca\n", ROUTE_TLS_NONE, 0, "25 none"},
	{"delivery_tls_trust = ca\ndelivery_secure = none\n", ROUTE_TLS_STARTTLS_IF_OFFERED, 0,
	 "25 none"},
	{"delivery_tls_trust = ca\ndelivery_secure = smtps-first\n", ROUTE_TLS_STARTTLS_IF_OFFERED,
	 0, "465 implicit, 25 starttls"},
};

static void way_is_what_the_route_says_else_delivery_secure(void **state)
{
	static const char *const words[] = {"none", "if offered", "starttls", "implicit"};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct settings *s = NULL;
		struct way first, last;
		struct buf problems;
		char ways[64];
		int n = 0;

		buf_init(&problems, 4096);
		assert_true(
			settings_parse(slice_of_cstr(cases[i].conf), "main.conf", &s, &problems));
		first = way_first(s, cases[i].tls, cases[i].port);
		last = way_last(s, cases[i].tls, cases[i].port);
		assert_false(last.first);
		if (first.first)
			n = snprintf(ways, sizeof(ways), "%u %s, ", first.port,
				     words[first.encryption]);
		else
			assert_true(first.port == last.port && first.encryption == last.encryption);
		snprintf(ways + n, sizeof(ways) - (size_t)n, "%u %s", last.port,
			 words[last.encryption]);
		assert_string_equal(ways, cases[i].ways);
		settings_destroy(s);
		buf_fini(&problems);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(way_is_what_the_route_says_else_delivery_secure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
