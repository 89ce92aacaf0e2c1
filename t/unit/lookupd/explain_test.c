#include "lookupd/explain.h"

#include "t/unit/lookupd/fake.h"

#include "common/conf/settings.h"
#include "lookupd/aliases.h"

static const struct fake_row rows[] = {
	{QUERY_domain, "test.com", "local|t|list"},
	{QUERY_domain, "gate.example", "relay|t|any"},
	{QUERY_domain, "off.example", "local|f|list"},
	{QUERY_user, "test test.com",
	 "{SCRAM-SHA-256}4096,c2FsdA==,a2V5,a2V5||1000|t|sales@test.com|30|inbox\nspam|t"},
	{QUERY_user, "old test.com",
	 "0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c|||f|"},
	{QUERY_alias, "list test.com", "test@test.com"},
	{QUERY_alias, "list test.com", "bob\t@far.example"},
	{QUERY_alias, "list test.com", "bob@far.example"},
	{QUERY_relays_of, "test.com", "192.0.2.0/24|test.com"},
	{QUERY_relays_of, "test.com", "2001:db8::/32|*"},
	{QUERY_routes_of, "test.com", "*|test.com|smart.host|587|f|starttls|relay-user"},
	{QUERY_routes_of, "gate.example", "gate.example|*|inner.host||t||"},
	{QUERY_route, "far.example ", "smart.host|587|f|starttls|relay-user|s3cret"},
	{QUERY_senders_of, "sales@test.com @test.com", "test@test.com"},
};

static struct fake *f;
static struct settings *settings;
static const struct settings *present;
static struct local_names local = {.hostname = SLICE("mx.test.com")};
static struct explain e;
static struct lookup l;
static bool finished, refused;

static void finish(struct lookup *lookup, void *arg, const struct fault *why)
{
	(void)lookup;
	(void)arg;
	finished = true;
	refused = why != NULL && why->class == FAULT_PERMANENT;
	if (why != NULL)
		explain_end(&e, why);
}

static const char *explain(const char *address)
{
	explain_fini(&e);
	e = (struct explain){
		.names = &local, .settings = &present, .address = slice_of_cstr(address)};
	explain_init(&e);
	finished = false;
	lookup_start(&l, f->loop, f->cache, explain_evaluate, finish, &e);
	fake_answer_all(f);
	assert_true(finished);
	lookup_fini(&l);
	assert_null(strstr(buf_cstr(&e.out), "s3cret"));
	assert_null(strstr(buf_cstr(&e.out), "c2FsdA"));
	return buf_cstr(&e.out);
}

static int set_up(void **state)
{
	struct buf problems;

	(void)state;
	buf_init(&problems, 4096);
	assert_true(settings_parse(SLICE("hostname = mx.test.com\nspam_header = X-Spam: "
					 "yes\nspam_header = X-Junk: 1\n"),
				   "main.conf", &settings, &problems));
	buf_fini(&problems);
	present = settings;
	explain_init(&e);
	f = fake_create(rows, ARRAY_LENGTH(rows), 1 << 20);
	loop_advance(f->loop, 1000000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	explain_fini(&e);
	settings_destroy(settings);
	fake_destroy(f);
	return 0;
}

static void has(const char *text, const char *line)
{
	if (strstr(text, line) == NULL)
		fail_msg("there is no %s in:\n%s", line, text);
}

static void a_user_is_explained_row_by_row(void **state)
{
	const char *text = explain("Test+x@test.com");

	(void)state;
	has(text, "address\taddress\ttest+x@test.com\n");
	has(text, "to\tuser\ttest+x@test.com is a user (the row of that name without +detail)\n");
	text = explain("TEST@test.com");
	has(text, "to\tdomain\ttest.com is a domain of ours (local)\n");
	has(text, "to\tuser\ttest@test.com is a user (the row of that name)\n");
	has(text, "to\trcpt\tit is taken\n");
	has(text, "to\tdelivery\tTEST@test.com: the mailbox inbox of the Maildir test.com/test/ "
		  "below mail_dir\n");
	has(text, "to\treaches\tyes\n");
	has(text,
	    "from\trelay\t192.0.2.0/24 may send as test.com without a login (a row of relays)\n");
	has(text, "from\trelay\t2001:db8::/32 may send as every domain of ours without a login (a "
		  "row of relays)\n");
	has(text, "from\troute\tmail for * from test.com goes to smart.host port 587, STARTTLS, as "
		  "user relay-user with a password (a row of routes)\n");
	has(text, "by\tlogin\tthe user can log in; the password is kept as {SCRAM-SHA-256}\n");
	has(text, "by\tpassword\tit is never written anew (password_fixed)\n");
	has(text, "by\tsender\tsales@test.com is theirs too (a row of sender_addresses)\n");
	has(text, "by\tquota\t1000 octets\nby\tquota\t30 messages\n");
	has(text, "by\tmailbox\tspam\n");
	has(text, "setting\thostname\tmx.test.com\n");
	has(text, "setting\tspam_header\tX-Spam: yes\nsetting\tspam_header\tX-Junk: 1\n");
}

static void aliases_are_followed_target_by_target(void **state)
{
	const char *text = explain("list@test.com");

	(void)state;
	has(text, "to\talias\tlist@test.com is an alias (the row of that name) of 3: "
		  "test@test.com, bob?@far.example, bob@far.example\n");
	has(text, "to\tuser\t  test@test.com is a user (the row of that name)\n");
	has(text, "to\taddress\t  bob@far.example is at a domain that is none of ours\n");
	has(text, "to\trefused\t5.1.3 bob?@far.example: this is no address\n");
	has(text, "to\tdelivery\tbob@far.example: the host smart.host port 587, STARTTLS, as user "
		  "relay-user\n");
	has(text, "by\tlogin\tnobody can log in as it: there is no such row in users\n");
	has(explain("sales@test.com"), "from\tsender\ttest@test.com may send as it after a login "
				       "(a row of sender_addresses)\n");
}

static void what_is_refused_says_so_and_why(void **state)
{
	const char *text = explain("nobody@test.com");

	(void)state;
	has(text, "to\trcpt\tit is refused: 550 5.1.1\n");
	has(text, "to\treaches\tno\n");
	text = explain("old@test.com");
	has(text, "to\trcpt\tit is refused: 550 5.2.1\n");
	has(text, "by\tlogin\tnobody can log in as it: the user is switched off\n");
	text = explain("ann@off.example");
	has(text, "to\tdomain\toff.example is a domain of ours (local), switched off\n");
	(void)explain("not an@");
	assert_true(refused);
}

static void postmaster_that_nobody_takes_is_found(void **state)
{
	const char *text = explain("postmaster@test.com");
	struct aliases *aliases;
	struct fault why;

	(void)state;
	has(text, "to\taddress\tpostmaster@test.com is nobody, and must be somebody");
	has(text,
	    "to\treaches\tlater\nto\tfault\t4.3.5 nobody takes the mail for postmaster@test.com\n");
	assert_true(aliases_parse(SLICE("root: test@test.com\n"), NULL, NULL, &aliases, &why));
	local.aliases = aliases;
	text = explain("postmaster@test.com");
	has(text, "to\talias\tpostmaster@test.com is an alias (a line of aliases_file) of 1: "
		  "test@test.com\n");
	has(text, "to\treaches\tyes\n");
	has(explain("root"),
	    "to\tdomain\tit is this host's name: aliases_file counts where no row does\n");
	local.aliases = NULL;
	aliases_destroy(aliases);
}

static void domains_of_others_show_their_routes(void **state)
{
	const char *text = explain("ann@gate.example");

	(void)state;
	has(text, "to\tdomain\tgate.example is a domain of ours (relay, any recipient)\n");
	has(text, "to\troute\tmail for gate.example from * goes to the MX of inner.host, STARTTLS "
		  "where it is offered (a row of routes)\n");
	has(text, "to\trcpt\tit is taken, for another host\n");
	text = explain("bob@far.example");
	has(text, "to\trcpt\tonly from who may send to other hosts: after a login, or as one of "
		  "relays\n");
	has(text, "from\tdomain\tfar.example is no domain of ours: any client may bring its mail "
		  "for ours\n");
	f->away = true;
	has(explain("ann@never-asked.example"), "to\treaches\tlater\n");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_user_is_explained_row_by_row),	T(aliases_are_followed_target_by_target),
		T(what_is_refused_says_so_and_why),	T(postmaster_that_nobody_takes_is_found),
		T(domains_of_others_show_their_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
