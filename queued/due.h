/* queued/due.h: which message is taken up next: from its moment into the line of its destination, from the line to be read and worked at.
 * Touches: nothing itself; load.h reads files.
 *
 * The order, which holds whatever the queue looks like:
 *  1. A message whose moment has come stands in the line of its destination; one of which nothing is known, in that of the unknown.
 *  2. Lines whose destination can use one more message now take turns, one message each. A destination that fails can use one, when its probe is due.
 *  3. In a line, flows (senders) take turns; in a flow, the oldest message comes first.
 *  4. A message whose deadline is past goes at once, wherever it stands: its sender is to be told.
 *  5. Nothing is taken up while there is no room (queued_has_room). */
#pragma once

#include <stdint.h>

#include "common/base/list.h"
#include "common/event/loop.h"
#include "queued/destination.h"

struct message;
struct queued;

struct due {
	struct queued *queued;
	struct list ring; /* destinations whose line may move */
	struct destination unknown;
	struct loop_timer timer;
};

void due_init(struct due *d, struct queued *q);
/* Safe on a zeroed one. */
void due_fini(struct due *d);
/* Something has changed: the schedule, the room. Sets the timer anew. */
void due_set_timer(struct due *d);
/* Takes nothing up any more. */
void due_stop(struct due *d);

/* Something has changed for to: its line, its state, what it works at. */
void due_update(struct destination *to);
/* m, whose entry is taken, stands in the line of the one destination that it is bound to; it is worked at no more. Without memory it waits a minute. */
void due_line_up(struct due *d, struct message *m);
/* n goes at once, wherever it stands, past all limits: the caller sees to them. */
void due_take_up(struct queued *q, uint32_t n);
/* What had left the line of group is worked at no more. 0 is none. */
void due_returned(struct queued *q, uint32_t group);
