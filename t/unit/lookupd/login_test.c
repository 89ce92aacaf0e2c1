#include "lookupd/login.h"

#include "t/unit/lookupd/fake.h"

static const struct fake_row rows[] = {
	{QUERY_domain, "test.com", "local|t|list"},
	{QUERY_domain, "mx.test.com", "local|t|list"},
	{QUERY_domain, "off.example", "local|f|list"},
	{QUERY_domain, "gate.example", "relay|t|any"},
	{QUERY_user, "test test.com", "{X}y|||t||||f"},
	{QUERY_user, "test mx.test.com", "{X}own|||t||||f"},
	{QUERY_user, "fixed test.com", "{X}y|||t||||t"},
	{QUERY_user, "old test.com", "{X}y|||t"},
	{QUERY_user, "gone test.com", "{X}y|||f||||f"},
	{QUERY_user, "silent test.com", "|||t||||f"},
	{QUERY_user, "test off.example", "{X}y|||t||||f"},
	{QUERY_user, "test gate.example", "{X}y|||t||||f"},
};

static struct fake *f;
static struct login g;

static void finish(struct lookup *l, void *arg, const struct fault *why)
{
	(void)l;
	(void)arg;
	assert_null(why);
}

static bool permits(const char *user, const char *authzid, bool match)
{
	struct lookup l = {0};

	g = (struct login){.names = {.hostname = SLICE("mx.test.com")},
			   .user = slice_of_cstr(user),
			   .authzid = slice_of_cstr(authzid),
			   .match = match};
	lookup_start(&l, f->loop, f->cache, login_evaluate, finish, &g);
	fake_answer_all(f);
	lookup_fini(&l);
	return g.permitted;
}

static int set_up(void **state)
{
	(void)state;
	f = fake_create(rows, ARRAY_LENGTH(rows), 1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_destroy(f);
	return 0;
}

static void users_of_ours_with_a_password_may_log_in(void **state)
{
	(void)state;
	assert_true(permits("test@test.com", "", false));
	assert_true(slice_equal(g.kept, SLICE("{X}y")));
	assert_true(permits("TEST@Test.COM", "", false));
	assert_true(slice_equal(name_whole(&g.name), SLICE("test@test.com")));
	assert_true(permits("test", "", false)); /* one of this host's */
	assert_true(slice_equal(g.kept, SLICE("{X}own")));
}

static void nobody_else_may(void **state)
{
	static const char *const nobody[] = {"nobody@test.com",
					     "gone@test.com",
					     "silent@test.com",
					     "test@off.example",
					     "test@gate.example",
					     "test@far.example",
					     "test+x@test.com",
					     "",
					     "@"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(nobody); i++) {
		assert_false(permits(nobody[i], "", false));
		assert_int_equal(g.kept.n, 0);
	}
}

static void authorisation_identity_is_ignored_or_must_be_the_user(void **state)
{
	(void)state;
	assert_true(permits("test@test.com", "authid", false));
	assert_true(permits("test@test.com", "", true));
	assert_true(permits("test@test.com", "Test@TEST.com", true));
	assert_true(permits("test@mx.test.com", "test", true));
	assert_false(permits("test@test.com", "authid", true));
	assert_false(permits("test@test.com", "fixed@test.com", true));
	assert_false(permits("test@test.com", "@", true));
}

static void a_password_is_fixed_where_the_row_says_so_or_nothing(void **state)
{
	(void)state;
	assert_true(permits("test@test.com", "", false));
	assert_false(g.fixed);
	assert_true(permits("fixed@test.com", "", false));
	assert_true(g.fixed);
	assert_true(permits("old@test.com", "", false));
	assert_true(g.fixed);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(users_of_ours_with_a_password_may_log_in),
		T(nobody_else_may),
		T(authorisation_identity_is_ignored_or_must_be_the_user),
		T(a_password_is_fixed_where_the_row_says_so_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
