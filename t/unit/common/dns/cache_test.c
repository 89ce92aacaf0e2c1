#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "common/dns/cache.h"

#define NOW 1000000u

static struct dns_question question(const char *name, uint16_t type)
{
	struct dns_question q;

	assert_true(dns_question_set(&q, slice_of_cstr(name), type, NULL));
	return q;
}

static void put(struct dns_cache *c, const char *name, uint32_t ttl_s, const char *records)
{
	struct dns_question q = question(name, DNS_A);

	dns_cache_put(c, &q, NOW,
		      &(struct dns_cached){.outcome = DNS_OK,
					   .ttl_s = ttl_s,
					   .records = slice_of_cstr(records)});
}

static bool find(struct dns_cache *c, const char *name, uint64_t now_ms, struct dns_cached *out)
{
	struct dns_question q = question(name, DNS_A);

	return dns_cache_find(c, &q, now_ms, out);
}

static void answer_is_found_until_its_time_is_over(void **state)
{
	struct dns_cached a;
	struct dns_cache c;

	(void)state;
	dns_cache_init(&c, 1 << 20);
	put(&c, "a.test", 60, "records");
	assert_true(find(&c, "A.test.", NOW + 59999, &a));
	assert_true(slice_equal(a.records, SLICE("records")));
	assert_int_equal(a.ttl_s, 0);
	assert_true(find(&c, "a.test", NOW + 10000, &a));
	assert_int_equal(a.ttl_s, 50);
	assert_false(find(&c, "a.test", NOW + 60000, &a));
	assert_int_equal(c.octets, 0);
	dns_cache_fini(&c);
}

static void types_of_one_name_are_kept_apart(void **state)
{
	struct dns_question mx = question("a.test", DNS_MX);
	struct dns_cached a;
	struct dns_cache c;

	(void)state;
	dns_cache_init(&c, 1 << 20);
	put(&c, "a.test", 60, "records");
	assert_false(dns_cache_find(&c, &mx, NOW, &a));
	dns_cache_put(&c, &mx, NOW,
		      &(struct dns_cached){.outcome = DNS_NO_DATA, .ttl_s = 5, .authentic = true});
	assert_true(dns_cache_find(&c, &mx, NOW, &a));
	assert_int_equal(a.outcome, DNS_NO_DATA);
	assert_true(a.authentic);
	assert_int_equal(a.records.n, 0);
	dns_cache_fini(&c);
}

static void newer_answer_replaces_the_older(void **state)
{
	struct dns_cached a;
	struct dns_cache c;

	(void)state;
	dns_cache_init(&c, 1 << 20);
	put(&c, "a.test", 60, "old");
	put(&c, "a.test", 60, "newer");
	assert_true(find(&c, "a.test", NOW, &a));
	assert_true(slice_equal(a.records, SLICE("newer")));
	assert_int_equal(c.table.n, 1);
	put(&c, "a.test", 0, "not to be kept"); /* and the older one does not count any more */
	assert_false(find(&c, "a.test", NOW, &a));
	dns_cache_fini(&c);
}

static void memory_is_bounded_and_what_was_asked_for_longest_ago_goes_first(void **state)
{
	struct dns_cached a;
	struct dns_cache c;
	char name[32];

	(void)state;
	dns_cache_init(&c, 64 << 10);
	put(&c, "wanted.test", 3600, "records");
	put(&c, "forgotten.test", 3600, "records");
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "n%d.test", i);
		put(&c, name, 3600, "records");
		assert_true(c.octets <= 64 << 10);
		if (i % 20 == 0)
			assert_true(find(&c, "wanted.test", NOW, &a));
	}
	assert_true(c.table.n > 100);
	assert_true(find(&c, "n4999.test", NOW, &a));
	assert_false(find(&c, "forgotten.test", NOW, &a));
	dns_cache_set_max(&c, 1000);
	put(&c, "last.test", 3600, "records");
	assert_true(c.octets <= 1000);
	assert_true(find(&c, "last.test", NOW, &a));
	dns_cache_set_max(&c, 10); /* less than one answer */
	put(&c, "last.test", 3600, "records");
	assert_int_equal(c.octets, 0);
	assert_int_equal(c.table.n, 0);
	dns_cache_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_is_found_until_its_time_is_over),
		cmocka_unit_test(types_of_one_name_are_kept_apart),
		cmocka_unit_test(newer_answer_replaces_the_older),
		cmocka_unit_test(memory_is_bounded_and_what_was_asked_for_longest_ago_goes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
