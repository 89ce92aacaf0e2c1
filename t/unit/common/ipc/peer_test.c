#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "t/unit/common/ipc/pair.h"

static void the_window_holds_back_what_is_over_it(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask asks[3] = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 1);
	p.hold = true;
	for (int i = 0; i < 3; i++)
		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_asked, 1);
	p.hold = false;
	ipc_answer(p.held[0], &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
	p.n_held = 0;
	turns(&p, 20);
	assert_int_equal(p.n_asked, 3);
	assert_int_equal(p.n_answered, 3);
	pair_fini(&p);
}

static void a_repeatable_ask_survives_the_servers_end(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask again = {0}, once = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &again, &m, -1, 60000, true, answered, &p, NULL));
	assert_true(ipc_ask(p.peer, &once, &m, -1, 60000, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_asked, 2);
	ipc_server_destroy(p.server);
	turns(&p, 5);
	assert_int_equal(p.n_lost, 1);
	p.hold = false;
	serve(&p, 10);
	for (int i = 0; i < 20; i++) {
		loop_advance(p.loop, 100);
		loop_turn(p.loop, false);
	}
	assert_int_equal(p.n_answered, 1);
	assert_int_equal(p.n_lost, 1);
	for (unsigned i = 0; i < p.n_held; i++)
		ipc_answer(p.held[i], &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
	p.n_held = 0;
	pair_fini(&p);
}

static void a_time_limit_ends_the_wait_and_a_late_answer_finds_nobody(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 1000, true, answered, &p, NULL));
	turns(&p, 20);
	loop_advance(p.loop, 1001);
	turns(&p, 2);
	assert_int_equal(p.n_lost, 1);
	ipc_answer(p.held[0], &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
	p.n_held = 0;
	turns(&p, 10);
	assert_int_equal(p.n_answered, 0);
	pair_fini(&p);
}

static void a_cancelled_ask_is_silent(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 1000, true, answered, &p, NULL));
	turns(&p, 3);
	ipc_ask_cancel(&ask);
	ipc_ask_cancel(&ask);
	turns(&p, 20);
	assert_int_equal(p.n_answered + p.n_lost, 0);
	pair_fini(&p);
}

static void ten_thousand_asks_all_come_back(void **state)
{
	struct ipc_message m = question("example.org");
	struct ipc_ask *asks = calloc(10000, sizeof(*asks));
	struct pair p;

	(void)state;
	pair_init(&p, 500);
	for (int i = 0; i < 10000; i++)
		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 60000, i % 2, answered, &p, NULL));
	for (int i = 0; i < 1000 && p.n_answered < 10000; i++)
		turns(&p, 1);
	assert_int_equal(p.n_answered, 10000);
	pair_fini(&p);
	free(asks);
}

static void a_cancelled_ask_keeps_its_place_in_the_window_until_it_is_answered(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask first = {0}, second = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 1);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &first, &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(ipc_peer_window(p.peer), 1);
	ipc_ask_cancel(&first);
	assert_true(ipc_ask(p.peer, &second, &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_asked, 1); /* the server still works at the first */
	assert_int_equal(ipc_peer_under_way(p.peer), 1);
	ipc_answer(p.held[0], &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
	p.n_held = 0;
	turns(&p, 20);
	assert_int_equal(p.n_asked, 2);
	assert_int_equal(p.n_answered, 0);
	ipc_ask_cancel(&second);
	pair_fini(&p);
}

static void asks_over_what_may_wait_are_refused_at_once(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask asks[3] = {0};
	struct fault why = {0};
	struct ipc_peer *peer;
	struct pair p;

	(void)state;
	pair_init(&p, 3);
	p.refuse = true;
	peer = ipc_peer_create(p.loop, IPC_ROLE_SMTPD, IPC_ROLE_RESOLVD, 0, 2, connect_peer, &p, NULL);
	assert_true(ipc_ask(peer, &asks[0], &m, -1, 0, false, answered, &p, NULL));
	assert_true(ipc_ask(peer, &asks[1], &m, -1, 0, false, answered, &p, NULL));
	assert_false(ipc_ask(peer, &asks[2], &m, -1, 0, false, answered, &p, &why));
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_string_equal(why.status, "4.3.2");
	ipc_ask_cancel(&asks[2]);
	assert_int_equal(ipc_peer_under_way(peer), 2);
	ipc_peer_destroy(peer);
	assert_int_equal(p.n_lost, 2);
	pair_fini(&p);
}

static void an_ask_with_a_field_too_long_is_refused_at_once(void **state)
{
	char name[IPC_HOST_MAX + 2];
	struct ipc_message m;
	struct fault why = {0};
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 3);
	memset(name, 'a', sizeof(name));
	m = IPC_MESSAGE(dns_ask, .name = slice_of(name, IPC_HOST_MAX + 1));
	assert_false(ipc_ask(p.peer, &ask, &m, -1, 0, false, answered, &p, &why));
	assert_true(why.text[0]);
	assert_int_equal(ipc_peer_under_way(p.peer), 0);
	pair_fini(&p);
}

static void asks_are_repeated_in_their_order_before_those_that_wait(void **state)
{
	static const char *const names[] = {"1.test", "2.test", "3.test", "4.test"};
	struct ipc_ask asks[4] = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 2); /* two are sent, two wait */
	p.hold = true;
	for (int i = 0; i < 4; i++) {
		struct ipc_message m = question(names[i]);

		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 0, true, answered, &p, NULL));
	}
	turns(&p, 20);
	assert_int_equal(p.n_asked, 2);
	ipc_server_destroy(p.server);
	turns(&p, 2);
	assert_false(ipc_peer_is_up(p.peer));
	assert_int_equal(ipc_peer_window(p.peer), 0);
	assert_int_equal(ipc_peer_under_way(p.peer), 4);
	p.hold = false;
	serve(&p, 1); /* one at a time shows the order */
	for (unsigned i = 0; i < 4; i++) {
		while (p.n_answered == i) {
			loop_advance(p.loop, 10);
			loop_turn(p.loop, false);
		}
		assert_int_equal(p.n_answered, i + 1);
		assert_string_equal(p.last, names[i]);
	}
	assert_true(ipc_peer_is_up(p.peer));
	pair_fini(&p);
}

static void a_descriptor_is_sent_again_with_its_ask(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct stat here, there;
	struct pair p;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	pair_init(&p, 2);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &ask, &m, fd, 0, true, answered, &p, NULL));
	assert_int_equal(fstat(fd, &here), 0);
	close(fd); /* ours; the ask has its own */
	turns(&p, 20);
	assert_true(p.got_fd >= 0);
	fd_close(&p.got_fd);
	ipc_server_destroy(p.server);
	turns(&p, 2);
	p.hold = false;
	serve(&p, 2);
	for (int i = 0; i < 20; i++) {
		loop_advance(p.loop, 100);
		loop_turn(p.loop, false);
	}
	assert_int_equal(p.n_answered, 1);
	assert_true(p.got_fd >= 0);
	assert_int_equal(fstat(p.got_fd, &there), 0);
	assert_int_equal(here.st_rdev, there.st_rdev);
	pair_fini(&p);
}

static void a_time_limit_holds_while_nobody_can_be_reached(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	p.refuse = true;
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 5000, true, answered, &p, NULL));
	for (int i = 0; i < 49; i++) {
		loop_advance(p.loop, 100);
		turns(&p, 2);
	}
	assert_int_equal(p.n_lost, 0);
	loop_advance(p.loop, 200);
	turns(&p, 2);
	assert_int_equal(p.n_lost, 1);
	assert_int_equal(p.why.class, FAULT_TEMPORARY);
	assert_string_equal(p.why.text, "resolvd did not answer in time");
	assert_int_equal(ipc_peer_under_way(p.peer), 0);
	pair_fini(&p);
}

/* The header: pauses of 50 ms growing to 2 s. */
static void attempts_to_connect_have_growing_pauses(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	p.refuse = true;
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, true, answered, &p, NULL));
	for (int i = 0; i < 60; i++) {
		turns(&p, 3);
		loop_advance(p.loop, 1000);
	}
	assert_in_range(p.n_connects, 25, 40); /* 60 s: about one in 2 s */
	p.refuse = false;
	loop_advance(p.loop, 2000);
	turns(&p, 20);
	assert_int_equal(p.n_answered, 1);
	pair_fini(&p);
}

static void a_peer_that_hangs_up_at_once_is_not_called_without_rest(void **state)
{
	struct ipc_message m = IPC_MESSAGE(route_ask, .forward_path = SLICE("a@b.test")); /* refused each time */
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, true, answered, &p, NULL));
	for (int i = 0; i < 1000; i++) {
		turns(&p, 3);
		loop_advance(p.loop, 20); /* 20 s in all */
	}
	assert_in_range(p.n_connects, 8, 20);
	ipc_ask_cancel(&ask);
	pair_fini(&p);
}

static void nobody_is_called_for_an_ask_that_was_cancelled(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, true, answered, &p, NULL));
	ipc_ask_cancel(&ask);
	turns(&p, 5);
	assert_int_equal(p.n_connects, 0);
	pair_fini(&p);
}

static void a_peer_that_is_kept_up_is_there_though_nobody_asks(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	ipc_peer_keep_up(p.peer);
	turns(&p, 20);
	assert_true(ipc_peer_is_up(p.peer));
	assert_int_equal(p.n_presence, 1);
	ipc_server_destroy(p.server);
	turns(&p, 5);
	assert_false(ipc_peer_is_up(p.peer));
	serve(&p, 2);
	for (int i = 0; i < 20; i++) {
		loop_advance(p.loop, 100);
		loop_turn(p.loop, false);
	}
	assert_true(ipc_peer_is_up(p.peer));
	pair_fini(&p);
}

static void an_answer_may_cancel_another_ask(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask asks[2] = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	for (int i = 0; i < 2; i++)
		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 1000, false, answered, &p, NULL));
	p.victim = &asks[1];
	turns(&p, 20);
	assert_int_equal(p.n_asked, 2);
	assert_int_equal(p.n_answered, 1);
	loop_advance(p.loop, 2000);
	turns(&p, 5);
	assert_int_equal(p.n_lost, 0);
	pair_fini(&p);
}

static void a_loss_may_cancel_another_ask_that_was_lost_too(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask asks[3] = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	p.hold = true;
	for (int i = 0; i < 3; i++)
		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 1000, false, answered, &p, NULL));
	turns(&p, 20);
	p.victim = &asks[1];
	ipc_server_destroy(p.server);
	turns(&p, 3);
	assert_int_equal(p.n_lost, 2);
	p.server = NULL;
	pair_fini(&p);
}

static void a_loss_may_ask_again_or_destroy_the_peer(void **state)
{
	struct ipc_message m = question("a.test");

	(void)state;
	for (int destroy = 0; destroy < 2; destroy++) {
		struct ipc_ask asks[3] = {0}, kept = {0};
		struct pair p;

		pair_init(&p, 10);
		p.hold = true;
		assert_true(ipc_ask(p.peer, &kept, &m, -1, 0, true, answered, &p, NULL));
		for (int i = 0; i < 3; i++)
			assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 0, false, answered, &p, NULL));
		turns(&p, 20);
		assert_int_equal(p.n_asked, 4);
		p.destroy_in_answer = destroy;
		p.ask_again = !destroy;
		ipc_server_destroy(p.server);
		turns(&p, 3);
		assert_int_equal(p.n_lost, destroy ? 4 : 3);
		p.hold = false;
		serve(&p, 10);
		for (int i = 0; i < 20; i++) {
			loop_advance(p.loop, 100);
			loop_turn(p.loop, false);
		}
		assert_int_equal(p.n_answered, destroy ? 0 : 2);
		pair_fini(&p);
	}
}

static void an_answer_may_destroy_the_peer_and_the_others_hear_of_it(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask asks[4] = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	for (int i = 0; i < 4; i++)
		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 1000, true, answered, &p, NULL));
	p.destroy_in_answer = true;
	turns(&p, 20);
	assert_int_equal(p.n_answered, 1);
	assert_int_equal(p.n_lost, 3);
	pair_fini(&p);
}

static void a_time_limit_may_destroy_the_peer(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask asks[2] = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	p.hold = true;
	for (int i = 0; i < 2; i++)
		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 1000, true, answered, &p, NULL));
	turns(&p, 20);
	p.destroy_in_answer = true;
	loop_advance(p.loop, 1001);
	turns(&p, 3);
	assert_int_equal(p.n_lost, 2);
	pair_fini(&p);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void a_hundred_thousand_asks_one_after_the_other(void **state)
{
	struct ipc_message m = question("example.org");
	struct ipc_ask ask = {0};
	double began, took;
	struct pair p;

	(void)state;
	pair_init(&p, 64);
	began = seconds();
	for (unsigned i = 0; i < 100000; i++) {
		assert_true(ipc_ask(p.peer, &ask, &m, -1, 30000, false, answered, &p, NULL));
		while (p.n_answered == i)
			loop_turn(p.loop, true);
	}
	took = seconds() - began;
	printf("one at a time, both ends in one loop: %.1f us each\n", took * 10);
	pair_fini(&p);
}

/* Request numbers are used again; a late answer must find nobody, not the next who has its place. */
static void a_late_answer_is_not_taken_for_that_of_a_later_ask(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask first = {0}, asks[200] = {0};
	struct ipc_request *late;
	struct pair p;

	(void)state;
	pair_init(&p, 300);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &first, &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	late = p.held[0];
	p.n_held = 0;
	ipc_ask_cancel(&first);
	p.hold = false;
	for (int i = 0; i < 100; i++) {
		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 0, false, answered, &p, NULL));
		turns(&p, 4);
	}
	assert_int_equal(p.n_answered, 100);
	/* These fill every place, the first's among them. */
	p.drop = true;
	for (int i = 0; i < 200; i++)
		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 5);
	ipc_answer(late, &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
	turns(&p, 5);
	assert_int_equal(p.n_answered, 100);
	assert_int_equal(ipc_peer_under_way(p.peer), 200);
	for (size_t i = 0; i < p.n_dropped; i++)
		ipc_answer(p.dropped[i], &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
	turns(&p, 5);
	assert_int_equal(p.n_answered, 300);
	pair_fini(&p);
}

static void a_second_connection_is_closed(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct pair p;
	int fds[2];
	char octet;

	(void)state;
	pair_init(&p, 2);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_true(ipc_peer_is_up(p.peer));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	ipc_peer_connected(p.peer, fds[0]);
	assert_int_equal(recv(fds[1], &octet, 1, MSG_DONTWAIT), 0);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_answered, 2);
	close(fds[1]);
	pair_fini(&p);
}

static void drained(void *arg)
{
	struct pair *p = arg;

	p->n_drained++;
}

/* A process takes the place of the one that is asked: what is asked from then on goes to it, at once, and the old one's answers come still. */
static void a_drained_server_answers_what_it_has_and_the_next_one_is_asked(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask asks[4] = {0};
	struct ipc_server *old;
	struct pair p;

	(void)state;
	pair_init(&p, 1);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &asks[0], &m, -1, 0, false, answered, &p, NULL));
	assert_true(ipc_ask(p.peer, &asks[1], &m, -1, 0, false, answered, &p, NULL)); /* waits: the window is full */
	turns(&p, 20);
	assert_int_equal(p.n_asked, 1);
	old = p.server;
	ipc_server_drain(old, drained, &p);
	ipc_server_drain(old, drained, &p);
	p.hold = false;
	serve(&p, 1);
	turns(&p, 20);
	assert_int_equal(p.n_answered, 1); /* the second, by the next one */
	assert_int_equal(p.n_connects, 2);
	assert_true(ipc_peer_is_up(p.peer));
	assert_false(ipc_server_is_drained(old));
	assert_true(ipc_ask(p.peer, &asks[2], &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_answered, 2);
	ipc_answer(p.held[0], &IPC_MESSAGE(dns_answer, .records = SLICE("late")), -1);
	p.n_held = 0;
	turns(&p, 20);
	assert_int_equal(p.n_answered, 3);
	assert_string_equal(p.last, "late");
	assert_true(ipc_server_is_drained(old)); /* the old connection is closed */
	assert_int_equal(p.n_drained, 1);
	assert_false(ipc_server_is_drained(p.server));
	ipc_server_destroy(old);
	assert_true(ipc_ask(p.peer, &asks[3], &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_answered, 4);
	assert_int_equal(p.n_lost, 0);
	pair_fini(&p);
}

static void a_drained_server_without_asks_is_left_at_once_and_nobody_is_called_for_nothing(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct ipc_server *old;
	struct pair p;

	(void)state;
	pair_init(&p, 1);
	assert_false(ipc_server_is_drained(p.server)); /* nobody is there, but may come */
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	old = p.server;
	assert_false(ipc_server_is_drained(old));
	ipc_server_drain(old, drained, &p);
	assert_int_equal(ipc_connect_unix(p.path, NULL), -1); /* it listens no more */
	serve(&p, 1);
	turns(&p, 20);
	assert_true(ipc_server_is_drained(old));
	assert_int_equal(p.n_presence, 101); /* its end is told */
	assert_int_equal(p.n_connects, 1);   /* nobody waits */
	ipc_server_destroy(old);
	pair_fini(&p);
}

static void an_ask_that_is_on_its_way_to_a_drained_server_is_answered(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask asks[2] = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 2);
	assert_true(ipc_ask(p.peer, &asks[0], &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_true(ipc_ask(p.peer, &asks[1], &m, -1, 0, false, answered, &p, NULL));
	ipc_server_drain(p.server, drained, &p); /* they cross */
	turns(&p, 20);
	assert_int_equal(p.n_answered, 2);
	assert_true(ipc_server_is_drained(p.server));
	pair_fini(&p);
}

/* A connection that came just before: it is sent to the next one as well, and not cut off. */
static void a_connection_that_says_hello_to_a_drained_server_is_sent_on(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct ipc_server *old;
	struct pair p;

	(void)state;
	pair_init(&p, 1);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, false, answered, &p, NULL));
	for (int i = 0; i < 10 && p.n_connects == 0; i++)
		turns(&p, 1);
	turns(&p, 1); /* taken, and not heard */
	assert_int_equal(p.n_presence, 0);
	old = p.server;
	ipc_server_drain(old, drained, &p);
	assert_false(ipc_server_is_drained(old));
	serve(&p, 1);
	turns(&p, 20);
	assert_int_equal(p.n_drained, 1);
	assert_int_equal(p.n_connects, 2);
	assert_int_equal(p.n_answered, 1);
	assert_int_equal(p.n_asked, 1);
	ipc_server_destroy(old);
	pair_fini(&p);
}

static void a_drained_servers_end_loses_its_own_asks_alone(void **state)
{
	struct ipc_message m = question("a.test"), other = question("b.test");
	struct ipc_ask once = {0}, again = {0}, later = {0};
	struct ipc_server *old;
	struct pair p;

	(void)state;
	pair_init(&p, 5);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &once, &m, -1, 0, false, answered, &p, NULL));
	assert_true(ipc_ask(p.peer, &again, &m, -1, 0, true, answered, &p, NULL));
	turns(&p, 20);
	old = p.server;
	ipc_server_drain(old, drained, &p);
	serve(&p, 5);
	turns(&p, 20);
	assert_true(ipc_ask(p.peer, &later, &other, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_asked, 3);
	p.hold = false;
	ipc_server_destroy(old);
	turns(&p, 20);
	assert_int_equal(p.n_lost, 1);	   /* once */
	assert_int_equal(p.n_asked, 4);	   /* again, at the next one */
	assert_int_equal(p.n_answered, 1); /* the same */
	ipc_answer(p.held[2], &IPC_MESSAGE(dns_answer, .records = SLICE("b.test")), -1);
	for (unsigned i = 0; i < 2; i++)
		ipc_answer(p.held[i], &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
	p.n_held = 0;
	turns(&p, 20);
	assert_int_equal(p.n_answered, 2);
	assert_string_equal(p.last, "b.test");
	pair_fini(&p);
}

static void a_peer_with_a_drained_server_may_be_destroyed(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask asks[3] = {0};
	struct ipc_server *old;
	struct pair p;

	(void)state;
	for (int in_answer = 0; in_answer < 2; in_answer++) {
		pair_init(&p, 5);
		p.hold = true;
		for (int i = 0; i < 2; i++)
			assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 0, i == 1, answered, &p, NULL));
		turns(&p, 20);
		old = p.server;
		ipc_server_drain(old, drained, &p);
		serve(&p, 5);
		turns(&p, 20);
		assert_true(ipc_ask(p.peer, &asks[2], &m, -1, 0, true, answered, &p, NULL));
		turns(&p, 20);
		p.destroy_in_answer = in_answer;
		if (in_answer) {
			ipc_answer(p.held[0], &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
			turns(&p, 20);
			p.held[0] = p.held[--p.n_held];
		} else {
			ipc_peer_destroy(p.peer);
			p.peer = NULL;
		}
		assert_null(p.peer);
		assert_int_equal(p.n_lost, in_answer ? 2 : 3);
		assert_int_equal(p.n_answered, in_answer);
		turns(&p, 20);
		assert_true(ipc_server_is_drained(old));
		ipc_server_destroy(old);
		pair_fini(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_window_holds_back_what_is_over_it),
		cmocka_unit_test(a_repeatable_ask_survives_the_servers_end),
		cmocka_unit_test(a_time_limit_ends_the_wait_and_a_late_answer_finds_nobody),
		cmocka_unit_test(a_cancelled_ask_is_silent),
		cmocka_unit_test(ten_thousand_asks_all_come_back),
		cmocka_unit_test(a_cancelled_ask_keeps_its_place_in_the_window_until_it_is_answered),
		cmocka_unit_test(asks_over_what_may_wait_are_refused_at_once),
		cmocka_unit_test(an_ask_with_a_field_too_long_is_refused_at_once),
		cmocka_unit_test(asks_are_repeated_in_their_order_before_those_that_wait),
		cmocka_unit_test(a_descriptor_is_sent_again_with_its_ask),
		cmocka_unit_test(a_time_limit_holds_while_nobody_can_be_reached),
		cmocka_unit_test(attempts_to_connect_have_growing_pauses),
		cmocka_unit_test(a_peer_that_hangs_up_at_once_is_not_called_without_rest),
		cmocka_unit_test(nobody_is_called_for_an_ask_that_was_cancelled),
		cmocka_unit_test(a_peer_that_is_kept_up_is_there_though_nobody_asks),
		cmocka_unit_test(an_answer_may_cancel_another_ask),
		cmocka_unit_test(a_loss_may_cancel_another_ask_that_was_lost_too),
		cmocka_unit_test(a_loss_may_ask_again_or_destroy_the_peer),
		cmocka_unit_test(an_answer_may_destroy_the_peer_and_the_others_hear_of_it),
		cmocka_unit_test(a_time_limit_may_destroy_the_peer),
		cmocka_unit_test(a_hundred_thousand_asks_one_after_the_other),
		cmocka_unit_test(a_late_answer_is_not_taken_for_that_of_a_later_ask),
		cmocka_unit_test(a_second_connection_is_closed),
		cmocka_unit_test(a_drained_server_answers_what_it_has_and_the_next_one_is_asked),
		cmocka_unit_test(a_drained_server_without_asks_is_left_at_once_and_nobody_is_called_for_nothing),
		cmocka_unit_test(an_ask_that_is_on_its_way_to_a_drained_server_is_answered),
		cmocka_unit_test(a_connection_that_says_hello_to_a_drained_server_is_sent_on),
		cmocka_unit_test(a_drained_servers_end_loses_its_own_asks_alone),
		cmocka_unit_test(a_peer_with_a_drained_server_may_be_destroyed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
