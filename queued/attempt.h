/* queued/attempt.h: one attempt at a message: routing, delivering, telling, closing (message.h has the steps and the invariants).
 * Touches: nothing itself; it leads the parts that do. All calls come from the loop. */
#pragma once

#include <stdbool.h>

struct fault;
struct message;

/* m is active; its recipients' past has been read. The attempt begins; at its end m is gone. */
void attempt_begin(struct message *m);
/* Instead of an attempt: m is only moved to queue/ and waits there, due at once. */
void attempt_postpone(struct message *m);

/* Has it waited for queue_lifetime? */
bool message_is_old(const struct message *m);

/* What the parts say when they are through with m: every recipient has its targets, or waits; */
void attempt_routed(struct message *m);
/* one delivery of m is over; */
void attempt_delivered(struct message *m);
/* the sender was told of what became of m, or could not be told now; */
void attempt_told(struct message *m);
/* all that was to be written is written; */
void attempt_recorded(struct message *m);
/* its file is not there any more, or is no spool file. */
void attempt_vanished(struct message *m);
void attempt_corrupt(struct message *m, const struct fault *why);
