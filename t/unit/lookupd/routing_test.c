#include "lookupd/routing.h"

#include "t/unit/lookupd/fake.h"

#include "common/base/buf.h"
#include "common/ipc/frame.h"
#include "lookupd/aliases.h"

#define N_LIST 10500

static const struct fake_row rows[] = {
	{QUERY_domain, "test.com", "local|t|list"},
	{QUERY_domain, "gate.example", "relay|t|any"},
	{QUERY_user, "test test.com", "{X}y||1000|t||30|inbox\nsent\nSpam\nNews"},
	{QUERY_user, "root test.com", "{X}y|||t|"},
	{QUERY_user, "dora test.com", "{X}y|||t|"},
	{QUERY_alias, "dora test.com", "bob@far.example"},
	{QUERY_domain, "own.example", "local|t|list"},
	{QUERY_user, "cron own.example", "{X}y|||t|"},
	{QUERY_alias, "backup own.example", "test@test.com"},
	{QUERY_domain, "taken.example", "local|t|list"},
	{QUERY_alias, " taken.example", "test@test.com"},
	{QUERY_domain, "known.example", "relay|t|list"},
	{QUERY_user, "ann known.example", "||||"},
	{QUERY_user, "ann test.com", "{X}y|own/ann||t|"},
	{QUERY_user, "gone test.com", "{X}y|||f|"},
	{QUERY_alias, "list test.com", "test@test.com"},
	{QUERY_alias, "list test.com", "Bob@far.example"},
	{QUERY_alias, "list test.com", "more@test.com"},
	{QUERY_alias, "list test.com", "nobody@test.com"},
	{QUERY_alias, "more test.com", "ann@test.com"},
	{QUERY_alias, "more test.com", "bob@FAR.example"},
	{QUERY_alias, "more test.com", "list@test.com"},
	{QUERY_alias, "ann test.com", "ann@test.com"},
	{QUERY_alias, "ann test.com", "ann@far.example"},
	{QUERY_alias, "x test.com", "y@test.com"},
	{QUERY_alias, "y test.com", "x@test.com"},
	{QUERY_alias, "wrong test.com", "not an address"},
	{QUERY_alias, "c0 test.com", "c1@test.com"},
	{QUERY_alias, "c1 test.com", "c2@test.com"},
	{QUERY_alias, "c2 test.com", "c3@test.com"},
	{QUERY_alias, "c3 test.com", "c4@test.com"},
	{QUERY_alias, "c4 test.com", "c5@test.com"},
	{QUERY_alias, "c5 test.com", "c6@test.com"},
	{QUERY_alias, "c6 test.com", "c7@test.com"},
	{QUERY_alias, "c7 test.com", "c8@test.com"},
	{QUERY_alias, "c8 test.com", "c9@test.com"},
	{QUERY_alias, "c9 test.com", "c10@test.com"},
	{QUERY_alias, "c10 test.com", "test@test.com"},
	{QUERY_route, "routed.example sender.example", "hop.example|2525|f|starttls"},
	{QUERY_route, "smart.example sender.example", "smart.host|587|f|starttls|relay-user|s3cret"},
	{QUERY_route, "smart.example other.example", "other.host|465|f|implicit|other-user|0ther"},
	{QUERY_route, "known.example sender.example", "inner.host|25|f|"},
	{QUERY_route, "gate.example sender.example", "192.0.2.4|24|f|none"},
	{QUERY_route, "mx.example sender.example", "other.example||t|"},
	{QUERY_route, "odd.example sender.example", "hop.example|99999|f|"},
	{QUERY_route, "odd2.example sender.example", "hop.example|25|f|maybe"},
};

static struct local_names local = {SLICE("mx.test.com"), SLICE(""), NULL, NULL};
static struct fake *f;
static struct routing r;
static struct lookup l;
static struct fault fault;
static struct buf text; /* what came out, a line each */
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

static void print_targets(void)
{
	struct slice list = buf_slice(&r.targets);
	struct ipc_route_target t;
	bool broken = false;

	buf_reset(&text);
	while (ipc_next_route_target(&list, &t, &broken)) {
		if (t.kind == ROUTE_LOCAL)
			buf_printf(&text, "local %.*s %.*s%s%.*s\n", SLICE_PRINTF(t.forward_path), SLICE_PRINTF(t.folder),
				   t.mailbox.n > 0 ? " " : "", SLICE_PRINTF(t.mailbox));
		else if (t.kind == ROUTE_REMOTE)
			buf_printf(&text, "remote %.*s %.*s %u %s %u%s%.*s%s%.*s\n", SLICE_PRINTF(t.forward_path), SLICE_PRINTF(t.host), t.port,
				   t.mx ? "mx" : "-", t.tls, t.username.n > 0 ? " " : "", SLICE_PRINTF(t.username),
				   t.password.n > 0 ? " " : "", SLICE_PRINTF(t.password));
		else
			buf_printf(&text, "refused %.*s %s\n", SLICE_PRINTF(t.forward_path), fault_status(&t.why));
	}
	assert_false(broken);
}

static struct routing as; /* what a test wants beside the addresses */

static const char *route_from(const char *from, const char *to)
{
	routing_init(&r);
	r.mailbox = as.mailbox;
	r.spam = as.spam;
	r.detail_mailbox = as.detail_mailbox;
	r.names = &local;
	r.reverse_path = slice_of_cstr(from);
	r.forward_path = slice_of_cstr(to);
	finished = failed = false;
	lookup_start(&l, f->loop, f->cache, routing_evaluate, finish, &r);
	fake_answer_all(f);
	assert_true(finished);
	if (!failed)
		print_targets();
	lookup_fini(&l);
	routing_fini(&r);
	return failed ? "failed" : buf_cstr(&text);
}

static const char *route(const char *to)
{
	return route_from("ann@sender.example", to);
}

static struct aliases *aliases;
static struct rows *postmaster_rows;

static void set_file(const char *file)
{
	struct fault why;

	aliases_destroy(aliases);
	assert_true(aliases_parse(slice_of_cstr(file), NULL, NULL, &aliases, &why));
	local.aliases = aliases;
}

static void set_postmaster(const char *address)
{
	local.postmaster = slice_of_cstr(address);
	free(postmaster_rows);
	local.postmaster_rows = postmaster_rows = rows_create(1, 1, &local.postmaster);
}

static int set_up(void **state)
{
	(void)state;
	buf_init(&text, 1 << 22);
	as = (struct routing){0};
	f = fake_create(rows, ARRAY_LENGTH(rows), 1 << 20);
	loop_advance(f->loop, 1000000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_destroy(f);
	buf_fini(&text);
	aliases_destroy(aliases);
	free(postmaster_rows);
	aliases = NULL;
	postmaster_rows = NULL;
	local = (struct local_names){.hostname = SLICE("mx.test.com")};
	return 0;
}

static void a_user_is_a_folder(void **state)
{
	(void)state;
	assert_string_equal(route("test@test.com"), "local test@test.com test.com/test/\n");
	assert_string_equal(route("Test+News@test.com"), "local Test+News@test.com test.com/test/\n");
}

static void nobody_is_refused_and_the_disabled_too(void **state)
{
	(void)state;
	assert_string_equal(route("nobody@test.com"), "refused nobody@test.com 5.1.1\n");
	assert_string_equal(route("gone@test.com"), "refused gone@test.com 5.2.1\n");
}

/* ---- mailboxes ---- */

static void spam_goes_to_the_mailbox_of_who_has_one(void **state)
{
	(void)state;
	as.spam = true;
	assert_string_equal(route("test@test.com"), "local test@test.com test.com/test/ spam\n");
	assert_string_equal(route("ann@test.com"), "local ann@test.com own/ann/\nremote ann@far.example far.example 0 mx 0\n");
	as.spam = false;
	assert_string_equal(route("test@test.com"), "local test@test.com test.com/test/\n");
}

static void a_copy_for_a_mailbox_goes_past_aliases_to_the_user(void **state)
{
	(void)state;
	as.mailbox = SLICE("sent");
	assert_string_equal(route("ann@test.com"), "local ann@test.com own/ann/ sent\n");
	assert_string_equal(route("test@test.com"), "local test@test.com test.com/test/ sent\n");
	assert_string_equal(route("list@test.com"), "refused list@test.com 5.1.1\n");
	assert_string_equal(route("bob@far.example"), "refused bob@far.example 5.1.1\n");
	assert_string_equal(route("any@gate.example"), "refused any@gate.example 5.1.1\n");
	assert_string_equal(route("postmaster@own.example"), "refused postmaster@own.example 5.1.1\n");
	as.spam = true;
	assert_string_equal(route("test@test.com"), "local test@test.com test.com/test/ sent\n");
}

static void a_detail_names_the_mailbox_where_the_setting_says_so(void **state)
{
	(void)state;
	assert_string_equal(route("test+news@test.com"), "local test+news@test.com test.com/test/\n");
	as.detail_mailbox = true;
	assert_string_equal(route("test+news@test.com"), "local test+news@test.com test.com/test/ News\n");
	assert_string_equal(route("test+NEWS@test.com"), "local test+NEWS@test.com test.com/test/ News\n");
	assert_string_equal(route("test+other@test.com"), "local test+other@test.com test.com/test/\n");
	assert_string_equal(route("test+@test.com"), "local test+@test.com test.com/test/\n");
	assert_string_equal(route("test+Sent@test.com"), "local test+Sent@test.com test.com/test/\n");
	assert_string_equal(route("test@test.com"), "local test@test.com test.com/test/\n");
	assert_string_equal(route("cron+news@own.example"), "local cron+news@own.example own.example/cron/\n");
	as.spam = true;
	assert_string_equal(route("test+news@test.com"), "local test+news@test.com test.com/test/ spam\n");
}

static void quotas_by_octets_and_messages_go_along(void **state)
{
	struct slice list;
	struct ipc_route_target t;
	bool broken = false;

	(void)state;
	routing_init(&r);
	r.names = &local;
	r.forward_path = SLICE("test@test.com");
	lookup_start(&l, f->loop, f->cache, routing_evaluate, finish, &r);
	fake_answer_all(f);
	list = buf_slice(&r.targets);
	assert_true(ipc_next_route_target(&list, &t, &broken));
	assert_int_equal(t.quota_bytes, 1000);
	assert_int_equal(t.quota_messages, 30);
	lookup_fini(&l);
	routing_fini(&r);
}

/* ---- the file of aliases ---- */

static void the_hosts_own_names_are_in_the_file(void **state)
{
	(void)state;
	set_file("root: test@test.com, Bob@far.example\nCron: root\ndaemon: nobody-here\n");
	assert_string_equal(route("root"), "local test@test.com test.com/test/\nremote Bob@far.example far.example 0 mx 0\n");
	assert_string_equal(route("root@mx.test.com"), "local test@test.com test.com/test/\nremote Bob@far.example far.example 0 mx 0\n");
	assert_string_equal(route("CRON+x@MX.test.com"), "local test@test.com test.com/test/\nremote Bob@far.example far.example 0 mx 0\n");
	assert_string_equal(route("daemon"), "refused nobody-here@mx.test.com 5.1.1\n");
	assert_string_equal(route("stranger"), "refused stranger@mx.test.com 5.1.1\n");
	/* other domains' names are not the host's, and the host's other names are asked for where DNS says */
	assert_string_equal(route("cron@test.com"), "refused cron@test.com 5.1.1\n");
	assert_string_equal(route("stranger@mx.test.com"), "remote stranger@mx.test.com mx.test.com 0 mx 0\n");
}

static void the_databases_rows_win_over_the_file(void **state)
{
	(void)state;
	local.hostname = SLICE("own.example");
	set_file("cron: bob@far.example\nbackup: bob@far.example\nroot: cron, \\cron, deep\ndeep: BACKUP\n");
	assert_string_equal(route("cron"), "local cron@own.example own.example/cron/\n");
	assert_string_equal(route("backup@own.example"), "local test@test.com test.com/test/\n");
	assert_string_equal(route("root"), "local cron@own.example own.example/cron/\nlocal test@test.com test.com/test/\n");
	local.hostname = SLICE("taken.example");
	assert_string_equal(route("root"), "local test@test.com test.com/test/\n"); /* the catch-all */
}

static void a_name_in_the_file_that_names_itself_is_the_user(void **state)
{
	(void)state;
	local.hostname = SLICE("test.com");
	set_file("new: new, root\nmore-root: \\root, \\Dora\nall: dora\n");
	assert_string_equal(route("new@test.com"), "refused new@test.com 5.1.1\nlocal root@test.com test.com/root/\n");
	assert_string_equal(route("more-root"), "local root@test.com test.com/root/\nlocal dora@test.com test.com/dora/\n");
	assert_string_equal(route("all"), "remote bob@far.example far.example 0 mx 0\n");
}

static void loops_in_the_file_end(void **state)
{
	(void)state;
	set_file("a: b\nb: c, a\nc: a\nd: a, test@test.com\n");
	assert_string_equal(route("a"), "refused a 5.4.6\n");
	assert_string_equal(route("d"), "local test@test.com test.com/test/\n");
}

/* ---- postmaster and abuse: RFC 5321 4.5.1 ---- */

static void postmaster_and_abuse_go_where_somebody_takes_them(void **state)
{
	static const char *const roles[] = {"postmaster@own.example", "ABUSE@own.example", "postmaster+x@own.example", "postmaster",
					    "postmaster@mx.test.com"};

	(void)state;
	set_file("postmaster: root\nroot: test@test.com\n");
	for (size_t i = 0; i < ARRAY_LENGTH(roles); i++)
		assert_string_equal(route(roles[i]), "local test@test.com test.com/test/\n");
	set_file("postmaster: root\nroot: ghost\nabuse: cron@own.example\n");
	assert_string_equal(route("abuse@own.example"), "local cron@own.example own.example/cron/\n");
	assert_string_equal(route("postmaster@own.example"), "failed");
	assert_true(fault.class == FAULT_TEMPORARY);
	set_postmaster("cron@own.example");
	for (size_t i = 0; i < ARRAY_LENGTH(roles); i++)
		assert_string_equal(route(roles[i]), "local cron@own.example own.example/cron/\n");
	set_postmaster("chief@far.example");
	assert_string_equal(route("postmaster@own.example"), "remote chief@far.example far.example 0 mx 0\n");
	set_postmaster("ghost@own.example"); /* nobody: it cannot be who takes it */
	assert_string_equal(route("abuse@own.example"), "local cron@own.example own.example/cron/\n");
}

static void postmaster_is_put_off_where_nobody_takes_it_and_never_refused(void **state)
{
	(void)state;
	assert_string_equal(route("postmaster@own.example"), "failed");
	assert_true(fault.class == FAULT_TEMPORARY && r.needed);
	assert_string_equal(route("postmaster"), "failed");
	assert_true(fault.class == FAULT_TEMPORARY && r.needed);
	assert_string_equal(route("nobody@own.example"), "refused nobody@own.example 5.1.1\n");
	assert_string_equal(route("postmaster@far.example"), "remote postmaster@far.example far.example 0 mx 0\n");
	/* the catch-all takes it */
	assert_string_equal(route("postmaster@taken.example"), "local test@test.com test.com/test/\n");
	/* a file whose names lead round in circles takes nothing */
	set_file("postmaster: root\nroot: postmaster, abuse\nabuse: root\n");
	assert_string_equal(route("abuse@own.example"), "failed");
	/* nor do circles hide who takes it behind them */
	set_file("postmaster: a, d\na: b, c\nb: a, c\nc: a, b\nd: test@test.com\n");
	assert_string_equal(route("abuse@own.example"), "local test@test.com test.com/test/\n");
}

/* ---- next hops ---- */

static void a_next_hop_has_user_and_password_by_the_senders_domain_too(void **state)
{
	(void)state;
	assert_string_equal(route("bob@smart.example"), "remote bob@smart.example smart.host 587 - 1 relay-user s3cret\n");
	assert_string_equal(route_from("x@other.example", "bob@smart.example"),
			    "remote bob@smart.example other.host 465 - 2 other-user 0ther\n");
}

static void a_relay_domain_takes_its_list_or_any_and_has_a_next_hop(void **state)
{
	(void)state;
	assert_string_equal(route("any@gate.example"), "remote any@gate.example 192.0.2.4 24 - 3\n");
	assert_string_equal(route("ann@known.example"), "remote ann@known.example inner.host 25 - 0\n");
	assert_string_equal(route("bob@known.example"), "refused bob@known.example 5.1.1\n");
	assert_string_equal(route("postmaster@known.example"), "refused postmaster@known.example 5.1.1\n");
}

static void a_detail_is_not_handed_on_to_an_aliases_targets(void **state)
{
	(void)state;
	assert_string_equal(route("more+x@test.com"), "remote bob@FAR.example far.example 0 mx 0\n"
						      "local ann@test.com own/ann/\n"
						      "remote ann@far.example far.example 0 mx 0\n"
						      "local test@test.com test.com/test/\nrefused nobody@test.com 5.1.1\n");
	as.detail_mailbox = true;
	assert_string_equal(route("backup+news@own.example"), "local test@test.com test.com/test/\n");
}

static void lists_in_lists_are_opened_once_and_loops_end(void **state)
{
	(void)state;
	assert_string_equal(route("list@test.com"), "local test@test.com test.com/test/\n"
						    "remote Bob@far.example far.example 0 mx 0\n"
						    "refused nobody@test.com 5.1.1\n"
						    "local ann@test.com own/ann/\n"
						    "remote ann@far.example far.example 0 mx 0\n");
}

static void an_alias_that_is_its_own_target_keeps_a_copy(void **state)
{
	(void)state;
	assert_string_equal(route("ann@test.com"), "local ann@test.com own/ann/\nremote ann@far.example far.example 0 mx 0\n");
}

static void a_loop_without_a_way_out_is_refused(void **state)
{
	(void)state;
	assert_string_equal(route("x@test.com"), "refused x@test.com 5.4.6\n");
}

static void a_target_that_is_no_address_is_refused(void **state)
{
	(void)state;
	assert_string_equal(route("wrong@test.com"), "refused not an address 5.1.3\n");
}

static void ten_aliases_one_behind_the_other_are_enough(void **state)
{
	(void)state;
	assert_string_equal(route("c1@test.com"), "local test@test.com test.com/test/\n");
	assert_string_equal(route("c0@test.com"), "refused c10@test.com 5.4.6\n");
}

static void remote_mail_goes_by_mx_or_by_route(void **state)
{
	(void)state;
	assert_string_equal(route("bob@far.example"), "remote bob@far.example far.example 0 mx 0\n");
	assert_string_equal(route("bob@routed.example"), "remote bob@routed.example hop.example 2525 - 1\n");
	assert_string_equal(route("bob@mx.example"), "remote bob@mx.example other.example 0 mx 0\n");
	assert_string_equal(route("bob@gate.example"), "remote bob@gate.example 192.0.2.4 24 - 3\n");
	assert_string_equal(route("bob@[192.0.2.7]"), "remote bob@[192.0.2.7] 192.0.2.7 0 - 0\n");
	assert_string_equal(route("bob@[IPv6:2001:db8::7]"), "remote bob@[IPv6:2001:db8::7] 2001:db8::7 0 - 0\n");
	assert_string_equal(route_from("", "bob@routed.example"), "remote bob@routed.example routed.example 0 mx 0\n");
}

static void a_domain_of_letters_beyond_ascii_is_its_a_label(void **state)
{
	(void)state;
	assert_string_equal(route("bob@b\xc3\xbc\x63her.example"), "remote bob@b\xc3\xbc\x63her.example xn--bcher-kva.example 0 mx 0\n");
}

static void a_route_that_makes_no_sense_is_a_temporary_failure(void **state)
{
	(void)state;
	assert_string_equal(route("bob@odd.example"), "failed");
	assert_int_equal(fault.class, FAULT_TEMPORARY);
	assert_string_equal(route("bob@odd2.example"), "failed");
	assert_int_equal(fault.class, FAULT_TEMPORARY);
}

/* N_LIST targets, a third of them nobody, through a cache of 1 MiB that they do not fit into. */
static void a_list_over_the_limit_is_cut_and_ends_with_a_small_cache(void **state)
{
	struct fake_row *big = calloc(N_LIST + 1, sizeof(*big));
	char (*names)[40] = calloc(N_LIST, sizeof(*names));
	size_t lines = 0;
	const char *out;

	(void)state;
	big[0] = rows[0];
	for (size_t i = 0; i < N_LIST; i++) {
		snprintf(names[i], sizeof(names[i]), "u%zu@test.com", i);
		big[i + 1] = (struct fake_row){QUERY_alias, "big test.com", names[i]};
	}
	fake_destroy(f);
	f = fake_create(big, 2000, 1 << 20);
	out = route("big@test.com");
	for (const char *p = out; *p != '\0'; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 1999);
	fake_destroy(f);
	f = fake_create(big, N_LIST + 1, 64 << 20);
	out = route("big@test.com");
	lines = 0;
	for (const char *p = out; *p != '\0'; p++)
		lines += *p == '\n';
	assert_int_equal(lines, ROUTING_TARGETS_MAX + 1);
	assert_non_null(strstr(out, "refused big@test.com 5.4.6\n"));
	fake_destroy(f);
	f = fake_create(rows, ARRAY_LENGTH(rows), 1 << 20);
	free(big);
	free(names);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_user_is_a_folder),
		T(nobody_is_refused_and_the_disabled_too),
		T(lists_in_lists_are_opened_once_and_loops_end),
		T(an_alias_that_is_its_own_target_keeps_a_copy),
		T(a_loop_without_a_way_out_is_refused),
		T(a_target_that_is_no_address_is_refused),
		T(ten_aliases_one_behind_the_other_are_enough),
		T(remote_mail_goes_by_mx_or_by_route),
		T(a_domain_of_letters_beyond_ascii_is_its_a_label),
		T(a_route_that_makes_no_sense_is_a_temporary_failure),
		T(spam_goes_to_the_mailbox_of_who_has_one),
		T(a_copy_for_a_mailbox_goes_past_aliases_to_the_user),
		T(a_detail_names_the_mailbox_where_the_setting_says_so),
		T(quotas_by_octets_and_messages_go_along),
		T(the_hosts_own_names_are_in_the_file),
		T(the_databases_rows_win_over_the_file),
		T(a_name_in_the_file_that_names_itself_is_the_user),
		T(loops_in_the_file_end),
		T(postmaster_and_abuse_go_where_somebody_takes_them),
		T(postmaster_is_put_off_where_nobody_takes_it_and_never_refused),
		T(a_next_hop_has_user_and_password_by_the_senders_domain_too),
		T(a_relay_domain_takes_its_list_or_any_and_has_a_next_hop),
		T(a_detail_is_not_handed_on_to_an_aliases_targets),
		T(a_list_over_the_limit_is_cut_and_ends_with_a_small_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
