/* queued/dispatch.h: deliveries: the recipients of one message that have one next hop, given to a deliverd together.
 * Touches: the links to local and remote; opens the message's file for reading, for as long as it takes to pass it on.
 *
 * Two lanes, local and remote, each with its limit. In a lane every destination (a next hop, with port and TLS) has its deliveries in the order in
 * which they came, and its own limit; destinations take turns, one delivery each: a slow one with thousands waiting holds up nobody else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"
#include "common/base/list.h"
#include "common/base/table.h"
#include "common/event/loop.h"
#include "common/ipc/link.h"

struct fault;
struct message;
struct queued;
struct target;

/* A message's recipients in one delivery: RFC 5321 4.5.3.1.8 makes every host take 100. */
#define DELIVERY_TARGETS_REMOTE 100u
#define DELIVERY_TARGETS_LOCAL 500u

struct destination;

struct lane {
	struct list ready; /* destinations with something to start, within their own limit */
	size_t n_under_way;
};

struct dispatch {
	struct queued *queued;
	struct lane local, remote;
	struct table destinations;
	struct list running; /* deliveries that a deliverd has, or that pause */
	struct loop_task run;
};

/* One delivery; lies in its message's arena. */
struct delivery {
	struct list node; /* waiting at its destination, or running */
	struct dispatch *dispatch;
	struct message *message;
	struct destination *destination; /* NULL once it is over */
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
 * have their results. */
void dispatch_add(struct message *m);
/* The limits may have changed. */
void dispatch_reload(struct dispatch *d);
/* Starts no delivery any more; those that wait are over, their targets still open. */
void dispatch_drain(struct dispatch *d);
/* Those under way too. A deliverd that ends one after this does so in vain: its recipients may have the message twice. */
void dispatch_give_back(struct dispatch *d);
