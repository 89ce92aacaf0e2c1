/* A daemon in a process of its own; this test is its master, at the other end of the channel. */
#include "common/service/service.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fd.h"

/* ---- the daemon: it says by its exit status what it saw ---- */

struct seen {
	struct service *service;
	unsigned n_folders, n_files, n_reloads, n_stops;
	bool never_ends;
};

static bool start(struct service *s, void *daemon, struct fault *why)
{
	struct seen *d = daemon;

	d->service = s;
	if (d->n_folders != 1 || !slice_equal(s->kind, SLICE("smtp")) || s->worker != 3) {
		fault_set(why, "4.3.0", "what comes before start has not come");
		return false;
	}
	return true;
}

static void folder(void *daemon, int fd, struct slice name)
{
	struct seen *d = daemon;

	d->n_folders += slice_equal(name, SLICE("incoming"));
	fd_close(&fd);
}

static void file(void *daemon, int fd, struct slice name, struct slice path)
{
	struct seen *d = daemon;

	(void)path;
	d->n_files += slice_equal(name, SLICE("certificate"));
	fd_close(&fd);
}

static void reload(void *daemon)
{
	struct seen *d = daemon;

	d->n_reloads += d->service->settings->received_max == 77;
}

static void stop(void *daemon, uint64_t within_ms)
{
	struct seen *d = daemon;

	d->n_stops += within_ms > 0;
	if (!d->never_ends && d->n_files == 1)
		service_end(d->service);
}

static int daemon_main(int channel, bool never_ends)
{
	static const struct service_callbacks callbacks = {.role = IPC_ROLE_SMTPD, .start = start, .folder = folder,
							   .file = file, .reload = reload, .stop = stop};
	char *argv[] = {(char[]){"smtpd"}, (char[]){"smtp"}, (char[]){"3"}, NULL};
	struct seen d = {.never_ends = never_ends};
	int status = 0;

	if (channel >= 0 && dup2(channel, 3) != 3)
		return 99;
	if (channel < 0)
		close(3);
	status = service_main(3, argv, &callbacks, &d);
	return status != 0 ? status : (int)(10 + d.n_reloads);
}

/* ---- its master ---- */

struct other {
	struct loop *loop;
	struct ipc_channel *channel;
	pid_t pid;
	unsigned n_ready, n_pongs;
	bool gone;
};

static void from_daemon(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct other *o = arg;

	(void)fd;
	assert_null(request);
	o->n_ready += m->type == IPC_TYPE_ready && m->ready.pid == (uint32_t)o->pid;
	o->n_pongs += m->type == IPC_TYPE_pong && m->pong.at_ms == 42;
}

static void daemon_gone(void *arg)
{
	struct other *o = arg;

	o->gone = true;
}

static void other_start(struct other *o, bool never_ends)
{
	int pair[2];

	*o = (struct other){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	o->pid = fork();
	assert_true(o->pid >= 0);
	if (o->pid == 0) {
		/* Above the channel's own number, so that nothing of ours is lost by dup2. */
		int high = fcntl(pair[1], F_DUPFD, 20);

		close(pair[0]);
		close(pair[1]);
		exit(daemon_main(high, never_ends));
	}
	close(pair[1]);
	o->loop = loop_create(NULL);
	assert_non_null(o->loop);
	o->channel = ipc_channel_create(o->loop, pair[0], IPC_ROLE_MASTER, IPC_ROLE_SMTPD, from_daemon, daemon_gone, o, NULL);
	assert_non_null(o->channel);
}

/* Waits for the daemon's end; its exit status. */
static int other_end(struct other *o)
{
	int status;

	ipc_channel_destroy(o->channel);
	loop_destroy(o->loop);
	assert_int_equal(waitpid(o->pid, &status, 0), o->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Turns the loop until *what is not 0, for ten seconds at most. */
static void wait_for(struct other *o, const unsigned *what, const bool *or_this)
{
	uint64_t until_ms = clock_monotonic_ms() + 10000;
	struct loop_timer tick;

	loop_timer_init(&tick, o->loop, nothing, NULL);
	while ((what == NULL || *what == 0) && (or_this == NULL || !*or_this) && clock_monotonic_ms() < until_ms) {
		loop_timer_set(&tick, 50);
		loop_turn(o->loop, true);
	}
	loop_timer_cancel(&tick);
}

static void send_settings(struct other *o, const char *text)
{
	struct ipc_message m = IPC_MESSAGE(settings, .generation = 1);
	int fd = memfd_create("settings", MFD_CLOEXEC);

	assert_true(fd_write_all(fd, text, strlen(text), 0));
	assert_true(ipc_channel_send(o->channel, &m, fd, NULL));
	fd_close(&fd);
}

static void send_with_fd(struct other *o, const struct ipc_message *m, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(ipc_channel_send(o->channel, m, fd, NULL));
	fd_close(&fd);
}

static void send_all(struct other *o, const char *settings)
{
	struct ipc_message log = IPC_MESSAGE(log, .log_to = LOG_TO_STDERR);
	struct ipc_message incoming = IPC_MESSAGE(folder, .name = SLICE("incoming"));
	struct ipc_message account = IPC_MESSAGE(account, .change = false);
	struct ipc_message certificate = IPC_MESSAGE(file, .name = SLICE("certificate"), .path = SLICE("/x"));
	struct ipc_message begin = IPC_MESSAGE(begin, .generation = 1);
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_true(ipc_channel_send(o->channel, &log, fd, NULL));
	fd_close(&fd);
	send_settings(o, settings);
	send_with_fd(o, &incoming, "/tmp");
	assert_true(ipc_channel_send(o->channel, &account, -1, NULL));
	send_with_fd(o, &certificate, "/dev/null");
	assert_true(ipc_channel_send(o->channel, &begin, -1, NULL));
}

static void tell_stop(struct other *o, uint64_t within_ms)
{
	struct ipc_message m = IPC_MESSAGE(stop, .within_ms = within_ms);

	assert_true(ipc_channel_send(o->channel, &m, -1, NULL));
	wait_for(o, NULL, &o->gone);
	assert_true(o->gone);
}

/* ---- the tests ---- */

static void a_daemon_is_ready_when_all_has_come_and_ends_when_told(void **state)
{
	struct ipc_message ping = IPC_MESSAGE(ping, .at_ms = 42);
	struct other o;

	(void)state;
	other_start(&o, false);
	send_all(&o, "");
	wait_for(&o, &o.n_ready, NULL);
	assert_int_equal(o.n_ready, 1);
	assert_true(ipc_channel_send(o.channel, &ping, -1, NULL));
	wait_for(&o, &o.n_pongs, NULL);
	assert_int_equal(o.n_pongs, 1);
	tell_stop(&o, 1000);
	assert_int_equal(other_end(&o), 10);
}

static void new_settings_are_taken_in_place_and_broken_ones_are_not(void **state)
{
	struct other o;

	(void)state;
	other_start(&o, false);
	send_all(&o, "");
	wait_for(&o, &o.n_ready, NULL);
	send_settings(&o, "received_max = 77\n");
	send_settings(&o, "received_max = many\n");
	tell_stop(&o, 1000);
	assert_int_equal(other_end(&o), 11);
}

static void settings_that_do_not_parse_end_the_start(void **state)
{
	struct other o;

	(void)state;
	other_start(&o, false);
	send_all(&o, "no_such_setting = 1\n");
	wait_for(&o, &o.n_ready, &o.gone);
	assert_int_equal(o.n_ready, 0);
	assert_true(o.gone);
	assert_int_equal(other_end(&o), 1);
}

static void a_start_that_fails_ends_with_1_and_says_no_ready(void **state)
{
	struct ipc_message account = IPC_MESSAGE(account, .change = false);
	struct other o;

	(void)state;
	other_start(&o, false);
	send_settings(&o, "");
	/* No folder: its start refuses that. */
	assert_true(ipc_channel_send(o.channel, &account, -1, NULL));
	wait_for(&o, &o.n_ready, &o.gone);
	assert_int_equal(o.n_ready, 0);
	assert_int_equal(other_end(&o), 1);
}

static void a_daemon_that_does_not_finish_is_ended_two_seconds_after_its_limit(void **state)
{
	uint64_t begun_ms = clock_monotonic_ms();
	struct other o;

	(void)state;
	other_start(&o, true);
	send_all(&o, "");
	wait_for(&o, &o.n_ready, NULL);
	tell_stop(&o, 100);
	assert_int_equal(other_end(&o), 10);
	assert_true(clock_monotonic_ms() - begun_ms >= 2000);
}

static void a_daemon_whose_master_is_gone_ends_by_itself(void **state)
{
	struct other o;

	(void)state;
	other_start(&o, false);
	send_all(&o, "");
	wait_for(&o, &o.n_ready, NULL);
	assert_int_equal(other_end(&o), 10);
}

static void sigterm_is_a_stop(void **state)
{
	struct other o;

	(void)state;
	other_start(&o, false);
	send_all(&o, "");
	wait_for(&o, &o.n_ready, NULL);
	assert_int_equal(kill(o.pid, SIGTERM), 0);
	wait_for(&o, NULL, &o.gone);
	assert_true(o.gone);
	assert_int_equal(other_end(&o), 10);
}

static void started_by_hand_it_says_who_starts_it(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		(void)dup2(null, STDERR_FILENO);
		_exit(daemon_main(-1, false));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_daemon_is_ready_when_all_has_come_and_ends_when_told),
		cmocka_unit_test(new_settings_are_taken_in_place_and_broken_ones_are_not),
		cmocka_unit_test(settings_that_do_not_parse_end_the_start),
		cmocka_unit_test(a_start_that_fails_ends_with_1_and_says_no_ready),
		cmocka_unit_test(a_daemon_that_does_not_finish_is_ended_two_seconds_after_its_limit),
		cmocka_unit_test(a_daemon_whose_master_is_gone_ends_by_itself),
		cmocka_unit_test(sigterm_is_a_stop),
		cmocka_unit_test(started_by_hand_it_says_who_starts_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
