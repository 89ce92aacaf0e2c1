#include "lookupd/routing.h"

#include "t/unit/lookupd/fake.h"

#include "common/base/buf.h"
#include "common/ipc/frame.h"

#define N_LIST 10500

static const struct fake_row rows[] = {
	{QUERY_domain, "test.com", "local|t|list"},
	{QUERY_domain, "gate.example", "relay|t|any"},
	{QUERY_user, "test test.com", "{X}y||1000|t|"},
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
	{QUERY_route, "gate.example sender.example", "192.0.2.4|24|f|none"},
	{QUERY_route, "mx.example sender.example", "other.example||t|"},
	{QUERY_route, "odd.example sender.example", "hop.example|99999|f|"},
	{QUERY_route, "odd2.example sender.example", "hop.example|25|f|maybe"},
};

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
			buf_printf(&text, "local %.*s %.*s\n", SLICE_PRINTF(t.forward_path), SLICE_PRINTF(t.folder));
		else if (t.kind == ROUTE_REMOTE)
			buf_printf(&text, "remote %.*s %.*s %u %s %u\n", SLICE_PRINTF(t.forward_path), SLICE_PRINTF(t.host), t.port, t.mx ? "mx" : "-", t.tls);
		else
			buf_printf(&text, "refused %.*s %s\n", SLICE_PRINTF(t.forward_path), fault_status(&t.why));
	}
	assert_false(broken);
}

static const char *route_from(const char *from, const char *to)
{
	routing_init(&r);
	r.names = (struct local_names){SLICE("mx.test.com"), SLICE("")};
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

static int set_up(void **state)
{
	(void)state;
	buf_init(&text, 1 << 22);
	f = fake_create(rows, ARRAY_LENGTH(rows), 1 << 20);
	loop_advance(f->loop, 1000000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_destroy(f);
	buf_fini(&text);
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
	assert_string_equal(route("postmaster"), "refused postmaster@mx.test.com 5.1.1\n"); /* hostname is no domain of ours here */
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
		T(a_list_over_the_limit_is_cut_and_ends_with_a_small_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
