#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "t/unit/common/ipc/pair.h"

static void an_ask_gets_its_answer(void **state)
{
	struct ipc_message m = question("example.org");
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 1000, false, answered, &p, NULL));
	assert_int_equal(p.n_answered, 0);
	turns(&p, 20);
	assert_int_equal(p.n_answered, 1);
	assert_string_equal(p.last, "example.org");
	assert_int_equal(p.n_presence, 1);
	pair_fini(&p);
}

static void a_descriptor_goes_with_its_frame(void **state)
{
	char path[] = "/tmp/server_test.XXXXXX", octets[8] = {0};
	struct ipc_message m = question("a.test"), plain = question("b.test");
	struct ipc_ask asks[3] = {0};
	int fd = mkstemp(path);
	struct stat here, there;
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	assert_int_equal(write(fd, "mail", 4), 4);
	assert_true(ipc_ask(p.peer, &asks[0], &plain, -1, 0, false, answered, &p, NULL));
	assert_true(ipc_ask(p.peer, &asks[1], &m, fd, 0, false, answered, &p, NULL));
	assert_true(ipc_ask(p.peer, &asks[2], &plain, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_answered, 3);
	assert_true(p.got_fd >= 0 && p.got_fd != fd);
	assert_int_equal(fstat(fd, &here), 0);
	assert_int_equal(fstat(p.got_fd, &there), 0);
	assert_int_equal(here.st_ino, there.st_ino);
	assert_true(fcntl(p.got_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pread(p.got_fd, octets, 4, 0), 4);
	assert_string_equal(octets, "mail");
	close(fd);
	unlink(path);
	pair_fini(&p);
}

static void what_a_role_may_not_send_closes_its_connection(void **state)
{
	struct ipc_message m = IPC_MESSAGE(route_ask, .forward_path = SLICE("a@b.test")); /* queued's, to lookupd */
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_asked, 0);
	assert_int_equal(p.n_lost, 1);
	pair_fini(&p);
}

static void noise_octet_by_octet_reaches_no_handler(void **state)
{
	struct ipc_message m = question("a.test");
	struct buf frame;
	struct pair p;
	char octet;
	int fd;

	(void)state;
	pair_init(&p, 10);
	buf_init(&frame, 1000);
	fd = ipc_connect_unix(p.path, NULL);
	assert_true(ipc_hello_send(fd, IPC_ROLE_SMTPD, 3, NULL));
	assert_true(ipc_encode(&m, 9, &frame, NULL));
	for (size_t i = 0; i < buf_length(&frame); i++) {
		assert_int_equal(send(fd, buf_slice(&frame).p + i, 1, MSG_NOSIGNAL), 1);
		turns(&p, 2);
	}
	assert_int_equal(p.n_asked, 1);
	assert_int_equal(send(fd, "\xff\xff\xff\xff\xff", 5, MSG_NOSIGNAL), 5);
	turns(&p, 5);
	while (recv(fd, &octet, 1, MSG_DONTWAIT) > 0)
		;
	assert_int_equal(recv(fd, &octet, 1, MSG_DONTWAIT), 0); /* closed */
	assert_int_equal(p.n_presence, 101);
	close(fd);
	buf_fini(&frame);
	pair_fini(&p);
}

static void the_first_frame_must_say_who_is_there(void **state)
{
	struct ipc_message m = question("a.test");
	struct buf frame;
	struct pair p;
	int fd;

	(void)state;
	pair_init(&p, 10);
	buf_init(&frame, 1000);
	fd = ipc_connect_unix(p.path, NULL);
	assert_true(ipc_encode(&m, 9, &frame, NULL));
	assert_true(fd_write_all(fd, buf_slice(&frame).p, buf_length(&frame), -1));
	turns(&p, 5);
	assert_int_equal(p.n_asked, 0);
	close(fd);
	buf_fini(&frame);
	pair_fini(&p);
}

static void a_smaller_window_is_for_the_next_connection(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask asks[3] = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 3);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &asks[0], &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	ipc_server_set_window(p.server, 1);
	for (int i = 1; i < 3; i++)
		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_asked, 3);
	assert_int_equal(p.n_lost, 0);
	pair_fini(&p);
}

static void a_failure_comes_as_class_status_and_sentence(void **state)
{
	struct ipc_message m = question("a.test");
	struct fault failure = {0};
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	fault_set(&failure, "5.1.2", "no such domain");
	p.failure = &failure;
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, true, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_failed, 1);
	assert_int_equal(p.why.class, FAULT_PERMANENT);
	assert_string_equal(p.why.status, "5.1.2");
	assert_string_equal(p.why.text, "no such domain");
	pair_fini(&p);
}

static void an_answer_that_cannot_be_coded_is_a_temporary_failure(void **state)
{
	struct ipc_message m = question("a.test");
	char *records = calloc(1, 262145);
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, true, answered, &p, NULL));
	turns(&p, 20);
	ipc_answer(p.held[0], &IPC_MESSAGE(dns_answer, .records = slice_of(records, 262145)), -1);
	p.n_held = 0;
	turns(&p, 5);
	assert_int_equal(p.n_failed, 1);
	assert_int_equal(p.why.class, FAULT_TEMPORARY);
	assert_int_equal(p.why.status[0], '4');
	free(records);
	pair_fini(&p);
}

static void a_descriptor_comes_back_with_an_answer(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct pair p;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	pair_init(&p, 2);
	p.answer_fd = fd;
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, true, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_answered, 1);
	assert_true(p.got_fd >= 0 && p.got_fd != fd);
	close(fd);
	pair_fini(&p);
}

static void a_request_of_a_connection_that_has_ended_is_answered_to_nobody(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, true, answered, &p, NULL));
	turns(&p, 20);
	ipc_peer_destroy(p.peer);
	p.peer = NULL;
	turns(&p, 5);
	assert_int_equal(p.n_presence, 101);
	assert_int_equal(ipc_request_role(p.held[0]), IPC_ROLE_SMTPD);
	assert_int_equal(ipc_request_worker(p.held[0]), 3);
	ipc_answer(p.held[0], &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
	p.n_held = 0;
	pair_fini(&p);
}

static void a_question_without_a_number_closes_the_connection(void **state)
{
	struct ipc_message m = question("a.test");
	struct buf frame;
	struct pair p;
	int fd;

	(void)state;
	pair_init(&p, 10);
	buf_init(&frame, 1000);
	fd = ipc_connect_unix(p.path, NULL);
	assert_true(ipc_hello_send(fd, IPC_ROLE_SMTPD, 3, NULL));
	assert_true(ipc_encode(&m, 0, &frame, NULL));
	assert_true(fd_write_all(fd, buf_slice(&frame).p, buf_length(&frame), -1));
	turns(&p, 5);
	assert_int_equal(p.n_asked, 0);
	assert_int_equal(p.n_presence, 101);
	close(fd);
	buf_fini(&frame);
	pair_fini(&p);
}

static void a_hello_of_no_role_or_of_an_administrator_is_refused(void **state)
{
	static const int roles[] = {IPC_N_ROLES, 255, IPC_ROLE_ADMIN};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct pair p;
		char octet;
		int fd;

		pair_init(&p, 10);
		fd = ipc_connect_unix(p.path, NULL);
		assert_true(ipc_hello_send(fd, (enum ipc_role)roles[i], 3, NULL));
		turns(&p, 5);
		assert_int_equal(recv(fd, &octet, 1, MSG_DONTWAIT), 0);
		assert_int_equal(p.n_presence, 0);
		close(fd);
		pair_fini(&p);
	}
}

static void connections_over_the_limit_are_closed(void **state)
{
	static int fds[1030];
	struct pair p;
	char octet;

	(void)state;
	pair_init(&p, 10);
	for (int i = 0; i < 1030; i++) {
		if ((fds[i] = ipc_connect_unix(p.path, NULL)) < 0) {
			while (--i >= 0)
				close(fds[i]);
			pair_fini(&p);
			skip(); /* so many descriptors are not allowed here */
		}
		turns(&p, 1);
	}
	turns(&p, 10);
	assert_int_equal(recv(fds[1023], &octet, 1, MSG_DONTWAIT), -1);
	assert_int_equal(recv(fds[1024], &octet, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(fds[1029], &octet, 1, MSG_DONTWAIT), 0);
	for (int i = 0; i < 1030; i++)
		close(fds[i]);
	turns(&p, 3000);
	assert_int_equal(p.n_presence, 0);
	pair_fini(&p);
}

static void a_stranger_of_this_host_is_not_served(void **state)
{
	struct ipc_message m = question("a.test");
	struct buf frame;
	struct pair p;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip(); /* only root can be somebody else */
	pair_init(&p, 10);
	assert_int_equal(chmod(p.path, 0666), 0);
	buf_init(&frame, 1000);
	assert_true(ipc_encode(&m, 9, &frame, NULL));
	if ((pid = fork()) == 0) {
		int fd = setuid(65534) == 0 ? ipc_connect_unix(p.path, NULL) : -1;

		if (fd < 0 || !ipc_hello_send(fd, IPC_ROLE_SMTPD, 3, NULL) || !fd_write_all(fd, buf_slice(&frame).p, buf_length(&frame), -1))
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &(int){0}, 0), pid);
	turns(&p, 10);
	assert_int_equal(p.n_presence, 0);
	assert_int_equal(p.n_asked, 0);
	buf_fini(&frame);
	pair_fini(&p);
}

static void a_listener_rests_when_descriptors_are_out_and_goes_on(void **state)
{
	struct ipc_message m = question("a.test");
	struct rlimit before, none;
	struct ipc_ask ask = {0};
	struct pair p;
	unsigned n = 0;
	int fd;

	(void)state;
	pair_init(&p, 10);
	fd = ipc_connect_unix(p.path, NULL);
	assert_true(ipc_hello_send(fd, IPC_ROLE_SMTPD, 3, NULL));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	turns(&p, 10);
	assert_int_equal(p.n_presence, 0);
	/* It does not turn round and round: the next turn waits for the pause. */
	for (uint64_t began = loop_now_ms(p.loop); loop_now_ms(p.loop) < began + 50; n++)
		loop_turn(p.loop, true);
	assert_in_range(n, 1, 10);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	loop_advance(p.loop, 200);
	turns(&p, 10);
	assert_int_equal(p.n_presence, 1);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_answered, 1);
	close(fd);
	pair_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ask_gets_its_answer),
		cmocka_unit_test(a_descriptor_goes_with_its_frame),
		cmocka_unit_test(what_a_role_may_not_send_closes_its_connection),
		cmocka_unit_test(noise_octet_by_octet_reaches_no_handler),
		cmocka_unit_test(the_first_frame_must_say_who_is_there),
		cmocka_unit_test(a_smaller_window_is_for_the_next_connection),
		cmocka_unit_test(a_failure_comes_as_class_status_and_sentence),
		cmocka_unit_test(an_answer_that_cannot_be_coded_is_a_temporary_failure),
		cmocka_unit_test(a_descriptor_comes_back_with_an_answer),
		cmocka_unit_test(a_request_of_a_connection_that_has_ended_is_answered_to_nobody),
		cmocka_unit_test(a_question_without_a_number_closes_the_connection),
		cmocka_unit_test(a_hello_of_no_role_or_of_an_administrator_is_refused),
		cmocka_unit_test(connections_over_the_limit_are_closed),
		cmocka_unit_test(a_stranger_of_this_host_is_not_served),
		cmocka_unit_test(a_listener_rests_when_descriptors_are_out_and_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
