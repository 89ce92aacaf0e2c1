#include "common/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fd.h"

/* A log of its own for each test: what it wrote is read from a second descriptor. */
struct world {
	int fd;
	struct buf text;
};

static void begin(struct world *w, enum log_level wanted)
{
	int log = memfd_create("log", MFD_CLOEXEC);

	assert_true(log >= 0);
	w->fd = fcntl(log, F_DUPFD_CLOEXEC, 3);
	assert_true(w->fd >= 0);
	buf_init(&w->text, 1 << 20);
	log_open("smtpd/0", log, false, wanted);
}

static void end(struct world *w)
{
	log_close();
	fd_close(&w->fd);
	buf_fini(&w->text);
}

/* All that was written, terminated. */
static const char *written(struct world *w)
{
	buf_reset(&w->text);
	assert_true(fd_slurp(w->fd, &w->text, NULL));
	return buf_cstr(&w->text);
}

/* The one line that was written, behind its "daemon[pid] ", without LF. */
static const char *said(struct world *w)
{
	const char *line = written(w), *at;

	assert_non_null(strchr(line, '\n'));
	assert_ptr_equal(strchr(line, '\n') + 1, line + buf_length(&w->text));
	buf_truncate(&w->text, buf_length(&w->text) - 1);
	at = strstr(buf_cstr(&w->text), "] ");
	assert_non_null(at);
	return at + 2;
}

static void a_line_is_time_daemon_id_event_and_values(void **state)
{
	struct ip client = {.family = 4, .octets = {192, 0, 2, 1}};
	char wanted[100];
	struct world w;

	(void)state;
	begin(&w, LOG_LEVEL_INFO);
	log_event(client_connected, F_IP(client, &client), F_NUMBER(client_port, 4711), F_ID(SLICE("s1")), F_TEXT(helo, "mail.example"));
	/* "2026-11-25T16:00:15.123456Z smtpd/0[1234] …" */
	assert_int_equal(written(&w)[10], 'T');
	assert_int_equal(written(&w)[19], '.');
	assert_memory_equal(written(&w) + 26, "Z smtpd/0[", 10);
	(void)snprintf(wanted, sizeof(wanted), "Z smtpd/0[%d] s1 client_connected ", (int)getpid());
	assert_memory_equal(written(&w) + 26, wanted, strlen(wanted));
	assert_string_equal(said(&w), "s1 client_connected client=192.0.2.1 client_port=4711 helo=mail.example");
	end(&w);
}

static void where_there_is_no_id_stands_a_hyphen(void **state)
{
	struct world w;

	(void)state;
	begin(&w, LOG_LEVEL_INFO);
	log_event(started, F_TEXT(version, "0.1.0"), F_ID(SLICE_EMPTY));
	assert_string_equal(said(&w), "- started version=0.1.0");
	end(&w);
}

static void a_fault_is_status_and_reason(void **state)
{
	struct fault why = {0};
	struct world w;

	(void)state;
	begin(&w, LOG_LEVEL_INFO);
	fault_set(&why, "5.1.1", "there is no mailbox \"bob\"");
	log_event(recipient_refused, F_ID(SLICE("m1")), F_SLICE(to, SLICE("bob@example.org")), F_FAULT(&why));
	assert_string_equal(said(&w), "m1 recipient_refused to=bob@example.org status=5.1.1 reason=\"there is no mailbox \\\"bob\\\"\"");
	end(&w);
}

static void what_a_peer_sent_is_quoted(void **state)
{
	static const struct {
		struct slice value;
		const char *wanted;
	} cases[] = {
		{{"-._@:/+<>[]=~,aZ0", 17}, "-._@:/+<>[]=~,aZ0"},
		{{"", 0}, "\"\""},
		{{"a b", 3}, "\"a b\""},
		{{"a\"b\\", 4}, "\"a\\\"b\\\\\""},
		{{"a\r\nb", 4}, "\"a\\x0D\\x0Ab\""},
		{{"a\0b", 3}, "\"a\\x00b\""},
		{{"\x1b[31m\x7f", 6}, "\"\\x1B[31m\\x7F\""},
		{{"\xc3\xa4", 2}, "\"\\xC3\\xA4\""},
		{{"%s%n", 4}, "\"%s%n\""},
		{{"x to=y", 6}, "\"x to=y\""},
	};
	char wanted[100];
	struct world w;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&w, LOG_LEVEL_INFO);
		log_event(client_left, F_SLICE(helo, cases[i].value));
		(void)snprintf(wanted, sizeof(wanted), "- client_left helo=%s", cases[i].wanted);
		assert_string_equal(said(&w), wanted);
		end(&w);
	}
}

static void an_id_is_quoted_too(void **state)
{
	struct world w;

	(void)state;
	begin(&w, LOG_LEVEL_INFO);
	log_event(received, F_ID(SLICE("a b")));
	assert_string_equal(said(&w), "\"a b\" received");
	end(&w);
}

static void a_long_value_is_cut_and_says_so(void **state)
{
	char value[1500];
	struct world w;

	(void)state;
	memset(value, 'x', sizeof(value));
	begin(&w, LOG_LEVEL_INFO);
	log_event(client_left, F_SLICE(helo, slice_of(value, 1000)), F_NUMBER(took_ms, 5));
	assert_int_equal(strlen(said(&w)), strlen("- client_left helo= took_ms=5") + 1000);
	end(&w);
	begin(&w, LOG_LEVEL_INFO);
	log_event(client_left, F_SLICE(helo, slice_of(value, 1001)), F_NUMBER(took_ms, 5));
	assert_string_equal(said(&w) + strlen("- client_left helo=") + 1000, "... took_ms=5");
	end(&w);
}

static void a_long_line_loses_whole_fields_and_says_so(void **state)
{
	char value[900];
	struct world w;

	(void)state;
	memset(value, '\n', sizeof(value)); /* 3600 octets once quoted */
	begin(&w, LOG_LEVEL_INFO);
	log_event(client_left, F_SLICE(helo, slice_of(value, 900)), F_SLICE(from, slice_of(value, 900)), F_SLICE(to, slice_of(value, 900)),
		  F_NUMBER(took_ms, 5));
	assert_true(strlen(said(&w)) < 8192);
	assert_non_null(strstr(said(&w), " from=\"\\x0A"));
	assert_null(strstr(said(&w), " to="));
	assert_string_equal(said(&w) + strlen(said(&w)) - 6, "A\" ...");
	end(&w);
}

static void only_what_is_wanted_is_written(void **state)
{
	struct world w;

	(void)state;
	begin(&w, LOG_LEVEL_WARNING);
	assert_true(log_wanted(LOG_LEVEL_ERROR) && log_wanted(LOG_LEVEL_WARNING));
	assert_false(log_wanted(LOG_LEVEL_INFO) || log_wanted(LOG_LEVEL_DEBUG));
	log_event(started, F_TEXT(version, "1"));
	log_event(frame, F_TEXT(text, "x"));
	assert_string_equal(written(&w), "");
	log_event(database_lost, F_TEXT(server, "db1"));
	assert_string_equal(said(&w), "- database_lost server=db1");
	end(&w);
}

static void errno_is_kept(void **state)
{
	int closed = open("/dev/null", O_RDONLY | O_CLOEXEC); /* every write fails */

	(void)state;
	assert_true(closed >= 0);
	log_open("smtpd/0", closed, false, LOG_LEVEL_INFO);
	errno = ENOENT;
	log_event(disk_full, F_NUMBER(pid, 1));
	assert_int_equal(errno, ENOENT);
	log_close();
}

static void reopening_closes_the_old_descriptor_and_keeps_the_name(void **state)
{
	int new = memfd_create("log", MFD_CLOEXEC), old = memfd_create("log", MFD_CLOEXEC);
	struct world w;

	(void)state;
	begin(&w, LOG_LEVEL_INFO);
	log_reopen(old, false, LOG_LEVEL_ERROR);
	log_event(started, F_NUMBER(pid, 1));
	fd_close(&w.fd);
	w.fd = fcntl(new, F_DUPFD_CLOEXEC, 3);
	log_reopen(new, false, LOG_LEVEL_INFO);
	assert_int_equal(fcntl(old, F_GETFD), -1);
	log_event(stopped, F_NUMBER(pid, 1));
	assert_non_null(strstr(written(&w), " smtpd/0["));
	assert_string_equal(said(&w), "- stopped pid=1");
	log_reopen(new, false, LOG_LEVEL_INFO); /* the same one stays open */
	assert_int_not_equal(fcntl(new, F_GETFD), -1);
	end(&w);
	assert_int_equal(fcntl(new, F_GETFD), -1);
	assert_int_not_equal(fcntl(STDERR_FILENO, F_GETFD), -1);
}

static void a_line_is_one_write(void **state)
{
	int pair[2];
	char got[9000];
	ssize_t n;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	log_open("queued", pair[0], false, LOG_LEVEL_INFO);
	log_event(queued, F_ID(SLICE("m1")), F_NUMBER(size_bytes, UINT64_MAX));
	n = recv(pair[1], got, sizeof(got) - 1, 0);
	assert_true(n > 0);
	got[n] = '\0';
	assert_non_null(strstr(got, "] m1 queued size_bytes=18446744073709551615\n"));
	assert_int_equal(recv(pair[1], got, sizeof(got), 0), -1);
	log_close();
	fd_close(&pair[1]);
}

static void syslog_gets_its_frame_and_no_line_end(void **state)
{
	char got[200], wanted[200];
	int pair[2];
	ssize_t n;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	log_open("deliverd/local/1", pair[0], true, LOG_LEVEL_INFO);
	log_event(disk_full, F_TEXT(file, "/var spool"));
	n = recv(pair[1], got, sizeof(got) - 1, 0);
	assert_true(n > 0);
	got[n] = '\0';
	/* RFC 3164 4.1.1: facility mail (2) times 8, and severity error (3) */
	(void)snprintf(wanted, sizeof(wanted), "<19>tassis/deliverd/local/1[%d]: - disk_full file=\"/var spool\"", (int)getpid());
	assert_string_equal(got, wanted);
	log_close();
	fd_close(&pair[1]);
}

static void a_full_or_gone_syslog_does_not_hold_up_anyone(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
	log_open("smtpd/0", pair[0], true, LOG_LEVEL_INFO);
	for (int i = 0; i < 5000; i++)
		log_event(started, F_NUMBER(pid, i));
	fd_close(&pair[1]);
	log_event(started, F_NUMBER(pid, 1));
	log_close();
}

static void names_and_levels_come_from_the_list(void **state)
{
	(void)state;
	assert_string_equal(log_event_name(LOG_EVENT_started), "started");
	assert_string_equal(log_event_name(LOG_EVENT_disk_full), "disk_full");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_time_daemon_id_event_and_values),
		cmocka_unit_test(where_there_is_no_id_stands_a_hyphen),
		cmocka_unit_test(a_fault_is_status_and_reason),
		cmocka_unit_test(what_a_peer_sent_is_quoted),
		cmocka_unit_test(an_id_is_quoted_too),
		cmocka_unit_test(a_long_value_is_cut_and_says_so),
		cmocka_unit_test(a_long_line_loses_whole_fields_and_says_so),
		cmocka_unit_test(only_what_is_wanted_is_written),
		cmocka_unit_test(errno_is_kept),
		cmocka_unit_test(reopening_closes_the_old_descriptor_and_keeps_the_name),
		cmocka_unit_test(a_line_is_one_write),
		cmocka_unit_test(syslog_gets_its_frame_and_no_line_end),
		cmocka_unit_test(a_full_or_gone_syslog_does_not_hold_up_anyone),
		cmocka_unit_test(names_and_levels_come_from_the_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
