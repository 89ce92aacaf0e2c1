/* queued/notice.h: the notice about the recipients of a message that failed, made a message of its own.
 * Touches: the message's file (read), queue/notices (written, synced), in the pool.
 *
 * It is durable before anything is recorded of the failed recipients: a crash between may make it twice, never lose it. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"

struct fault;
struct message;

/* One notice for all targets of m that failed, to its reverse-path, which is not null. attempt_told comes once from the loop; with success the notice is on
 * its way already. Fails: temporary, and attempt_told does not come. */
MUST_USE bool notice_begin(struct message *m, struct fault *why);
/* At the end of the process: the commit goes on, nobody waits. */
void notice_disown(struct message *m);
