#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/ipc/connection.h"
#include "common/ipc/link.h"
#include "common/ipc/peer.h"
#include "common/ipc/request.h"

#define CHANNEL_WINDOW 64

struct ipc_channel {
	struct ipc_connection *connection; /* NULL: it has ended */
	struct ipc_peer *peer;
	struct ipc_requests requests;
	ipc_handler_fn *fn;
	ipc_gone_fn *gone;
	void *arg;
	bool held, destroyed; /* on_gone calls back: whoever destroys it now leaves the freeing to on_gone */
};

static bool on_frame(void *arg, const struct ipc_message *m, uint32_t request, bool answer, int *fd, struct fault *why)
{
	struct ipc_channel *c = arg;

	if (answer)
		return ipc_peer_answer(c->peer, m, request, fd, why);
	return ipc_requests_take(&c->requests, m, request, fd, c->fn, c->arg, why);
}

static void on_gone(void *arg, const struct fault *why)
{
	struct ipc_channel *c = arg;

	(void)why;
	c->connection = NULL;
	ipc_requests_orphan(&c->requests);
	c->held = true;
	ipc_peer_attach(c->peer, NULL);
	c->held = false;
	if (c->destroyed)
		free(c);
	else
		c->gone(c->arg);
}

struct ipc_channel *ipc_channel_create(struct loop *loop, int fd, enum ipc_role self, enum ipc_role other, ipc_handler_fn *fn, ipc_gone_fn *gone,
				       void *arg, struct fault *why)
{
	struct ipc_channel *c = memory_alloc(1, sizeof(*c), why);
	struct ipc_connection_owner owner = {.self = self, .other = other, .frame = on_frame, .gone = on_gone, .arg = c};

	if (c == NULL || !fd_nonblocking(fd, why) || (c->peer = ipc_peer_create_attached(loop, self, other, CHANNEL_WINDOW, why)) == NULL) {
		free(c);
		fd_close(&fd);
		return NULL;
	}
	c->fn = fn;
	c->gone = gone;
	c->arg = arg;
	if ((c->connection = ipc_connection_create(loop, fd, &owner)) == NULL) {
		fault_set(why, "4.3.1", "out of memory");
		ipc_peer_destroy(c->peer);
		free(c);
		return NULL;
	}
	ipc_requests_init(&c->requests, c->connection, other, CHANNEL_WINDOW);
	ipc_peer_attach(c->peer, c->connection);
	return c;
}

void ipc_channel_destroy(struct ipc_channel *c)
{
	if (c == NULL)
		return;
	ipc_connection_close(c->connection);
	c->connection = NULL;
	ipc_requests_orphan(&c->requests);
	ipc_peer_destroy(c->peer);
	c->destroyed = true;
	if (!c->held)
		free(c);
}

struct ipc_peer *ipc_channel_peer(struct ipc_channel *c)
{
	return c->peer;
}

bool ipc_channel_send(struct ipc_channel *c, const struct ipc_message *m, int fd, struct fault *why)
{
	if (c->connection)
		return ipc_connection_send(c->connection, m, 0, false, fd, why);
	fault_set(why, "4.4.2", "the connection has ended");
	return false;
}
