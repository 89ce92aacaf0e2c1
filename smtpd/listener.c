#include "smtpd/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/address.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/mail/reply.h"
#include "common/service/layout.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

enum {
	ACCEPT_AT_ONCE = 4,    /* so that the workers share a burst, and sessions have their turn */
	ACCEPT_PAUSE_MS = 100, /* when the process has no descriptor left */
	LINE_BYTES = 4096,
};

struct smtp_listener {
	struct list node;
	struct smtpd *smtpd;
	int fd;
	struct loop_io io;
	struct loop_timer pause;
	enum listener_tls tls;
	bool local;	 /* public/submit: who comes is a user of this host, by number */
	struct buf line; /* as in main.conf */
};

/* Who has connections here, by address. */
struct client {
	struct table_node node;
	struct ip address;
	uint32_t n_sessions;
};

static struct slice client_key(const struct ip *address)
{
	return slice_of(address->octets, address->family == 4 ? 4 : 16);
}

/* The client, counted once more. NULL: no memory. */
static struct client *client_came(struct smtpd *d, const struct ip *address)
{
	struct table_node *node = table_find(&d->clients, client_key(address));
	struct client *c = node ? CONTAINER_OF(node, struct client, node) : NULL;

	if (c == NULL) {
		if ((c = memory_alloc(1, sizeof(*c), NULL)) == NULL)
			return NULL;
		c->address = *address;
		if (!table_insert(&d->clients, &c->node, client_key(&c->address))) {
			free(c);
			return NULL;
		}
	}
	c->n_sessions++;
	return c;
}

void client_left(struct smtpd *d, struct client *c)
{
	if (c == NULL || --c->n_sessions > 0)
		return;
	table_remove(&d->clients, &c->node);
	free(c);
}

/* Why a client may not have one more session, or NULL. */
static const char *refusal(const struct smtp_listener *l, const struct client *c)
{
	const struct smtpd *d = l->smtpd;
	const struct settings *conf = smtpd_settings(d);

	if (d->n_sessions >= conf->smtp_max_connections)
		return "too many connections";
	if (l->local)
		return NULL;
	if (c == NULL)
		return "no memory";
	if (!ip_is_loopback(&c->address) && c->n_sessions > conf->smtp_max_connections_client)
		return "too many connections from your address";
	return NULL;
}

/* Says it in the clear, if the kernel takes it at once. */
static void refuse(const struct smtp_listener *l, int fd, const struct ip *address, const char *why)
{
	struct reply r;
	struct buf out;

	reply_set(&r, 421, "4.3.2", "%.*s: %s", SLICE_PRINTF(smtpd_settings(l->smtpd)->hostname),
		  why);
	log_event(client_refused, F_IP(client, address), F_SLICE(listener, buf_slice(&l->line)),
		  F_TEXT(status, r.status), F_TEXT(reason, why));
	buf_init(&out, 512);
	if (l->tls != LISTENER_TLS_IMPLICIT && reply_encode(&r, &out))
		(void)send(fd, out.p, buf_length(&out), MSG_NOSIGNAL | MSG_DONTWAIT);
	buf_fini(&out);
	fd_close(&fd);
}

/* The user of a program of this host. False: the kernel does not say. */
static bool find_user(int fd, struct session_origin *o)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0 || n != sizeof(peer))
		return false;
	o->trusted = true;
	o->uid = peer.uid;
	return true;
}

static void take(struct smtp_listener *l, int fd, const struct sockaddr *from)
{
	struct smtpd *d = l->smtpd;
	struct session_origin o = {.tls = l->tls, .listener = buf_slice(&l->line)};
	const char *why;

	ip_of_sockaddr(from, &o.address, &o.port);
	if (!l->local)
		o.client = client_came(d, &o.address);
	why = refusal(l, o.client);
	if (why == NULL && l->local && !find_user(fd, &o))
		why = "nobody knows who you are";
	if (why != NULL) {
		client_left(d, o.client);
		refuse(l, fd, &o.address, why);
		return;
	}
	if (!session_create(d, fd, &o))
		client_left(d, o.client);
}

static void on_ready(void *arg, unsigned ready)
{
	struct smtp_listener *l = arg;

	(void)ready;
	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		struct sockaddr_storage from;
		socklen_t n = sizeof(from);
		int fd = accept4(l->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			take(l, fd, (struct sockaddr *)&from);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			(void)loop_io_want(&l->io, 0);
			loop_timer_set(&l->pause, ACCEPT_PAUSE_MS);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

static void pause_is_over(void *arg)
{
	struct smtp_listener *l = arg;

	if (!loop_io_want(&l->io, LOOP_READ))
		loop_timer_set(&l->pause, ACCEPT_PAUSE_MS);
}

/* What the line says of l. False: it is none of ours. */
static bool read_line(struct smtp_listener *l, struct slice line, struct fault *why)
{
	struct listener wanted;

	l->local = slice_equal(line, SLICE(LAYOUT_SUBMIT_LINE));
	l->tls = LISTENER_TLS_NONE;
	if (l->local)
		return l->smtpd->submission;
	if (!listener_parse(line, &wanted, why))
		return false;
	l->tls = wanted.tls;
	return (wanted.kind == LISTENER_SUBMISSION) == l->smtpd->submission;
}

void listener_create(struct smtpd *d, int fd, struct slice line)
{
	struct smtp_listener *l = memory_alloc_at_start(1, sizeof(*l));
	struct fault why = {0};
	int on = 1;

	*l = (struct smtp_listener){.smtpd = d, .fd = fd};
	buf_init(&l->line, LINE_BYTES);
	loop_io_init(&l->io, d->loop, fd, on_ready, l);
	loop_timer_init(&l->pause, d->loop, pause_is_over, l);
	list_append(&d->listeners, &l->node);
	if (!read_line(l, line, &why) || !fd_nonblocking(fd, &why)) {
		if (why.text[0] != '\0')
			log_event(start_failed, F_SLICE(listener, line), F_FAULT(&why));
		return;
	}
	if (!buf_append(&l->line, line))
		return;
	/* Accepted sockets inherit it: replies are gathered here, the kernel need not wait for
	 * more. */
	if (!l->local)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!d->stopping)
		pause_is_over(l);
}

void listeners_close(struct smtpd *d)
{
	LIST_EACH (node, &d->listeners) {
		struct smtp_listener *l = LIST_ENTRY(node, struct smtp_listener, node);

		loop_timer_cancel(&l->pause);
		loop_io_fini(&l->io);
		fd_close(&l->fd);
	}
}

void listeners_destroy(struct smtpd *d)
{
	listeners_close(d);
	LIST_EACH (node, &d->listeners) {
		struct smtp_listener *l = LIST_ENTRY(node, struct smtp_listener, node);

		list_remove(&l->node);
		buf_fini(&l->line);
		free(l);
	}
}
