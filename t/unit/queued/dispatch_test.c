#include "t/unit/queued/world.h"

#include "queued/dispatch.h"

static struct mail *sent[300];
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

/* A name for each of many. */
static void destinations_touch(unsigned n)
{
	struct fault why;
	char host[32];

	for (unsigned i = 0; i < n; i++) {
		struct target t = {.kind = ROUTE_REMOTE, .port = 25};

		(void)snprintf(host, sizeof(host), "h%u.test", i);
		t.host = slice_of_cstr(host);
		assert_non_null(destination_of(&w->q.dispatch.destinations, &t, &why));
	}
}

static void of_idle_destinations_the_least_used_go(void **state)
{
	struct destinations *d = &w->q.dispatch.destinations;

	(void)state;
	queued_begin();
	send_many("bob@one.test", 3);
	send_many("hold-bob@two.test", 1);
	UNTIL(w->n_answered == 3);
	assert_int_equal(d->table.n, 2);
	assert_int_equal(d->n_idle, 1);
	assert_int_equal(w->q.dispatch.flows.table.n, 1);
	destinations_touch(2 * DESTINATIONS_IDLE_MAX);
	assert_int_equal(d->n_idle, DESTINATIONS_IDLE_MAX);
	assert_int_equal(d->table.n, DESTINATIONS_IDLE_MAX + 1); /* and the one in use */
	assert_null(table_find(&d->table, SLICE("one.test 25 1 0")));
	assert_non_null(table_find(&d->table, SLICE("two.test 25 1 0")));
	UNTIL(n_delivered_to("hold-bob@two.test") == 1);
	release(seen_to("hold-bob@two.test"), DELIVER_DELIVERED);
	UNTIL(w->q.n_active == 0);
	assert_int_equal(w->q.dispatch.remote.n_under_way, 0);
}

static void send_from(const char *from, const char *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sent[n_sent++] = mail_send(from, to);
}

/* The order in which the scheduler chooses: destinations in turn, in each its senders in turn, of each the oldest first. */
static void senders_take_turns_within_a_destination(void **state)
{
	static const char *const order[] = {"bulk@a.test", "single@b.test", "few@c.test", "bulk@a.test", "few@c.test", "bulk@a.test", "bulk@a.test"};

	(void)state;
	settings_take(PLAIN_SETTINGS "remote_concurrency_destination = 1\n");
	queued_begin();
	send_from("gate@d.test", "hold-x@slow.test", 1);
	UNTIL(w->n_seen == 1);
	send_from("bulk@a.test", "bob@slow.test", 50);
	send_from("single@b.test", "bob@slow.test", 1);
	send_from("few@c.test", "bob@slow.test", 2);
	UNTIL(w->q.n_active == 54);
	settle();
	release(&w->seen[0], DELIVER_DELIVERED);
	UNTIL(w->q.n_active == 0);
	for (size_t i = 0; i < ARRAY_LENGTH(order); i++)
		assert_string_equal(w->seen[i + 1].reverse_path, order[i]);
	for (size_t i = 0, n = 1; i < w->n_seen; i++)
		if (strcmp(w->seen[i].reverse_path, "bulk@a.test") == 0)
			assert_string_equal(w->seen[i].id, sent[n++]->id);
}

static void one_destination_cannot_fill_the_room_of_all(void **state)
{
	(void)state;
	settings_take(PLAIN_SETTINGS "queue_active_max = 40\n");
	queued_begin();
	send_from("bulk@a.test", "hold-x@slow.test", 150);
	UNTIL(w->n_answered == 140); /* the rest wait in line, and their smtpd waits no more */
	UNTIL(w->q.n_active + w->q.n_loading == 10);
	settle();
	assert_int_equal(w->q.n_active, 10);
	send_from("single@b.test", "bob@slow.test", 1);
	send_from("single@b.test", "bob@quick.test", 1);
	send_from("single@b.test", "ann@local.test", 1);
	UNTIL(n_delivered_to("bob@quick.test") == 1 && n_delivered_to("ann@local.test") == 1);
	UNTIL(w->q.n_active == 11); /* single's to the slow one is let in, too */
	for (size_t i = 0; i < w->n_seen; i++)
		if (w->seen[i].held != NULL) {
			release(&w->seen[i], DELIVER_DELIVERED);
			settle();
			assert_true(w->q.n_active <= 20);
			if (n_delivered_to("bob@slow.test") > 0)
				break;
		}
	assert_true(w->n_seen < 20); /* single's came with one of the first */
	for (size_t i = 0; i < 150; i++) {
		UNTIL(w->n_seen > i);
		if (w->seen[i].held != NULL)
			release(&w->seen[i], DELIVER_DELIVERED);
	}
	UNTIL(w->n_seen == 153);
}

static struct destination *find(const char *key)
{
	struct table_node *node = table_find(&w->q.dispatch.destinations.table, slice_of_cstr(key));

	assert_non_null(node);
	return LIST_ENTRY(node, struct destination, node);
}

static void what_a_destination_takes_at_once_grows_and_halves(void **state)
{
	const struct destination *to;
	uint32_t before;

	(void)state;
	settings_take(PLAIN_SETTINGS "remote_concurrency_destination = 20\n");
	queued_begin();
	send_many("hold-a@one.test", 60);
	UNTIL(w->n_seen == 5);
	settle();
	assert_int_equal(w->n_seen, 5);
	to = find("one.test 25 1 0");
	for (size_t i = 0; i < 5; i++)
		release(&w->seen[i], DELIVER_DELIVERED);
	UNTIL(w->n_seen == 15); /* ten at once */
	settle();
	assert_int_equal(w->n_seen, 15);
	for (size_t i = 5; i < 25; i++) {
		UNTIL(w->n_seen > i);
		release(&w->seen[i], DELIVER_DELIVERED);
	}
	UNTIL(w->n_seen == 45);
	settle();
	assert_int_equal(w->n_seen, 45);
	assert_int_equal(to->limit, 20);
	send_many("busy-a@one.test", 1);
	settle();
	for (size_t i = 25; i < 60; i++) {
		UNTIL(w->n_seen > i);
		if (w->seen[i].held != NULL)
			release(&w->seen[i], DELIVER_DELIVERED);
	}
	UNTIL(w->n_seen == 61 && w->q.n_active == 0);
	before = to->limit;
	send_many("busy-a@one.test", 2);
	UNTIL(w->n_seen == 63 && w->q.n_active == 0);
	assert_int_equal(to->limit, before / 2 / 2);
	assert_false(to->failing); /* it speaks */
}

/* ---- a host that is dead ---- */

#define DEAD "dead.test 25 1 0"

/* What is due is done: a clock that is moved while an ask is under way would let that ask end. */
static void turn_some(void)
{
	for (unsigned i = 0; i < 30; i++) {
		turn();
		usleep(50);
	}
	UNTIL(w->q.n_active + w->q.n_loading == 0);
}

static void dead_begin(size_t n)
{
	w->dead = "dead.test";
	queued_begin();
	send_many("bob@dead.test", n);
	UNTIL(w->n_answered == n && w->q.n_active == 0);
	assert_true(find(DEAD)->failing);
	assert_in_range(w->n_seen, 1, DESTINATION_LIMIT_FIRST);
}

/* No file of those that wait is read but for a probe: one that is gone would be missed. And nothing is written to it. */
static void a_dead_host_costs_one_probe_a_period(void **state)
{
	size_t n_first, n_before;
	char from[160], to[160];
	struct stat st;
	off_t size;

	(void)state;
	settings_take(PLAIN_SETTINGS "queue_delay_warning = 0s\n");
	dead_begin(100);
	n_first = n_before = w->n_seen;
	assert_int_equal(log_count(" destination_failing "), 1);
	assert_int_equal(log_count(" deferred "), 100);
	(void)snprintf(from, sizeof(from), "%s/%s/%s", w->dir, queue_folder(sent[99]->id), sent[99]->id);
	(void)snprintf(to, sizeof(to), "%s/aside", w->dir);
	assert_int_equal(lstat(from, &st), 0);
	size = st.st_size;
	assert_int_equal(rename(from, to), 0);
	for (unsigned minute = 0; minute < 300; minute++) {
		advance(60000);
		turn_some();
		assert_true(w->n_seen - n_before <= 1);
		n_before = w->n_seen;
	}
	assert_in_range(w->n_seen - n_first, 8, 14); /* after 5, 10, 20, 30, 30 … minutes */
	assert_int_equal(log_count(" vanished"), 0);
	assert_int_equal(schedule_n_waiting(w->q.schedule), 100);
	assert_int_equal(rename(to, from), 0);
	w->dead = NULL;
	advance(30 * 60000);
	turn_some();
	assert_true(schedule_n_known(w->q.schedule) < 100);
	advance(4 * 3600 * 1000); /* those that were tried have moments of their own */
	UNTIL(schedule_n_known(w->q.schedule) == 0);
	assert_int_equal(log_count(" destination_back "), 1);
	assert_int_equal(log_count(" delivered "), 100);
	assert_int_equal(size, st.st_size);
}

static void others_go_while_a_host_is_dead(void **state)
{
	(void)state;
	dead_begin(20);
	send_many("bob@far.test", 1);
	send_many("bob@dead.test ann@local.test", 1);
	UNTIL(n_delivered_to("bob@far.test") == 1 && n_delivered_to("ann@local.test") == 1 && w->q.n_active == 0);
	assert_true(is_queued(sent[21]));
	assert_in_range(w->n_seen, 3, DESTINATION_LIMIT_FIRST + 2);
}

static void what_waits_for_a_dead_host_bounces_after_its_lifetime(void **state)
{
	size_t n = 0;

	(void)state;
	settings_take(PLAIN_SETTINGS "queue_delay_warning = 0s\n");
	w->dead = "dead.test";
	queued_begin();
	for (size_t i = 0; i < 20; i++)
		sent[n_sent++] = mail_send("carol@local.test", "bob@dead.test");
	UNTIL(w->n_answered == 20 && w->q.n_active == 0);
	for (unsigned hour = 0; hour < 119; hour++) {
		advance(3600 * 1000);
		turn_some();
	}
	assert_int_equal(n_delivered_to("carol@local.test"), 0);
	for (unsigned hour = 0; hour < 6; hour++) {
		advance(3600 * 1000);
		turn_some();
	}
	UNTIL(schedule_n_known(w->q.schedule) == 0 && w->q.n_active == 0);
	assert_int_equal(n_delivered_to("carol@local.test"), 20);
	assert_non_null(strstr(seen_to("carol@local.test")->content, "connection refused"));
	for (size_t i = 0; i < w->n_seen; i++)
		n += strcmp(w->seen[i].to, "bob@dead.test") == 0;
	assert_true(n < 250); /* five days of half hours, and not 20 times as many */
}

static void a_flush_probes_a_dead_host_at_once(void **state)
{
	size_t n_before;

	(void)state;
	dead_begin(50);
	n_before = w->n_seen;
	assert_int_equal(schedule_flush(w->q.schedule, queued_now_s(&w->q)), 50);
	queued_set_timer(&w->q);
	settle();
	assert_int_equal(w->n_seen, n_before + 1);
	w->dead = NULL;
	assert_int_equal(schedule_flush(w->q.schedule, queued_now_s(&w->q)), 50);
	queued_set_timer(&w->q);
	UNTIL(schedule_n_known(w->q.schedule) == 0);
}

static void after_a_restart_a_dead_host_is_found_dead_once(void **state)
{
	size_t n_before;

	(void)state;
	dead_begin(60);
	n_before = w->n_seen;
	queued_kill();
	queued_begin();
	UNTIL(w->n_seen > n_before && w->q.n_active + w->q.n_loading == 0);
	settle();
	assert_in_range(w->n_seen - n_before, 1, DESTINATION_LIMIT_FIRST);
	assert_int_equal(schedule_n_waiting(w->q.schedule), 60);
	w->dead = NULL;
	advance(301 * 1000);
	turn_some();
	advance(700 * 1000);
	UNTIL(schedule_n_known(w->q.schedule) == 0);
}

static void a_stop_gives_back_what_stands_in_line(void **state)
{
	(void)state;
	dead_begin(30);
	queued_stop_cleanly();
	for (size_t i = 0; i < 30; i++)
		assert_true(is_queued(sent[i]));
	w->dead = NULL;
	queued_begin();
	UNTIL(schedule_n_known(w->q.schedule) <= DESTINATION_LIMIT_FIRST);
	advance(601 * 1000);
	UNTIL(schedule_n_known(w->q.schedule) == 0);
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
		DISPATCH_TEST(of_idle_destinations_the_least_used_go),
		DISPATCH_TEST(senders_take_turns_within_a_destination),
		DISPATCH_TEST(one_destination_cannot_fill_the_room_of_all),
		DISPATCH_TEST(what_a_destination_takes_at_once_grows_and_halves),
		DISPATCH_TEST(a_dead_host_costs_one_probe_a_period),
		DISPATCH_TEST(others_go_while_a_host_is_dead),
		DISPATCH_TEST(what_waits_for_a_dead_host_bounces_after_its_lifetime),
		DISPATCH_TEST(a_flush_probes_a_dead_host_at_once),
		DISPATCH_TEST(after_a_restart_a_dead_host_is_found_dead_once),
		DISPATCH_TEST(a_stop_gives_back_what_stands_in_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
