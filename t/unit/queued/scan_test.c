#include "t/unit/queued/world.h"

#include "queued/scan.h"

static int lock_folder(const char *folder)
{
	char path[160];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, folder);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	return fd;
}

static void age(const struct mail *m, const char *folder, unsigned seconds)
{
	time_t then = (time_t)(loop_wall_us(w->loop) / 1000000) - (time_t)seconds;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = then}};
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/%s/%s", w->dir, folder, m->id);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void overwrite(const struct mail *m, const char *folder, off_t at, const char *octets)
{
	char path[160];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", w->dir, folder, m->id);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd_write_all(fd, octets, strlen(octets), at));
	close(fd);
}

static struct mail *mail_left(const char *folder, bool committed)
{
	struct mail *m = mail_make("carol@far.test", "hold-ann@local.test");
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, folder);
	(void)mkdir(path, 0700);
	mail_write(m, folder, committed);
	return m;
}

static void what_a_dead_worker_committed_is_taken_the_rest_removed(void **state)
{
	struct mail *committed, *half;

	(void)state;
	committed = mail_left("incoming/1", true);
	half = mail_left("incoming/1", false);
	queued_begin();
	UNTIL(w->n_seen == 1);
	assert_string_equal(w->seen[0].id, committed->id);
	assert_true(is_queued(committed));
	assert_false(exists("incoming/1", committed->id));
	assert_false(exists("incoming/1", half->id));
	assert_int_equal(log_count(" uncommitted_removed"), 1);
	assert_int_equal(log_count(" found"), 1);
	mail_free(committed);
	mail_free(half);
}

static void a_live_workers_files_are_left_alone(void **state)
{
	struct mail *committed = mail_left("incoming/1", true), *half = mail_left("incoming/1", false);
	int lock = lock_folder("incoming/1");

	(void)state;
	queued_begin();
	settle();
	assert_true(exists("incoming/1", committed->id) && exists("incoming/1", half->id));
	assert_int_equal(w->n_seen, 0);
	close(lock);
	mail_free(committed);
	mail_free(half);
}

static void what_a_live_worker_told_a_dead_queued_is_taken_after_a_minute(void **state)
{
	struct mail *committed = mail_left("incoming/1", true), *half = mail_left("incoming/1", false);
	int lock = lock_folder("incoming/1");

	(void)state;
	queued_begin();
	settle();
	assert_int_equal(w->n_seen, 0);
	advance(SCAN_EVERY_MS + 1000);
	UNTIL(w->n_seen == 1);
	assert_true(is_queued(committed));
	assert_true(exists("incoming/1", half->id)); /* a message may take longer than that */
	age(half, "incoming/1", 86400);
	advance(SCAN_EVERY_MS + 1000);
	settle();
	assert_true(exists("incoming/1", half->id));
	close(lock);
	mail_free(committed);
	mail_free(half);
}

static void again_ask(struct mail *m)
{
	struct ipc_message ask = IPC_MESSAGE(again_ask, .id = slice_of_cstr(m->id));
	struct fault why;

	assert_true(ipc_ask(w->smtpd[0], &m->ask, &ask, -1, 0, true, mail_answered, m, &why));
}

static void what_a_dead_queued_took_along_is_taken_when_smtpd_asks_again(void **state)
{
	struct mail *m;
	int lock = lock_folder("incoming/0");

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "ann@local.test hold-bob@local.test");
	UNTIL(w->n_seen == 1);
	ipc_ask_cancel(&m->ask);
	queued_kill();
	queued_begin();
	settle();
	assert_int_equal(w->n_seen, 1); /* the scan takes it for one that smtpd will tell of */
	again_ask(m);
	UNTIL(w->n_seen == 2 && m->answered);
	assert_int_equal(w->n_answered, 1);
	assert_string_equal(w->seen[1].id, m->id);
	assert_true(is_queued(m));
	m->answered = false;
	again_ask(m);
	settle();
	assert_int_equal(w->n_seen, 2); /* it is known */
	close(lock);
	mail_free(m);
}

static void what_is_asked_for_again_and_was_done_is_not_done_twice(void **state)
{
	struct mail *m;
	int lock = lock_folder("incoming/0");

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "fail-ann@far.test");
	UNTIL(m->answered && !is_anywhere(m));
	UNTIL(w->n_seen == 2); /* and its notice */
	m->answered = false;
	again_ask(m);
	UNTIL(m->answered);
	settle();
	assert_int_equal(w->n_seen, 2);
	close(lock);
	mail_free(m);
}

static void a_message_under_way_is_no_find(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = mail_send("carol@far.test", "hold-ann@local.test");
	UNTIL(w->n_seen == 1);
	advance(SCAN_EVERY_MS + 1000); /* its folder is locked by nobody: the worker counts as dead */
	settle();
	assert_int_equal(w->n_seen, 1);
	assert_int_equal(log_count(" found"), 0);
	release(&w->seen[0], DELIVER_DELIVERED);
	UNTIL(w->q.n_active == 0);
	assert_false(is_anywhere(m));
	mail_free(m);
}

static void the_folder_of_a_worker_that_is_gone_is_looked_at_at_once(void **state)
{
	struct mail *told, *untold;
	int lock = lock_folder("incoming/0");

	(void)state;
	queued_begin();
	told = mail_send("carol@far.test", "ann@local.test");
	UNTIL(told->answered);
	untold = mail_left("incoming/0", true); /* between its commit and its frame */
	ipc_peer_destroy(w->smtpd[0]);
	w->smtpd[0] = NULL;
	settle();
	advance(150);
	settle();
	assert_int_equal(w->n_seen, 1); /* still locked */
	close(lock);
	for (unsigned i = 0; i < 10 && w->n_seen < 2; i++) {
		advance(300);
		settle();
	}
	assert_int_equal(w->n_seen, 2);
	assert_string_equal(w->seen[1].id, untold->id);
	mail_free(told);
	mail_free(untold);
}

static void a_broken_file_is_set_aside_and_the_rest_goes_on(void **state)
{
	struct mail *header = mail_left("incoming/1", true), *content = mail_left("incoming/1", true), *good = mail_left("incoming/1", true),
		    *queued = mail_make("carol@far.test", "hold-ann@local.test");
	char path[160];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, queue_folder(queued->id));
	(void)mkdir(path, 0700);
	mail_write(queued, queue_folder(queued->id), true);
	overwrite(header, "incoming/1", 100, "xxxx");
	overwrite(content, "incoming/1", SPOOL_HEADER_SIZE + (off_t)buf_length(&content->envelope) + 3, "xxxx");
	overwrite(queued, queue_folder(queued->id), SPOOL_HEADER_SIZE + 2, "xxxx");
	queued_begin();
	UNTIL(w->n_seen == 1);
	UNTIL(exists("corrupt", queued->id));
	assert_string_equal(w->seen[0].id, good->id);
	assert_true(exists("corrupt", header->id) && exists("corrupt", content->id));
	UNTIL(schedule_n_known(w->q.schedule) == 1);
	assert_int_equal(log_count(" corrupt "), 3);
	mail_free(header);
	mail_free(content);
	mail_free(good);
	mail_free(queued);
}

/* Writes one message to queue/ whose content is not what its header says, and tells whether a start sets it aside. */
static bool broken_content_is_seen(void)
{
	struct mail *m = mail_make("carol@far.test", "ann@local.test");
	char path[160];
	bool seen;

	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, queue_folder(m->id));
	(void)mkdir(path, 0700);
	mail_write(m, queue_folder(m->id), true);
	overwrite(m, queue_folder(m->id), SPOOL_HEADER_SIZE + (off_t)buf_length(&m->envelope) + 3, "xxxx");
	queued_begin();
	UNTIL(!is_queued(m));
	UNTIL(schedule_n_known(w->q.schedule) == 0);
	seen = exists("corrupt", m->id);
	mail_free(m);
	return seen;
}

static void contents_are_checked_after_an_unclean_stop(void **state)
{
	(void)state;
	queued_begin();
	queued_kill();
	assert_true(broken_content_is_seen());
}

static void contents_are_not_read_twice_after_a_clean_stop(void **state)
{
	(void)state;
	queued_begin();
	queued_stop_cleanly();
	assert_false(broken_content_is_seen());
}

static void names_that_are_no_ids_are_nobodys(void **state)
{
	struct mail *m = mail_left("incoming/1", true);
	char path[160];

	(void)state;
	memcpy(m->id, "README", 7);
	mail_write(m, "incoming/1", false);
	(void)snprintf(path, sizeof(path), "%s/incoming/lost+found", w->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	queued_begin();
	UNTIL(w->n_seen == 1);
	assert_true(exists("incoming/1", "README"));
	mail_free(m);
}

static void a_notice_that_nobody_took_in_is_found_at_start(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	queued_kill();
	m = mail_left("queue/notices", true);
	queued_begin();
	UNTIL(w->n_seen == 1);
	assert_true(is_queued(m));
	mail_free(m);
}

static void a_second_queued_on_the_spool_does_not_start(void **state)
{
	struct queued second = {0};
	struct queued_peers peers = {.worker = peer_worker, .home = peer_home, .n_workers = peer_n_workers};
	struct fault why = {0};

	(void)state;
	queued_begin();
	assert_false(queued_start(&second, w->loop, w->settings, open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), &peers, &why));
	assert_non_null(strstr(why.text, "another queued"));
	queued_destroy(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_dead_worker_committed_is_taken_the_rest_removed),
		TEST(a_live_workers_files_are_left_alone),
		TEST(what_a_live_worker_told_a_dead_queued_is_taken_after_a_minute),
		TEST(what_a_dead_queued_took_along_is_taken_when_smtpd_asks_again),
		TEST(what_is_asked_for_again_and_was_done_is_not_done_twice),
		TEST(a_message_under_way_is_no_find),
		TEST(the_folder_of_a_worker_that_is_gone_is_looked_at_at_once),
		TEST(a_broken_file_is_set_aside_and_the_rest_goes_on),
		TEST(contents_are_checked_after_an_unclean_stop),
		TEST(contents_are_not_read_twice_after_a_clean_stop),
		TEST(names_that_are_no_ids_are_nobodys),
		TEST(a_notice_that_nobody_took_in_is_found_at_start),
		TEST(a_second_queued_on_the_spool_does_not_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
