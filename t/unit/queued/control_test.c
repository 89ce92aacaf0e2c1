#include "t/unit/queued/world.h"

#include "queued/control.h"

static struct ipc_message answer;
static struct buf frame;
static struct fault refused; /* text empty: answered */
static struct pool *pool;

/* An admin program, which waits for its answer, in a thread. */
struct asking {
	struct pool_job job;
	struct ipc_message m;
	char path[108];
	bool over;
};

static void asking_work(struct pool_job *job)
{
	struct asking *it = (struct asking *)job;

	if (!ipc_ask_once(it->path, &it->m, 5000, &frame, &answer, &refused))
		answer.type = IPC_TYPE_failed;
}

static void asking_done(struct pool_job *job)
{
	((struct asking *)job)->over = true;
}

static void ask(struct ipc_message m)
{
	struct asking it = {.job = {.work = asking_work, .done = asking_done}, .m = m};
	struct fault why;

	if (pool == NULL) {
		assert_true(ipc_server_listen(w->queued, socket_listen("control"), true, &why));
		pool = pool_create(w->loop, 1, 1, &why);
	}
	buf_fini(&frame);
	socket_path("control", it.path);
	assert_true(pool_submit(pool, &it.job));
	UNTIL(it.over);
}

static int begin(void **state)
{
	return world_begin(state);
}

static int end(void **state)
{
	pool_destroy(pool);
	pool = NULL;
	buf_fini(&frame);
	return world_end(state);
}

static void put_waiting(size_t n, const char *to)
{
	size_t before = w->n_answered;

	for (size_t i = 0; i < n; i++) {
		struct mail *m = mail_send("carol@far.test", to);

		UNTIL(m->answered);
		mail_free(m);
	}
	assert_int_equal(w->n_answered, before + n);
}

static void list_shows_every_waiting_message_once_page_by_page(void **state)
{
	char seen[100][SPOOL_ID_LENGTH + 1] = {{0}}, after[SPOOL_ID_LENGTH + 1] = "";
	struct ipc_queue_entry e;
	size_t n = 0, pages = 0;
	bool broken = false;

	(void)state;
	queued_begin();
	put_waiting(25, "defer-bob@far.test ann@local.test");
	do {
		ask(IPC_MESSAGE(queue_list_ask, .after = slice_of_cstr(after), .max = 10));
		assert_int_equal(answer.type, IPC_TYPE_queue_list_answer);
		pages++;
		while (ipc_next_queue_entry(&answer.queue_list_answer.entries, &e, &broken)) {
			assert_true(slice_equal(e.reverse_path, SLICE("carol@far.test")));
			assert_true(slice_equal(e.first_recipient, SLICE("defer-bob@far.test")));
			assert_int_equal(e.n_recipients, 1);
			assert_true(slice_equal(e.reason, SLICE("452 4.2.1 come again")));
			assert_int_equal(e.size_bytes, strlen(CONTENT));
			assert_true(e.next_attempt_us > e.received_us);
			assert_true(slice_cstr(e.id, after, sizeof(after), NULL));
			for (size_t i = 0; i < n; i++)
				assert_string_not_equal(seen[i], after);
			memcpy(seen[n++], after, sizeof(after));
		}
	} while (!answer.queue_list_answer.last);
	assert_false(broken);
	assert_int_equal(n, 25);
	assert_int_equal(pages, 3);
}

static void list_of_nothing_is_empty_and_the_last(void **state)
{
	(void)state;
	queued_begin();
	ask(IPC_MESSAGE(queue_list_ask, .after = SLICE_EMPTY, .max = 1000));
	assert_true(answer.queue_list_answer.last);
	assert_int_equal(answer.queue_list_answer.entries.n, 0);
	ask(IPC_MESSAGE(queue_list_ask, .after = SLICE("nonsense"), .max = 1000));
	assert_int_equal(answer.type, IPC_TYPE_failed);
}

static void show_tells_each_recipients_state(void **state)
{
	struct ipc_queue_recipient r;
	struct mail *m;
	bool broken = false;

	(void)state;
	queued_begin();
	m = mail_send("carol@local.test", "ann@local.test defer-bob@far.test fail-eve@far.test");
	UNTIL(m->answered);
	ask(IPC_MESSAGE(queue_show_ask, .id = slice_of_cstr(m->id)));
	assert_int_equal(answer.type, IPC_TYPE_queue_show_answer);
	assert_true(slice_equal(answer.queue_show_answer.reverse_path, SLICE("carol@local.test")));
	assert_true(ipc_next_queue_recipient(&answer.queue_show_answer.recipients, &r, &broken));
	assert_int_equal(r.state, DELIVER_DELIVERED);
	assert_true(ipc_next_queue_recipient(&answer.queue_show_answer.recipients, &r, &broken));
	assert_int_equal(r.state, DELIVER_DEFERRED);
	assert_int_equal(r.n_attempts, 1);
	assert_true(slice_equal(r.reply, SLICE("452 4.2.1 come again")));
	assert_true(slice_equal(r.host, SLICE("mx.far.test")));
	assert_true(ipc_next_queue_recipient(&answer.queue_show_answer.recipients, &r, &broken));
	assert_int_equal(r.state, DELIVER_FAILED);
	assert_false(ipc_next_queue_recipient(&answer.queue_show_answer.recipients, &r, &broken));
	assert_false(broken);
	ask(IPC_MESSAGE(queue_show_ask, .id = SLICE("01hqz0a0a0a0a0a0a0a0a0")));
	assert_int_equal(answer.type, IPC_TYPE_failed);
	mail_free(m);
}

static void flush_makes_all_due_at_once(void **state)
{
	(void)state;
	queued_begin();
	put_waiting(5, "defer-bob@far.test");
	assert_int_equal(w->n_seen, 5);
	ask(IPC_MESSAGE(queue_flush_ask, .domain = SLICE_EMPTY));
	assert_int_equal(answer.type, IPC_TYPE_done);
	assert_int_equal(answer.done.number, 5);
	UNTIL(w->n_seen == 10);
}

static void flush_of_a_domain_leaves_the_others_waiting(void **state)
{
	(void)state;
	queued_begin();
	put_waiting(5, "defer-bob@far.test");
	put_waiting(3, "defer-bob@one.test ann@far.test"); /* ann has it: far.test does not wait there */
	put_waiting(1, "defer-bob@one.test defer-bob@far.test");
	w->n_seen = 0;
	ask(IPC_MESSAGE(queue_flush_ask, .domain = SLICE("ONE.test")));
	assert_int_equal(answer.done.number, 4);
	UNTIL(n_delivered_to("defer-bob@one.test") == 4);
	settle();
	assert_int_equal(n_delivered_to("defer-bob@far.test"), 1);
}

static void status_counts(void **state)
{
	(void)state;
	queued_begin();
	put_waiting(5, "defer-bob@far.test");
	ask(IPC_MESSAGE(control_ask, .verb = SLICE("status"), .argument = SLICE_EMPTY));
	assert_int_equal(answer.type, IPC_TYPE_control_answer);
	assert_true(slice_starts(answer.control_answer.text, SLICE("waiting 5\nactive 0\n")));
	ask(IPC_MESSAGE(control_ask, .verb = SLICE("nonsense"), .argument = SLICE_EMPTY));
	assert_int_equal(answer.type, IPC_TYPE_failed);
}

/* ---- choosing ---- */

/* How many the list lets through. */
static size_t n_listed(struct ipc_message m)
{
	struct ipc_queue_entry e;
	bool broken = false;
	size_t n = 0;

	m.queue_list_ask.max = 1000;
	ask(m);
	assert_int_equal(answer.type, IPC_TYPE_queue_list_answer);
	assert_true(answer.queue_list_answer.last);
	while (ipc_next_queue_entry(&answer.queue_list_answer.entries, &e, &broken))
		n++;
	assert_false(broken);
	return n;
}

#define LISTED(...) n_listed((struct ipc_message)IPC_MESSAGE(queue_list_ask, __VA_ARGS__))

static void list_lets_through_what_is_asked_for(void **state)
{
	(void)state;
	queued_begin();
	put_waiting(2, "defer-bob@far.test ann@local.test");
	put_waiting(3, "defer-eve@one.test");
	assert_int_equal(LISTED(.to = SLICE("*@FAR.test")), 2);
	assert_int_equal(LISTED(.to = SLICE("ann@*")), 0); /* she has it */
	assert_int_equal(LISTED(.to = SLICE("defer-???@*")), 5);
	assert_int_equal(LISTED(.from = SLICE("carol@*")), 5);
	assert_int_equal(LISTED(.from = SLICE("<>")), 0);
	assert_int_equal(LISTED(.domain = SLICE("one.TEST")), 3);
	assert_int_equal(LISTED(.domain = SLICE("one.test"), .to = SLICE("*bob*")), 0);
	assert_int_equal(LISTED(.before_us = loop_wall_us(w->loop) + 1000000), 5);
	assert_int_equal(LISTED(.before_us = loop_wall_us(w->loop) - 3600000000), 0);
	assert_int_equal(LISTED(.held = QUEUE_HELD), 0);
	assert_int_equal(LISTED(.held = QUEUE_NOT_HELD), 5);
}

static void show_has_every_attempt_with_the_far_ends_words(void **state)
{
	struct ipc_queue_attempt a;
	struct mail *m;
	bool broken = false;
	size_t n = 0;

	(void)state;
	queued_begin();
	m = mail_send("carol@local.test", "defer-bob@far.test");
	UNTIL(m->answered);
	for (unsigned i = 2; i <= 3; i++) {
		ask(IPC_MESSAGE(queue_flush_ask, .domain = SLICE_EMPTY));
		UNTIL(n_delivered_to("defer-bob@far.test") == i && w->q.n_active == 0);
	}
	ask(IPC_MESSAGE(queue_show_ask, .id = slice_of_cstr(m->id)));
	while (ipc_next_queue_attempt(&answer.queue_show_answer.attempts, &a, &broken)) {
		assert_true(slice_equal(a.forward_path, SLICE("defer-bob@far.test")));
		assert_true(slice_equal(a.reply, SLICE("452 4.2.1 come again")));
		assert_true(slice_equal(a.host, SLICE("mx.far.test")));
		assert_int_equal(a.outcome, DELIVER_DEFERRED);
		assert_true(a.at_us > 0);
		n++;
	}
	assert_false(broken);
	assert_int_equal(n, 3);
	mail_free(m);
}

/* ---- steering ---- */

static void steer(enum queue_verb verb, const char *id)
{
	struct ipc_queue_id record = {.id = slice_of_cstr(id)};
	struct buf ids;

	buf_init(&ids, 64);
	assert_true(ipc_put_queue_id(&ids, &record));
	ask(IPC_MESSAGE(queue_steer_ask, .verb = (uint8_t)verb, .who = SLICE("ann"), .ids = buf_slice(&ids)));
	buf_fini(&ids);
	assert_int_equal(answer.type, IPC_TYPE_queue_steer_answer);
}

static void assert_counts(uint32_t done, uint32_t under_way, const char *reason)
{
	struct ipc_queue_refusal r;
	struct slice rest = answer.queue_steer_answer.refused;
	bool broken = false;

	assert_int_equal(answer.queue_steer_answer.n_done, done);
	assert_int_equal(answer.queue_steer_answer.n_under_way, under_way);
	if (reason == NULL)
		assert_false(ipc_next_queue_refusal(&rest, &r, &broken));
	else if (!ipc_next_queue_refusal(&rest, &r, &broken) || strstr(r.why.text, reason) == NULL)
		fail_msg("not refused because it %s", reason);
}

static bool is_held(const char *id)
{
	char path[PLACE_PATH_SIZE];
	struct stat st;

	assert_int_equal(fstatat(w->q.spool, place_path(place_in_queue(slice_of_cstr(id)), slice_of_cstr(id), path), &st, 0), 0);
	return (st.st_mode & SPOOL_HELD_MODE) != 0;
}

static struct mail *put_one(const char *to)
{
	struct mail *m = mail_send("carol@far.test", to);

	UNTIL(m->answered && w->q.n_active == 0);
	return m;
}

static void a_held_message_is_neither_tried_nor_does_it_expire(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = put_one("defer-bob@far.test");
	steer(QUEUE_HOLD, m->id);
	assert_counts(1, 0, NULL);
	assert_true(is_held(m->id));
	steer(QUEUE_HOLD, m->id);
	assert_counts(0, 0, "is held already");
	steer(QUEUE_RETRY, m->id);
	assert_counts(0, 0, "is held; tassis queue release lets it go");
	ask(IPC_MESSAGE(queue_flush_ask, .domain = SLICE_EMPTY));
	assert_int_equal(answer.done.number, 0);
	advance((uint64_t)30 * 24 * 3600 * 1000);
	settle();
	assert_int_equal(w->n_seen, 1);
	assert_int_equal(LISTED(.held = QUEUE_HELD), 1);
	steer(QUEUE_RELEASE, m->id);
	assert_counts(1, 0, NULL);
	assert_false(is_held(m->id));
	UNTIL(w->n_seen == 2);
	mail_free(m);
}

static void a_hold_survives_a_crash(void **state)
{
	struct fault why;
	struct mail *m;

	(void)state;
	queued_begin();
	m = put_one("defer-bob@far.test");
	steer(QUEUE_HOLD, m->id);
	queued_kill();
	advance((uint64_t)10 * 24 * 3600 * 1000);
	queued_begin();
	assert_true(ipc_server_listen(w->queued, socket_listen("control"), true, &why));
	settle();
	assert_int_equal(w->n_seen, 1);
	steer(QUEUE_RELEASE, m->id);
	assert_counts(1, 0, NULL);
	UNTIL(w->n_seen == 2);
	mail_free(m);
}

static void a_message_under_way_is_held_when_its_attempt_has_ended(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "hold-bob@far.test");
	UNTIL(w->n_seen == 1);
	steer(QUEUE_HOLD, m->id);
	assert_counts(0, 1, NULL);
	release(&w->seen[0], DELIVER_DEFERRED);
	UNTIL(m->answered && w->q.n_active == 0);
	assert_true(is_held(m->id));
	assert_int_equal(schedule_n_waiting(w->q.schedule), 0);
	advance((uint64_t)24 * 3600 * 1000);
	settle();
	assert_int_equal(w->n_seen, 1);
	mail_free(m);
}

static void a_deleted_message_is_gone_and_nobody_is_told(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = put_one("defer-bob@far.test");
	steer(QUEUE_DELETE, m->id);
	assert_counts(1, 0, NULL);
	assert_false(exists(queue_folder(m->id), m->id));
	steer(QUEUE_DELETE, m->id);
	assert_counts(0, 0, "there is no message");
	assert_int_equal(n_delivered_to("carol@far.test"), 0);
	mail_free(m);
}

static void a_message_under_way_is_deleted_when_its_attempt_has_ended(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "hold-bob@far.test");
	UNTIL(w->n_seen == 1);
	steer(QUEUE_DELETE, m->id);
	assert_counts(0, 1, NULL);
	release(&w->seen[0], DELIVER_DEFERRED);
	UNTIL(m->answered && schedule_n_known(w->q.schedule) == 0);
	assert_false(exists(queue_folder(m->id), m->id) || exists("incoming/0", m->id));
	mail_free(m);
}

static void a_returned_message_goes_to_its_sender_with_a_notice(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = put_one("defer-bob@far.test ann@local.test");
	steer(QUEUE_HOLD, m->id); /* a held one, too */
	steer(QUEUE_BOUNCE, m->id);
	assert_counts(1, 0, NULL);
	UNTIL(n_delivered_to("carol@far.test") == 1);
	assert_non_null(strstr(seen_to("carol@far.test")->content, "administrator"));
	assert_non_null(strstr(seen_to("carol@far.test")->content, "defer-bob@far.test"));
	assert_null(strstr(seen_to("carol@far.test")->content, "ann@local.test"));
	UNTIL(schedule_n_known(w->q.schedule) == 0);
	mail_free(m);
}

static void retry_goes_past_the_back_off_of_its_destination(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	w->dead = "dead.test";
	m = put_one("bob@dead.test");
	assert_int_equal(w->n_seen, 1);
	w->dead = NULL;
	steer(QUEUE_RETRY, m->id);
	assert_counts(1, 0, NULL);
	UNTIL(schedule_n_known(w->q.schedule) == 0);
	mail_free(m);
}

static void stats_count_by_destination_with_its_last_answer(void **state)
{
	struct ipc_queue_destination d;
	bool broken = false;

	(void)state;
	queued_begin();
	put_waiting(3, "defer-bob@far.test");
	put_waiting(1, "defer-bob@one.test");
	UNTIL(w->q.n_active == 0);
	ask(IPC_MESSAGE(queue_stats_ask, .max = 100));
	assert_int_equal(answer.type, IPC_TYPE_queue_stats_answer);
	assert_int_equal(answer.queue_stats_answer.waiting, 4);
	assert_true(ipc_next_queue_destination(&answer.queue_stats_answer.destinations, &d, &broken));
	assert_true(slice_equal(d.name, SLICE("far.test")));
	assert_int_equal(d.waiting, 3);
	assert_true(d.oldest_us > 0 && d.oldest_us <= loop_wall_us(w->loop));
	assert_true(slice_equal(d.reply, SLICE("452 4.2.1 come again")));
	assert_true(slice_equal(d.by, SLICE("mx.far.test")));
	assert_true(ipc_next_queue_destination(&answer.queue_stats_answer.destinations, &d, &broken));
	assert_true(slice_equal(d.name, SLICE("one.test")));
	assert_false(ipc_next_queue_destination(&answer.queue_stats_answer.destinations, &d, &broken));
	assert_false(answer.queue_stats_answer.more);
}

#define CONTROL_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTROL_TEST(list_shows_every_waiting_message_once_page_by_page),
		CONTROL_TEST(list_of_nothing_is_empty_and_the_last),
		CONTROL_TEST(show_tells_each_recipients_state),
		CONTROL_TEST(flush_makes_all_due_at_once),
		CONTROL_TEST(flush_of_a_domain_leaves_the_others_waiting),
		CONTROL_TEST(status_counts),
		CONTROL_TEST(list_lets_through_what_is_asked_for),
		CONTROL_TEST(show_has_every_attempt_with_the_far_ends_words),
		CONTROL_TEST(a_held_message_is_neither_tried_nor_does_it_expire),
		CONTROL_TEST(a_hold_survives_a_crash),
		CONTROL_TEST(a_message_under_way_is_held_when_its_attempt_has_ended),
		CONTROL_TEST(a_deleted_message_is_gone_and_nobody_is_told),
		CONTROL_TEST(a_message_under_way_is_deleted_when_its_attempt_has_ended),
		CONTROL_TEST(a_returned_message_goes_to_its_sender_with_a_notice),
		CONTROL_TEST(retry_goes_past_the_back_off_of_its_destination),
		CONTROL_TEST(stats_count_by_destination_with_its_last_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
