/* queued/routing.h: lookupd is asked where each recipient's mail goes.
 * Touches: the links to lookupd. Asks go to the recipient's domain's home, many at once, messages in turn; their number is bounded. */
#pragma once

#include <stddef.h>

#include "common/base/attributes.h"
#include "common/base/list.h"
#include "common/event/loop.h"

struct fault;
struct message;
struct queued;
struct route_slot;

struct routing {
	struct queued *queued;
	struct route_slot *slots;
	struct list unused;
	struct list waiting; /* messages with recipients to ask about */
	struct loop_task run;
};

MUST_USE bool routing_init(struct routing *r, struct queued *q, struct fault *why);
/* Forgets what is under way. Safe on a zeroed one, and twice. */
void routing_fini(struct routing *r);

/* Asks about every recipient of m that is not done. attempt_routed comes from the loop when each has its targets; one whose
 * route is not to be had now has one target, deferred. */
void routing_begin(struct message *m);
/* No answers are waited for any more: their recipients stay open. attempt_routed comes for each message. */
void routing_give_back(struct routing *r);
