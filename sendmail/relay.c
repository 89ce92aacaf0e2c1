#include "sendmail/relay.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fd.h"
#include "sendmail/client.h"
#include "sendmail/sendmail.h"
#include "sendmail/where.h"

#define WAY_BYTES 65536u

/* One direction. */
struct way {
	int from, to;
	struct buf held;
	bool ended;  /* from has no more */
	bool closed; /* and to was told */
};

static bool is_for_later(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void take(struct way *w)
{
	char *room = buf_reserve(&w->held, WAY_BYTES);
	ssize_t n = room == NULL ? 0 : read(w->from, room, WAY_BYTES);

	if (n > 0)
		buf_commit(&w->held, (size_t)n);
	else if (!is_for_later(n))
		w->ended = true;
}

/* False: nobody takes it. */
static bool give(struct way *w)
{
	struct slice s = buf_slice(&w->held);
	ssize_t n = s.n > 0 ? write(w->to, s.p, s.n) : 0;

	if (n > 0)
		buf_consume(&w->held, (size_t)n);
	else if (n < 0 && !is_for_later(n))
		return false;
	if (w->ended && buf_length(&w->held) == 0 && !w->closed) {
		(void)shutdown(
			w->to,
			SHUT_WR); /* of a pipe or a terminal: no effect, and none is needed */
		w->closed = true;
	}
	return true;
}

static struct pollfd wants(const struct way *w, bool read)
{
	bool wanted = read ? !w->ended && buf_length(&w->held) == 0 : buf_length(&w->held) > 0;

	return (struct pollfd){.fd = wanted ? (read ? w->from : w->to) : -1,
			       .events = read ? POLLIN : POLLOUT};
}

static int carry(struct way *up, struct way *down)
{
	while (!down->closed) {
		struct pollfd p[] = {wants(up, true), wants(up, false), wants(down, true),
				     wants(down, false)};

		if (poll(p, 4, -1) < 0 && errno != EINTR)
			return say(EX_IOERR, "cannot wait for input: %s", strerror(errno));
		if (p[0].revents != 0)
			take(up);
		if (p[2].revents != 0)
			take(down);
		/* The server may have closed and still have something to say. */
		if (!give(up))
			up->ended = up->closed = true, buf_reset(&up->held);
		if (!give(down))
			return say(EX_IOERR, "nobody reads standard output: %s", strerror(errno));
	}
	return EX_OK;
}

int relay(const struct where *where)
{
	int fd = client_connect(where), status;
	struct way up = {.from = STDIN_FILENO, .to = fd}, down = {.from = fd, .to = STDOUT_FILENO};

	if (fd < 0) {
		(void)printf("421 4.3.2 %s: no smtpd answers\r\n", where->hostname);
		return say(EX_TEMPFAIL, "no smtpd answers at %s: %s", where->submit,
			   strerror(errno));
	}
	buf_init(&up.held, WAY_BYTES);
	buf_init(&down.held, WAY_BYTES);
	status = carry(&up, &down);
	buf_fini(&up.held);
	buf_fini(&down.held);
	fd_close(&fd);
	return status;
}
