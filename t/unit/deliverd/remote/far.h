/* t/unit/deliverd/remote/far.h: the far end: an SMTP server on loopback, in the test's own loop,
 * that says what the test's rules say. */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fd.h"
#include "common/event/loop.h"

#define FAR_CONNECTIONS 64
#define FAR_RULES 16
#define FAR_CLOSE "\x04" /* at the end of a reply: and then it closes */
#define FAR_EHLO "250-far.test\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 8BITMIME\r\n"

/* To the command that begins with verb (CONNECT: the greeting, BODY: the first octets of a message,
 * END: its end) it says reply, `times` times (0: always). "": nothing. */
struct far_rule {
	const char *verb, *reply;
	unsigned times;
};

struct far_connection {
	struct far *far;
	struct loop_io io;
	int fd;
	bool in_data;
	struct buf in, message;
};

struct far {
	struct loop *loop;
	struct loop_io io;
	int fd;
	uint16_t port;
	struct far_rule rules[FAR_RULES];
	size_t n_rules;
	struct far_connection connections[FAR_CONNECTIONS];
	size_t n_connections;
	struct buf dialogue; /* the commands, a line each */
	unsigned n_messages;
	struct buf message; /* the last one, with its dots */
};

static inline void far_say(struct far *f, const char *verb, const char *reply, unsigned times)
{
	assert_true(f->n_rules < FAR_RULES);
	f->rules[f->n_rules++] = (struct far_rule){verb, reply, times};
}

static inline void far_hang_up(struct far_connection *c)
{
	loop_io_fini(&c->io);
	fd_close(&c->fd);
}

/* The rule for the command, else what a good server says. */
static inline void far_answer(struct far_connection *c, struct slice command, const char *reply)
{
	size_t n;

	for (size_t i = 0; i < c->far->n_rules; i++) {
		struct far_rule *r = &c->far->rules[i];

		if (r->verb == NULL || !slice_starts(command, slice_of_cstr(r->verb)))
			continue;
		reply = r->reply;
		if (r->times && --r->times == 0)
			r->verb = NULL;
		break;
	}
	n = strlen(reply);
	if (n && reply[n - 1] == FAR_CLOSE[0])
		n--;
	(void)!send(c->fd, reply, n, MSG_NOSIGNAL);
	if (strlen(reply) != n)
		far_hang_up(c);
	c->in_data = slice_starts(command, SLICE("DATA")) && reply[0] == '3';
}

static inline void far_command(struct far_connection *c, struct slice line)
{
	static const struct {
		const char *verb, *reply;
	} good[] = {{"EHLO", FAR_EHLO},
		    {"HELO", "250 far.test\r\n"},
		    {"MAIL", "250 2.1.0 ok\r\n"},
		    {"RCPT", "250 2.1.5 ok\r\n"},
		    {"DATA", "354 go on\r\n"},
		    {"RSET", "250 2.0.0 ok\r\n"},
		    {"QUIT", "221 2.0.0 bye\r\n" FAR_CLOSE}};
	const char *reply = "500 5.5.2 what?\r\n";

	buf_append(&c->far->dialogue, line);
	buf_append_char(&c->far->dialogue, '\n');
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (slice_starts(line, slice_of_cstr(good[i].verb)))
			reply = good[i].reply;
	far_answer(c, line, reply);
}

/* Octets of a message; they end with a dot alone on its line. */
static inline void far_data(struct far_connection *c)
{
	struct slice in = buf_slice(&c->in), all;
	bool first = buf_length(&c->message) == 0;
	size_t before = buf_length(&c->message), end;

	buf_append(&c->message, in);
	all = buf_slice(&c->message);
	end = slice_starts(all, SLICE(".\r\n")) ? 0 : slice_find_slice(all, SLICE("\r\n.\r\n"));
	if (end == SIZE_MAX) {
		buf_reset(&c->in);
		for (size_t i = 0; first && i < c->far->n_rules;
		     i++) /* nothing is said by default */
			if (c->far->rules[i].verb && strcmp(c->far->rules[i].verb, "BODY") == 0) {
				far_answer(c, SLICE("BODY"), "");
				c->in_data = true;
			}
		return;
	}
	end += end || !slice_starts(all, SLICE(".\r\n")) ? 5 : 3;
	buf_consume(&c->in, end - before);
	buf_reset(&c->far->message);
	buf_append(&c->far->message, slice_head(all, end));
	c->far->n_messages++;
	buf_reset(&c->message);
	c->in_data = false;
	far_answer(c, SLICE("END"), "250 2.0.0 taken\r\n");
}

static inline void far_on_input(void *arg, unsigned ready)
{
	struct far_connection *c = arg;
	char octets[65536];
	ssize_t n = recv(c->fd, octets, sizeof(octets), MSG_DONTWAIT);

	(void)ready;
	if (n < 0)
		return;
	if (n == 0) {
		far_hang_up(c);
		return;
	}
	buf_append(&c->in, slice_of(octets, (size_t)n));
	while (c->fd >= 0 && buf_length(&c->in)) {
		struct slice in = buf_slice(&c->in);
		size_t end = slice_find(in, '\n');
		char line[2048];

		if (c->in_data) {
			far_data(c);
			continue;
		}
		if (end == SIZE_MAX)
			return;
		snprintf(line, sizeof(line), "%.*s", (int)end - 1, in.p);
		buf_consume(&c->in, end + 1);
		far_command(c, slice_of_cstr(line));
	}
}

static inline void far_on_accept(void *arg, unsigned ready)
{
	struct far *f = arg;
	int fd = accept4(f->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct far_connection *c = &f->connections[f->n_connections];

	(void)ready;
	if (fd < 0)
		return;
	assert_true(f->n_connections++ < FAR_CONNECTIONS);
	*c = (struct far_connection){.far = f, .fd = fd};
	buf_init(&c->in, 16 << 20);
	buf_init(&c->message, 16 << 20);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1},
		   sizeof(int)); /* else its replies wait for our acknowledgements, 40 ms each */
	loop_io_init(&c->io, f->loop, fd, far_on_input, c);
	loop_io_want(&c->io, LOOP_READ);
	far_answer(c, SLICE("CONNECT"), "220 far.test ESMTP\r\n");
}

static inline void far_begin_at(struct far *f, struct loop *loop, const char *ip)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(ip)};
	socklen_t size = sizeof(address);

	memset(f, 0, sizeof(*f));
	f->loop = loop;
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(f->fd, 64), 0);
	assert_int_equal(getsockname(f->fd, (struct sockaddr *)&address, &size), 0);
	f->port = ntohs(address.sin_port);
	buf_init(&f->dialogue, 16 << 20);
	buf_init(&f->message, 16 << 20);
	loop_io_init(&f->io, loop, f->fd, far_on_accept, f);
	loop_io_want(&f->io, LOOP_READ);
}

static inline void far_begin(struct far *f, struct loop *loop)
{
	far_begin_at(f, loop, "127.0.0.1");
}

static inline void far_end(struct far *f)
{
	for (size_t i = 0; i < f->n_connections; i++) {
		far_hang_up(&f->connections[i]);
		buf_fini(&f->connections[i].in);
		buf_fini(&f->connections[i].message);
	}
	loop_io_fini(&f->io);
	fd_close(&f->fd);
	buf_fini(&f->dialogue);
	buf_fini(&f->message);
}

/* How many commands that begin so have come. */
static inline unsigned far_count(const struct far *f, const char *command)
{
	struct slice rest = buf_slice(&f->dialogue), line;
	unsigned n = 0;

	while (slice_cut(&rest, '\n', &line))
		n += slice_starts(line, slice_of_cstr(command));
	return n;
}
