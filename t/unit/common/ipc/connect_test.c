#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/ipc/link.h"

static void control_handler(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct fault why = {0};

	(void)arg;
	(void)fd;
	assert_int_equal(m->type, IPC_TYPE_control_ask);
	assert_int_equal(ipc_request_role(request), IPC_ROLE_ADMIN);
	fault_set(&why, "5.5.1", "what is %.*s", SLICE_PRINTF(m->control_ask.verb));
	if (slice_equal(m->control_ask.verb, SLICE("status")))
		ipc_answer(request, &IPC_MESSAGE(control_answer, .text = SLICE("all is well\n")), -1);
	else if (slice_equal(m->control_ask.verb, SLICE("stop")))
		loop_stop(arg);
	else
		ipc_answer_fault(request, &why);
	if (slice_equal(m->control_ask.verb, SLICE("stop")))
		ipc_answer(request, &IPC_MESSAGE(control_answer, .text = SLICE("bye")), -1);
}

/* The daemon is another process, because ipc_ask_once waits. */
static pid_t serve_control(const char *path, bool silent)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ipc_server *server;
	struct loop *l;
	pid_t pid;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	if ((pid = fork()) != 0) {
		close(fd);
		return pid;
	}
	if (silent) {
		pause();
		_exit(0);
	}
	l = loop_create(NULL);
	server = ipc_server_create(l, IPC_ROLE_QUEUED, 2, control_handler, l, NULL);
	if (server == NULL || !ipc_server_listen(server, fd, true, NULL))
		_exit(1);
	loop_run(l);
	ipc_server_destroy(server);
	loop_destroy(l);
	_exit(0);
}

static struct ipc_message control(const char *verb)
{
	return IPC_MESSAGE(control_ask, .verb = slice_of_cstr(verb));
}

static void an_administrator_asks_once_and_gets_the_answer_or_the_reason(void **state)
{
	struct ipc_message m = control("status"), answer;
	struct fault why = {0};
	struct buf frame;
	char path[64];
	int status;
	pid_t pid;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/connect_test.control.%d", (int)getpid());
	unlink(path);
	pid = serve_control(path, false);
	assert_true(ipc_ask_once(path, &m, 5000, &frame, &answer, &why));
	assert_int_equal(answer.type, IPC_TYPE_control_answer);
	assert_true(slice_equal(answer.control_answer.text, SLICE("all is well\n")));
	buf_fini(&frame);
	m = control("nonsense");
	assert_false(ipc_ask_once(path, &m, 5000, &frame, &answer, &why));
	assert_string_equal(why.text, "what is nonsense");
	assert_int_equal(why.class, FAULT_PERMANENT);
	buf_fini(&frame);
	m = IPC_MESSAGE(dns_ask, .name = SLICE("a.test")); /* queued is not who answers this */
	assert_false(ipc_ask_once(path, &m, 5000, &frame, &answer, &why));
	assert_non_null(strstr(why.text, "closed the connection"));
	buf_fini(&frame);
	m = control("stop");
	assert_true(ipc_ask_once(path, &m, 5000, &frame, &answer, &why));
	assert_true(slice_equal(answer.control_answer.text, SLICE("bye"))); /* sent though the server ended at once */
	buf_fini(&frame);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(ipc_ask_once(path, &m, 5000, &frame, &answer, &why));
	assert_non_null(strstr(why.text, path));
	unlink(path);
}

static void an_administrator_does_not_wait_for_ever(void **state)
{
	struct ipc_message m = control("status"), answer;
	struct fault why = {0};
	struct buf frame;
	char path[64];
	pid_t pid;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/connect_test.silent.%d", (int)getpid());
	unlink(path);
	pid = serve_control(path, true);
	assert_false(ipc_ask_once(path, &m, 50, &frame, &answer, &why));
	assert_string_equal(why.text, "no answer came in time");
	assert_int_equal(why.class, FAULT_TEMPORARY);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
}

static void a_path_too_long_for_a_socket_is_refused(void **state)
{
	struct fault why = {0};
	char path[200];

	(void)state;
	memset(path, 'a', sizeof(path));
	path[199] = '\0';
	assert_int_equal(ipc_connect_unix(path, &why), -1);
	assert_non_null(strstr(why.text, "longer than"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_administrator_asks_once_and_gets_the_answer_or_the_reason),
		cmocka_unit_test(an_administrator_does_not_wait_for_ever),
		cmocka_unit_test(a_path_too_long_for_a_socket_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
