/* common/service/peers.h: the ways to the workers of other daemons, each made at first use.
 * Touches: the channel to master, who makes the connections: a process in a chroot has no path to a socket. */
#pragma once

#include <stddef.h>

#include "common/ipc/link.h"

struct loop;
struct service_peer;

struct service_peers {
	struct loop *loop;
	enum ipc_role self;
	struct ipc_channel *channel; /* borrowed */
	struct {
		struct service_peer **workers; /* by number */
		size_t n;
	} roles[IPC_N_ROLES];
};

/* The way to worker, made when it is not there; owned by peers. NULL when memory is out. */
struct ipc_peer *service_peers_get(struct service_peers *peers, enum ipc_role role, unsigned worker);
/* Asks under way get their answer NULL. Safe on a zeroed one. */
void service_peers_fini(struct service_peers *peers);
