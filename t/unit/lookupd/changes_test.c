#include "lookupd/changes.h"

#include "t/unit/lookupd/fake.h"

static const struct query_key keys[] = {
	{QUERY_domain, {{"test.com", 8}}},
	{QUERY_user, {{"a@b", 3}, {"test.com", 8}}},
	{QUERY_user, {{"a b", 3}, {"test.com", 8}}},
	{QUERY_alias, {{"a@b", 3}, {"test.com", 8}}},
	{QUERY_alias, {{"", 0}, {"test.com", 8}}},
	{QUERY_relay, {{"192.0.2.1", 9}}},
	{QUERY_route, {{"far.example", 11}, {"test.com", 8}}},
	{QUERY_relays_of, {{"test.com", 8}}},
	{QUERY_routes_of, {{"test.com", 8}}},
	{QUERY_senders_of, {{"a@b@test.com", 12}, {"@test.com", 9}}},
	{QUERY_dkim, {{"test.com", 8}}},
};

static void nobody(struct cache_waiter *w, const struct rows *rows, const struct fault *why)
{
	(void)w;
	(void)rows;
	(void)why;
}

/* Which of keys are still known after payload was told: a letter each. */
static void check(const char *payload, const char *known)
{
	struct fake *f = fake_create(NULL, 0, 1 << 20);
	char left[ARRAY_LENGTH(keys) + 1] = "";

	loop_advance(f->loop, 1000);
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
		struct cache_waiter w = {0};
		struct fault why;
		const struct rows *rows;

		assert_int_equal(cache_get(f->cache, &keys[i], &w, nobody, &rows, &why), CACHE_WAIT);
		fake_answer_all(f);
		cache_release(f->cache, &w);
	}
	changes_apply(f->cache, slice_of_cstr(payload));
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
		left[i] = cache_known(f->cache, &keys[i]) != NULL ? (char)('0' + i) : '-';
	if (strcmp(left, known) != 0)
		fail_msg("%s leaves %s", payload, left);
	fake_destroy(f);
}

static void each_payload_drops_what_it_names(void **state)
{
	(void)state;
	check("domains test.com", "-123456789:");
	check("domains other.example", "0123456789:");
	check("users a@b@test.com", "0-2345678-:");
	check("users a b@test.com", "01-345678-:");
	check("aliases a@b@test.com", "012-456789:");
	check("aliases @test.com", "0123-56789:");
	check("relays", "01234-6-89:");
	check("routes", "012345-7-9:");
	check("dkim_keys", "0123456789-");
	check("self 0 1", "0123456789:");
	check("all", "-----------");
}

static void what_is_not_understood_drops_all(void **state)
{
	(void)state;
	check("users", "-----------");
	check("users nobody", "-----------");
	check("domains", "-----------");
	check("something new", "-----------");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_payload_drops_what_it_names),
		cmocka_unit_test(what_is_not_understood_drops_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
