/* common/service/service.h: what every daemon does to become one and to stay one. master starts it with one socket (descriptor 3,
 * its channel) and arguments KIND WORKER (KIND "-": none); over that come the log's descriptor, the settings and the folders; then it goes
 * into its chroot, takes its account and sets no_new_privs; then come listening sockets and files, and it says ready.
 * Touches: the channel to master, account, chroot, signals. It opens no file and knows no path: master does.
 *
 *	int main(int argc, char **argv)
 *	{
 *		struct smtpd d = {0};
 *		return service_main(argc, argv, &smtpd_service, &d);
 *	}
 *
 * Order: folder … → account taken → start (with settings) → listener, file … → `ready` is sent when start has returned true and the first
 * batch of master's descriptors has come → run; file again whenever it has changed → stop → (drained) → service_end → destroy.
 *
 * SIGTERM and the loss of the channel (master died) are like master's stop, with 10 and 5 seconds. When the limit is over, and two seconds
 * more, the daemon ends all the same. SIGINT, SIGHUP, SIGUSR1 and SIGPIPE do nothing. */
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
	/* A folder's descriptor (O_DIRECTORY): takes fd. All come before start. "incoming" (smtpd) and "spool" (queued) carry a flock: kept open as
	 * long as the daemon works there, they say that somebody does. */
	void (*folder)(void *daemon, int fd, struct slice name);
	/* An ask or notice from another daemon or an admin program. */
	ipc_handler_fn *handler;
	ipc_presence_fn *presence;
	/* New settings are in s->settings; the old ones are freed after this returns. NULL: master starts new workers instead (smtpd, remote and local). */
	void (*reload)(void *daemon);
	/* Take no new work, finish what was begun, then call service_end. May come again, with a shorter limit. NULL: the daemon ends at once. */
	void (*stop)(void *daemon, uint64_t within_ms);
	/* Free everything (runs at the very end, so that a leak checker sees none), also after a start that failed. Asks and requests are cancelled or answered
	 * here: loop, server and peers are still there, but no callback comes any more. NULL: nothing to free. */
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
