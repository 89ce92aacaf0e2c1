/* queued/flow.h: the deliveries to one destination of one sender, so that senders can take turns.
 * Touches: the heap.
 *
 * A sender is the user who has logged in, or else the client that brought the message, or else the
 * reverse-path: a list that has one reverse-path for each recipient is one sender. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/list.h"
#include "common/base/table.h"

struct destination;
struct fault;
struct message;

struct flow {
	struct table_node node;
	struct destination *destination;
	struct list turn;    /* in the destination's ring, while something waits */
	struct list waiting; /* deliveries, in the order in which they came */
	size_t n_held;	     /* its deliveries; it goes with the last */
	char key[];
};

struct flows {
	struct table table;
	uint8_t secret[16];
};

void flows_init(struct flows *f);
void flows_fini(struct flows *f);
/* m's to to, made where there is none. Fails: no memory. Whoever takes it calls flow_settle. */
MUST_USE struct flow *flow_of(struct flows *flows, struct destination *to, const struct message *m,
			      struct fault *why);
/* f is freed when n_held is 0. */
void flow_settle(struct flows *flows, struct flow *f);
/* In the schedule a sender is one of a few (schedule.h): which one, nobody can choose. */
unsigned flow_in_schedule(const struct flows *flows, const struct message *m);
