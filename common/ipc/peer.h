/* common/ipc/peer.h: what channel.c needs of peer.c: a peer on a connection that somebody else owns.
 * Touches: nothing itself. Inside this room only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ipc/connection.h"
#include "common/ipc/link.h"

/* A peer that never connects by itself; attach gives it its connection, or NULL when it has gone (asks without repeat get their NULL then). */
struct ipc_peer *ipc_peer_create_attached(struct loop *loop, enum ipc_role self, enum ipc_role role, size_t window, struct fault *why);
void ipc_peer_attach(struct ipc_peer *p, struct ipc_connection *c);
/* An answer came in. */
bool ipc_peer_answer(struct ipc_peer *p, const struct ipc_message *m, uint32_t request, int *fd, struct fault *why);
