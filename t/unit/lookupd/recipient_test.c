#include "lookupd/recipient.h"

#include "t/unit/lookupd/fake.h"

#include "common/base/arena.h"
#include "lookupd/aliases.h"

static const struct fake_row rows[] = {
	{QUERY_domain, "test.com", "local|t|list"},
	{QUERY_domain, "off.example", "local|f|list"},
	{QUERY_domain, "gate.example", "relay|t|any"},
	{QUERY_domain, "list.example", "relay|t|list"},
	{QUERY_domain, "all.example", "local|t|list"},
	{QUERY_user, "test test.com", "{X}y||1000|t|sales@test.com\n@own.example|30"},
	{QUERY_user, "a+b test.com", "{X}y|||t|"},
	{QUERY_user, "own test.com", "{X}y|a/b|0|t|"},
	{QUERY_user, "gone test.com", "{X}y|||f|"},
	{QUERY_user, "evil test.com", "{X}y|../x|0|t|"},
	{QUERY_user, "x/cur test.com", "{X}y|||t|"},
	{QUERY_user, "known list.example", "||||"},
	{QUERY_alias, "one test.com", "test@test.com"},
	{QUERY_alias, "many test.com", "test@test.com"},
	{QUERY_alias, "many test.com", "bob@far.example"},
	{QUERY_alias, "out test.com", "bob@far.example"},
	{QUERY_alias, "dangling test.com", "nobody@test.com"},
	{QUERY_alias, "bare test.com", "nobody"},
	{QUERY_alias, "loop test.com", "pool@test.com"},
	{QUERY_alias, "pool test.com", "loop@test.com"},
	{QUERY_alias, "test2 test.com", "test2@test.com"},
	{QUERY_user, "test2 test.com", "{X}y|||t|"},
	{QUERY_alias, " all.example", "test@test.com"},
	{QUERY_relay, "192.0.2.1", "test.com"},
	{QUERY_relay, "192.0.2.2", "*"},
	{QUERY_relay, "192.0.2.3", "gate.example"},
	{QUERY_relay, "2001:db8::1", "test.com"},
};

static struct local_names local = {SLICE("mx.test.com"), SLICE("test@test.com"), NULL, NULL};
static struct fake *f;
static struct recipient r;
static struct lookup l;
static struct fault fault;
static bool finished, failed;

static void finish(struct lookup *lookup, void *arg, const struct fault *why)
{
	(void)lookup;
	(void)arg;
	finished = true;
	failed = why != NULL;
	if (why != NULL)
		fault = *why;
}

static void ask(const char *client, const char *user, const char *from, const char *to)
{
	r = (struct recipient){.names = &local,
			       .user = slice_of_cstr(user),
			       .reverse_path = slice_of_cstr(from),
			       .forward_path = slice_of_cstr(to)};
	assert_true(ip_parse(slice_of_cstr(client), &r.client));
	finished = failed = false;
	lookup_start(&l, f->loop, f->cache, recipient_evaluate, finish, &r);
	fake_answer_all(f);
	assert_true(finished);
	lookup_fini(&l);
}

static int set_up(void **state)
{
	(void)state;
	f = fake_create(rows, ARRAY_LENGTH(rows), 1 << 20);
	loop_advance(f->loop, 1000000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_destroy(f);
	return 0;
}

static void recipients_are_what_the_tables_say(void **state)
{
	static const struct {
		const char *to;
		enum rcpt_kind kind;
		const char *folder;
		uint64_t quota_bytes;
	} cases[] = {
		{"test@test.com", RCPT_LOCAL, "test.com/test/", 1000},
		{"TEST@Test.COM", RCPT_LOCAL, "test.com/test/", 1000},
		{"\"test\"@test.com", RCPT_LOCAL, "test.com/test/", 1000},
		{"test@test.com.", RCPT_LOCAL, "test.com/test/", 1000},
		{"test+detail@test.com", RCPT_LOCAL, "test.com/test/", 1000},
		{"a+b@test.com", RCPT_LOCAL, "test.com/a+b/", 0},
		{"own@test.com", RCPT_LOCAL, "a/b/", 0},
		{"nobody@test.com", RCPT_UNKNOWN, "", 0},
		{"+test@test.com", RCPT_UNKNOWN, "", 0},
		{"gone@test.com", RCPT_DISABLED, "", 0},
		{"test@off.example", RCPT_DISABLED, "", 0},
		{"bob@far.example", RCPT_REMOTE, "", 0},
		{"bob@[192.0.2.9]", RCPT_REMOTE, "", 0},
		{"any@gate.example", RCPT_RELAY_DOMAIN, "", 0},
		{"known@list.example", RCPT_RELAY_DOMAIN, "", 0},
		{"other@list.example", RCPT_UNKNOWN, "", 0},
		{"one@test.com", RCPT_LOCAL, "test.com/test/", 1000},
		{"one+x@test.com", RCPT_LOCAL, "test.com/test/", 1000},
		{"many@test.com", RCPT_LOCAL, "", 0},
		{"out@test.com", RCPT_LOCAL, "", 0},
		{"dangling@test.com", RCPT_UNKNOWN, "", 0},
		{"loop@test.com", RCPT_LOCAL, "", 0},
		{"bare@test.com", RCPT_LOCAL, "", 0}, /* a row's target has a domain */
		{"test2@test.com", RCPT_LOCAL, "test.com/test2/", 0},
		{"whoever@all.example", RCPT_LOCAL, "test.com/test/", 1000},
		{"postmaster", RCPT_LOCAL, "test.com/test/", 1000},
		{"Postmaster", RCPT_LOCAL, "test.com/test/", 1000},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		ask("198.51.100.1", "", "ann@far.example", cases[i].to);
		if (failed || r.recipient != cases[i].kind || !slice_equal(r.folder, slice_of_cstr(cases[i].folder)) ||
		    r.quota_bytes != cases[i].quota_bytes)
			fail_msg("%s: failed %d kind %d folder %.*s quota %llu", cases[i].to, failed, (int)r.recipient, SLICE_PRINTF(r.folder),
				 (unsigned long long)r.quota_bytes);
	}
}

static void senders_are_what_the_tables_say(void **state)
{
	static const struct {
		const char *client, *user, *from;
		enum sender_kind kind;
		bool relay, owned;
	} cases[] = {
		{"192.0.2.1", "", "test@test.com", SENDER_LOCAL, true, false},
		{"192.0.2.2", "", "test@test.com", SENDER_LOCAL, true, false},
		{"192.0.2.3", "", "test@test.com", SENDER_LOCAL, false, false},
		{"192.0.2.9", "", "test@test.com", SENDER_LOCAL, false, false},
		{"2001:db8::1", "", "test@test.com", SENDER_LOCAL, true, false},
		{"::ffff:192.0.2.1", "", "test@test.com", SENDER_LOCAL, true, false},
		{"192.0.2.1", "", "", SENDER_NULL, true, false},
		{"192.0.2.9", "", "", SENDER_NULL, false, false},
		{"192.0.2.1", "", "bob@far.example", SENDER_REMOTE, false, false},
		{"192.0.2.9", "", "x@gate.example", SENDER_REMOTE, false, false},
		{"192.0.2.3", "", "x@gate.example", SENDER_LOCAL, true, false},
		{"192.0.2.1", "", "nobody@off.example", SENDER_LOCAL, false, false},
		{"192.0.2.1", "test@test.com", "test@test.com", SENDER_LOCAL, false, true},
		{"192.0.2.9", "test@test.com", "TEST+x@test.com", SENDER_LOCAL, false, true},
		{"192.0.2.9", "test@test.com", "", SENDER_NULL, false, true},
		{"192.0.2.9", "test@test.com", "sales@test.com", SENDER_LOCAL, false, true},
		{"192.0.2.9", "test@test.com", "any@own.example", SENDER_REMOTE, false, true},
		{"192.0.2.9", "test@test.com", "own@test.com", SENDER_LOCAL, false, false},
		{"192.0.2.9", "test@test.com", "bob@far.example", SENDER_REMOTE, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		ask(cases[i].client, cases[i].user, cases[i].from, "");
		if (failed || r.sender != cases[i].kind || r.relay != cases[i].relay || r.sender_owned != cases[i].owned)
			fail_msg("%s as '%s' from '%s': failed %d kind %d relay %d owned %d", cases[i].client, cases[i].user, cases[i].from, failed,
				 (int)r.sender, r.relay, r.sender_owned);
	}
}

static void a_folder_that_leads_elsewhere_is_a_temporary_failure(void **state)
{
	(void)state;
	ask("192.0.2.9", "", "", "evil@test.com");
	assert_true(failed);
	assert_int_equal(fault.class, FAULT_TEMPORARY);
	ask("192.0.2.9", "", "", "x/cur@test.com");
	assert_true(failed);
}

static void the_quota_by_messages_is_answered_too(void **state)
{
	(void)state;
	ask("192.0.2.9", "", "", "one@test.com");
	assert_int_equal(r.quota_messages, 30);
	ask("192.0.2.9", "", "", "own@test.com");
	assert_int_equal(r.quota_messages, 0);
}

static void the_hosts_own_names_are_local_where_the_file_has_them(void **state)
{
	static const struct {
		const char *to;
		enum rcpt_kind kind;
		const char *folder;
	} cases[] = {
		{"root@mx.test.com", RCPT_LOCAL, "test.com/test/"},
		{"ROOT@MX.Test.com", RCPT_LOCAL, "test.com/test/"},
		{"root", RCPT_LOCAL, "test.com/test/"},
		{"cron+x@mx.test.com", RCPT_LOCAL, "test.com/test/"},
		{"many@mx.test.com", RCPT_LOCAL, ""},
		{"ghost@mx.test.com", RCPT_UNKNOWN, ""},
		{"stranger", RCPT_UNKNOWN, ""},
		{"stranger@mx.test.com", RCPT_REMOTE, ""},
		{"root@test.com", RCPT_UNKNOWN, ""},
		{"root@far.example", RCPT_REMOTE, ""},
	};
	struct fault why;
	struct aliases *aliases;

	(void)state;
	assert_true(aliases_parse(SLICE("root: test@test.com\ncron: Root\nmany: root, ghost\nghost: nobody\n"), NULL, NULL, &aliases, &why));
	local.aliases = aliases;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		ask("198.51.100.1", "", "ann@far.example", cases[i].to);
		if (failed || r.recipient != cases[i].kind || !slice_equal(r.folder, slice_of_cstr(cases[i].folder)))
			fail_msg("%s: failed %d kind %d folder %.*s", cases[i].to, failed, (int)r.recipient, SLICE_PRINTF(r.folder));
	}
	local.aliases = NULL;
	aliases_destroy(aliases);
}

/* RFC 5321 4.5.1. */
static void postmaster_of_a_domain_of_ours_is_never_unknown(void **state)
{
	struct rows *rows_of_setting = rows_create(1, 1, &local.postmaster);

	(void)state;
	ask("192.0.2.9", "", "", "abuse@test.com");
	assert_true(failed && r.needed && fault.class == FAULT_TEMPORARY);
	assert_string_equal(fault_status(&fault), "4.3.5");
	local.postmaster_rows = rows_of_setting;
	ask("192.0.2.9", "", "", "abuse@test.com");
	assert_true(!failed && r.recipient == RCPT_LOCAL);
	ask("192.0.2.9", "", "", "Postmaster@test.com");
	assert_true(!failed && r.recipient == RCPT_LOCAL && slice_equal(r.folder, SLICE("test.com/test/")));
	ask("192.0.2.9", "", "", "postmaster@off.example");
	assert_int_equal(r.recipient, RCPT_DISABLED);
	ask("192.0.2.9", "", "", "postmaster@list.example");
	assert_int_equal(r.recipient, RCPT_UNKNOWN);
	local.postmaster_rows = NULL;
	free(rows_of_setting);
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const wrong[] = {"@test.com", "test@", "a\x01@test.com", "\xff\xfe@test.com", "\"a\\\"@test.com"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		ask("192.0.2.9", "", "", wrong[i]);
		assert_true(failed);
		assert_int_equal(fault.class, FAULT_PERMANENT);
	}
}

static void a_warm_cache_answers_within_the_call(void **state)
{
	size_t asked;

	(void)state;
	ask("192.0.2.1", "", "test@test.com", "one@test.com");
	asked = f->n_asked;
	r.forward_path = SLICE("one@test.com");
	finished = false;
	lookup_start(&l, f->loop, f->cache, recipient_evaluate, finish, &r);
	assert_true(finished);
	assert_int_equal(f->n_asked, asked);
	lookup_fini(&l);
}

static void a_cold_cache_is_asked_for_all_it_can_at_once(void **state)
{
	size_t rounds = 0;

	(void)state;
	r = (struct recipient){.names = &local, .reverse_path = SLICE("a@far.example"), .forward_path = SLICE("test+x@test.com")};
	finished = false;
	lookup_start(&l, f->loop, f->cache, recipient_evaluate, finish, &r);
	assert_int_equal(f->n_pending, 2); /* both domains */
	for (; !finished; rounds++) {
		for (size_t n = f->n_pending; n > 0; n--)
			fake_answer_one(f);
		loop_turn(f->loop, false);
	}
	assert_int_equal(rounds, 2);
	assert_int_equal(r.recipient, RCPT_LOCAL);
	lookup_fini(&l);
}

static void a_database_that_is_away_gives_a_temporary_failure(void **state)
{
	(void)state;
	f->away = true;
	ask("192.0.2.1", "", "test@test.com", "test@test.com");
	assert_true(failed);
	assert_int_equal(fault.class, FAULT_TEMPORARY);
	assert_string_equal(fault_status(&fault), "4.3.0");
	f->away = false;
	f->fails = true;
	ask("192.0.2.1", "", "test@test.com", "test@test.com");
	assert_true(failed);
	assert_int_equal(fault.class, FAULT_TEMPORARY);
	f->fails = false;
	ask("192.0.2.1", "", "test@test.com", "test@test.com");
	assert_false(failed);
	f->away = true;
	ask("192.0.2.1", "", "test@test.com", "test@test.com");
	assert_false(failed);
}

static void an_ask_that_ends_early_leaves_nothing(void **state)
{
	(void)state;
	r = (struct recipient){.names = &local, .forward_path = SLICE("test@test.com")};
	finished = false;
	lookup_start(&l, f->loop, f->cache, recipient_evaluate, finish, &r);
	assert_false(finished);
	lookup_fini(&l);
	fake_answer_all(f);
	assert_false(finished);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(recipients_are_what_the_tables_say),
		T(senders_are_what_the_tables_say),
		T(a_folder_that_leads_elsewhere_is_a_temporary_failure),
		T(the_quota_by_messages_is_answered_too),
		T(the_hosts_own_names_are_local_where_the_file_has_them),
		T(postmaster_of_a_domain_of_ours_is_never_unknown),
		T(what_is_no_address_is_refused),
		T(a_warm_cache_answers_within_the_call),
		T(a_cold_cache_is_asked_for_all_it_can_at_once),
		T(a_database_that_is_away_gives_a_temporary_failure),
		T(an_ask_that_ends_early_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
