#include "deliverd/remote/search.h"

#include "t/unit/deliverd/remote/names.h"

struct fixture {
	struct loop *loop;
	struct names names;
	struct arena arena;
	struct search search;
	unsigned n_done;
};

static void begin(struct fixture *f)
{
	f->loop = loop_create(NULL);
	names_begin(&f->names, f->loop);
	arena_init(&f->arena, 1 << 20);
	f->search = (struct search){0};
	f->n_done = 0;
}

static void end(struct fixture *f)
{
	search_cancel(&f->search);
	arena_reset(&f->arena);
	names_end(&f->names);
	loop_destroy(f->loop);
}

static void done(void *arg)
{
	struct fixture *f = arg;

	f->n_done++;
}

static void start(struct fixture *f, const char *host, bool mx)
{
	arena_reset(&f->arena);
	f->n_done = 0;
	search_begin(&f->search, f->loop, f->names.peer, &f->arena, slice_of_cstr(host), mx,
		     SLICE("mx.test.com"), 12000, done, f);
	assert_int_equal(f->n_done, 0); /* later, from the loop */
}

static void turns(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < n && f->n_done == 0; i++) {
		loop_turn(f->loop, false);
		usleep(100);
	}
}

/* Looks, and says what came of it: "host[address] …", or the status of the fault. */
static const char *look(struct fixture *f, const char *host, bool mx)
{
	static char found[2048];
	char text[IP_TEXT_MAX];
	size_t n = 0;

	start(f, host, mx);
	turns(f, 2000);
	assert_int_equal(f->n_done, 1);
	if (f->search.n_addresses == 0) {
		assert_true((f->search.why.class == FAULT_PERMANENT) ==
			    (fault_status(&f->search.why)[0] == '5'));
		return fault_status(&f->search.why);
	}
	found[0] = '\0';
	for (size_t i = 0; i < f->search.n_addresses; i++)
		n += (size_t)snprintf(found + n, sizeof(found) - n, "%s%.*s[%s]", i ? " " : "",
				      SLICE_PRINTF(f->search.addresses[i].host),
				      ip_text(&f->search.addresses[i].ip, text));
	search_cancel(&f->search);
	return found;
}

static void hosts_come_in_the_order_of_their_preference(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	names_say(&f.names, "far.test", DNS_MX, 30, "c.test");
	names_say(&f.names, "far.test", DNS_MX, 10, "a.test.");
	names_say(&f.names, "far.test", DNS_MX, 20, "b.test");
	names_say(&f.names, "a.test", DNS_A, 0, "192.0.2.1");
	names_say(&f.names, "b.test", DNS_A, 0, "192.0.2.2");
	names_say(&f.names, "c.test", DNS_A, 0, "192.0.2.3");
	assert_string_equal(look(&f, "far.test", true),
			    "a.test[192.0.2.1] b.test[192.0.2.2] c.test[192.0.2.3]");
	end(&f);
}

static void hosts_of_one_preference_are_shuffled(void **state)
{
	struct search_host hosts[3];
	unsigned first[3] = {0};

	(void)state;
	for (int i = 0; i < 3000; i++) {
		for (uint16_t k = 0; k < 3; k++)
			hosts[k] = (struct search_host){.preference = 10, .n_v4 = k};
		search_order_hosts(hosts, 3);
		first[hosts[0].n_v4]++;
	}
	for (int k = 0; k < 3; k++)
		assert_in_range(first[k], 800, 1200);
}

static void addresses_of_both_families_take_turns(void **state)
{
	struct fixture f;
	char text[64];

	(void)state;
	begin(&f);
	for (int i = 1; i <= 12; i++) { /* as many as would fill all places */
		snprintf(text, sizeof(text), "2001:db8::%x", i);
		names_say(&f.names, "far.test", DNS_AAAA, 0, text);
	}
	names_say(&f.names, "far.test", DNS_A, 0, "192.0.2.1");
	names_say(&f.names, "far.test", DNS_A, 0, "192.0.2.2");
	assert_string_equal(look(&f, "far.test", false),
			    "far.test[2001:db8::1] far.test[192.0.2.1] far.test[2001:db8::2] "
			    "far.test[192.0.2.2] far.test[2001:db8::3] "
			    "far.test[2001:db8::4] far.test[2001:db8::5] far.test[2001:db8::6] "
			    "far.test[2001:db8::7] far.test[2001:db8::8]");
	end(&f);
}

static void domain_without_mx_is_its_own_host(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	names_say(&f.names, "far.test", DNS_A, 0, "192.0.2.1");
	assert_string_equal(look(&f, "far.test", true), "far.test[192.0.2.1]");
	names_say(&f.names, "bare.test", DNS_TXT, 0, "192.0.2.9");
	assert_string_equal(look(&f, "bare.test", true), "5.1.2");
	end(&f);
}

static void null_mx_says_that_no_mail_is_taken(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	names_say(&f.names, "far.test", DNS_MX, 0, ".");
	names_say(&f.names, "far.test", DNS_A, 0, "192.0.2.1");
	assert_string_equal(look(&f, "far.test", true), "5.1.10"); /* RFC 7505 3 */
	names_say(&f.names, "far.test", DNS_MX, 5, "a.test"); /* beside others it says nothing */
	names_say(&f.names, "a.test", DNS_A, 0, "192.0.2.2");
	assert_string_equal(look(&f, "far.test", true), "a.test[192.0.2.2]");
	end(&f);
}

static void domain_that_does_not_exist_is_permanent_and_dns_that_is_ill_is_not(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_string_equal(look(&f, "nowhere.test", true), "5.1.2");
	names_fail(&f.names, "ill.test", DNS_MX, DNS_FAILED);
	names_say(&f.names, "ill.test", DNS_A, 0, "192.0.2.1");
	assert_string_equal(look(&f, "ill.test", true), "4.4.3");
	names_fail(&f.names, "half.test", DNS_AAAA, DNS_FAILED);
	assert_string_equal(look(&f, "half.test", true),
			    "4.4.3"); /* no A, but there may be an AAAA */
	names_say(&f.names, "half.test", DNS_A, 0, "192.0.2.1");
	assert_string_equal(look(&f, "half.test", true), "half.test[192.0.2.1]");
	end(&f);
}

static void mx_whose_addresses_are_not_known_now_is_temporary(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	names_say(&f.names, "far.test", DNS_MX, 10, "a.test");
	names_say(&f.names, "far.test", DNS_MX, 20, "b.test");
	assert_string_equal(look(&f, "far.test", true), "5.4.4"); /* neither exists */
	names_fail(&f.names, "b.test", DNS_A, DNS_FAILED);
	assert_string_equal(look(&f, "far.test", true), "4.4.3");
	end(&f);
}

static void answer_that_says_yes_and_holds_no_mx_is_not_taken_for_a_no(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	f.names.silent = true;
	start(&f, "far.test", true);
	for (int i = 0; i < 200 && f.names.n_held == 0; i++)
		turns(&f, 1);
	assert_int_equal(f.names.n_held, 1);
	names_answer(f.names.held[--f.names.n_held], DNS_OK, &(struct buf){0});
	turns(&f, 2000);
	assert_int_equal(f.n_done, 1);
	assert_int_equal(f.search.n_addresses, 0);
	assert_string_equal(f.search.why.status, "4.4.3");
	end(&f);
}

static void own_host_leaves_out_all_that_are_no_better(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	names_say(&f.names, "far.test", DNS_MX, 10, "a.test");
	names_say(&f.names, "far.test", DNS_MX, 20, "MX.Test.com");
	names_say(&f.names, "far.test", DNS_MX, 20, "b.test");
	names_say(&f.names, "far.test", DNS_MX, 30, "c.test");
	for (const char *host = "abc"; *host; host++)
		names_say(&f.names, (char[]){*host, '.', 't', 'e', 's', 't', 0}, DNS_A, 0,
			  "192.0.2.1");
	assert_string_equal(look(&f, "far.test", true), "a.test[192.0.2.1]");
	names_say(&f.names, "ours.test", DNS_MX, 10, "mx.test.com");
	names_say(&f.names, "ours.test", DNS_MX, 20, "a.test");
	assert_string_equal(look(&f, "ours.test", true), "5.4.6");
	end(&f);
}

static void of_many_mx_the_best_count(void **state)
{
	struct fixture f;
	char name[16];

	(void)state;
	begin(&f);
	for (uint16_t i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "h%u.test", 99 - i);
		names_say(&f.names, "far.test", DNS_MX, (uint16_t)(99 - i), name);
	}
	names_say(&f.names, "h0.test", DNS_A, 0, "192.0.2.1");
	names_say(&f.names, "h19.test", DNS_A, 0, "192.0.2.2");
	names_say(&f.names, "h20.test", DNS_A, 0, "192.0.2.3");
	assert_string_equal(look(&f, "far.test", true), "h0.test[192.0.2.1] h19.test[192.0.2.2]");
	assert_int_equal(f.names.n_asked, 1 + 2 * SEARCH_HOSTS_MAX);
	end(&f);
}

static void addresses_need_no_dns(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_string_equal(look(&f, "192.0.2.1", true), "192.0.2.1[192.0.2.1]");
	assert_string_equal(look(&f, "[192.0.2.1]", true), "192.0.2.1[192.0.2.1]");
	assert_string_equal(look(&f, "[IPv6:2001:db8::1]", true), "2001:db8::1[2001:db8::1]");
	assert_string_equal(look(&f, "localhost", false), "localhost[127.0.0.1]");
	assert_int_equal(f.names.n_asked, 0);
	assert_string_equal(look(&f, "[]", true), "5.1.2");
	assert_string_equal(look(&f, "[x", true), "5.1.2");
	names_say(&f.names, "far.test", DNS_MX, 10,
		  "192.0.2.7"); /* against RFC 5321 5.1, and met */
	assert_string_equal(look(&f, "far.test", true), "192.0.2.7[192.0.2.7]");
	end(&f);
}

static void resolvd_that_is_silent_is_temporary(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	f.names.silent = true;
	start(&f, "far.test", true);
	for (int i = 0; i < 200 && f.names.n_held == 0; i++)
		turns(&f, 1);
	loop_advance(f.loop, 12001);
	turns(&f, 10);
	assert_int_equal(f.n_done, 1);
	assert_int_equal(f.search.n_addresses, 0);
	assert_int_equal(f.search.why.class, FAULT_TEMPORARY);
	end(&f);
}

static void cancelled_search_is_not_heard_of_again(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	names_say(&f.names, "far.test", DNS_MX, 10, "a.test");
	names_say(&f.names, "a.test", DNS_A, 0, "192.0.2.1");
	for (unsigned n = 0; n < 12; n++) {
		start(&f, "far.test", true);
		turns(&f, n);
		search_cancel(&f.search);
		search_cancel(&f.search);
		arena_reset(&f.arena);
		f.n_done = 0;
		turns(&f, 50);
		assert_int_equal(f.n_done, 0);
	}
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_come_in_the_order_of_their_preference),
		cmocka_unit_test(hosts_of_one_preference_are_shuffled),
		cmocka_unit_test(addresses_of_both_families_take_turns),
		cmocka_unit_test(domain_without_mx_is_its_own_host),
		cmocka_unit_test(null_mx_says_that_no_mail_is_taken),
		cmocka_unit_test(
			domain_that_does_not_exist_is_permanent_and_dns_that_is_ill_is_not),
		cmocka_unit_test(mx_whose_addresses_are_not_known_now_is_temporary),
		cmocka_unit_test(answer_that_says_yes_and_holds_no_mx_is_not_taken_for_a_no),
		cmocka_unit_test(own_host_leaves_out_all_that_are_no_better),
		cmocka_unit_test(of_many_mx_the_best_count),
		cmocka_unit_test(addresses_need_no_dns),
		cmocka_unit_test(resolvd_that_is_silent_is_temporary),
		cmocka_unit_test(cancelled_search_is_not_heard_of_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
