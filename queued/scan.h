/* queued/scan.h: the spool is read for messages that nobody told queued of: all of queue/ at start; incoming/ at start, each minute, and when an smtpd is gone.
 * Touches: folders and files of the spool, in the pool.
 *
 * The rule for incoming/N. Its smtpd holds a lock (flock) on the folder as long as it lives; we try to take it.
 *  - Locked by us: the worker is dead. Committed files are taken over, others were never acknowledged and are removed.
 *  - Not: it lives. A file is left alone but for one that is committed and not known, when its smtpd
 *    asks for it (it had told a queued that is dead), or when it is older than a minute.
 * A file that is known is left alone in any case. One that says it is committed and is not what it says is set aside in corrupt/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/event/loop.h"

struct ipc_request;
struct queued;

#define SCAN_EVERY_MS 60000u
#define SCAN_AGE_S 60u

struct scan {
	struct queued *queued;
	struct loop_timer minute;
	struct list lost; /* workers whose connection has ended, looked at in a moment */
	struct loop_timer lost_soon;
	size_t n_under_way; /* folders being read or worked on */
	bool first;         /* the one at start has not ended */
};

void scan_init(struct scan *s, struct queued *q);
/* Safe on a zeroed one. */
void scan_fini(struct scan *s);
/* Reads the whole spool; `scanned` is logged at its end. */
void scan_start(struct scan *s);
/* Messages of another host's spool stand in queue/: those that are not known are taken up. */
void scan_adopted(struct scan *s);
/* The connection to smtpd `worker` has ended. Its folder is looked at shortly after, and some more times while it is locked still. */
void scan_worker_lost(struct scan *s, unsigned worker);
/* Takes over the file id of smtpd `worker`, which lives and has committed it, if it is there. The
 * answer to request is `done` when that has happened. */
void scan_one(struct scan *s, unsigned worker, struct slice id, struct ipc_request *request);
/* No other scan begins any more; n_under_way goes to 0, and files's idle tells of it. */
void scan_stop(struct scan *s);
