#include "common/ipc/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/log/log.h"

#define FDS_A_CALL 16  /* descriptors in one sendmsg */
#define FDS_WAITING 64 /* received and not yet claimed by their frame; or queued and not sent */
#define READ_OCTETS 65536
#define OUT_MAX (64u << 20)

/* Marks in the type on the wire. */
#define MARK_FD 0x8000u
#define MARK_ANSWER 0x4000u

struct pending_fd {
	size_t at; /* octets of out before the frame it goes with */
	int fd;
};

struct ipc_connection {
	struct loop *loop;
	struct loop_io io;
	struct loop_task flush;
	struct ipc_connection_owner owner;
	int fd;
	struct buf in, out;
	struct pending_fd sending[FDS_WAITING];
	size_t n_sending;
	int received[FDS_WAITING];
	size_t n_received;
	bool busy;   /* frames are being handed on: closing must wait */
	bool closed; /* while busy */
};

static void free_connection(struct ipc_connection *c)
{
	for (size_t i = 0; i < c->n_sending; i++)
		fd_close(&c->sending[i].fd);
	for (size_t i = 0; i < c->n_received; i++)
		fd_close(&c->received[i]);
	loop_io_fini(&c->io);
	loop_task_cancel(&c->flush);
	fd_close(&c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c);
}

/* Ends it and tells the owner. */
static void end(struct ipc_connection *c, const struct fault *why)
{
	c->owner.gone(c->owner.arg, why);
	free_connection(c);
}

/* ---- sending ---- */

/* One sendmsg: as much of out as may go together with the descriptors that stand before it. */
static ssize_t send_some(struct ipc_connection *c)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(FDS_A_CALL * sizeof(int))];
	} control = {0};
	struct slice octets = buf_slice(&c->out);
	struct iovec part = {.iov_len = octets.n};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	size_t n_fds = 0;
	int fds[FDS_A_CALL];
	ssize_t sent;

	memcpy(&part.iov_base, &octets.p, sizeof(octets.p));
	if (c->n_sending && c->sending[0].at > 0)
		part.iov_len = c->sending[0].at; /* a descriptor goes with its frame's first octet, not before */
	else
		for (; n_fds < c->n_sending && n_fds < FDS_A_CALL; n_fds++)
			fds[n_fds] = c->sending[n_fds].fd;
	if (n_fds) {
		if (n_fds < c->n_sending)
			part.iov_len = c->sending[n_fds].at;
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	sent = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent <= 0)
		return sent;
	for (size_t i = 0; i < n_fds; i++)
		fd_close(&c->sending[i].fd);
	memmove(c->sending, c->sending + n_fds, (c->n_sending - n_fds) * sizeof(*c->sending));
	c->n_sending -= n_fds;
	for (size_t i = 0; i < c->n_sending; i++)
		c->sending[i].at -= (size_t)sent;
	buf_consume(&c->out, (size_t)sent);
	return sent;
}

static void flush(void *arg)
{
	struct ipc_connection *c = arg;

	while (buf_length(&c->out)) {
		if (send_some(c) > 0)
			continue;
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETOOMANYREFS)
			loop_io_want(&c->io, LOOP_READ | LOOP_WRITE);
		/* Any other failure shows as the end of the input, where it is dealt with. */
		return;
	}
	buf_fini(&c->out);
	loop_io_want(&c->io, LOOP_READ);
}

static bool keep_fd(struct ipc_connection *c, size_t at, int fd, struct fault *why)
{
	int copy;

	if (c->n_sending == FDS_WAITING) {
		fault_set(why, "4.3.2", "%d descriptors wait to be sent already", FDS_WAITING);
		return false;
	}
	if ((copy = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
		fault_errno(why, "4.3.0", "cannot duplicate a descriptor");
		return false;
	}
	c->sending[c->n_sending++] = (struct pending_fd){at, copy};
	return true;
}

/* Sets marks and request in the frame that begins at octet `at` of out, and sees that it goes out. */
static bool finish_frame(struct ipc_connection *c, size_t at, uint32_t request, bool answer, int fd, struct fault *why)
{
	unsigned char *head = (unsigned char *)c->out.p + c->out.start + at;
	unsigned marks = (fd >= 0 ? MARK_FD : 0) | (answer ? MARK_ANSWER : 0);

	if (fd >= 0 && !keep_fd(c, at, fd, why)) {
		buf_truncate(&c->out, at);
		return false;
	}
	head[4] = (unsigned char)((head[4] & 0x3f) | marks >> 8);
	for (int i = 0; i < 4; i++)
		head[6 + i] = (unsigned char)(request >> (24 - 8 * i));
	if (!(c->io.wanted & LOOP_WRITE))
		loop_task_schedule(&c->flush);
	return true;
}

static void log_frame(const struct ipc_connection *c, const struct ipc_message *m, bool sent)
{
	struct buf words;

	if (!log_wanted(LOG_LEVEL_DEBUG) || m->type == IPC_TYPE_ping || m->type == IPC_TYPE_pong)
		return;
	buf_init(&words, 1024);
	ipc_print(m, &words);
	log_event(frame, F_TEXT(peer, ipc_role_name(c->owner.other)), F_TEXT(step, sent ? "sent" : "received"),
		  F_SLICE(text, buf_slice(&words)));
	buf_fini(&words);
}

bool ipc_connection_send(struct ipc_connection *c, const struct ipc_message *m, uint32_t request, bool answer, int fd, struct fault *why)
{
	size_t at = buf_length(&c->out);

	log_frame(c, m, true);
	return ipc_encode(m, request, &c->out, why) && finish_frame(c, at, request, answer, fd, why);
}

bool ipc_connection_send_frame(struct ipc_connection *c, struct slice frame, uint32_t request, int fd, struct fault *why)
{
	size_t at = buf_length(&c->out);

	if (!buf_append(&c->out, frame)) {
		fault_set(why, "4.3.1", "no room for a frame");
		return false;
	}
	return finish_frame(c, at, request, false, fd, why);
}

/* ---- receiving ---- */

static ssize_t receive(struct ipc_connection *c, char *octets, size_t size, struct fault *why)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(FDS_WAITING * sizeof(int))];
	} control;
	struct iovec part = {octets, size};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(c->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	bool too_many = false;

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fault_errno(why, "4.4.2", "the connection failed");
		return n;
	}
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
		size_t n_fds = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n_fds; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (c->n_received < FDS_WAITING) {
				c->received[c->n_received++] = fd;
			} else {
				fd_close(&fd);
				too_many = true;
			}
		}
	}
	if (too_many || message.msg_flags & MSG_CTRUNC) {
		fault_set(why, "5.5.2", "more descriptors came than are taken");
		return 0;
	}
	return n;
}

static int claim_fd(struct ipc_connection *c)
{
	int fd = c->received[0];

	memmove(c->received, c->received + 1, --c->n_received * sizeof(int));
	return fd;
}

/* Hands on one whole frame. False: it was refused. */
static bool take_frame(struct ipc_connection *c, char *octets, size_t n, struct fault *why)
{
	bool has_fd = octets[4] & MARK_FD >> 8, answer = octets[4] & MARK_ANSWER >> 8, ok;
	struct ipc_message m;
	uint32_t request;
	int fd = -1;

	if (has_fd && c->n_received == 0) {
		fault_set(why, "5.5.2", "the descriptor that a frame speaks of did not come");
		return false;
	}
	if (has_fd)
		fd = claim_fd(c);
	octets[4] &= 0x3f;
	ok = ipc_decode(slice_of(octets, n), &m, &request, why);
	if (ok && !ipc_permitted(m.type, c->owner.other, c->owner.self)) {
		fault_set(why, "5.7.1", "%s may not send message type %d to %s", ipc_role_name(c->owner.other), (int)m.type,
			  ipc_role_name(c->owner.self));
		ok = false;
	}
	if (ok) {
		log_frame(c, &m, false);
		ok = c->owner.frame(c->owner.arg, &m, request, answer, &fd, why);
	}
	fd_close(&fd);
	return ok;
}

/* Hands on every whole frame of octets; *used says how far they went. */
static bool take_frames(struct ipc_connection *c, char *octets, size_t n, size_t *used, struct fault *why)
{
	size_t length;

	for (*used = 0; !c->closed; *used += length) {
		if (!ipc_frame_length(slice_of(octets + *used, n - *used), &length, why))
			return false;
		if (length == 0 || length > n - *used)
			return true;
		if (!take_frame(c, octets + *used, length, why))
			return false;
	}
	return true;
}

static bool take_octets(struct ipc_connection *c, char *octets, size_t n, struct fault *why)
{
	size_t used;
	bool ok;

	if (buf_length(&c->in) == 0) {
		if (!take_frames(c, octets, n, &used, why))
			return false;
		if (used == n || c->closed || buf_append(&c->in, slice_of(octets + used, n - used)))
			return true;
		fault_set(why, "4.3.1", "out of memory for a frame");
		return false;
	}
	if (!buf_append(&c->in, slice_of(octets, n))) {
		fault_set(why, "4.3.1", "out of memory for a frame");
		return false;
	}
	ok = take_frames(c, c->in.p + c->in.start, buf_length(&c->in), &used, why);
	buf_consume(&c->in, used);
	if (buf_length(&c->in) == 0)
		buf_fini(&c->in);
	return ok;
}

static void on_ready(void *arg, unsigned ready)
{
	struct ipc_connection *c = arg;
	char octets[READ_OCTETS];
	struct fault why = {0};
	bool ok = true;
	ssize_t n;

	if (ready & LOOP_WRITE) {
		flush(c);
		return;
	}
	n = receive(c, octets, sizeof(octets), &why);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		c->busy = true;
		ok = take_octets(c, octets, (size_t)n, &why);
		c->busy = false;
		if (c->closed) {
			free_connection(c);
			return;
		}
		if (ok)
			return;
		log_event(frame_refused, F_TEXT(peer, ipc_role_name(c->owner.other)), F_FAULT(&why));
	}
	if (why.text[0] == '\0')
		fault_set(&why, "4.4.2", "%s has closed the connection", ipc_role_name(c->owner.other));
	end(c, &why);
}

/* ---- life ---- */

struct ipc_connection *ipc_connection_create(struct loop *loop, int fd, const struct ipc_connection_owner *owner)
{
	struct ipc_connection *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		fd_close(&fd);
		return NULL;
	}
	c->loop = loop;
	c->fd = fd;
	c->owner = *owner;
	buf_init(&c->in, IPC_FRAME_MAX + READ_OCTETS);
	buf_init(&c->out, OUT_MAX);
	loop_task_init(&c->flush, loop, flush, c);
	loop_io_init(&c->io, loop, fd, on_ready, c);
	if (!loop_io_want(&c->io, LOOP_READ)) {
		free_connection(c);
		return NULL;
	}
	return c;
}

void ipc_connection_close(struct ipc_connection *c)
{
	if (c == NULL || c->closed)
		return;
	while (buf_length(&c->out) && send_some(c) > 0)
		;
	if (c->busy)
		c->closed = true;
	else
		free_connection(c);
}

void ipc_connection_set_other(struct ipc_connection *c, enum ipc_role other)
{
	c->owner.other = other;
}
