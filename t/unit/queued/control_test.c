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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
