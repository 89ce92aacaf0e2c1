/* queued/maildrop.h: takes over what sendmail left in maildrop/ while no smtpd answered: at start,
 * once the rest of the spool is known, and each minute.
 * Touches: maildrop/, and queue/notices where queued's own messages are made.
 *
 * One file after the other goes this way; dropped.h says what is asked of it:
 *
 *	judged (in the pool) → copied into queue/notices/ID (spool writer) → committed
 *		→ its name in maildrop/ removed → taken in like any other message
 *
 * Invariants (tests cite them):
 *  1. The file is removed only when its copy is durable; the copy is worked at only when the file
 *     is gone. So whatever dies, none is lost.
 *  2. ID is made of what the kernel says of the file. Where a copy is there already (a crash came
 *     between its commit and the removal), no second one is made. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"

struct maildrop_job;
struct queued;

struct maildrop {
	struct queued *queued;
	struct maildrop_job *job; /* NULL: nothing is under way */
};

void maildrop_init(struct maildrop *m, struct queued *q);
/* Looks through the folder; nothing where that is under way already. */
void maildrop_scan(struct maildrop *m);
bool maildrop_is_idle(const struct maildrop *m);
/* For queued_destroy, before its pool goes and after: what is under way ends by itself. */
void maildrop_disown(struct maildrop *m);
