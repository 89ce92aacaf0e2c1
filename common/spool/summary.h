/* common/spool/summary.h: a waiting message's file read for people: `tassis queue list` and `show`, whether queued runs or not.
 * Touches: the given descriptor (pread). Blocks: for the pool, or a program without a loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/spool/envelope.h"
#include "common/spool/file.h"
#include "common/spool/state.h"

struct fault;

struct spool_summary {
	struct spool_header header;
	struct envelope envelope;
	struct spool_recipient_state *states; /* one for each recipient */
	struct arena arena;
	struct buf block, tail;
};

/* Reads header, envelope and tail of fd; id is the file's name. Whatever comes back, fini is due. Fails: permanent, it is no spool file; temporary. */
MUST_USE bool spool_summary_read(int fd, struct slice id, struct spool_summary *out, struct fault *why);
void spool_summary_fini(struct spool_summary *s);
/* Appends one queue_entry record (ipc/messages.h); recipients that are done are not counted. False: no room. */
MUST_USE bool spool_summary_put_entry(const struct spool_summary *s, uint64_t next_attempt_us, bool held, struct buf *entries);
/* Appends a queue_recipient record for each recipient. False: no room. */
MUST_USE bool spool_summary_put_recipients(const struct spool_summary *s, struct buf *recipients);
/* Appends a queue_attempt record for each line of the tail, in the order of time; of a long tail, the latest. */
void spool_summary_put_attempts(struct spool_summary *s, struct buf *attempts);
/* Does a recipient of that domain (compared without case) still wait? */
bool spool_summary_has_domain(const struct spool_summary *s, struct slice domain);
