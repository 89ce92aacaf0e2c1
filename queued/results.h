/* queued/results.h: what a deliverd, or lookupd, said about recipients, taken down in the message and in the log.
 * Touches: nothing; the file comes later (record.h). */
#pragma once

#include <stdint.h>

struct delivery;
struct fault;
struct ipc_message;
struct message;
struct target;

/* The answer to v (NULL: there was none, why says how that came). Each of its targets has a result afterwards: one that the answer says nothing sound about
 * is deferred. */
void results_take(struct delivery *v, const struct ipc_message *answer, const struct fault *why);
/* t waits because of why, whatever its class: it is ours, not the far end's. */
void results_defer(struct message *m, struct target *t, const struct fault *why);
/* Logs that t failed, if it did; that it is deferred. */
void results_log_refused(const struct message *m, const struct target *t);
void results_log_deferred(const struct message *m, const struct target *t, uint64_t pause_ms);
