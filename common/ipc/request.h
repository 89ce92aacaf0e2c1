/* common/ipc/request.h: the asks that came in on one connection and are not answered yet.
 * Touches: nothing itself. Inside this room only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ipc/connection.h"
#include "common/ipc/link.h"

struct ipc_requests {
	struct list list;
	struct ipc_connection *connection;
	enum ipc_role role;
	unsigned worker;
	size_t n, window;
};

void ipc_requests_init(struct ipc_requests *r, struct ipc_connection *c, enum ipc_role role, size_t window);
/* Hands a frame to fn, as a request or (request 0) a notice. False: more asks than the window allows, or no memory. */
MUST_USE bool ipc_requests_take(struct ipc_requests *r, const struct ipc_message *m, uint32_t request, int *fd, ipc_handler_fn *fn, void *arg,
				struct fault *why);
/* The connection has ended: what is answered later goes to nobody. */
void ipc_requests_orphan(struct ipc_requests *r);
