/* common/service/service.h: what every daemon does to become one and to stay one. master starts it with one socket (descriptor 3,
 * its channel) and arguments ROLE WORKER; over that come the settings, the log's descriptor, listening sockets and
 * files; then it goes into its chroot, takes its account, sets no_new_privs, and says ready.
 * Touches: the channel to master, account, chroot, signals. It opens no file and knows no path: master does.
 *
 *	int main(int argc, char **argv)
 *	{
 *		struct smtpd d = {0};
 *		return service_main(argc, argv, &smtpd_service, &d);
 *	}
 *
 * Order: start (with settings) → listener, file … as master sends them, `ready` is sent when start has returned true and the first batch
 * of master's descriptors has come → run → stop → (drained) → end. start runs after the account was taken. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/conf/settings.h"
#include "common/event/loop.h"
#include "common/ipc/link.h"

struct fault;
struct service;

struct service_callbacks {
	enum ipc_role role;
	/* The daemon's own part. s->settings, s->loop, s->worker are set. False: why is logged and the process ends; master starts it again with growing pauses. */
	bool (*start)(struct service *s, void *daemon, struct fault *why);
	/* A listening socket from master: takes fd. line: the listen line (kind 0), or for kind 1 the name in private/, kind 2 in control/, where s->server already listens: those do not come here. */
	void (*listener)(void *daemon, int fd, struct slice line);
	/* A file that master opened for us, at start and whenever it has changed: takes fd. */
	void (*file)(void *daemon, int fd, struct slice name, struct slice path);
	/* A folder's descriptor (O_PATH or O_DIRECTORY): takes fd. Comes before start for those daemons that are not in a chroot. */
	void (*folder)(void *daemon, int fd, struct slice name);
	/* An ask or notice from another daemon or an admin program. */
	ipc_handler_fn *handler;
	ipc_presence_fn *presence;
	/* New settings are in s->settings; the old ones are freed after this returns. NULL: master starts new workers instead (smtpd, remote and local). */
	void (*reload)(void *daemon);
	/* Take no new work, finish what was begun, then call service_end. */
	void (*stop)(void *daemon, uint64_t within_ms);
	/* Free everything (runs at the very end, so that a leak checker sees none). */
	void (*destroy)(void *daemon);
	uint32_t window; /* asks a connection may have waiting here */
};

struct service {
	const struct service_callbacks *callbacks;
	void *daemon;
	struct loop *loop;
	const struct settings *settings;
	unsigned worker;          /* the place among the workers of its kind: 0, 1, … */
	struct slice kind;        /* smtpd: "smtp" or "submission"; else "" */
	struct ipc_server *server;
	struct service_private *private;
};

/* Runs the daemon from its first line to its last; the exit status. */
int service_main(int argc, char **argv, const struct service_callbacks *callbacks, void *daemon);
/* After stop: nothing is left to do. */
void service_end(struct service *s);
/* The way to a worker of another daemon; made at first use, owned by the service. NULL only when memory is out. */
struct ipc_peer *service_peer(struct service *s, enum ipc_role role, unsigned worker);
/* How many workers that role has (as of the settings). */
unsigned service_n_workers(const struct service *s, enum ipc_role role);
/* The worker that is home to key (an account, a client address): the same for all askers. */
struct ipc_peer *service_peer_for(struct service *s, enum ipc_role role, struct slice key);
