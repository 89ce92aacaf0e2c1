/* queued/dispatch.h: deliveries: the recipients of one message that have one next hop, given to a deliverd together.
 * Touches: the links to local and remote; opens the message's file for reading, for as long as it takes to pass it on.
 *
 * Two lanes, local and remote, each with its limit. In a lane destinations (destination.h) take turns, one delivery each, within what each may have at once; in a
 * destination senders take turns; of one sender, deliveries go in the order in which they came. A slow one with thousands waiting holds up nobody else.
 *
 * A destination has a share of queue_active_max. A message beyond it, and one whose destination fails, is parked: its targets stay open, nothing is written down
 * of an attempt, and it waits in line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"
#include "common/base/list.h"
#include "common/base/table.h"
#include "common/event/loop.h"
#include "common/ipc/link.h"
#include "queued/destination.h"
#include "queued/flow.h"

struct fault;
struct message;
struct queued;
struct target;

/* A message's recipients in one delivery: RFC 5321 4.5.3.1.8 makes every host take 100. */
#define DELIVERY_TARGETS_REMOTE 100u
#define DELIVERY_TARGETS_LOCAL 500u

struct dispatch {
	struct queued *queued;
	struct lane local, remote;
	struct destinations destinations;
	struct flows flows;
	struct list running; /* deliveries that a deliverd has, or that pause */
	struct loop_task run;
};

/* One delivery; lies in its message's arena. */
struct delivery {
	struct list node; /* waiting in its flow, or running */
	struct dispatch *dispatch;
	struct message *message;
	struct destination *destination; /* NULL once it is over */
	struct flow *flow;
	bool probe; /* whether its destination can be reached shows here */
	struct ipc_ask ask;
	struct loop_timer pause;
	struct target **targets; /* by index, ascending */
	size_t n_targets;
	unsigned n_crashes;
};

void dispatch_init(struct dispatch *d, struct queued *q);
/* Forgets what is under way. Safe on a zeroed one. */
void dispatch_fini(struct dispatch *d);

/* Makes deliveries of m's open targets and counts them in m->n_deliveries; attempt_delivered comes from the loop after each, when its targets
 * have their results, or stay open: then m is parked, or given back. */
void dispatch_add(struct message *m);
/* m, whose entry is taken, is bound to the group of the one destination that all go to who are left of it; to none where they are several, or not known. */
void dispatch_bind(struct message *m);
/* The limits may have changed. */
void dispatch_reload(struct dispatch *d);
/* Starts no delivery any more; those that wait are over, their targets still open. */
void dispatch_drain(struct dispatch *d);
/* Those under way too. A deliverd that ends one after this does so in vain: its recipients may have the message twice. */
void dispatch_give_back(struct dispatch *d);
