#include "sendmail/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fd.h"
#include "common/mail/reply.h"
#include "sendmail/message.h"
#include "sendmail/recipients.h"
#include "sendmail/sendmail.h"
#include "sendmail/where.h"

#define LIMIT_MS 300000
#define END_LIMIT_MS 600000 /* RFC 5321 4.5.3.2.6 */
#define REPLY_BYTES (128u << 10)
#define BLOCK_BYTES 65536u

struct client {
	const struct where *where;
	const struct submission_request *request;
	int fd;
	struct buf in, out;
	bool has_size, has_8bitmime, has_dsn;
	bool lost;
	int status; /* of the first refusal */
};

/* ---- octets ---- */

int client_connect(const struct where *where)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", where->submit);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		fd_close(&fd);
	return fd;
}

static bool wait_ready(int fd, short events, uint64_t until_ms)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = events};
		uint64_t now_ms = clock_monotonic_ms();
		int n = now_ms < until_ms ? poll(&p, 1, (int)(until_ms - now_ms)) : 0;

		if (n > 0)
			return true;
		if (n == 0 || errno != EINTR)
			return false;
	}
}

static void send_out(struct client *c)
{
	while (!c->lost && buf_length(&c->out) > 0) {
		struct slice rest = buf_slice(&c->out);
		ssize_t n = send(c->fd, rest.p, rest.n, MSG_NOSIGNAL);

		if (n > 0)
			buf_consume(&c->out, (size_t)n);
		else if (n >= 0 || (errno != EAGAIN && errno != EINTR) ||
			 !wait_ready(c->fd, POLLOUT, clock_monotonic_ms() + LIMIT_MS))
			c->lost = true;
	}
	c->lost |= c->out.failed;
}

/* False: the connection is over, or the server is no server. */
static bool receive(struct client *c, struct reply *r, uint64_t limit_ms)
{
	uint64_t until_ms = clock_monotonic_ms() + limit_ms;

	while (!c->lost) {
		struct slice input = buf_slice(&c->in);
		size_t before = input.n;
		enum reply_read read = reply_read(&input, r);
		char *room;
		ssize_t n;

		buf_consume(&c->in, before - input.n);
		if (read == REPLY_DONE)
			return true;
		room = buf_reserve(&c->in, 4096);
		if (read == REPLY_BAD || room == NULL || !wait_ready(c->fd, POLLIN, until_ms))
			break;
		n = recv(c->fd, room, 4096, 0);
		if (n > 0)
			buf_commit(&c->in, (size_t)n);
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	c->lost = true;
	return false;
}

/* Sends what was put into out, and waits for its reply. */
static bool ask(struct client *c, struct reply *r)
{
	send_out(c);
	if (!receive(c, r, LIMIT_MS))
		return false;
	c->lost = r->code == 421;
	return !c->lost;
}

/* ---- what a refusal means ---- */

static int status_of(const struct reply *r)
{
	if (strncmp(r->status, "5.1.", 4) == 0 || strcmp(r->status, "5.2.1") == 0)
		return EX_NOUSER;
	if (strncmp(r->status, "5.7.", 4) == 0)
		return EX_NOPERM;
	if (strcmp(r->status, "5.3.4") == 0 || strncmp(r->status, "5.6.", 4) == 0)
		return EX_DATAERR;
	return EX_UNAVAILABLE;
}

static void note_refusal(struct client *c, const struct reply *r, struct slice mailbox)
{
	int status = status_of(r);

	if (mailbox.n > 0)
		(void)say(status, "not sent to %.*s: %u %s %s", SLICE_PRINTF(mailbox),
			  (unsigned)r->code, r->status, r->text);
	else
		(void)say(status, "not sent: %u %s %s", (unsigned)r->code, r->status, r->text);
	if (c->status == EX_OK)
		c->status = status;
}

/* All that the transaction under way was for. */
static void refuse_all(struct client *c, const struct reply *r, enum recipient_state from)
{
	bool for_good = !c->lost && reply_is_permanent(r);

	if (for_good)
		note_refusal(c, r, SLICE_EMPTY);
	recipients_move(c->request->recipients, from,
			for_good ? RECIPIENT_REFUSED : RECIPIENT_LATER);
}

/* ---- the dialogue ---- */

static void read_extensions(struct client *c, const struct reply *r)
{
	struct slice rest = slice_of_cstr(r->text), line, word;

	while (slice_cut(&rest, '\n', &line)) {
		if (!slice_word(&line, &word))
			continue;
		c->has_size |= slice_equal_nocase(word, SLICE("SIZE"));
		c->has_8bitmime |= slice_equal_nocase(word, SLICE("8BITMIME"));
		c->has_dsn |= slice_equal_nocase(word, SLICE("DSN"));
	}
}

static bool greet(struct client *c)
{
	struct reply r;

	if (!ask(c, &r) || !reply_is_positive(&r))
		return false;
	buf_printf(&c->out, "EHLO %s\r\n", c->where->hostname);
	if (!ask(c, &r) || !reply_is_positive(&r))
		return false;
	read_extensions(c, &r);
	return true;
}

static bool say_mail(struct client *c, struct reply *r)
{
	const struct submission_request *q = c->request;

	buf_printf(&c->out, "MAIL FROM:<%.*s>", SLICE_PRINTF(q->reverse_path));
	if (c->has_size)
		buf_printf(&c->out, " SIZE=%zu",
			   buf_length(&q->message->header) + 2 + buf_length(&q->message->body));
	if (c->has_8bitmime && q->message->eight_bit)
		buf_append_cstr(&c->out, " BODY=8BITMIME");
	if (c->has_dsn && q->ret.n > 0)
		buf_printf(&c->out, " RET=%.*s", SLICE_PRINTF(q->ret));
	if (c->has_dsn && q->envid.n > 0)
		buf_printf(&c->out, " ENVID=%.*s", SLICE_PRINTF(q->envid));
	buf_append_cstr(&c->out, "\r\n");
	return ask(c, r) && reply_is_positive(r);
}

/* One recipient; what is said to it is noted with it. False: the connection is over. */
static bool say_rcpt(struct client *c, struct recipient *to, size_t *n_noted)
{
	struct reply r;

	buf_printf(&c->out, "RCPT TO:<%.*s>", SLICE_PRINTF(to->mailbox));
	if (c->has_dsn && c->request->notify.n > 0)
		buf_printf(&c->out, " NOTIFY=%.*s", SLICE_PRINTF(c->request->notify));
	buf_append_cstr(&c->out, "\r\n");
	if (!ask(c, &r))
		return false;
	to->state = reply_is_positive(&r)    ? RECIPIENT_NOTED
		    : reply_is_permanent(&r) ? RECIPIENT_REFUSED
					     : RECIPIENT_LATER;
	*n_noted += to->state == RECIPIENT_NOTED;
	if (to->state == RECIPIENT_REFUSED)
		note_refusal(c, &r, to->mailbox);
	return true;
}

/* RFC 5321 4.5.2: a line that begins with a dot gets a second one. */
static void send_stuffed(struct client *c, struct slice octets)
{
	struct slice line;
	size_t lf;

	while (octets.n > 0 && !c->lost) {
		lf = slice_find(octets, '\n');
		line = slice_head(octets, lf == SIZE_MAX ? octets.n : lf + 1);
		if (line.p[0] == '.')
			buf_append_char(&c->out, '.');
		buf_append(&c->out, line);
		octets = slice_tail(octets, line.n);
		if (buf_length(&c->out) >= BLOCK_BYTES)
			send_out(c);
	}
}

static bool say_data(struct client *c, struct reply *r)
{
	const struct message *m = c->request->message;

	buf_append_cstr(&c->out, "DATA\r\n");
	if (!ask(c, r) || r->code != 354)
		return false;
	send_stuffed(c, buf_slice(&m->header));
	buf_append_cstr(&c->out, "\r\n");
	send_stuffed(c, buf_slice(&m->body));
	buf_append_cstr(&c->out, ".\r\n");
	send_out(c);
	return receive(c, r, END_LIMIT_MS) && reply_is_positive(r);
}

/* One transaction for as many as one may have. */
static void transact(struct client *c)
{
	struct recipients *all = c->request->recipients;
	struct recipient *to = NULL;
	size_t n_noted = 0, n_tried = 0;
	struct reply r = {0};

	if (!say_mail(c, &r)) {
		refuse_all(c, &r, RECIPIENT_OPEN);
		return;
	}
	while (n_tried++ < c->where->max_recipients &&
	       (to = recipients_next(all, to, RECIPIENT_OPEN)) != NULL)
		if (!say_rcpt(c, to, &n_noted))
			return;
	if (n_noted == 0) {
		buf_append_cstr(&c->out, "RSET\r\n");
		(void)ask(c, &r);
	} else if (say_data(c, &r)) {
		recipients_move(all, RECIPIENT_NOTED, RECIPIENT_SENT);
	} else {
		refuse_all(c, &r, RECIPIENT_NOTED);
	}
}

int client_submit(const struct where *where, const struct submission_request *r)
{
	struct client c = {
		.where = where, .request = r, .fd = client_connect(where), .status = EX_OK};
	struct reply bye;

	buf_init(&c.in, REPLY_BYTES);
	/* A line of any length goes whole; the whole message is in memory anyway. */
	buf_init(&c.out, SIZE_MAX);
	c.lost = c.fd < 0 || !greet(&c);
	while (!c.lost && recipients_next(r->recipients, NULL, RECIPIENT_OPEN) != NULL)
		transact(&c);
	if (!c.lost) {
		buf_append_cstr(&c.out, "QUIT\r\n");
		(void)ask(&c, &bye);
	}
	recipients_move(r->recipients, RECIPIENT_OPEN, RECIPIENT_LATER);
	recipients_move(r->recipients, RECIPIENT_NOTED, RECIPIENT_LATER);
	buf_fini(&c.in);
	buf_fini(&c.out);
	fd_close(&c.fd);
	return c.status;
}
