/* master with stand-ins for all daemons: one program, this one, under their names. Everything else is real: processes, sockets, signals. */
#include "master/master.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "t/unit/master/stand_in.h"

static const char *const programs[] = {"smtpd", "lookupd", "resolvd", "queued", "deliverd-local", "deliverd-remote"};

struct place {
	char dir[64], conf[96], libexec[96], errors[96], control[96];
	char program[PATH_MAX];
	unsigned port;
};

static unsigned free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void write_conf(const struct place *p, unsigned local_workers, const char *more)
{
	FILE *f = fopen(p->conf, "w");

	assert_non_null(f);
	(void)fprintf(f, "hostname = mail.example.org\nlisten = 127.0.0.1:%u smtp none\naccounts = caller\nspool_dir = %s/spool\n"
		      "mail_dir = %s/mail\nstate_dir = %s/state\nlog_to = file\nlog_file = %s/log\nsmtp_workers = 1\n"
		      "remote_workers = 1\nlocal_workers = %u\ndatabase = password=secret\n%s",
		      p->port, p->dir, p->dir, p->dir, p->dir, local_workers, more);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	char link[160];

	assert_non_null(p);
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/tassis-master-test.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->conf, sizeof(p->conf), "%s/main.conf", p->dir);
	(void)snprintf(p->libexec, sizeof(p->libexec), "%s/libexec", p->dir);
	(void)snprintf(p->errors, sizeof(p->errors), "%s/errors", p->dir);
	(void)snprintf(p->control, sizeof(p->control), "%s/spool/control/master", p->dir);
	assert_true(readlink("/proc/self/exe", p->program, sizeof(p->program) - 1) > 0);
	assert_int_equal(mkdir(p->libexec, 0755), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(programs); i++) {
		(void)snprintf(link, sizeof(link), "%s/%s", p->libexec, programs[i]);
		assert_int_equal(symlink(p->program, link), 0);
	}
	p->port = free_port();
	write_conf(p, 1, "");
	*state = p;
	return 0;
}

/* Runs `master -c CONF -l LIBEXEC` as one would, and returns its verdict. */
static int start(const struct place *p)
{
	char *argv[] = {(char[]){"master"}, (char[]){"-c"}, (char *)(uintptr_t)p->conf, (char[]){"-l"},
			(char *)(uintptr_t)p->libexec, NULL};
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = open(p->errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		(void)dup2(fd, STDERR_FILENO);
		close(fd);
		exit(master_main(5, argv));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The same where it must succeed; master's own words are shown when it does not. */
static void start_well(const struct place *p)
{
	char words[2048] = "";
	int status = start(p), fd = open(p->errors, O_RDONLY | O_CLOEXEC);

	if (status != 0 && fd >= 0 && read(fd, words, sizeof(words) - 1) > 0)
		print_error("%s", words);
	if (fd >= 0)
		close(fd);
	assert_int_equal(status, 0);
}

/* Asks a socket in control/; the answer, or why there is none, is in out. */
static bool ask(const char *path, const char *verb, char *out, size_t size)
{
	struct ipc_message m = IPC_MESSAGE(control_ask, .verb = slice_of_cstr(verb)), answer = {0};
	struct fault why = {0};
	struct buf frame;
	bool ok;

	buf_init(&frame, IPC_FRAME_MAX);
	ok = ipc_ask_once(path, &m, 3000, &frame, &answer, &why);
	if (ok && answer.type == IPC_TYPE_control_answer) {
		(void)snprintf(out, size, "%.*s", SLICE_PRINTF(answer.control_answer.text));
		ok = !answer.control_answer.refused;
	} else {
		(void)snprintf(out, size, "%s", why.text);
	}
	buf_fini(&frame);
	return ok;
}

static void file_text(const char *dir, const char *name, char *out, size_t size)
{
	char path[160];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "%s%s%s", dir, name[0] != '\0' ? "/" : "", name);
	fd = open(path, O_RDONLY);
	n = fd >= 0 ? read(fd, out, size - 1) : 0;
	out[n > 0 ? n : 0] = '\0';
	fd_close(&fd);
}

/* Waits for up to ten seconds until word stands in the log; false when it does not. */
static bool log_gets(const struct place *p, const char *word)
{
	static char text[1 << 20];

	for (int i = 0; i < 500; i++) {
		file_text(p->dir, "log", text, sizeof(text));
		if (strstr(text, word) != NULL)
			return true;
		(void)usleep(20000);
	}
	return false;
}

static pid_t master_pid(const struct place *p)
{
	char text[64];

	file_text(p->dir, "spool/master.pid", text, sizeof(text));
	return (pid_t)strtol(text, NULL, 10);
}

static void stop(const struct place *p)
{
	char answer[256];
	uint64_t until = clock_monotonic_ms() + 10000;
	pid_t pid = master_pid(p);

	if (pid <= 0 || !ask(p->control, "stop", answer, sizeof(answer)))
		return;
	while (kill(pid, 0) == 0 && clock_monotonic_ms() < until)
		(void)usleep(10000);
	assert_int_not_equal(kill(pid, 0), 0);
}

static int tear_down(void **state)
{
	struct place *p = *state;
	char command[128];

	stop(p);
	(void)snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	assert_int_equal(system(command), 0);
	free(p);
	return 0;
}

static int connect_port(const struct place *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)p->port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

struct greeting {
	char kind[16];
	unsigned worker, answered;
	long pid;
};

static void greet(int fd, struct greeting *g)
{
	char line[128];
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	ssize_t n;

	*g = (struct greeting){0};
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(poll(&readable, 1, 10000), 1);
	n = read(fd, line, sizeof(line) - 1);
	line[n > 0 ? n : 0] = '\0';
	close(fd);
	assert_int_equal(sscanf(line, "%15[^/]/%u %ld %u", g->kind, &g->worker, &g->pid, &g->answered), 4);
}

/* ---- the tests ---- */

static void start_returns_0_when_all_are_ready_and_they_reach_each_other(void **state)
{
	struct place *p = *state;
	struct greeting g;
	char text[4096];

	assert_int_equal(start(p), 0);
	greet(connect_port(p), &g);
	assert_string_equal(g.kind, "smtp");
	assert_int_equal(g.answered, 1);
	assert_true(ask(p->control, "status", text, sizeof(text)));
	assert_non_null(strstr(text, "8 of 8 processes ready"));
	assert_non_null(strstr(text, "lookupd/1"));
	file_text(p->errors, "", text, sizeof(text));
	assert_string_equal(text, "");
}

static void programs_of_this_host_have_a_socket_and_the_settings_they_need(void **state)
{
	struct place *p = *state;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct greeting g;
	char text[4096];
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(start(p), 0);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s/spool/public/submit", p->dir);
	assert_int_equal(stat(a.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0666);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	greet(fd, &g);
	assert_string_equal(g.kind, "submission"); /* though main.conf has no such port */
	file_text(p->dir, "spool/public/settings", text, sizeof(text));
	assert_non_null(strstr(text, "hostname = "));
	assert_null(strstr(text, "secret"));
}

static void only_lookupd_gets_secret_settings(void **state)
{
	struct place *p = *state;
	char path[128], text[256] = "";

	assert_int_equal(start(p), 0);
	(void)snprintf(path, sizeof(path), "%s/spool/control/lookupd.0", p->dir);
	assert_true(ask(path, "database", text, sizeof(text)));
	assert_string_equal(text, "password=secret\n");
	(void)snprintf(path, sizeof(path), "%s/spool/control/queued.0", p->dir);
	assert_true(ask(path, "database", text, sizeof(text)));
	assert_null(strstr(text, "secret"));
}

static void mistakes_of_main_conf_are_all_said_and_nothing_starts(void **state)
{
	struct place *p = *state;
	char text[4096];

	write_conf(p, 1, "smtp_workers = many\nno_such_setting = 1\n");
	assert_int_equal(start(p), 1);
	file_text(p->errors, "", text, sizeof(text));
	assert_non_null(strstr(text, "smtp_workers"));
	assert_non_null(strstr(text, "no_such_setting"));
	assert_int_equal(master_pid(p), 0);
}

static void a_second_master_on_the_same_spool_is_refused(void **state)
{
	struct place *p = *state;
	struct greeting g;
	char text[4096];

	assert_int_equal(start(p), 0);
	assert_int_equal(start(p), 1);
	file_text(p->errors, "", text, sizeof(text));
	assert_non_null(strstr(text, "runs already"));
	greet(connect_port(p), &g);
	assert_int_equal(g.answered, 1);
}

static void a_daemon_that_cannot_start_fails_the_start_with_its_reason(void **state)
{
	struct place *p = *state;
	char text[4096];

	assert_int_equal(setenv("STAND_IN_FAILS", "queued", 1), 0);
	assert_int_equal(start(p), 1);
	assert_int_equal(unsetenv("STAND_IN_FAILS"), 0);
	file_text(p->errors, "", text, sizeof(text));
	assert_non_null(strstr(text, "queued/0: it was told to fail"));
	assert_int_equal(master_pid(p), 0);
}

static void a_daemon_that_was_ready_and_dies_during_the_start_comes_again(void **state)
{
	struct place *p = *state;
	char text[4096], *at;
	int status;
	pid_t pid;

	assert_int_equal(setenv("STAND_IN_SLOW", "lookupd", 1), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(start(p));
	assert_int_equal(unsetenv("STAND_IN_SLOW"), 0);
	assert_true(log_gets(p, "queued/0["));
	file_text(p->dir, "log", text, sizeof(text));
	at = strstr(text, "queued/0[");
	assert_non_null(at);
	assert_int_equal(kill((pid_t)strtol(at + 9, NULL, 10), SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(ask(p->control, "status", text, sizeof(text)));
	assert_non_null(strstr(text, "1 restarts"));
}

static void a_port_that_is_taken_fails_the_start_with_its_line(void **state)
{
	struct place *p = *state;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)p->port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[4096];

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(start(p), 1);
	close(fd);
	file_text(p->errors, "", text, sizeof(text));
	assert_non_null(strstr(text, "cannot listen on 127.0.0.1"));
	assert_non_null(strstr(text, "Address already in use"));
}

static void a_killed_daemon_is_back_and_its_port_never_closed(void **state)
{
	struct place *p = *state;
	struct greeting before, after;
	char text[4096];

	assert_int_equal(start(p), 0);
	greet(connect_port(p), &before);
	assert_int_equal(kill((pid_t)before.pid, SIGKILL), 0);
	/* No pause: the connection waits in the port's queue. */
	greet(connect_port(p), &after);
	assert_int_not_equal(before.pid, after.pid);
	assert_int_equal(after.answered, 1);
	assert_true(log_gets(p, "process_died"));
	assert_true(ask(p->control, "status", text, sizeof(text)));
	assert_non_null(strstr(text, "1 restarts"));
}

static void a_killed_lookupd_is_found_again_by_its_askers(void **state)
{
	struct place *p = *state;
	struct greeting g;
	char text[4096], *at;

	assert_int_equal(start(p), 0);
	greet(connect_port(p), &g);
	assert_true(ask(p->control, "status", text, sizeof(text)));
	at = strstr(strstr(text, "lookupd/0"), "pid ");
	assert_int_equal(kill((pid_t)strtol(at + 4, NULL, 10), SIGKILL), 0);
	for (int i = 0; i < 100; i++) {
		greet(connect_port(p), &g);
		if (g.answered == 1)
			break;
		(void)usleep(20000);
	}
	assert_int_equal(g.answered, 1);
}

static void reload_with_a_mistake_changes_nothing(void **state)
{
	struct place *p = *state;
	struct greeting before, after;
	char text[4096] = "";

	assert_int_equal(start(p), 0);
	greet(connect_port(p), &before);
	write_conf(p, 1, "smtp_max_errors = -5\n");
	assert_false(ask(p->control, "reload", text, sizeof(text)));
	assert_non_null(strstr(text, "smtp_max_errors"));
	assert_true(log_gets(p, "configuration_refused"));
	greet(connect_port(p), &after);
	assert_int_equal(before.pid, after.pid);
}

static void reload_with_a_certificate_that_is_none_changes_nothing(void **state)
{
	struct place *p = *state;
	char text[4096] = "", more[128];

	assert_int_equal(start(p), 0);
	(void)snprintf(more, sizeof(more), "tls_certificate = %s\n", p->conf);
	write_conf(p, 1, more);
	assert_false(ask(p->control, "reload", text, sizeof(text)));
	assert_non_null(strstr(text, "certificate"));
	assert_true(log_gets(p, "configuration_refused"));
}

static void reload_replaces_smtpd_while_its_old_session_goes_on(void **state)
{
	struct place *p = *state;
	struct greeting before, old, new = {0};
	char path[128], text[4096] = "";
	int session;

	assert_int_equal(start(p), 0);
	greet(connect_port(p), &before);
	session = connect_port(p);
	/* Another connection behind it: when that one is answered, the first was accepted. */
	greet(connect_port(p), &before);
	write_conf(p, 2, "queue_retry_min = 7s\n");
	assert_true(ask(p->control, "reload", text, sizeof(text)));
	assert_non_null(strstr(text, "is in use"));
	assert_non_null(strstr(text, "After a restart only: local_workers."));
	for (int i = 0; i < 200 && (new.pid == 0 || new.pid == before.pid); i++) {
		greet(connect_port(p), &new);
		(void)usleep(10000);
	}
	assert_int_not_equal(new.pid, before.pid);
	assert_int_not_equal(new.worker, before.worker);
	greet(session, &old);
	assert_int_equal(old.pid, before.pid);
	(void)snprintf(path, sizeof(path), "%s/spool/control/queued.0", p->dir);
	assert_true(ask(path, "queue_retry_min", text, sizeof(text)));
	assert_string_equal(text, "7s\n");
	for (int i = 0; i < 500 && kill((pid_t)before.pid, 0) == 0; i++)
		(void)usleep(10000);
	assert_int_not_equal(kill((pid_t)before.pid, 0), 0);
}

static void stop_leaves_no_process_socket_or_pid_file(void **state)
{
	struct place *p = *state;
	struct greeting g;
	char path[128], command[256];

	assert_int_equal(start(p), 0);
	greet(connect_port(p), &g);
	stop(p);
	assert_int_not_equal(kill((pid_t)g.pid, 0), 0);
	(void)snprintf(path, sizeof(path), "%s/spool/master.pid", p->dir);
	assert_int_not_equal(access(path, F_OK), 0);
	(void)snprintf(command, sizeof(command), "test -z \"$(find %s/spool -type s)\"", p->dir);
	assert_int_equal(system(command), 0);
	(void)snprintf(command, sizeof(command), "test -z \"$(ls %s/spool/incoming)\"", p->dir);
	assert_int_equal(system(command), 0);
}

/* Does the process run? One that has ended and that nobody waits for (an init that does not reap) does not. */
static bool is_running(unsigned pid)
{
	char path[64], state = 'Z';
	FILE *stat;

	(void)snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if ((stat = fopen(path, "re")) == NULL)
		return false;
	if (fscanf(stat, "%*u (%*[^)]) %c", &state) != 1)
		state = 'Z';
	(void)fclose(stat);
	return state != 'Z';
}

static void after_kill_9_of_master_its_daemons_end_and_a_new_one_starts_at_once(void **state)
{
	struct place *p = *state;
	struct greeting before, after;

	assert_int_equal(start(p), 0);
	greet(connect_port(p), &before);
	assert_int_equal(kill(master_pid(p), SIGKILL), 0);
	start_well(p);
	greet(connect_port(p), &after);
	assert_int_equal(after.answered, 1);
	for (int i = 0; i < 1000 && is_running(before.pid); i++)
		(void)usleep(10000);
	assert_false(is_running(before.pid));
}

static void usr1_opens_the_log_anew_for_all(void **state)
{
	struct place *p = *state;
	struct greeting g;
	char old[128], new[128];

	assert_int_equal(start(p), 0);
	(void)snprintf(old, sizeof(old), "%s/log", p->dir);
	(void)snprintf(new, sizeof(new), "%s/log.1", p->dir);
	assert_int_equal(rename(old, new), 0);
	assert_int_equal(kill(master_pid(p), SIGUSR1), 0);
	greet(connect_port(p), &g);
	for (int i = 0; i < 500 && access(old, F_OK) != 0; i++)
		(void)usleep(10000);
	assert_int_equal(kill((pid_t)g.pid, SIGTERM), 0);
	assert_true(log_gets(p, "smtpd/0"));
	assert_true(log_gets(p, "process_died"));
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(start_returns_0_when_all_are_ready_and_they_reach_each_other),
		TEST(programs_of_this_host_have_a_socket_and_the_settings_they_need),
		TEST(only_lookupd_gets_secret_settings),
		TEST(mistakes_of_main_conf_are_all_said_and_nothing_starts),
		TEST(a_second_master_on_the_same_spool_is_refused),
		TEST(a_daemon_that_cannot_start_fails_the_start_with_its_reason),
		TEST(a_daemon_that_was_ready_and_dies_during_the_start_comes_again),
		TEST(a_port_that_is_taken_fails_the_start_with_its_line),
		TEST(a_killed_daemon_is_back_and_its_port_never_closed),
		TEST(a_killed_lookupd_is_found_again_by_its_askers),
		TEST(reload_with_a_mistake_changes_nothing),
		TEST(reload_with_a_certificate_that_is_none_changes_nothing),
		TEST(reload_replaces_smtpd_while_its_old_session_goes_on),
		TEST(stop_leaves_no_process_socket_or_pid_file),
		TEST(after_kill_9_of_master_its_daemons_end_and_a_new_one_starts_at_once),
		TEST(usr1_opens_the_log_anew_for_all),
	};
	int status = stand_in_main(argc, argv);

	cmocka_set_test_filter(getenv("TEST_FILTER"));

	return status >= 0 ? status : cmocka_run_group_tests(tests, NULL, NULL);
}
