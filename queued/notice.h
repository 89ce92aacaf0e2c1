/* queued/notice.h: a notice to the sender about recipients of a message (telling.h says which), made a message of its own.
 * Touches: the message's file (read), queue/notices (written, synced), in the pool.
 *
 * It is durable before anything is recorded of the recipients: a crash between may make it twice, never lose it. Its reverse-path is null and its NOTIFY is NEVER (RFC 3461
 * 6.1); what it is stands in its envelope (envelope.h, notice). */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "queued/template.h"

struct fault;
struct message;

/* In the envelope of a notice of that kind. */
#define NOTICE_OF_FAILURE "failure"

/* One notice of kind for all of m that telling_recipients lists. telling_noticed comes once from the loop; with success the notice is on its way already, or (of a delay,
 * of a message to a list) was not wanted. Fails: temporary, and telling_noticed does not come. */
MUST_USE bool notice_begin(struct message *m, enum notice_kind kind, struct fault *why);
/* At the end of the process: the commit goes on, nobody waits. */
void notice_disown(struct message *m);
