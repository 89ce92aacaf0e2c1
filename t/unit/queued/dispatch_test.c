#include "t/unit/queued/world.h"

#include "queued/dispatch.h"

static struct mail *sent[200];
static size_t n_sent;

static void send_many(const char *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sent[n_sent++] = mail_send("carol@far.test", to);
}

static int begin(void **state)
{
	n_sent = 0;
	return world_begin(state);
}

static int end(void **state)
{
	for (size_t i = 0; i < n_sent; i++)
		mail_free(sent[i]);
	return world_end(state);
}

static void a_slow_destination_holds_up_nobody_else(void **state)
{
	(void)state;
	settings_take(PLAIN_SETTINGS "remote_concurrency_destination = 3\n");
	queued_begin();
	send_many("hold-bob@slow.test", 100);
	send_many("bob@quick.test", 1);
	UNTIL(n_delivered_to("bob@quick.test") == 1 && sent[100]->answered);
	assert_int_equal(n_delivered_to("hold-bob@slow.test"), 3);
}

static void destinations_take_turns_where_all_share_one_limit(void **state)
{
	(void)state;
	settings_take(PLAIN_SETTINGS "remote_concurrency = 1\n");
	queued_begin();
	send_many("hold-x@gate.test", 1);
	UNTIL(w->n_seen == 1);
	send_many("bob@one.test", 10);
	send_many("bob@two.test", 2);
	UNTIL(w->q.n_active == 13);
	settle(); /* all wait for the one at the gate */
	assert_int_equal(w->n_seen, 1);
	release(&w->seen[0], DELIVER_DELIVERED);
	UNTIL(w->q.n_active == 0);
	assert_string_equal(w->seen[1].to, "bob@one.test");
	assert_string_equal(w->seen[2].to, "bob@two.test");
	assert_string_equal(w->seen[3].to, "bob@one.test");
	assert_string_equal(w->seen[4].to, "bob@two.test");
	assert_string_equal(w->seen[5].to, "bob@one.test");
}

static void one_destination_is_served_in_the_order_of_arrival(void **state)
{
	(void)state;
	settings_take(PLAIN_SETTINGS "remote_concurrency_destination = 1\n");
	queued_begin();
	send_many("bob@one.test", 20);
	UNTIL(w->n_seen == 20 && w->q.n_active == 0);
	for (size_t i = 0; i < 20; i++)
		assert_string_equal(w->seen[i].id, sent[i]->id);
}

static void limits_hold_and_a_reload_moves_them(void **state)
{
	(void)state;
	settings_take(PLAIN_SETTINGS "remote_concurrency = 4\nremote_concurrency_destination = 3\nlocal_concurrency = 2\n");
	queued_begin();
	send_many("hold-a@one.test", 5);
	send_many("hold-b@two.test", 5);
	send_many("hold-c@local.test", 5);
	UNTIL(w->n_seen == 6);
	settle();
	assert_int_equal(n_delivered_to("hold-c@local.test"), 2);
	assert_int_equal(n_delivered_to("hold-a@one.test") + n_delivered_to("hold-b@two.test"), 4);
	settings_take(PLAIN_SETTINGS "remote_concurrency = 40\nremote_concurrency_destination = 4\nlocal_concurrency = 3\n");
	UNTIL(w->n_seen == 11);
	settle();
	assert_int_equal(w->n_seen, 11);
}

static void a_deliverd_that_is_away_is_waited_for(void **state)
{
	(void)state;
	queued_begin();
	ipc_server_destroy(w->local);
	w->local = NULL;
	send_many("ann@local.test", 3);
	settle();
	assert_int_equal(w->n_seen, 0);
	deliverds_start();
	for (unsigned i = 0; i < 20 && w->n_seen < 3; i++) {
		advance(500);
		settle();
	}
	UNTIL(w->n_answered == 3);
	assert_int_equal(log_count(" deferred "), 0);
}

static void destinations_are_forgotten_with_their_last_delivery(void **state)
{
	(void)state;
	queued_begin();
	send_many("bob@one.test", 3);
	send_many("bob@two.test", 3);
	UNTIL(w->n_answered == 6);
	assert_int_equal(w->q.dispatch.destinations.n, 0);
	assert_int_equal(w->q.dispatch.remote.n_under_way, 0);
}

static void what_the_route_says_of_a_user_goes_along(void **state)
{
	(void)state;
	queued_begin();
	w->route_mailbox = SLICE("spam");
	send_many("ann@local.test +spam", 1);
	UNTIL(w->n_seen == 1);
	assert_true(w->asked_spam);
	assert_string_equal(w->seen[0].mailbox, "spam");
	assert_int_equal(w->seen[0].quota_messages, 30);
	assert_string_equal(w->seen[0].username, "");
}

static void a_copy_for_a_mailbox_is_asked_for_as_one(void **state)
{
	(void)state;
	queued_begin();
	send_many("bob@far.test carol@local.test =sent", 1);
	UNTIL(w->n_seen == 2);
	assert_string_equal(w->asked_mailbox, "sent");
	assert_false(w->asked_spam);
	assert_int_equal(n_delivered_to("carol@local.test"), 1);
}

static void different_credentials_never_share_a_delivery(void **state)
{
	(void)state;
	queued_begin();
	send_many("a@smart-one.test b@smart-two.test c@smart-one.test d@smart.test", 1);
	UNTIL(w->n_seen == 3);
	assert_string_equal(seen_to("a@smart-one.test c@smart-one.test")->username, "one");
	assert_string_equal(seen_to("a@smart-one.test c@smart-one.test")->password, "secret");
	assert_string_equal(seen_to("b@smart-two.test")->username, "two");
	assert_string_equal(seen_to("d@smart.test")->username, "");
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(w->seen[i].host, "smart.test");
	UNTIL(w->n_answered == 1);
	assert_int_equal(log_count("secret"), 0);
}

static void a_message_is_alone_with_one_recipient_that_is_no_list(void **state)
{
	static const struct {
		const char *to;
		size_t n_seen;
		bool alone;
	} cases[] = {
		{"ann@local.test", 1, true},
		{"bob@far.test", 1, true},
		{"bob@far.test carol@local.test =sent", 2, true},
		{"ann@local.test bob@far.test", 2, false},
		{"all@list.test", 2, false},
	};
	size_t n = 0;

	(void)state;
	queued_begin();
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		send_many(cases[i].to, 1);
		UNTIL(w->n_seen == n + cases[i].n_seen);
		for (; n < w->n_seen; n++)
			if (w->seen[n].alone != cases[i].alone)
				fail_msg("%s: alone %d at %s", cases[i].to, w->seen[n].alone, w->seen[n].to);
	}
}

#define DISPATCH_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DISPATCH_TEST(a_slow_destination_holds_up_nobody_else),
		DISPATCH_TEST(destinations_take_turns_where_all_share_one_limit),
		DISPATCH_TEST(one_destination_is_served_in_the_order_of_arrival),
		DISPATCH_TEST(limits_hold_and_a_reload_moves_them),
		DISPATCH_TEST(a_deliverd_that_is_away_is_waited_for),
		DISPATCH_TEST(what_the_route_says_of_a_user_goes_along),
		DISPATCH_TEST(a_copy_for_a_mailbox_is_asked_for_as_one),
		DISPATCH_TEST(different_credentials_never_share_a_delivery),
		DISPATCH_TEST(a_message_is_alone_with_one_recipient_that_is_no_list),
		DISPATCH_TEST(destinations_are_forgotten_with_their_last_delivery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
