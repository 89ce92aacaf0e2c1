/* deliverd/remote/idle.h: sessions that have done their message and wait a moment for the next one
 * to the same next hop.
 * Touches: nothing itself. */
#pragma once

#include <stdbool.h>

#include "common/base/list.h"
#include "common/base/slice.h"

struct idle_queue;
struct remote;
struct session;

/* What a session carries for this. */
struct idle_place {
	struct list node;
	struct session *session;
	struct idle_queue *queue; /* NULL: not kept */
};

/* Keeps the session of place (which knows it) for next_hop. False: idle_max are kept already, or
 * memory is out. */
bool idle_keep(struct remote *r, struct idle_place *place, struct slice next_hop);
/* The session to next_hop that was used last, taken out; or NULL. */
struct session *idle_take(struct remote *r, struct slice next_hop);
/* Takes it out; no effect when it is not kept. */
void idle_forget(struct remote *r, struct idle_place *place);
