#include "common/tls/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/address.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/tls/session.h"

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
	struct slice alert = s->tls ? buf_slice(&s->tls->wire) : SLICE_EMPTY;

	/* Why, in TLS's own words. */
	if (alert.n > 0 && !s->blocked && !s->connecting)
		(void)send(s->fd, alert.p, alert.n, MSG_NOSIGNAL);
	s->failed = true;
	(void)loop_io_want(&s->io, 0);
	return STREAM_FAILED;
}

static unsigned fail_with(struct stream *s, const struct fault *why)
{
	struct fault *room = fault_room(s);

	if (room)
		*room = *why;
	return fail(s);
}

/* errno says how. */
static unsigned lost(struct stream *s)
{
	fault_errno(fault_room(s), "4.4.2", "the connection was lost");
	return fail(s);
}

/* Can more input be held? During a handshake TLS says, whatever the user wants. */
static bool has_room(const struct stream *s)
{
	if (s->connecting || s->eof)
		return false;
	return s->tls ? tls_session_wants_input(s->tls) : buf_length(&s->in) < s->in.max;
}

static bool is_read(const struct stream *s)
{
	return s->reading || (s->tls && !s->tls->up);
}

/* Asks the loop for what can be used. READ stays asked for while reading is off, until something
 * comes: most clients wait for our reply, and so it costs nothing. */
static void watch(struct stream *s)
{
	unsigned wanted = 0;

	if (s->failed)
		return;
	if (s->connecting || s->blocked)
		wanted |= LOOP_WRITE;
	if (has_room(s))
		wanted |= is_read(s) ? LOOP_READ : s->io.wanted & LOOP_READ;
	if (loop_io_want(&s->io, wanted))
		return;
	fault_set(fault_room(s), "4.3.1", "out of memory");
	s->pending |= fail(s);
	loop_task_schedule(&s->task);
}

/* Octets from the socket, or none: TLS may have some left. */
static unsigned take(struct stream *s, struct slice received)
{
	struct fault why = {0};
	unsigned events = STREAM_INPUT;

	if (s->tls) {
		events = tls_session_input(s->tls, received, &why);
	} else if (!buf_append(&s->in, received)) {
		fault_set(&why, "4.3.1", "out of memory");
		events = STREAM_FAILED;
	}
	if (events & STREAM_FAILED)
		return events | fail_with(s, &why);
	return events;
}

static unsigned take_end(struct stream *s)
{
	struct fault why = {0};

	s->eof = true;
	if (s->tls == NULL || s->tls->up)
		return STREAM_EOF;
	fault_set(&why, "4.4.2", "the far end closed the connection during the TLS handshake");
	return fail_with(s, &why);
}

/* One recv for each wake-up, unless it filled all it was given. */
static unsigned receive(struct stream *s)
{
	char scratch[SCRATCH_BYTES];
	unsigned events = 0;

	while (!s->failed && has_room(s)) {
		size_t room = s->tls ? sizeof(scratch) : s->in.max - buf_length(&s->in);
		size_t size = room < sizeof(scratch) ? room : sizeof(scratch);
		ssize_t got = recv(s->fd, scratch, size, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (got < 0)
			return events | lost(s);
		events |= got > 0 ? take(s, slice_of(scratch, (size_t)got)) : take_end(s);
		if ((size_t)got < size)
			break;
	}
	watch(s);
	return events;
}

/* One send. False: nothing more can be done now, or ever (s->failed). */
static bool send_some(struct stream *s, struct buf *b)
{
	struct slice left = buf_slice(b);
	ssize_t sent;

	while ((sent = send(s->fd, left.p, left.n, MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
		(void)lost(s);
		return false;
	}
	s->blocked = sent < 0 || (size_t)sent < left.n;
	if (sent > 0)
		buf_consume(b, (size_t)sent);
	if (buf_length(b) == 0)
		buf_fini(b);
	return !s->blocked;
}

static unsigned send_queued(struct stream *s)
{
	struct buf *b = s->tls ? &s->tls->wire : &s->out;
	struct fault why = {0};
	bool goes_on = true;

	if (s->failed || s->connecting || s->blocked)
		return 0;
	while (goes_on) {
		if (s->tls && !tls_session_output(s->tls, &why))
			return fail_with(s, &why);
		goes_on = buf_length(b) > 0 && send_some(s, b);
	}
	if (s->failed)
		return STREAM_FAILED;
	watch(s);
	if (stream_unsent(s) > 0)
		return 0;
	buf_fini(&s->out);
	s->out.secret = false;
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
		if (is_read(s))
			events |= receive(s);
		else
			(void)loop_io_want(&s->io, s->io.wanted & ~(unsigned)LOOP_READ);
	}
	/* What TLS answers goes with the turn's other output. */
	if (s->tls && !s->failed)
		loop_task_schedule(&s->task);
	report(s, events);
}

static void on_task(void *arg)
{
	struct stream *s = arg;
	unsigned events = s->pending;

	s->pending = 0;
	if (s->tls && !s->failed) {
		events |= take(s, SLICE_EMPTY);
		watch(s);
	}
	events |= send_queued(s);
	report(s, events);
}

void stream_init(struct stream *s, struct loop *l, int fd, size_t in_max, stream_fn *fn, void *arg)
{
	*s = (struct stream){.fd = fd, .fn = fn, .arg = arg};
	buf_init(&s->in, in_max);
	buf_init(&s->out, STREAM_OUT_MAX_BYTES);
	loop_io_init(&s->io, l, fd, on_ready, s);
	loop_task_init(&s->task, l, on_task, s);
}

bool stream_connect(struct stream *s, struct loop *l, const struct ip *ip, uint16_t port,
		    size_t in_max, stream_fn *fn, void *arg, struct fault *why)
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
	if (s->tls) {
		tls_session_end(s->tls);
		if (!s->failed && !s->connecting && !s->blocked && buf_length(&s->tls->wire) > 0)
			(void)send_some(s, &s->tls->wire);
		tls_session_destroy(s->tls);
	}
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
	if (s->pending || s->tls)
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
	if (was_full && s->tls)
		loop_task_schedule(&s->task);
	else if (was_full)
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

bool stream_write_secret(struct stream *s, struct slice octets)
{
	s->out.secret = true; /* until all is sent */
	return stream_write(s, octets);
}

size_t stream_unsent(const struct stream *s)
{
	return buf_length(&s->out) + (s->tls ? buf_length(&s->tls->wire) : 0);
}

bool stream_start_tls(struct stream *s, struct tls_context *context, const char *host,
		      struct fault *why)
{
	if (s->tls || s->failed) {
		fault_set(why, "4.3.0",
			  s->tls ? "TLS has begun already" : "the connection was lost");
		return false;
	}
	stream_discard_input(s);
	if ((s->tls = tls_session_create(s, context, host, why)) == NULL)
		return false;
	loop_task_schedule(&s->task);
	watch(s);
	return true;
}

bool stream_is_tls(const struct stream *s)
{
	return s->tls && s->tls->up;
}

const char *stream_tls_text(const struct stream *s)
{
	return s->tls ? s->tls->text : "";
}

bool stream_append_tls(const struct stream *s, struct buf *out)
{
	if (!stream_is_tls(s))
		return true;
	return buf_printf(out, "(%s:%s:%d)", SSL_get_version(s->tls->ssl),
			  SSL_get_cipher_name(s->tls->ssl), SSL_get_cipher_bits(s->tls->ssl, NULL));
}

bool stream_tls_verified(const struct stream *s)
{
	return stream_is_tls(s) && SSL_get0_peer_certificate(s->tls->ssl) != NULL &&
	       SSL_get_verify_result(s->tls->ssl) == X509_V_OK;
}

const struct fault *stream_fault(const struct stream *s)
{
	static const struct fault out_of_memory = {.status = "4.3.1", .text = "out of memory"};

	return s->why ? s->why : &out_of_memory;
}
