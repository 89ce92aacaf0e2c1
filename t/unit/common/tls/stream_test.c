#include "common/tls/stream.h"

#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/address.h"

struct side {
	struct stream s;
	unsigned seen;
	unsigned calls;
	struct buf got;
	bool consume, fini_in_callback;
};

struct pair {
	struct loop *loop;
	struct side side;
	int peer;
};

static void on_stream(void *arg, unsigned events)
{
	struct side *side = arg;

	side->seen |= events;
	side->calls++;
	if (side->consume && events & STREAM_INPUT) {
		struct slice in = stream_input(&side->s);

		assert_true(buf_append(&side->got, in));
		stream_consume(&side->s, in.n);
	}
	if (side->fini_in_callback)
		stream_fini(&side->s);
}

static int make_pair(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	assert_non_null(p->loop = loop_create(NULL));
	p->peer = fds[1];
	p->side.consume = true;
	buf_init(&p->side.got, SIZE_MAX / 2);
	stream_init(&p->side.s, p->loop, fds[0], 4096, on_stream, &p->side);
	*state = p;
	return 0;
}

static int end_pair(void **state)
{
	struct pair *p = *state;

	stream_fini(&p->side.s);
	buf_fini(&p->side.got);
	if (p->peer >= 0)
		close(p->peer);
	loop_destroy(p->loop);
	free(p);
	return 0;
}

static void turns(struct pair *p, int n)
{
	while (n-- > 0)
		loop_turn(p->loop, false);
}

static void peer_sends(struct pair *p, const char *text)
{
	assert_int_equal(write(p->peer, text, strlen(text)), (ssize_t)strlen(text));
}

static size_t peer_reads(struct pair *p, char *out, size_t n)
{
	ssize_t got = read(p->peer, out, n);

	return got > 0 ? (size_t)got : 0;
}

static void assert_got(struct pair *p, const char *text)
{
	assert_int_equal(buf_length(&p->side.got), strlen(text));
	assert_memory_equal(buf_slice(&p->side.got).p, text, strlen(text));
}

static void nothing_is_read_before_reading_is_on(void **state)
{
	struct pair *p = *state;

	peer_sends(p, "EHLO");
	turns(p, 3);
	assert_int_equal(p->side.calls, 0);
	stream_read(&p->side.s, true);
	turns(p, 2);
	assert_int_equal(p->side.seen, STREAM_INPUT);
	assert_got(p, "EHLO");
}

static void input_off_is_back_pressure_and_reported_when_on_again(void **state)
{
	struct pair *p = *state;

	p->side.consume = false;
	stream_read(&p->side.s, true);
	peer_sends(p, "one");
	turns(p, 2);
	assert_int_equal(p->side.calls, 1);
	stream_read(&p->side.s, false);
	peer_sends(p, "two");
	turns(p, 3);
	assert_int_equal(p->side.calls, 1);
	assert_int_equal(stream_input(&p->side.s).n, 3);
	assert_int_equal(p->side.s.io.wanted, 0);
	p->side.consume = true;
	stream_read(&p->side.s, true);
	turns(p, 3);
	assert_got(p, "onetwo");
}

static void reading_off_and_on_between_arrivals_changes_no_watch(void **state)
{
	struct pair *p = *state;

	stream_read(&p->side.s, true);
	turns(p, 1);
	stream_read(&p->side.s, false);
	turns(p, 2);
	assert_int_equal(p->side.s.io.wanted, LOOP_READ);
	stream_read(&p->side.s, true);
	peer_sends(p, "x");
	turns(p, 2);
	assert_got(p, "x");
}

static void input_beyond_the_maximum_waits_in_the_kernel(void **state)
{
	struct pair *p = *state;
	char big[10000];

	memset(big, 'a', sizeof(big));
	p->side.consume = false;
	stream_read(&p->side.s, true);
	assert_int_equal(write(p->peer, big, sizeof(big)), sizeof(big));
	turns(p, 5);
	assert_int_equal(stream_input(&p->side.s).n, 4096);
	assert_int_equal(p->side.calls, 1);
	p->side.consume = true;
	assert_true(buf_append(&p->side.got, stream_input(&p->side.s)));
	stream_consume(&p->side.s, 4096);
	turns(p, 5);
	assert_int_equal(buf_length(&p->side.got), sizeof(big));
}

static void writes_of_one_turn_are_one_segment(void **state)
{
	struct pair *p = *state;
	char out[64];

	assert_true(stream_write(&p->side.s, SLICE("250 a\r\n")));
	assert_true(stream_write(&p->side.s, SLICE("250 b\r\n")));
	assert_int_equal(stream_unsent(&p->side.s), 14);
	assert_int_equal(peer_reads(p, out, sizeof(out)), 0);
	turns(p, 1);
	assert_int_equal(peer_reads(p, out, sizeof(out)), 14);
	assert_memory_equal(out, "250 a\r\n250 b\r\n", 14);
	assert_int_equal(p->side.seen, STREAM_DRAINED);
	assert_int_equal(stream_unsent(&p->side.s), 0);
}

static void output_the_kernel_refuses_is_sent_later(void **state)
{
	struct pair *p = *state;
	size_t total = 3u << 20, got = 0;
	char *big = malloc(total), *out = malloc(total);

	for (size_t i = 0; i < total; i++)
		big[i] = (char)(i * 7 + i / 251);
	assert_true(stream_write(&p->side.s, slice_of(big, total)));
	turns(p, 2);
	assert_int_equal(p->side.seen, 0);
	assert_true(stream_unsent(&p->side.s) > 0);
	for (int i = 0; i < 10000 && got < total; i++) {
		got += peer_reads(p, out + got, total - got);
		turns(p, 1);
	}
	assert_int_equal(got, total);
	assert_memory_equal(big, out, total);
	assert_int_equal(p->side.seen, STREAM_DRAINED);
	free(big);
	free(out);
}

static void output_is_bounded(void **state)
{
	struct pair *p = *state;
	char *big = calloc(1, STREAM_OUT_MAX_BYTES);

	assert_true(stream_write(&p->side.s, slice_of(big, STREAM_OUT_MAX_BYTES)));
	assert_false(stream_write(&p->side.s, SLICE("x")));
	free(big);
}

static void end_of_input_comes_with_what_came_before(void **state)
{
	struct pair *p = *state;

	stream_read(&p->side.s, true);
	peer_sends(p, "QUIT");
	close(p->peer);
	p->peer = -1;
	turns(p, 3);
	assert_got(p, "QUIT");
	assert_true(p->side.seen & STREAM_EOF);
	assert_false(p->side.seen & STREAM_FAILED);
	unsigned calls = p->side.calls;
	turns(p, 3);
	assert_int_equal(p->side.calls, calls);
}

static void end_of_input_is_told_again_when_reading_was_off(void **state)
{
	struct pair *p = *state;

	stream_read(&p->side.s, true);
	close(p->peer);
	p->peer = -1;
	turns(p, 2);
	assert_int_equal(p->side.seen, STREAM_EOF);
	p->side.seen = 0;
	stream_read(&p->side.s, false);
	turns(p, 2);
	assert_int_equal(p->side.seen, 0);
	stream_read(&p->side.s, true);
	turns(p, 2);
	assert_int_equal(p->side.seen, STREAM_EOF);
}

static void writing_to_who_has_gone_fails_once(void **state)
{
	struct pair *p = *state;

	close(p->peer);
	p->peer = -1;
	assert_true(stream_write(&p->side.s, SLICE("hello")));
	turns(p, 3);
	assert_int_equal(p->side.seen, STREAM_FAILED);
	assert_int_equal(p->side.calls, 1);
	assert_false(stream_write(&p->side.s, SLICE("hello")));
	assert_string_equal(stream_fault(&p->side.s)->status, "4.4.2");
	assert_int_equal(stream_fault(&p->side.s)->class, FAULT_TEMPORARY);
}

static void callback_may_end_the_stream(void **state)
{
	struct pair *p = *state;

	p->side.fini_in_callback = true;
	stream_read(&p->side.s, true);
	assert_true(stream_write(&p->side.s, SLICE("hello")));
	peer_sends(p, "hello");
	turns(p, 4);
	assert_int_equal(p->side.calls, 1);
}

static void discarded_input_is_gone(void **state)
{
	struct pair *p = *state;

	p->side.consume = false;
	stream_read(&p->side.s, true);
	peer_sends(p, "STARTTLS\r\nRSET\r\n");
	turns(p, 2);
	stream_consume(&p->side.s, 10);
	stream_discard_input(&p->side.s);
	assert_int_equal(stream_input(&p->side.s).n, 0);
}

static int listen_loopback(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void connecting_tells_when_it_stands(void **state)
{
	struct pair *p = *state;
	struct side side = {.consume = true};
	struct ip ip;
	uint16_t port;
	int fd = listen_loopback(&port), peer;
	char out[16];

	buf_init(&side.got, 100);
	assert_true(ip_parse(SLICE("127.0.0.1"), &ip));
	assert_true(stream_connect(&side.s, p->loop, &ip, port, 4096, on_stream, &side, NULL));
	assert_true(stream_write(&side.s, SLICE("EHLO")));
	for (int i = 0; i < 20 && !(side.seen & STREAM_DRAINED); i++)
		loop_turn(p->loop, true);
	assert_int_equal(side.seen, STREAM_CONNECTED | STREAM_DRAINED);
	assert_true((peer = accept(fd, NULL, NULL)) >= 0);
	assert_int_equal(read(peer, out, sizeof(out)), 4);
	stream_read(&side.s, true);
	assert_int_equal(write(peer, "220", 3), 3);
	for (int i = 0; i < 20 && !(side.seen & STREAM_INPUT); i++)
		loop_turn(p->loop, true);
	assert_int_equal(buf_length(&side.got), 3);
	stream_fini(&side.s);
	buf_fini(&side.got);
	close(peer);
	close(fd);
}

static void connecting_to_a_closed_port_fails(void **state)
{
	struct pair *p = *state;
	struct side side = {.consume = true};
	struct ip ip;
	uint16_t port;
	struct fault why = {0};

	close(listen_loopback(&port));
	assert_true(ip_parse(SLICE("127.0.0.1"), &ip));
	if (stream_connect(&side.s, p->loop, &ip, port, 4096, on_stream, &side, &why)) {
		for (int i = 0; i < 20 && !side.seen; i++)
			loop_turn(p->loop, true);
		assert_int_equal(side.seen, STREAM_FAILED);
		why = *stream_fault(&side.s);
	}
	assert_string_equal(why.status, "4.4.1");
	stream_fini(&side.s);
}

static void idle_stream_is_small(void **state)
{
	enum { N = 400 }; /* with room below the usual 1024 descriptors */
	struct pair *p = *state;
	struct side *sides = calloc(N, sizeof(*sides));
	int(*fds)[2] = calloc(N, sizeof(*fds));
	size_t before, used;

	for (int i = 0; i < N; i++)
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds[i]),
			0);
	before = mallinfo2().uordblks;
	for (int i = 0; i < N; i++) {
		sides[i].consume = true;
		buf_init(&sides[i].got, 100);
		stream_init(&sides[i].s, p->loop, fds[i][0], 4096, on_stream, &sides[i]);
		stream_read(&sides[i].s, true);
		assert_int_equal(write(fds[i][1], "hello", 5), 5);
	}
	for (int i = 0; i < 200; i++)
		loop_turn(p->loop, false);
	for (int i = 0; i < N; i++) {
		assert_true(sides[i].seen & STREAM_INPUT);
		buf_fini(&sides[i].got);
		assert_true(stream_write(&sides[i].s, SLICE("250 hello")));
	}
	for (int i = 0; i < 200; i++)
		loop_turn(p->loop, false);
	used = (mallinfo2().uordblks - before) / N + sizeof(struct stream);
	print_message("an idle plain stream: %zu octets, %zu of them the struct\n", used,
		      sizeof(struct stream));
	if (before > 0) /* a sanitizer's malloc counts nothing */
		assert_true(used < 500);
	for (int i = 0; i < N; i++) {
		stream_fini(&sides[i].s);
		close(fds[i][1]);
	}
	free(sides);
	free(fds);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_pair, end_pair)
	const struct CMUnitTest tests[] = {
		T(nothing_is_read_before_reading_is_on),
		T(input_off_is_back_pressure_and_reported_when_on_again),
		T(reading_off_and_on_between_arrivals_changes_no_watch),
		T(input_beyond_the_maximum_waits_in_the_kernel),
		T(writes_of_one_turn_are_one_segment),
		T(output_the_kernel_refuses_is_sent_later),
		T(output_is_bounded),
		T(end_of_input_comes_with_what_came_before),
		T(end_of_input_is_told_again_when_reading_was_off),
		T(writing_to_who_has_gone_fails_once),
		T(callback_may_end_the_stream),
		T(discarded_input_is_gone),
		T(connecting_tells_when_it_stands),
		T(connecting_to_a_closed_port_fails),
		T(idle_stream_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
