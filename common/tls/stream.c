#include "common/tls/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/address.h"
#include "common/base/fd.h"
#include "common/base/memory.h"

/* Received at once, on the stack, so that a buffer of the heap is made only for what is there. */
enum { SCRATCH_BYTES = 65536 };

/* Where fault_set may write; NULL, which it ignores, when memory is out. */
static struct fault *fault_room(struct stream *s)
{
	if (s->why == NULL)
		s->why = memory_alloc(1, sizeof(*s->why), NULL);
	return s->why;
}

static unsigned fail(struct stream *s)
{
	s->failed = true;
	(void)loop_io_want(&s->io, 0);
	return STREAM_FAILED;
}

/* Asks the loop for what can be used. READ stays asked for while reading is off, until something comes: most
 * clients wait for our reply, and so it costs nothing. */
static void watch(struct stream *s)
{
	unsigned wanted = 0;

	if (s->failed)
		return;
	if (s->connecting || s->blocked)
		wanted |= LOOP_WRITE;
	if (!s->connecting && !s->eof && buf_length(&s->in) < s->in.max)
		wanted |= s->reading ? LOOP_READ : s->io.wanted & LOOP_READ;
	if (loop_io_want(&s->io, wanted))
		return;
	fault_set(fault_room(s), "4.3.1", "out of memory");
	s->pending |= fail(s);
	loop_task_schedule(&s->task);
}

/* One recv for each wake-up, unless it filled all it was given. */
static unsigned receive(struct stream *s)
{
	char scratch[SCRATCH_BYTES];
	unsigned events = 0;
	size_t room;

	while ((room = s->in.max - buf_length(&s->in)) > 0) {
		size_t size = room < sizeof(scratch) ? room : sizeof(scratch);
		ssize_t got = recv(s->fd, scratch, size, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (got < 0) {
			fault_errno(fault_room(s), "4.4.2", "the connection was lost");
			return events | fail(s);
		}
		if (got == 0) {
			s->eof = true;
			events |= STREAM_EOF;
			break;
		}
		if (!buf_append(&s->in, slice_of(scratch, (size_t)got))) {
			fault_set(fault_room(s), "4.3.1", "out of memory");
			return events | fail(s);
		}
		events |= STREAM_INPUT;
		if ((size_t)got < size)
			break;
	}
	watch(s);
	return events;
}

static unsigned send_queued(struct stream *s)
{
	struct slice left = buf_slice(&s->out);
	ssize_t sent = 0;

	if (s->failed || s->connecting || s->blocked)
		return 0;
	if (left.n > 0) {
		while ((sent = send(s->fd, left.p, left.n, MSG_NOSIGNAL)) < 0 && errno == EINTR)
			;
		if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			fault_errno(fault_room(s), "4.4.2", "the connection was lost");
			return fail(s);
		}
		s->blocked = sent < 0 || (size_t)sent < left.n;
		if (sent > 0)
			buf_consume(&s->out, (size_t)sent);
		watch(s);
	}
	if (buf_length(&s->out) > 0)
		return 0;
	buf_fini(&s->out);
	if (!s->written)
		return 0;
	s->written = false;
	return STREAM_DRAINED;
}

static unsigned connected(struct stream *s)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		error = errno;
	if (error) {
		errno = error;
		fault_errno(fault_room(s), "4.4.1", "cannot connect");
		return fail(s);
	}
	s->connecting = false;
	watch(s);
	return STREAM_CONNECTED;
}

/* The last thing done with s: the callback may have ended it. */
static void report(struct stream *s, unsigned events)
{
	if (!s->reading)
		events &= ~(unsigned)(STREAM_INPUT | STREAM_EOF);
	if (events)
		s->fn(s->arg, events);
}

static void on_ready(void *arg, unsigned ready)
{
	struct stream *s = arg;
	unsigned events = s->pending;

	s->pending = 0;
	if (s->connecting) {
		events |= connected(s);
	} else if (ready & LOOP_WRITE) {
		s->blocked = false;
		events |= send_queued(s);
	}
	if (ready & LOOP_READ && !s->connecting && !s->failed && !s->eof) {
		if (s->reading)
			events |= receive(s);
		else
			(void)loop_io_want(&s->io, s->io.wanted & ~(unsigned)LOOP_READ);
	}
	report(s, events);
}

static void on_task(void *arg)
{
	struct stream *s = arg;
	unsigned events = s->pending;

	s->pending = 0;
	report(s, events | send_queued(s));
}

void stream_init(struct stream *s, struct loop *l, int fd, size_t in_max, stream_fn *fn, void *arg)
{
	*s = (struct stream){.fd = fd, .fn = fn, .arg = arg};
	buf_init(&s->in, in_max);
	buf_init(&s->out, STREAM_OUT_MAX_BYTES);
	loop_io_init(&s->io, l, fd, on_ready, s);
	loop_task_init(&s->task, l, on_task, s);
}

bool stream_connect(struct stream *s, struct loop *l, const struct ip *ip, uint16_t port, size_t in_max, stream_fn *fn, void *arg,
		    struct fault *why)
{
	struct sockaddr_storage to;
	socklen_t n = ip_to_sockaddr(ip, port, &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1;

	*s = (struct stream){.fd = -1};
	if (fd < 0) {
		fault_errno(why, "4.3.0", "cannot make a socket");
		return false;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)&to, n) < 0 && errno != EINPROGRESS) {
		fault_errno(why, "4.4.1", "cannot connect");
		fd_close(&fd);
		return false;
	}
	/* Connected at once or not: the socket is writable when it is. */
	stream_init(s, l, fd, in_max, fn, arg);
	s->connecting = true;
	watch(s);
	return true;
}

void stream_fini(struct stream *s)
{
	if (s->fn == NULL)
		return;
	loop_task_cancel(&s->task);
	loop_io_fini(&s->io);
	fd_close(&s->fd);
	buf_fini(&s->in);
	buf_fini(&s->out);
	free(s->why);
	*s = (struct stream){.fd = -1};
}

void stream_read(struct stream *s, bool on)
{
	if (s->reading == on)
		return;
	s->reading = on;
	if (!on)
		return;
	if (buf_length(&s->in) > 0)
		s->pending |= STREAM_INPUT;
	if (s->eof)
		s->pending |= STREAM_EOF;
	if (s->pending)
		loop_task_schedule(&s->task);
	watch(s);
}

struct slice stream_input(const struct stream *s)
{
	return buf_slice(&s->in);
}

void stream_consume(struct stream *s, size_t n)
{
	bool was_full = buf_length(&s->in) >= s->in.max;

	buf_consume(&s->in, n);
	if (buf_length(&s->in) == 0)
		buf_fini(&s->in);
	if (was_full)
		watch(s);
}

void stream_discard_input(struct stream *s)
{
	stream_consume(s, buf_length(&s->in));
}

bool stream_write(struct stream *s, struct slice octets)
{
	if (s->failed || !buf_append(&s->out, octets))
		return false;
	s->written = true;
	loop_task_schedule(&s->task);
	return true;
}

size_t stream_unsent(const struct stream *s)
{
	return buf_length(&s->out);
}

const struct fault *stream_fault(const struct stream *s)
{
	static const struct fault out_of_memory = {.status = "4.3.1", .text = "out of memory"};

	return s->why ? s->why : &out_of_memory;
}
