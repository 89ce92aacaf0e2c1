/* queued/queued.h: the queue manager as a whole: which message goes where, and when.
 * Touches: the spool below its descriptor; asks lookupd, local and remote; answers smtpd and admin programs. No network, no database.
 *
 * Files in reading order: intake (a message comes), routing, dispatch, results, attempt (what one attempt at a message is), telling and notice (what its
 * sender hears), record (what it leaves), schedule, destination, due and load (when it is due again), scan (what others left), maildrop (what users left),
 * control, stats and steer (the administrator). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/base/table.h"
#include "common/conf/settings.h"
#include "common/event/loop.h"
#include "common/event/pool.h"
#include "common/ipc/link.h"
#include "common/spool/id.h"
#include "queued/control.h"
#include "queued/dispatch.h"
#include "queued/due.h"
#include "queued/files.h"
#include "queued/maildrop.h"
#include "queued/routing.h"
#include "queued/scan.h"
#include "queued/schedule.h"
#include "queued/steer.h"
#include "queued/template.h"

struct fault;
struct message;

/* The ways to other daemons: service.h's, or a test's. NULL: there is none now. */
struct queued_peers {
	void *arg;
	struct ipc_peer *(*worker)(void *arg, enum ipc_role role, unsigned worker);
	struct ipc_peer *(*home)(void *arg, enum ipc_role role, struct slice key);
	unsigned (*n_workers)(void *arg, enum ipc_role role);
};

struct queued {
	struct loop *loop;
	const struct settings *settings;
	int spool;       /* spool_dir */
	int queue;       /* its queue/, locked: one queued a spool */
	int notices;     /* its queue/notices */
	struct queued_peers peers;
	struct pool *pool;
	struct schedule *schedule;
	struct files files;
	struct routing routing;
	struct dispatch dispatch;
	struct due due;
	struct scan scan;
	struct maildrop maildrop;
	struct control control;
	struct steer steer;
	struct spool_id_source ids;
	struct templates templates; /* the words of notices */

	struct list active;     /* messages worked at, bounded by queue_active_max and ACTIVE_BYTES_MAX */
	struct table active_by_id;
	size_t n_active, active_bytes, n_loading;
	struct list unanswered; /* those whose smtpd waits, the longest first */
	struct loop_timer patience;

	struct loop_task check; /* whether a stop is complete */

	bool unclean; /* the last run did not end as it should: contents are checked before first use */
	bool stopping, ended;
	struct loop_timer give_back;
	void (*end)(void *arg);
	void *end_arg;
};

/* Envelopes, routes and replies of all active messages together. */
#define ACTIVE_BYTES_MAX ((size_t)256 << 20)

/* Opens the spool (takes the descriptor of spool_dir) and begins the scan. q is zeroed. Fails: temporary; another queued works here, folders are missing. */
MUST_USE bool queued_start(struct queued *q, struct loop *loop, const struct settings *settings, int spool, const struct queued_peers *peers,
			   struct fault *why);
/* New settings; the old ones may be freed after this. */
void queued_reload(struct queued *q, const struct settings *settings);
/* Takes nothing new, lets deliveries end for within_ms less a second, gives back the rest, and calls end once all is written and synced. */
void queued_stop(struct queued *q, uint64_t within_ms, void (*end)(void *arg), void *arg);
/* Frees everything; before or after the end. Safe on a zeroed one. */
void queued_destroy(struct queued *q);

/* The ipc handler and presence of the daemon; arg is the struct queued. */
void queued_handle(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd);
void queued_presence(void *arg, enum ipc_role role, unsigned worker, bool there);

/* ---- for the files of this folder ---- */

/* Is there room for one more active message? Retries leave a quarter to fresh mail. */
bool queued_has_room(const struct queued *q, bool fresh);
/* m (whose entry in the schedule is set) is worked at from here on. False: no memory. */
MUST_USE bool queued_activate(struct queued *q, struct message *m, struct fault *why);
/* m's arena has grown. */
void queued_count(struct message *m);
/* m is not worked at any more, and freed. Its smtpd has its answer. What waits for room may come. */
void queued_retire(struct message *m);
struct message *queued_find_active(const struct queued *q, struct slice id);
/* m's smtpd gets its answer, if it waits for one. */
void queued_answer(struct message *m);
/* The schedule has changed: sets the timer anew. */
void queued_set_timer(struct queued *q);
uint32_t queued_now_s(const struct queued *q);
