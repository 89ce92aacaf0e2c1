/* queued/telling.h: what the sender of a message is to be told after an attempt at it (RFC 3461 5.2, 6), and by how many notices.
 * Touches: nothing itself; notice.h makes them.
 *
 *	failure    recipients that failed, to a sender who did not say otherwise
 *	double     the same, where the message is our own notice of a failure: to double_bounce, once
 *	success    recipients that were delivered to a mailbox, relayed to a host that tells nobody, or are a list, where the sender asked for it
 *	delay      recipients that wait, once for each message, after queue_delay_warning
 *
 * Invariants:
 *  1. A notice is durable before the file says that the sender was told of these recipients, and before the file goes. So a crash may make one twice, never lose one.
 *  2. For a message with the null reverse-path nobody is told, but by `double`; a double is never answered. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "queued/bounce.h"
#include "queued/template.h"

struct fault;
struct message;

/* All deliveries of this attempt are over. attempt_told comes once, perhaps from inside, when all notices that are due are made or one could not be made. */
void telling_begin(struct message *m);
/* From notice.h: that of kind is durable, or (why) could not be made. */
void telling_noticed(struct message *m, enum notice_kind kind, const struct fault *why);

/* The recipients that a notice of kind is about now, into out; out may be NULL. Their number. */
size_t telling_recipients(const struct message *m, enum notice_kind kind, struct bounce_recipient *out);
/* Is the sender to be told that m is late, if it still waits? */
bool telling_is_late(const struct message *m);
