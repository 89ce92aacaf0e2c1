/* common/ipc/connection.h: frames and descriptors over one stream socket; what they mean is its owner's (peer.c, server.c, channel.c).
 * Touches: the socket. Inside this room only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/event/loop.h"
#include "common/ipc/frame.h"

struct fault;
struct ipc_connection;

struct ipc_connection_owner {
	enum ipc_role self, other;
	/* m came in; answer: it is the answer to request. fd as in link.h. False: the frame is refused (why) and the connection closed. The owner may close the connection
	 * from inside. */
	bool (*frame)(void *arg, const struct ipc_message *m, uint32_t request, bool answer, int *fd, struct fault *why);
	/* The connection has ended by itself; it is freed after this returns. */
	void (*gone)(void *arg, const struct fault *why);
	void *arg;
};

/* Takes fd. owner is copied. NULL: out of memory, fd is closed. */
MUST_USE struct ipc_connection *ipc_connection_create(struct loop *loop, int fd, const struct ipc_connection_owner *owner);
/* Closes; gone is not called. What was queued is tried once. NULL does nothing. */
void ipc_connection_close(struct ipc_connection *c);
/* It ends in one of the next turns, and gone is called then. */
void ipc_connection_break(struct ipc_connection *c);
/* Once the hello says who it is. */
void ipc_connection_set_other(struct ipc_connection *c, enum ipc_role other);

/* Queues a message; it goes out at the end of this turn. fd (or -1) goes with it and stays the caller's. False: a field is too long, or no memory. */
MUST_USE bool ipc_connection_send(struct ipc_connection *c, const struct ipc_message *m, uint32_t request, bool answer, int fd, struct fault *why);
/* The same with a frame that ipc_encode made; its request is set. */
MUST_USE bool ipc_connection_send_frame(struct ipc_connection *c, struct slice frame, uint32_t request, int fd, struct fault *why);
