#include "t/unit/queued/world.h"

#include <signal.h>
#include <sys/resource.h>

#include "common/base/random.h"
#include "queued/attempt.h"
#include "queued/intake.h"

static void a_local_message_is_delivered_and_its_file_removed(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "ann@local.test");
	UNTIL(m->answered);
	assert_int_equal(w->n_seen, 1);
	assert_int_equal(w->seen[0].role, IPC_ROLE_LOCAL);
	assert_string_equal(w->seen[0].to, "ann@local.test");
	assert_string_equal(w->seen[0].content, CONTENT);
	assert_string_equal(w->seen[0].reverse_path, "carol@far.test");
	assert_int_equal(w->n_answered, 1);
	assert_false(is_anywhere(m)); /* answered only then */
	assert_int_equal(w->q.n_active, 0);
	assert_int_equal(schedule_n_known(w->q.schedule), 0);
	assert_int_equal(log_count(" delivered "), 1);
	assert_int_equal(log_count(" removed "), 1);
	mail_free(m);
}

static void recipients_of_one_next_hop_go_together(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "a@one.test ann@local.test b@two.test c@one.test bob@local.test");
	UNTIL(m->answered);
	assert_int_equal(w->n_seen, 3);
	assert_int_equal(n_delivered_to("ann@local.test bob@local.test"), 1);
	assert_int_equal(n_delivered_to("a@one.test c@one.test"), 1);
	assert_int_equal(n_delivered_to("b@two.test"), 1);
	assert_string_equal(seen_to("b@two.test")->host, "two.test");
	assert_int_equal(seen_to("b@two.test")->role, IPC_ROLE_REMOTE);
	assert_false(is_anywhere(m));
	mail_free(m);
}

static void more_than_a_hundred_recipients_of_a_host_are_several_deliveries(void **state)
{
	struct buf to;
	struct mail *m;

	(void)state;
	queued_begin();
	buf_init(&to, 8192);
	for (unsigned i = 0; i < 150; i++)
		buf_printf(&to, "u%u@one.test ", i);
	m = mail_send("carol@far.test", buf_cstr(&to));
	UNTIL(m->answered);
	assert_int_equal(w->n_seen, 2);
	assert_int_equal(w->seen[0].n_to + w->seen[1].n_to, 150);
	assert_true(w->seen[0].n_to == 100 || w->seen[1].n_to == 100);
	buf_fini(&to);
	mail_free(m);
}

static void a_deferred_message_waits_in_queue_with_its_time(void **state)
{
	struct mail *m;
	int64_t pause;

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "defer-bob@far.test");
	UNTIL(m->answered);
	assert_true(is_queued(m));
	assert_false(exists("incoming/0", m->id));
	pause = seconds_until_due(m);
	assert_in_range(pause, 300 * 7 / 8 - 1, 301);
	assert_int_equal(schedule_n_waiting(w->q.schedule), 1);
	assert_int_equal(w->q.n_active, 0);
	assert_int_equal(log_count(" deferred "), 1);
	advance(1000 * (uint64_t)(pause - 5));
	settle();
	assert_int_equal(w->n_seen, 1);
	advance(6000);
	UNTIL(w->n_seen == 2);
	mail_free(m);
}

static void the_pause_doubles_up_to_the_longest(void **state)
{
	static const unsigned pauses_s[] = {300, 600, 1200, 2400, 4800, 9600, 14400, 14400};
	struct mail *m;

	(void)state;
	settings_take(PLAIN_SETTINGS "queue_delay_warning = 0s\n");
	queued_begin();
	m = mail_send("carol@far.test", "defer-bob@far.test");
	for (size_t i = 0; i < ARRAY_LENGTH(pauses_s); i++) {
		UNTIL(w->n_seen == i + 1 && schedule_n_waiting(w->q.schedule) == 1);
		assert_in_range(seconds_until_due(m), pauses_s[i] * 7 / 8 - 1, pauses_s[i] + 1);
		advance(1000 * (uint64_t)pauses_s[i] + 2000);
	}
	mail_free(m);
}

static void a_host_that_greylists_is_asked_again_soon_and_then_as_others(void **state)
{
	static const unsigned pauses_s[] = {60, 300, 600, 1200};
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "grey-bob@far.test");
	for (size_t i = 0; i < ARRAY_LENGTH(pauses_s); i++) {
		UNTIL(w->n_seen == i + 1 && schedule_n_waiting(w->q.schedule) == 1);
		assert_in_range(seconds_until_due(m), pauses_s[i] * 7 / 8 - 1, pauses_s[i] + 1);
		advance(1000 * (uint64_t)pauses_s[i] + 2000);
	}
	mail_free(m);
}

static void pauses_of_what_came_together_differ(void **state)
{
	struct mail *m[40];
	int64_t least = INT64_MAX, most = 0;

	(void)state;
	queued_begin();
	for (size_t i = 0; i < ARRAY_LENGTH(m); i++)
		m[i] = mail_send("carol@far.test", "defer-bob@far.test");
	UNTIL(schedule_n_waiting(w->q.schedule) == ARRAY_LENGTH(m));
	for (size_t i = 0; i < ARRAY_LENGTH(m); i++) {
		int64_t pause = seconds_until_due(m[i]);

		least = pause < least ? pause : least;
		most = pause > most ? pause : most;
		mail_free(m[i]);
	}
	assert_true(most - least > 15); /* of 37 */
}

static void a_failed_recipient_bounces_to_the_sender(void **state)
{
	struct mail *m;
	struct seen *notice;

	(void)state;
	queued_begin();
	m = mail_send("carol@local.test", "fail-bob@far.test ann@local.test fail-eve@far.test nobody@refused.test");
	UNTIL(m->answered && n_delivered_to("carol@local.test") == 1);
	notice = seen_to("carol@local.test");
	assert_string_equal(notice->reverse_path, "");
	assert_non_null(strstr(notice->content, "fail-bob@far.test"));
	assert_non_null(strstr(notice->content, "fail-eve@far.test"));
	assert_non_null(strstr(notice->content, "Final-Recipient: rfc822; nobody@refused.test"));
	assert_non_null(strstr(notice->content, "550 5.1.1 nobody of that name"));
	assert_non_null(strstr(notice->content, "Subject: Lunch\r\n"));
	assert_null(strstr(notice->content, "At noon?"));
	assert_null(strstr(notice->content, "ann@local.test"));
	UNTIL(w->q.n_active == 0);
	assert_false(is_anywhere(m));
	assert_false(exists("queue/notices", notice->id));
	assert_int_equal(log_count(" bounced "), 1);
	assert_int_equal(log_count(" failed "), 3);
	mail_free(m);
}

static void a_null_sender_is_never_told(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("", "fail-bob@far.test");
	UNTIL(m->answered);
	assert_false(is_anywhere(m));
	settle();
	assert_int_equal(w->n_seen, 1);
	assert_int_equal(log_count(" notice_dropped "), 1);
	assert_int_equal(log_count(" bounced "), 0);
	mail_free(m);
}

static void what_waits_too_long_bounces(void **state)
{
	struct mail *m;
	unsigned n = 0;

	(void)state;
	settings_take(PLAIN_SETTINGS "queue_delay_warning = 0s\n");
	queued_begin();
	m = mail_send("carol@local.test", "defer-bob@far.test");
	for (; n_delivered_to("carol@local.test") == 0 && n < 60; n++) {
		UNTIL(w->n_seen == n + 1 && (schedule_n_waiting(w->q.schedule) == 1 || w->q.n_active > 0));
		settle();
		advance(4 * 3600 * 1000 + 1000);
	}
	UNTIL(n_delivered_to("carol@local.test") == 1);
	assert_in_range(n, 30, 32); /* 5 days of 4 hours */
	assert_non_null(strstr(seen_to("carol@local.test")->content, "Status: 4.4.7"));
	assert_non_null(strstr(seen_to("carol@local.test")->content, "452 4.2.1 come again"));
	UNTIL(w->q.n_active == 0);
	assert_false(is_anywhere(m));
	assert_int_equal(log_count(" expired "), 1);
	mail_free(m);
}

static void who_has_it_is_not_tried_again_after_a_kill(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "ann@local.test defer-bob@far.test bob@one.test");
	UNTIL(m->answered && w->n_seen == 3);
	queued_kill();
	queued_begin();
	advance(301 * 1000);
	UNTIL(w->n_seen == 4 && w->q.n_active == 0);
	assert_int_equal(n_delivered_to("ann@local.test"), 1);
	assert_int_equal(n_delivered_to("bob@one.test"), 1);
	assert_int_equal(n_delivered_to("defer-bob@far.test"), 2);
	mail_free(m);
}

/* Invariant 3: a result is in the file while another next hop is still at it. */
static void a_result_is_recorded_while_another_next_hop_is_slow(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "ann@local.test hold-bob@far.test");
	UNTIL(w->n_seen == 2);
	settle();
	assert_false(m->answered); /* invariant 1: its file stands in incoming/ still */
	queued_kill();
	queued_begin();
	UNTIL(w->n_seen == 3);
	assert_int_equal(n_delivered_to("ann@local.test"), 1);
	mail_free(m);
}

static void of_a_list_only_those_who_wait_are_tried_again(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@local.test", "all@list.test");
	UNTIL(m->answered && w->n_seen == 3);
	assert_int_equal(n_delivered_to("ann@local.test"), 1);
	assert_int_equal(n_delivered_to("fail-bob@far.test defer-carl@far.test"), 1);
	assert_int_equal(n_delivered_to("carol@local.test"), 1);
	assert_non_null(strstr(seen_to("carol@local.test")->content, "(you wrote to all@list.test)"));
	UNTIL(w->q.n_active == 0);
	queued_kill();
	queued_begin();
	advance(301 * 1000);
	UNTIL(w->n_seen == 4 && w->q.n_active == 0);
	assert_int_equal(n_delivered_to("defer-carl@far.test"), 1);
	assert_true(is_queued(m));
	mail_free(m);
}

static void nothing_fails_because_lookupd_has_no_answer(void **state)
{
	struct mail *m[3];

	(void)state;
	queued_begin();
	m[0] = mail_send("carol@local.test", "bob@down.test");
	m[1] = mail_send("carol@local.test", "bob@broken.test");
	m[2] = mail_send("carol@local.test", "bob@nowhere.test");
	for (size_t i = 0; i < 3; i++) {
		UNTIL(m[i]->answered);
		assert_true(is_queued(m[i]));
		mail_free(m[i]);
	}
	assert_int_equal(w->n_seen, 0);
	assert_int_equal(log_count(" failed "), 0);
	assert_int_equal(log_count(" deferred "), 3);
}

static void a_deliverd_that_dies_gets_the_delivery_once_more(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "crash-ann@local.test");
	UNTIL(w->local == NULL);
	settle();
	deliverds_start();
	settle();
	assert_int_equal(w->n_seen, 1); /* not at once */
	advance(1001);
	UNTIL(w->n_seen == 2);
	UNTIL(m->answered);
	deliverds_start();
	assert_true(is_queued(m)); /* twice is enough for one attempt */
	assert_int_equal(log_count(" deferred "), 1);
	mail_free(m);
}

static void a_result_that_makes_no_sense_defers(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@local.test", "odd-ann@local.test silent-bob@local.test eve@local.test");
	UNTIL(m->answered);
	assert_true(is_queued(m));
	assert_int_equal(log_count(" delivered "), 1);
	assert_int_equal(log_count(" deferred "), 2);
	assert_int_equal(log_count(" failed "), 0);
	mail_free(m);
}

static void beyond_queue_active_max_a_message_only_waits(void **state)
{
	struct mail *m[20];

	(void)state;
	settings_take(PLAIN_SETTINGS "queue_active_max = 10\nlocal_concurrency = 5\n");
	queued_begin();
	for (size_t i = 0; i < 20; i++)
		m[i] = mail_send("carol@far.test", "hold-ann@local.test");
	UNTIL(w->n_answered == 12 && w->n_seen == 5); /* local mail has three quarters of the room */
	assert_int_equal(w->q.n_active, 8);
	assert_int_equal(schedule_n_waiting(w->q.schedule), 12);
	for (size_t i = 0, queued = 0; i < 20; i++) {
		queued += is_queued(m[i]);
		assert_int_equal(is_queued(m[i]), m[i]->answered);
		if (i == 19)
			assert_int_equal(queued, 12);
	}
	for (size_t i = 0; i < 20; i++) {
		UNTIL(w->n_seen > i && w->seen[i].held != NULL);
		release(&w->seen[i], DELIVER_DELIVERED);
		settle();
		assert_true(w->q.n_active <= 10);
	}
	UNTIL(w->n_answered == 20 && schedule_n_known(w->q.schedule) == 0);
	for (size_t i = 0; i < 20; i++) {
		assert_false(is_anywhere(m[i]));
		mail_free(m[i]);
	}
}

static void an_smtpd_does_not_wait_for_a_slow_next_hop(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "hold-bob@far.test");
	UNTIL(w->n_seen == 1);
	settle();
	assert_false(m->answered);
	assert_true(exists("incoming/0", m->id));
	advance(INTAKE_PATIENCE_MS + 1);
	UNTIL(m->answered);
	assert_true(is_queued(m)); /* invariant 1 */
	release(&w->seen[0], DELIVER_DELIVERED);
	UNTIL(w->q.n_active == 0);
	assert_false(is_anywhere(m));
	mail_free(m);
}

static void a_message_told_of_twice_is_taken_once(void **state)
{
	struct mail *m, twice = {0};

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "hold-ann@local.test");
	UNTIL(w->n_seen == 1);
	twice = *m;
	twice.worker = 1;
	twice.answered = false;
	twice.ask = (struct ipc_ask){0};
	mail_ask(&twice);
	settle();
	assert_int_equal(w->q.n_active, 1);
	release(&w->seen[0], DELIVER_DELIVERED);
	UNTIL(m->answered && twice.answered);
	assert_int_equal(w->n_seen, 1);
	/* and once more when it is gone: nothing to do, and nothing breaks */
	m->answered = false;
	mail_ask(m);
	UNTIL(m->answered);
	assert_int_equal(w->n_seen, 1);
	assert_int_equal(log_count(" vanished"), 1);
	mail_free(m);
}

static void an_ask_that_is_wrong_is_refused_and_harms_nobody(void **state)
{
	struct mail *m, *good;

	(void)state;
	queued_begin();
	m = mail_make("carol@far.test", "ann@local.test");
	memcpy(m->id, "../../../etc/passwd...", SPOOL_ID_LENGTH);
	mail_ask(m);
	UNTIL(w->n_refused == 1);
	mail_free(m);
	m = mail_make("carol@far.test", "ann@local.test");
	buf_reset(&m->envelope);
	buf_append_cstr(&m->envelope, "to nobody\nfrom\n");
	mail_ask(m);
	UNTIL(w->n_refused == 2);
	mail_free(m);
	good = mail_send("carol@far.test", "ann@local.test");
	UNTIL(w->n_answered == 1);
	mail_free(good);
}

/* The folder of notices gone stands for a disk that takes nothing: nobody is told, so the message must stay. */
static void while_no_notice_can_be_made_the_message_stays(void **state)
{
	struct mail *m;
	char path[160];

	(void)state;
	queued_begin();
	(void)snprintf(path, sizeof(path), "%s/queue/notices", w->dir);
	assert_int_equal(rmdir(path), 0);
	m = mail_send("carol@local.test", "fail-bob@far.test");
	UNTIL(m->answered);
	assert_true(is_queued(m));
	assert_int_equal(n_delivered_to("carol@local.test"), 0);
	queued_kill();
	queued_begin(); /* makes the folder anew */
	advance(301 * 1000);
	UNTIL(n_delivered_to("carol@local.test") == 1);
	assert_int_equal(n_delivered_to("fail-bob@far.test"), 1); /* not tried again */
	assert_non_null(strstr(seen_to("carol@local.test")->content, "550 5.1.1 nobody of that name"));
	UNTIL(w->q.n_active == 0);
	assert_false(is_anywhere(m));
	mail_free(m);
}

static void a_stop_gives_back_what_runs_and_the_next_start_goes_on(void **state)
{
	struct mail *slow, *waiting;

	(void)state;
	settings_take(PLAIN_SETTINGS "remote_concurrency_destination = 1\n");
	queued_begin();
	slow = mail_send("carol@far.test", "hold-bob@far.test");
	waiting = mail_send("carol@far.test", "bob@far.test");
	UNTIL(w->n_seen == 1 && w->q.n_active == 2);
	queued_stop(&w->q, 5000, has_ended, NULL);
	UNTIL(waiting->answered);
	assert_false(w->ended); /* the slow one may end yet */
	advance(4001);
	UNTIL(w->ended);
	assert_true(is_queued(slow) && is_queued(waiting));
	assert_true(exists("queue", "clean"));
	assert_true(seconds_until_due(slow) <= 0 && seconds_until_due(waiting) <= 0);
	assert_int_equal(log_count(" deferred "), 0);
	queued_kill();
	settings_take(PLAIN_SETTINGS);
	queued_begin();
	assert_false(exists("queue", "clean"));
	UNTIL(w->n_seen == 3);
	mail_free(slow);
	mail_free(waiting);
}

static void a_clock_that_was_wrong_delays_nothing_for_long(void **state)
{
	struct mail *m;
	char path[160];
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) + 30 * 86400}};

	(void)state;
	m = mail_make("carol@far.test", "ann@local.test");
	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, queue_folder(m->id));
	assert_int_equal(mkdir(path, 0700), 0);
	mail_write(m, queue_folder(m->id), true);
	(void)snprintf(path, sizeof(path), "%s/%s/%s", w->dir, queue_folder(m->id), m->id);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	queued_begin();
	UNTIL(n_delivered_to("ann@local.test") == 1 && !is_anywhere(m));
	mail_free(m);
}

/* A limit on the size of files stands for a disk that is full. */
static void while_nothing_can_be_recorded_the_message_stays_and_is_recorded_later(void **state)
{
	struct rlimit full = {.rlim_cur = 512, .rlim_max = RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	struct mail *m;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	queued_begin();
	m = mail_make("carol@far.test", "ann@local.test defer-bob@far.test");
	mail_write(m, "incoming/0", true);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	mail_ask(m);
	UNTIL(w->n_seen == 2);
	settle();
	advance(1100);
	settle();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_false(m->answered);
	assert_int_equal(w->q.n_active, 1);
	advance(2100);
	UNTIL(m->answered);
	assert_true(is_queued(m));
	queued_kill();
	queued_begin();
	advance(301 * 1000);
	UNTIL(w->n_seen == 3 && w->q.n_active == 0);
	assert_int_equal(n_delivered_to("ann@local.test"), 1);
	mail_free(m);
}

/* Forty kills, each after a few turns of the loop, while messages come, fail and bounce: afterwards every recipient has its message or its sender a notice. */
static void whatever_the_moment_of_a_kill_nobody_is_forgotten(void **state)
{
	enum { ROUNDS = 40, EACH = 3 };
	struct mail *mails[ROUNDS * EACH];
	char sender[64], to[128], name[64];
	unsigned n = 0, duplicates = 0;

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		queued_begin();
		for (unsigned i = 0; i < EACH; i++, n++) {
			(void)snprintf(sender, sizeof(sender), "s%u@local.test", n);
			(void)snprintf(to, sizeof(to), "ann%u@local.test fail-bob@far.test u%u@one.test", n, n);
			mails[n] = mail_send(sender, to);
		}
		for (unsigned turns = random_below(60); turns > 0; turns--) {
			turn();
			usleep(random_below(100));
		}
		queued_kill();
	}
	queued_begin();
	for (unsigned i = 0; i < 10 && (w->n_answered < n || schedule_n_known(w->q.schedule) > 0); i++) {
		settle();
		advance(301 * 1000); /* smtpd's links, the minute's scan, what waits */
	}
	UNTIL(w->n_answered == n && schedule_n_known(w->q.schedule) == 0);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "ann%u@local.test", i);
		assert_true(n_delivered_to(name) >= 1);
		duplicates += (unsigned)n_delivered_to(name) - 1;
		(void)snprintf(name, sizeof(name), "u%u@one.test", i);
		assert_true(n_delivered_to(name) >= 1);
		duplicates += (unsigned)n_delivered_to(name) - 1;
		(void)snprintf(name, sizeof(name), "s%u@local.test", i);
		assert_true(n_delivered_to(name) >= 1);
		assert_false(is_anywhere(mails[i]));
		mail_free(mails[i]);
	}
	print_message("%u kills, %u messages, %u deliveries twice\n", (unsigned)ROUNDS, n, duplicates);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_local_message_is_delivered_and_its_file_removed),
		TEST(recipients_of_one_next_hop_go_together),
		TEST(more_than_a_hundred_recipients_of_a_host_are_several_deliveries),
		TEST(a_deferred_message_waits_in_queue_with_its_time),
		TEST(the_pause_doubles_up_to_the_longest),
		TEST(a_host_that_greylists_is_asked_again_soon_and_then_as_others),
		TEST(pauses_of_what_came_together_differ),
		TEST(a_failed_recipient_bounces_to_the_sender),
		TEST(a_null_sender_is_never_told),
		TEST(what_waits_too_long_bounces),
		TEST(who_has_it_is_not_tried_again_after_a_kill),
		TEST(a_result_is_recorded_while_another_next_hop_is_slow),
		TEST(of_a_list_only_those_who_wait_are_tried_again),
		TEST(nothing_fails_because_lookupd_has_no_answer),
		TEST(a_deliverd_that_dies_gets_the_delivery_once_more),
		TEST(a_result_that_makes_no_sense_defers),
		TEST(beyond_queue_active_max_a_message_only_waits),
		TEST(an_smtpd_does_not_wait_for_a_slow_next_hop),
		TEST(a_message_told_of_twice_is_taken_once),
		TEST(an_ask_that_is_wrong_is_refused_and_harms_nobody),
		TEST(while_no_notice_can_be_made_the_message_stays),
		TEST(a_stop_gives_back_what_runs_and_the_next_start_goes_on),
		TEST(a_clock_that_was_wrong_delays_nothing_for_long),
		TEST(while_nothing_can_be_recorded_the_message_stays_and_is_recorded_later),
		TEST(whatever_the_moment_of_a_kill_nobody_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
