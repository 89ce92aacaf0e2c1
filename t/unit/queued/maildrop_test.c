#include "t/unit/queued/world.h"

#include "queued/dropped.h"
#include "queued/scan.h"

static void folder_make(void)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/maildrop", w->dir);
	(void)mkdir(path, 0700);
}

static struct mail *drop(const char *from, const char *to, bool committed)
{
	struct mail *m = mail_make(from, to);

	folder_make();
	mail_write(m, "maildrop", committed);
	return m;
}

static const char *drop_path(const struct mail *m)
{
	static char path[160];

	(void)snprintf(path, sizeof(path), "%s/maildrop/%s", w->dir, m->id);
	return path;
}

static void overwrite(const struct mail *m, off_t at, const char *octets)
{
	int fd = open(drop_path(m), O_WRONLY | O_CLOEXEC);

	assert_true(fd_write_all(fd, octets, strlen(octets), at));
	close(fd);
}

/* The clock is moved by so much, and the minute's look has ended. */
static void look_after(uint64_t s)
{
	advance(s * 1000);
	UNTIL(maildrop_is_idle(&w->q.maildrop) && w->q.scan.n_under_way == 0);
	settle();
}

static size_t n_in(const char *folder)
{
	char command[160];
	FILE *p;
	size_t n = 0;

	(void)snprintf(command, sizeof(command), "ls -A %s/%s 2>/dev/null | wc -l", w->dir, folder);
	p = popen(command, "r");
	assert_int_equal(fscanf(p, "%zu", &n), 1);
	pclose(p);
	return n;
}

static void a_dropped_message_is_taken_in_under_an_id_and_a_received_of_ours(void **state)
{
	struct mail *m = drop("carol@far.test", "ann@local.test", true);
	char who[96];

	(void)state;
	queued_begin();
	UNTIL(w->n_seen == 1);
	assert_string_not_equal(w->seen[0].id, m->id);
	assert_string_equal(w->seen[0].to, "ann@local.test");
	assert_string_equal(w->seen[0].reverse_path, "carol@far.test");
	(void)snprintf(who, sizeof(who), "Received: by mail.example.org (from uid %u)\r\n\tid %s",
		       (unsigned)getuid(), w->seen[0].id);
	assert_memory_equal(w->seen[0].content, who, strlen(who));
	assert_non_null(strstr(w->seen[0].content,
			       "\r\nFrom: carol@far.test\r\nSubject: Lunch\r\n\r\nAt noon?\r\n"));
	UNTIL(n_in("maildrop") == 0 && n_in("queue/notices") == 0);
	assert_int_equal(log_count(" picked_up"), 1);
	mail_free(m);
}

static void what_is_dropped_while_queued_runs_is_taken_in_within_the_minute(void **state)
{
	struct mail *m;

	(void)state;
	queued_begin();
	m = drop("carol@far.test", "ann@local.test", true);
	settle();
	assert_int_equal(w->n_seen, 0);
	look_after(61);
	UNTIL(w->n_seen == 1);
	assert_int_equal(n_in("maildrop"), 0);
	mail_free(m);
}

static void many_are_taken_in_one_after_the_other(void **state)
{
	struct mail *m[30];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(m); i++)
		m[i] = drop("carol@far.test",
			    i % 2 ? "ann@local.test" : "bob@far.test eve@local.test", true);
	queued_begin();
	UNTIL(n_delivered_to("ann@local.test") == 15 && n_delivered_to("bob@far.test") == 15 &&
	      n_delivered_to("eve@local.test") == 15);
	assert_int_equal(n_in("maildrop"), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(m); i++)
		mail_free(m[i]);
}

/* Invariant 2. */
static void a_copy_that_a_crash_left_beside_its_file_is_the_only_one(void **state)
{
	struct mail *m = drop("carol@far.test", "hold-ann@local.test", true), copy;
	struct dropped_rules rules = {
		.size_max = 1 << 20, .recipients_max = 100, .received_max = 50};
	struct dropped d = {.fd = -1};
	char path[160];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/queue/notices", w->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	rules.spool = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memcpy(d.name, m->id, sizeof(d.name));
	dropped_judge(&d, &rules);
	assert_int_equal(d.fate, DROPPED_GOOD);
	copy = *m;
	memcpy(copy.id, d.id, sizeof(d.id));
	mail_write(&copy, "queue/notices", true);
	dropped_fini(&d);
	close(rules.spool);
	queued_begin();
	UNTIL(n_in("maildrop") == 0 && w->n_seen == 1);
	settle();
	assert_int_equal(w->n_seen, 1);
	assert_string_equal(w->seen[0].id, copy.id);
	mail_free(m);
}

/* Invariant 1: stopped and killed in all states there are turns of the loop, none is lost. */
static void killed_at_any_turn_it_loses_nothing(void **state)
{
	(void)state;
	for (unsigned turns = 0; turns < 40; turns++) {
		struct mail *m = drop("carol@far.test", "hold-ann@local.test", true);

		queued_begin();
		for (unsigned i = 0; i < turns; i++) {
			turn();
			usleep(turns % 3 * 100);
		}
		queued_kill();
		assert_true(n_in("maildrop") + n_in("queue/notices") + n_in("queue/*/*") +
				    n_in("incoming/0") >
			    0);
		queued_begin();
		UNTIL(w->n_seen > 0 && n_in("maildrop") == 0);
		settle();
		for (size_t i = 1; i < w->n_seen; i++)
			assert_string_equal(w->seen[i].id, w->seen[0].id);
		for (size_t i = 0; i < w->n_seen; i++)
			if (w->seen[i].held != NULL)
				release(&w->seen[i], DELIVER_DELIVERED);
		settle();
		queued_kill();
		w->n_seen = 0;
		mail_free(m);
	}
}

static void what_is_broken_is_set_aside_after_five_minutes(void **state)
{
	struct mail *m = drop("carol@far.test", "ann@local.test", true);

	(void)state;
	overwrite(m, 520, "X");
	queued_begin();
	settle();
	assert_true(exists("maildrop", m->id));
	look_after(DROPPED_BROKEN_AGE_S + 61);
	assert_int_equal(n_in("maildrop"), 0);
	assert_int_equal(n_in("corrupt"), 1);
	assert_false(exists("corrupt", m->id)); /* whoever left it does not choose the name */
	assert_int_equal(log_count(" corrupt"), 1);
	assert_int_equal(w->n_seen, 0);
	mail_free(m);
}

static void what_is_being_written_is_left_for_an_hour(void **state)
{
	struct mail *m = drop("carol@far.test", "ann@local.test", false);

	(void)state;
	queued_begin();
	look_after(DROPPED_HALF_AGE_S - 120);
	assert_true(exists("maildrop", m->id));
	look_after(300);
	assert_false(exists("maildrop", m->id));
	assert_int_equal(log_count(" uncommitted_removed"), 1);
	mail_free(m);
}

static void what_is_no_file_of_its_own_is_not_read(void **state)
{
	struct mail *m = drop("carol@far.test", "ann@local.test", true),
		    *linked = mail_make("carol@far.test", "ann@local.test"),
		    *symbolic = mail_make("carol@far.test", "ann@local.test"),
		    *fifo = mail_make("carol@far.test", "ann@local.test");
	char target[160];

	(void)state;
	(void)snprintf(target, sizeof(target), "%s/elsewhere", w->dir);
	assert_int_equal(rename(drop_path(m), target), 0);
	assert_int_equal(link(target, drop_path(m)), 0);
	assert_int_equal(symlink(target, drop_path(symbolic)), 0);
	assert_int_equal(mkfifo(drop_path(fifo), 0600), 0);
	assert_int_equal(mkdir(drop_path(linked), 0700), 0);
	(void)snprintf(target, sizeof(target), "%s/maildrop/a stranger's", w->dir);
	close(open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	queued_begin();
	look_after(61);
	assert_int_equal(w->n_seen, 0);
	assert_int_equal(n_in("maildrop"), 5);
	look_after(DROPPED_HALF_AGE_S);
	assert_int_equal(n_in("maildrop"), 1); /* the folder, which is its maker's to remove */
	assert_int_equal(n_in("corrupt"), 1);
	mail_free(m);
	mail_free(linked);
	mail_free(symbolic);
	mail_free(fifo);
}

/* An envelope or a size that smtpd would not take. */
static void expect_refused(const char *from, const char *to, const char *settings)
{
	struct mail *m = drop(from, to, true);
	size_t before = n_in("corrupt");

	settings_take(settings);
	queued_begin();
	look_after(DROPPED_BROKEN_AGE_S + 61);
	assert_int_equal(w->n_seen, 0);
	assert_int_equal(n_in("corrupt"), before + 1);
	queued_kill();
	settings_take(PLAIN_SETTINGS);
	mail_free(m);
}

static void what_smtpd_would_refuse_is_not_taken_in(void **state)
{
	char many[101 * 16] = "";

	(void)state;
	expect_refused("carol@far.test", "ann", PLAIN_SETTINGS);
	expect_refused("carol@far.test", "ann@local.test>\rRCPT", PLAIN_SETTINGS);
	expect_refused("carol@far.test\r\nX", "ann@local.test", PLAIN_SETTINGS);
	expect_refused("carol@far.test", "j\xc3\xbcrgen@local.test", PLAIN_SETTINGS);
	for (size_t i = 0; i < 101; i++)
		(void)snprintf(many + strlen(many), sizeof(many) - strlen(many), "u%zu@local.test ",
			       i);
	expect_refused("carol@far.test", many, PLAIN_SETTINGS "smtp_max_recipients = 100\n");
}

/* Rewrites the content with its CRC right. */
static struct mail *drop_content(const char *to, const char *content)
{
	struct mail *m = mail_make("carol@far.test", to);
	struct slice envelope = buf_slice(&m->envelope);
	struct spool_header h = {
		.received_us = m->received_us,
		.envelope_offset = SPOOL_HEADER_SIZE,
		.envelope_length = envelope.n,
		.envelope_crc = crc32c(0, envelope.p, envelope.n),
		.content_length = strlen(content),
		.content_crc = crc32c(crc32c(0, envelope.p, envelope.n), content, strlen(content)),
		.extents = {{SPOOL_HEADER_SIZE + envelope.n, strlen(content)}},
		.n_extents = 1,
		.tail_offset = SPOOL_HEADER_SIZE + envelope.n + strlen(content)};
	char block[SPOOL_HEADER_SIZE];
	int fd;

	folder_make();
	memcpy(h.id, m->id, sizeof(h.id));
	spool_header_encode(&h, block);
	fd = open(drop_path(m), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	assert_true(fd_write_all(fd, block, sizeof(block), 0) &&
		    fd_write_all(fd, envelope.p, envelope.n, SPOOL_HEADER_SIZE) &&
		    fd_write_all(fd, content, strlen(content),
				 (off_t)(SPOOL_HEADER_SIZE + envelope.n)));
	close(fd);
	return m;
}

/* Else whoever leaves it could have a second message seen within it. */
static void lines_that_do_not_end_in_cr_lf_are_not_taken_in(void **state)
{
	static const char *const bad[] = {"Subject: x\n\r\n", "Subject: x\r\n\r\na\n.\n",
					  "Subject: x\r\n\r\na\rb\r\n", "Subject: x\r\n\r\nno end",
					  "a\r\n\r"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		mail_free(drop_content("ann@local.test", bad[i]));
	queued_begin();
	look_after(DROPPED_BROKEN_AGE_S + 61);
	assert_int_equal(n_in("corrupt"), ARRAY_LENGTH(bad));
	assert_int_equal(w->n_seen, 0);
}

/* The copy in the queue, as long as its delivery is held. */
static void a_large_message_is_copied_whole(void **state)
{
	size_t n = 300000, at, got = 0;
	char *content = calloc(1, n + 100), *copy = calloc(1, n + 4096), path[200];
	struct fault why = {0};
	struct spool_header h;
	struct mail *m;
	int fd;

	(void)state;
	at = (size_t)snprintf(content, 64, "Subject: long\r\n\r\n");
	while (at < n)
		at += (size_t)snprintf(content + at, 64, "line at %zu\r\n", at);
	m = drop_content("hold-ann@local.test", content);
	queued_begin();
	UNTIL(w->n_seen == 1);
	(void)snprintf(path, sizeof(path), "%s/queue/notices/%s", w->dir, w->seen[0].id);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
		(void)snprintf(path, sizeof(path), "%s/%s/%s", w->dir, queue_folder(w->seen[0].id),
			       w->seen[0].id);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	assert_true(spool_header_read(fd, slice_of_cstr(w->seen[0].id), &h, &why));
	assert_true(spool_content_check(fd, &h, &why));
	assert_true(spool_content_read(fd, &h, 0, copy, n + 4095, &got, &why));
	assert_memory_equal(copy, "Received: ", 10);
	assert_string_equal(copy + got - at, content);
	close(fd);
	free(content);
	free(copy);
	mail_free(m);
}

static void it_stops_while_files_wait(void **state)
{
	struct mail *m[50];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(m); i++)
		m[i] = drop("carol@far.test", "ann@local.test", true);
	queued_begin();
	queued_stop_cleanly();
	assert_true(n_in("maildrop") > 0);
	queued_begin();
	UNTIL(n_in("maildrop") == 0 && n_delivered_to("ann@local.test") == ARRAY_LENGTH(m));
	for (size_t i = 0; i < ARRAY_LENGTH(m); i++)
		mail_free(m[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_dropped_message_is_taken_in_under_an_id_and_a_received_of_ours),
		TEST(what_is_dropped_while_queued_runs_is_taken_in_within_the_minute),
		TEST(many_are_taken_in_one_after_the_other),
		TEST(a_copy_that_a_crash_left_beside_its_file_is_the_only_one),
		TEST(killed_at_any_turn_it_loses_nothing),
		TEST(what_is_broken_is_set_aside_after_five_minutes),
		TEST(what_is_being_written_is_left_for_an_hour),
		TEST(what_is_no_file_of_its_own_is_not_read),
		TEST(what_smtpd_would_refuse_is_not_taken_in),
		TEST(lines_that_do_not_end_in_cr_lf_are_not_taken_in),
		TEST(a_large_message_is_copied_whole),
		TEST(it_stops_while_files_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
