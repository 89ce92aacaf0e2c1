#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/ipc/link.h"

/* master and one child, both in this loop, on a socketpair. */
struct side {
	struct ipc_channel *channel;
	unsigned n_notices, n_asked, n_answered, n_lost, n_gone;
	bool hold, destroy_in_answer, destroy_in_gone, got_fd;
	struct ipc_request *held[4];
	unsigned n_held;
};

struct two {
	struct loop *loop;
	struct side master, child;
};

static void handler(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct side *s = arg;

	(void)m;
	s->got_fd |= *fd >= 0;
	if (request == NULL) {
		s->n_notices++;
	} else if (s->hold) {
		s->n_asked++;
		s->held[s->n_held++] = request;
	} else {
		s->n_asked++;
		ipc_answer(request, &IPC_MESSAGE(connect_answer, .n_workers = 4), -1);
	}
}

static void gone(void *arg)
{
	struct side *s = arg;

	s->n_gone++;
	if (s->destroy_in_gone) {
		ipc_channel_destroy(s->channel);
		s->channel = NULL;
	}
}

static void answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct side *s = arg;

	(void)fd;
	(void)why;
	if (answer)
		s->n_answered++;
	else
		s->n_lost++;
	if (s->destroy_in_answer) {
		s->destroy_in_answer = false;
		ipc_channel_destroy(s->channel);
		s->channel = NULL;
	}
}

static void two_init(struct two *t)
{
	int fds[2];

	*t = (struct two){.loop = loop_create(NULL)};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	t->master.channel = ipc_channel_create(t->loop, fds[0], IPC_ROLE_MASTER, IPC_ROLE_SMTPD, handler, gone, &t->master, NULL);
	t->child.channel = ipc_channel_create(t->loop, fds[1], IPC_ROLE_SMTPD, IPC_ROLE_MASTER, handler, gone, &t->child, NULL);
	assert_non_null(t->master.channel);
	assert_non_null(t->child.channel);
}

static void answer_held(struct side *s)
{
	for (unsigned i = 0; i < s->n_held; i++)
		ipc_answer(s->held[i], &IPC_MESSAGE(connect_answer, .n_workers = 4), -1);
	s->n_held = 0;
}

static void two_fini(struct two *t)
{
	ipc_channel_destroy(t->master.channel);
	ipc_channel_destroy(t->child.channel);
	answer_held(&t->master);
	answer_held(&t->child);
	loop_destroy(t->loop);
}

static void turns(struct two *t, int n)
{
	while (n--)
		loop_turn(t->loop, false);
}

static const struct ipc_message question = {.type = IPC_TYPE_connect_ask, .connect_ask = {.role = IPC_ROLE_LOOKUPD}};

static void notices_and_questions_go_both_ways(void **state)
{
	const struct ipc_message settings = IPC_MESSAGE(settings, .generation = 1), pong = IPC_MESSAGE(pong, .at_ms = 1);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct ipc_ask asks[2] = {0};
	struct two t;

	(void)state;
	two_init(&t);
	assert_true(ipc_channel_send(t.master.channel, &settings, fd, NULL));
	assert_true(ipc_channel_send(t.child.channel, &pong, -1, NULL));
	for (int i = 0; i < 2; i++)
		assert_true(ipc_ask(ipc_channel_peer(t.child.channel), &asks[i], &question, -1, 0, false, answered, &t.child, NULL));
	assert_true(ipc_peer_is_up(ipc_channel_peer(t.child.channel)));
	turns(&t, 5);
	assert_int_equal(t.child.n_notices, 1);
	assert_true(t.child.got_fd);
	assert_int_equal(t.master.n_notices, 1);
	assert_int_equal(t.master.n_asked, 2);
	assert_int_equal(t.child.n_answered, 2);
	close(fd);
	two_fini(&t);
}

static void more_questions_than_the_window_wait_and_all_are_answered(void **state)
{
	struct ipc_ask asks[200] = {0};
	struct two t;

	(void)state;
	two_init(&t);
	for (int i = 0; i < 200; i++)
		assert_true(ipc_ask(ipc_channel_peer(t.child.channel), &asks[i], &question, -1, 0, false, answered, &t.child, NULL));
	turns(&t, 2);
	assert_int_equal(t.master.n_asked, 64);
	turns(&t, 20);
	assert_int_equal(t.child.n_answered, 200);
	assert_int_equal(t.child.n_gone, 0);
	two_fini(&t);
}

static void the_other_sides_end_is_told_to_every_ask_and_then_once_more(void **state)
{
	struct ipc_ask asks[70] = {0}, late = {0};
	struct fault why = {0};
	struct two t;

	(void)state;
	two_init(&t);
	for (int i = 0; i < 70; i++) /* some are sent, some wait, some would be repeated if there could be another connection */
		assert_true(ipc_ask(ipc_channel_peer(t.child.channel), &asks[i], &question, -1, 0, i % 2, answered, &t.child, NULL));
	ipc_channel_destroy(t.master.channel);
	t.master.channel = NULL;
	turns(&t, 3);
	assert_int_equal(t.child.n_lost, 70);
	assert_int_equal(t.child.n_gone, 1);
	assert_false(ipc_peer_is_up(ipc_channel_peer(t.child.channel)));
	/* Nothing can ever come of it: it must not wait. */
	assert_false(ipc_ask(ipc_channel_peer(t.child.channel), &late, &question, -1, 0, false, answered, &t.child, &why));
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_true(why.text[0]);
	two_fini(&t);
}

static void a_channel_may_be_destroyed_when_it_is_gone(void **state)
{
	struct two t;

	(void)state;
	two_init(&t);
	t.child.destroy_in_gone = true;
	ipc_channel_destroy(t.master.channel);
	t.master.channel = NULL;
	turns(&t, 3);
	assert_int_equal(t.child.n_gone, 1);
	two_fini(&t);
}

static void a_channel_may_be_destroyed_by_an_ask_that_hears_of_the_end(void **state)
{
	struct ipc_ask asks[3] = {0};
	struct two t;

	(void)state;
	two_init(&t);
	t.master.hold = true;
	for (int i = 0; i < 3; i++)
		assert_true(ipc_ask(ipc_channel_peer(t.child.channel), &asks[i], &question, -1, 0, false, answered, &t.child, NULL));
	turns(&t, 3);
	t.child.destroy_in_answer = true;
	ipc_channel_destroy(t.master.channel);
	t.master.channel = NULL;
	turns(&t, 3);
	assert_int_equal(t.child.n_lost, 3);
	assert_int_equal(t.child.n_gone, 0); /* who destroyed it knows */
	two_fini(&t);
}

static void a_channel_may_be_destroyed_by_an_answer(void **state)
{
	struct ipc_ask asks[3] = {0};
	struct two t;

	(void)state;
	two_init(&t);
	for (int i = 0; i < 3; i++)
		assert_true(ipc_ask(ipc_channel_peer(t.child.channel), &asks[i], &question, -1, 0, false, answered, &t.child, NULL));
	t.child.destroy_in_answer = true;
	turns(&t, 5);
	assert_int_equal(t.child.n_answered, 1);
	assert_int_equal(t.child.n_lost, 2);
	assert_int_equal(t.master.n_gone, 1);
	two_fini(&t);
}

static void a_request_outlives_its_channel(void **state)
{
	struct ipc_ask asks[2] = {0};
	struct two t;

	(void)state;
	for (int destroyed = 0; destroyed < 2; destroyed++) {
		two_init(&t);
		t.master.hold = true;
		for (int i = 0; i < 2; i++)
			assert_true(ipc_ask(ipc_channel_peer(t.child.channel), &asks[i], &question, -1, 0, false, answered, &t.child, NULL));
		turns(&t, 3);
		assert_int_equal(t.master.n_held, 2);
		if (destroyed) {
			ipc_channel_destroy(t.master.channel); /* we end */
			t.master.channel = NULL;
		} else {
			ipc_channel_destroy(t.child.channel); /* the asker ends */
			t.child.channel = NULL;
		}
		turns(&t, 3);
		assert_int_equal(t.child.n_lost, 2);
		answer_held(&t.master); /* to nobody */
		turns(&t, 3);
		assert_int_equal(t.child.n_answered, 0);
		two_fini(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notices_and_questions_go_both_ways),
		cmocka_unit_test(more_questions_than_the_window_wait_and_all_are_answered),
		cmocka_unit_test(the_other_sides_end_is_told_to_every_ask_and_then_once_more),
		cmocka_unit_test(a_channel_may_be_destroyed_when_it_is_gone),
		cmocka_unit_test(a_channel_may_be_destroyed_by_an_ask_that_hears_of_the_end),
		cmocka_unit_test(a_channel_may_be_destroyed_by_an_answer),
		cmocka_unit_test(a_request_outlives_its_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
