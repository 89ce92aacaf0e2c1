/* smtpd/handover.h: a message from the end of its data until queued has it: committed to the
 * spool, then told of.
 * Touches: the spool writer, and queued through IPC.
 *
 * It lives by itself: from the moment its commit begins the message counts, also when the client
 * has gone, and queued is told of it all the same. If queued is away, or does not take it, the
 * file waits for queued's scan. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/fault.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/ipc/link.h"
#include "common/spool/id.h"

struct session;
struct smtpd;
struct transaction;

struct handover {
	struct list node; /* smtpd's handovers */
	struct smtpd *smtpd;
	struct session *session;	 /* who waits for it; NULL: nobody any more */
	struct transaction *transaction; /* until it is committed */
	struct ipc_ask ask;
	struct fault why; /* of a commit that failed */
	bool committing, failed, asking;
	bool waiting; /* session waits for a window at queued */
	uint64_t size_bytes;
	char id[SPOOL_ID_LENGTH + 1];
	char session_id[SPOOL_ID_LENGTH + 1];
};

/* Begins to commit the session's transaction with front before its content, instead of the first
 * skip octets of that, and takes it from the session. The session is noted (session_note) when that is done. Fails, temporary, with nothing
 * done: no memory. */
MUST_USE bool handover_begin(struct session *s, struct slice front, uint64_t skip,
			     struct fault *why);
/* Does queued have more than it granted, so that 250 should wait? The session is noted when that
 * has changed. */
bool handover_must_wait(struct handover *h);
/* The session needs it no more. NULL does nothing. */
void handover_forget_session(struct handover *h);
/* Is there one for which the process must live on? */
bool handovers_matter(const struct smtpd *d);
void handovers_destroy(struct smtpd *d);
