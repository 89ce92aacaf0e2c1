/* queued/record.h: what became of a message, on its way into the tail of its file.
 * Touches: that file (open, pwrite, futimens, rename), in the pool; its sync comes within a second. */
#pragma once

#include <stdbool.h>

#include "common/spool/file.h"

struct message;
struct recipient;
struct target;

/* Adds what t's state is (final, or failed) to the lines to be written, once for each state. A recipient with one target has a line as a whole; else each has its own, and the last
 * final one is followed by one about the whole. */
void record_target(struct message *m, struct target *t);
/* Adds that the sender was told of a delay (WARNED, of m as a whole) or that r is delivered (REPORTED). */
void record_mark(struct message *m, const struct recipient *r, enum spool_result_kind kind);
/* Adds that this attempt at recipient r was deferred; t says why. */
void record_deferred(struct message *m, const struct target *t);
/* Begins writing what is to be written: lines, with m->record_move the place, with m->record_end mtime (next_due_s). Once all of it is in the file, attempt_recorded
 * is called from the loop. A call that fails is made again, with growing pauses, for as long as it takes. */
void record_start(struct message *m);
/* Nothing is under way, and nothing waits to be written. */
bool record_is_idle(const struct message *m);
void record_retry(void *message);
