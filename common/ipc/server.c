#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/ipc/connection.h"
#include "common/ipc/link.h"
#include "common/ipc/request.h"
#include "common/log/log.h"

#define CONNECTIONS_MAX 1024 /* of one daemon */
#define PAUSE_MS 100         /* when descriptors are out: the listener would be ready all the time */
#define ADMIN_WINDOW 16

struct server_listener {
	struct list node;
	struct ipc_server *server;
	struct loop_io io;
	struct loop_timer again;
	int fd;
	bool admin_only;
};

struct server_connection {
	struct list node;
	struct ipc_server *server;
	struct ipc_connection *connection;
	struct ipc_requests requests;
	unsigned worker;
	bool known; /* its hello has come */
};

struct ipc_server {
	struct loop *loop;
	enum ipc_role self;
	uint32_t window;
	ipc_handler_fn *fn;
	ipc_presence_fn *presence;
	void *arg, *presence_arg;
	struct list listeners, connections;
	size_t n_connections;
	bool draining;
	ipc_drained_fn *drained;
	void *drained_arg;
};

static void forget(struct server_connection *c)
{
	list_remove(&c->node);
	c->server->n_connections--;
	ipc_requests_orphan(&c->requests);
	free(c);
}

static void on_gone(void *arg, const struct fault *why)
{
	struct server_connection *c = arg;
	struct ipc_server *s = c->server;
	enum ipc_role role = c->requests.role;
	unsigned worker = c->worker;
	bool known = c->known;

	(void)why; /* the other side's end of it is logged where it is missed: at the asking end */
	forget(c);
	if (known && s->presence && role != IPC_ROLE_ADMIN)
		s->presence(s->presence_arg, role, worker, false);
	if (ipc_server_is_drained(s))
		s->drained(s->drained_arg);
}

/* How many asks may wait here; none when another process is to be asked. */
static bool send_welcome(struct server_connection *c, struct fault *why)
{
	struct ipc_message welcome = IPC_MESSAGE(welcome, .window = c->server->draining ? 0 : (uint32_t)c->requests.window);

	return ipc_connection_send(c->connection, &welcome, 0, false, -1, why);
}

static bool on_hello(struct server_connection *c, const struct ipc_hello *hello, struct fault *why)
{

	if (hello->role >= IPC_N_ROLES || hello->role == IPC_ROLE_ADMIN) {
		fault_set(why, "5.5.4", "there is no role %u", hello->role);
		return false;
	}
	c->known = true;
	c->worker = hello->worker;
	c->requests.role = (enum ipc_role)hello->role;
	c->requests.worker = hello->worker;
	ipc_connection_set_other(c->connection, c->requests.role);
	if (!send_welcome(c, why))
		return false;
	if (c->server->presence)
		c->server->presence(c->server->presence_arg, c->requests.role, c->worker, true);
	return true;
}

static bool on_frame(void *arg, const struct ipc_message *m, uint32_t request, bool answer, int *fd, struct fault *why)
{
	struct server_connection *c = arg;

	if (answer) {
		fault_set(why, "5.5.1", "nothing was asked here");
		return false;
	}
	if (!c->known) {
		if (m->type == IPC_TYPE_hello)
			return on_hello(c, &m->hello, why);
		fault_set(why, "5.5.1", "the first frame must be hello");
		return false;
	}
	return ipc_requests_take(&c->requests, m, request, fd, c->server->fn, c->server->arg, why);
}

/* Only root (master) and our own uid may speak to us: nobody else can claim a role. */
static bool may_connect(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void take_connection(struct server_listener *l, int fd)
{
	struct ipc_server *s = l->server;
	struct server_connection *c;
	struct ipc_connection_owner owner = {
		.self = s->self, .other = l->admin_only ? IPC_ROLE_ADMIN : IPC_ROLE_MASTER, .frame = on_frame, .gone = on_gone};

	if (!may_connect(fd) || s->n_connections >= CONNECTIONS_MAX || (c = calloc(1, sizeof(*c))) == NULL) {
		fd_close(&fd);
		return;
	}
	c->server = s;
	c->known = l->admin_only;
	owner.arg = c;
	if ((c->connection = ipc_connection_create(s->loop, fd, &owner)) == NULL) {
		free(c);
		return;
	}
	ipc_requests_init(&c->requests, c->connection, owner.other, l->admin_only ? ADMIN_WINDOW : s->window);
	list_append(&s->connections, &c->node);
	s->n_connections++;
}

static void on_connection(void *arg, unsigned ready)
{
	struct server_listener *l = arg;
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)ready;
	if (fd >= 0) {
		take_connection(l, fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		loop_io_want(&l->io, 0);
		loop_timer_set(&l->again, PAUSE_MS);
	}
}

static void listen_again(void *arg)
{
	struct server_listener *l = arg;

	if (!loop_io_want(&l->io, LOOP_READ))
		loop_timer_set(&l->again, PAUSE_MS);
}

struct ipc_server *ipc_server_create(struct loop *loop, enum ipc_role self, uint32_t window, ipc_handler_fn *fn, void *arg, struct fault *why)
{
	struct ipc_server *s = memory_alloc(1, sizeof(*s), why);

	if (s == NULL)
		return NULL;
	*s = (struct ipc_server){.loop = loop, .self = self, .window = window, .fn = fn, .arg = arg};
	list_init(&s->listeners);
	list_init(&s->connections);
	return s;
}

void ipc_server_set_window(struct ipc_server *s, uint32_t window)
{
	s->window = window;
}

void ipc_server_on_presence(struct ipc_server *s, ipc_presence_fn *fn, void *arg)
{
	s->presence = fn;
	s->presence_arg = arg;
}

bool ipc_server_listen(struct ipc_server *s, int fd, bool admin_only, struct fault *why)
{
	struct server_listener *l = memory_alloc(1, sizeof(*l), why);

	if (l == NULL || !fd_nonblocking(fd, why)) {
		free(l);
		fd_close(&fd);
		return false;
	}
	*l = (struct server_listener){.server = s, .fd = fd, .admin_only = admin_only};
	loop_io_init(&l->io, s->loop, fd, on_connection, l);
	loop_timer_init(&l->again, s->loop, listen_again, l);
	list_append(&s->listeners, &l->node);
	if (loop_io_want(&l->io, LOOP_READ))
		return true;
	fault_set(why, "4.3.1", "cannot watch a socket");
	return false;
}

static void close_listeners(struct ipc_server *s)
{
	LIST_EACH(node, &s->listeners) {
		struct server_listener *l = LIST_ENTRY(node, struct server_listener, node);

		list_remove(&l->node);
		loop_io_fini(&l->io);
		loop_timer_cancel(&l->again);
		fd_close(&l->fd);
		free(l);
	}
}

static bool is_daemons(const struct server_connection *c)
{
	return c->requests.role != IPC_ROLE_ADMIN;
}

void ipc_server_drain(struct ipc_server *s, ipc_drained_fn *fn, void *arg)
{
	if (s->draining)
		return;
	s->draining = true;
	s->drained = fn;
	s->drained_arg = arg;
	close_listeners(s);
	LIST_EACH(node, &s->connections) {
		struct server_connection *c = LIST_ENTRY(node, struct server_connection, node);

		if (is_daemons(c) && c->known && !send_welcome(c, NULL))
			ipc_connection_break(c->connection);
	}
}

bool ipc_server_is_drained(const struct ipc_server *s)
{
	if (!s->draining)
		return false;
	LIST_EACH(node, &s->connections)
		if (is_daemons(LIST_ENTRY(node, struct server_connection, node)))
			return false;
	return true;
}

void ipc_server_destroy(struct ipc_server *s)
{
	if (s == NULL)
		return;
	close_listeners(s);
	LIST_EACH(node, &s->connections) {
		struct server_connection *c = LIST_ENTRY(node, struct server_connection, node);

		ipc_connection_close(c->connection);
		forget(c);
	}
	free(s);
}
