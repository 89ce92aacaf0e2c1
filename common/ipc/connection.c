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

/* A descriptor goes with the first octet of its frame, one a sendmsg; recvmsg stops behind the octets that a descriptor came with. So its frame begins in
 * what was read with it: a descriptor that no frame speaks of is seen at once, and at most one waits for the rest of its frame. */
#define FDS_A_READ 8 /* more than may come, so that too many are seen as such */
#define FDS_QUEUED_MAX 4096
#define READ_OCTETS 65536
#define OUT_MAX (64u << 20)
#define PAUSE_MS 20 /* when the kernel has too many descriptors under way */

/* Marks in the type on the wire. */
#define MARK_FD 0x8000u
#define MARK_ANSWER 0x4000u

struct pending_fd {
	uint64_t at; /* where its frame begins, in octets ever queued */
	int fd;
};

struct ipc_connection {
	struct loop *loop;
	struct loop_io io;
	struct loop_task flush;
	struct ipc_connection_owner owner;
	int fd;
	struct buf in, out;
	uint64_t sent; /* octets ever sent */
	struct buf sending; /* struct pending_fd, the next first */
	struct loop_timer again;
	int received[2]; /* not claimed by their frame yet */
	size_t n_received;
	bool busy;   /* frames are being handed on: closing must wait */
	bool closed; /* while busy */
};

/* The descriptor that goes next; false: none waits. */
static bool first_fd(const struct ipc_connection *c, struct pending_fd *pending)
{
	struct slice all = buf_slice(&c->sending);

	if (all.n)
		memcpy(pending, all.p, sizeof(*pending));
	return all.n > 0;
}

static void drop_first_fd(struct ipc_connection *c)
{
	struct pending_fd pending;

	if (first_fd(c, &pending))
		fd_close(&pending.fd);
	buf_consume(&c->sending, sizeof(pending));
}

static void free_connection(struct ipc_connection *c)
{
	while (buf_length(&c->sending))
		drop_first_fd(c);
	for (size_t i = 0; i < c->n_received; i++)
		fd_close(&c->received[i]);
	loop_io_fini(&c->io);
	loop_task_cancel(&c->flush);
	loop_timer_cancel(&c->again);
	fd_close(&c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	buf_fini(&c->sending);
	free(c);
}

/* Ends it and tells the owner. */
static void end(struct ipc_connection *c, const struct fault *why)
{
	c->owner.gone(c->owner.arg, why);
	free_connection(c);
}

/* ---- sending ---- */

/* One sendmsg: a frame's descriptor with it, and what follows up to the next that has one. */
static ssize_t send_some(struct ipc_connection *c)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct slice octets = buf_slice(&c->out);
	struct iovec part = {.iov_len = octets.n};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct pending_fd first, next;
	bool with_fd = first_fd(c, &first) && first.at == c->sent;
	ssize_t sent;

	memcpy(&part.iov_base, &octets.p, sizeof(octets.p));
	if (with_fd) {
		message.msg_control = control.space;
		message.msg_controllen = sizeof(control.space);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &first.fd, sizeof(int));
		if (buf_length(&c->sending) > sizeof(next)) {
			memcpy(&next, buf_slice(&c->sending).p + sizeof(next), sizeof(next));
			part.iov_len = (size_t)(next.at - c->sent);
		}
	} else if (buf_length(&c->sending)) {
		part.iov_len = (size_t)(first.at - c->sent);
	}
	sent = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent <= 0)
		return sent;
	if (with_fd)
		drop_first_fd(c);
	c->sent += (uint64_t)sent;
	buf_consume(&c->out, (size_t)sent);
	return sent;
}

static void flush(void *arg)
{
	struct ipc_connection *c = arg;

	while (buf_length(&c->out)) {
		if (send_some(c) > 0 || errno == EINTR)
			continue;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			loop_io_want(&c->io, LOOP_READ | LOOP_WRITE);
		else if (errno == ETOOMANYREFS) /* the socket would be ready all the time */
			loop_timer_set(&c->again, PAUSE_MS);
		/* Any other failure shows as the end of the input, where it is dealt with. */
		return;
	}
	buf_fini(&c->out);
	buf_fini(&c->sending);
	loop_io_want(&c->io, LOOP_READ);
}

static bool keep_fd(struct ipc_connection *c, size_t at, int fd, struct fault *why)
{
	struct pending_fd pending = {.at = c->sent + at};

	if ((pending.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
		fault_errno(why, "4.3.0", "cannot duplicate a descriptor");
		return false;
	}
	if (buf_append(&c->sending, slice_of(&pending, sizeof(pending))))
		return true;
	c->sending.failed = false;
	fd_close(&pending.fd);
	fault_set(why, "4.3.2", "%zu descriptors wait to be sent already", buf_length(&c->sending) / sizeof(pending));
	return false;
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
	if (!(c->io.wanted & LOOP_WRITE) && !loop_timer_is_set(&c->again))
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
		c->out.failed = false;
		fault_set(why, "4.3.1", "no room for a frame");
		return false;
	}
	return finish_frame(c, at, request, false, fd, why);
}

/* ---- receiving ---- */

/* The descriptors of one message. False: more than may come. */
static bool keep_received(struct ipc_connection *c, struct msghdr *message)
{
	bool ok = !(message->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
		size_t n_fds = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n_fds; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (c->n_received < ARRAY_LENGTH(c->received)) {
				c->received[c->n_received++] = fd;
			} else {
				fd_close(&fd);
				ok = false;
			}
		}
	}
	return ok;
}

/* >0: so many octets came. 0: the end, or what came is refused (then why says so). <0: nothing now. */
static ssize_t receive(struct ipc_connection *c, char *octets, size_t size, struct fault *why, bool *refused)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(FDS_A_READ * sizeof(int))];
	} control;
	struct iovec part = {octets, size};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(c->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return n;
		fault_errno(why, "4.4.2", "the connection failed");
		return 0;
	}
	if (!keep_received(c, &message)) {
		fault_set(why, "5.5.2", "more descriptors came than are taken, or than this process may have");
		*refused = true;
		return 0;
	}
	return n;
}

static int claim_fd(struct ipc_connection *c)
{
	int fd = c->received[0];

	c->received[0] = c->received[1];
	c->n_received--;
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

/* Is every descriptor claimed, but for that of the frame which has begun? rest: what came of that frame. */
static bool fds_fit(const struct ipc_connection *c, struct slice rest, struct fault *why)
{
	if (c->n_received == 0 || (c->n_received == 1 && rest.n && (rest.n < 5 || rest.p[4] & MARK_FD >> 8)))
		return true;
	fault_set(why, "5.5.2", "a descriptor came that no frame speaks of");
	return false;
}

static bool take_octets(struct ipc_connection *c, char *octets, size_t n, struct fault *why)
{
	size_t used;

	if (buf_length(&c->in) == 0) {
		if (!take_frames(c, octets, n, &used, why))
			return false;
		if (c->closed)
			return true;
		if (used < n && !buf_append(&c->in, slice_of(octets + used, n - used)))
			goto full;
		return fds_fit(c, buf_slice(&c->in), why);
	}
	if (!buf_append(&c->in, slice_of(octets, n)))
		goto full;
	if (!take_frames(c, c->in.p + c->in.start, buf_length(&c->in), &used, why))
		return false;
	buf_consume(&c->in, used);
	if (buf_length(&c->in) == 0)
		buf_fini(&c->in);
	return c->closed || fds_fit(c, buf_slice(&c->in), why);
full:
	fault_set(why, "4.3.1", "out of memory for a frame");
	return false;
}

static void on_ready(void *arg, unsigned ready)
{
	struct ipc_connection *c = arg;
	char octets[READ_OCTETS];
	struct fault why = {0};
	bool refused = false;
	ssize_t n;

	if (ready & LOOP_WRITE) {
		flush(c);
		return;
	}
	n = receive(c, octets, sizeof(octets), &why, &refused);
	if (n < 0)
		return;
	if (n > 0) {
		c->busy = true;
		refused = !take_octets(c, octets, (size_t)n, &why);
		c->busy = false;
		if (c->closed) {
			free_connection(c);
			return;
		}
		if (!refused)
			return;
	}
	if (refused)
		log_event(frame_refused, F_TEXT(peer, ipc_role_name(c->owner.other)), F_FAULT(&why));
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
	buf_init(&c->sending, FDS_QUEUED_MAX * sizeof(struct pending_fd));
	loop_task_init(&c->flush, loop, flush, c);
	loop_timer_init(&c->again, loop, flush, c);
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

void ipc_connection_break(struct ipc_connection *c)
{
	(void)shutdown(c->fd, SHUT_RDWR);
}

void ipc_connection_set_other(struct ipc_connection *c, enum ipc_role other)
{
	c->owner.other = other;
}
