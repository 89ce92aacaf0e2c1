#include "common/service/peers.h"

#include <stdlib.h>

#include "common/base/fd.h"
#include "common/base/memory.h"

#define ASKS_WAITING_MAX 8192
#define CONNECT_WITHIN_MS 5000

struct service_peer {
	struct service_peers *peers;
	struct ipc_peer *peer;
	struct ipc_ask ask; /* to master, for the connection */
};

static void connect_answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct service_peer *p = arg;
	int socket = -1;

	(void)why;
	if (answer != NULL && answer->type == IPC_TYPE_connect_answer && *fd >= 0) {
		socket = *fd;
		*fd = -1;
	}
	ipc_peer_connected(p->peer, socket);
}

static void connect_worker(void *arg, enum ipc_role role, unsigned worker, struct ipc_peer *peer)
{
	struct service_peer *p = arg;
	struct ipc_message m = IPC_MESSAGE(connect_ask, .role = (uint8_t)role, .worker = (uint16_t)worker);
	struct ipc_peer *master = ipc_channel_peer(p->peers->channel);

	ipc_ask_cancel(&p->ask);
	if (!ipc_ask(master, &p->ask, &m, -1, CONNECT_WITHIN_MS, false, connect_answered, p, NULL))
		ipc_peer_connected(peer, -1);
}

static struct service_peer *peer_create(struct service_peers *peers, enum ipc_role role, unsigned worker)
{
	struct service_peer *p = memory_alloc(1, sizeof(*p), NULL);

	if (p == NULL)
		return NULL;
	p->peers = peers;
	p->peer = ipc_peer_create(peers->loop, peers->self, role, worker, ASKS_WAITING_MAX, connect_worker, p, NULL);
	if (p->peer == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

static bool make_room(struct service_peers *peers, enum ipc_role role, size_t n)
{
	struct service_peer **workers;

	if (n <= peers->roles[role].n)
		return true;
	workers = memory_alloc(n, sizeof(struct service_peer *), NULL);
	if (workers == NULL)
		return false;
	for (size_t i = 0; i < peers->roles[role].n; i++)
		workers[i] = peers->roles[role].workers[i];
	free(peers->roles[role].workers);
	peers->roles[role].workers = workers;
	peers->roles[role].n = n;
	return true;
}

struct ipc_peer *service_peers_get(struct service_peers *peers, enum ipc_role role, unsigned worker)
{
	struct service_peer **place;

	if (!make_room(peers, role, (size_t)worker + 1))
		return NULL;
	place = &peers->roles[role].workers[worker];
	if (*place == NULL)
		*place = peer_create(peers, role, worker);
	return *place != NULL ? (*place)->peer : NULL;
}

void service_peers_fini(struct service_peers *peers)
{
	for (size_t role = 0; role < IPC_N_ROLES; role++) {
		for (size_t i = 0; i < peers->roles[role].n; i++) {
			struct service_peer *p = peers->roles[role].workers[i];

			if (p == NULL)
				continue;
			ipc_ask_cancel(&p->ask);
			ipc_peer_destroy(p->peer);
			free(p);
		}
		free(peers->roles[role].workers);
		peers->roles[role].workers = NULL;
		peers->roles[role].n = 0;
	}
}
