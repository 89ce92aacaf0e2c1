/* queued/destination.h: what is known of a destination (a next hop with port and TLS, or all Maildirs): whether it can be reached, how much it takes at once.
 * Touches: the heap, its own timer.
 *
 *	        a failure with nothing else under way, or the third in a row
 *	  good ───────────────────────────────────────────────────────────────→ failing ──→ probe ──┐
 *	   ↑                                                                       ↑    unreachable │
 *	   └── anything but "unreachable" ─────────────────────────────────────────┼────────────────┤
 *	                                                                           └────────────────┘
 *
 * While it fails, one delivery a period is its probe; the period doubles. Nothing else for it is tried, or read from the disk: it stands in line (schedule.h).
 *
 * How many deliveries it may have at once: DESTINATION_LIMIT_FIRST at first, one more for each that was taken, half when it refuses a connection (unreachable,
 * 421, one that breaks), never more than the setting.
 *
 * Destinations that nothing points to are kept for what is known of them; past DESTINATIONS_IDLE_MAX the ones used longest ago go. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/fault.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/base/table.h"
#include "common/event/loop.h"
#include "common/ipc/messages.h"

struct queued;
struct target;

#define DESTINATION_KEY_SIZE (IPC_HOST_MAX + 32)
#define DESTINATION_LIMIT_FIRST 5u
#define DESTINATION_ROW_MAX 3u
#define DESTINATIONS_IDLE_MAX 4096u

struct lane {
	struct list ready; /* destinations with something to start, within their own limit */
	size_t n_under_way;
};

struct destination {
	struct table_node node;
	char key[DESTINATION_KEY_SIZE];
	struct queued *queued;
	struct lane *lane;   /* NULL: the unknown one, of messages that were not routed yet */
	struct list ready;   /* in the lane's ring */
	struct list flows;   /* its flows with deliveries that wait */
	struct list due;     /* in the ring of those whose line may move (due.h) */
	struct list idle;    /* among those that nothing points to, the longest first */
	size_t n_under_way;  /* deliveries that a deliverd has */
	size_t n_held;       /* deliveries that point here */
	size_t n_fresh;      /* of them, those whose message came from no line of it */
	size_t n_out;        /* messages that have left its line and are worked at */
	uint32_t group;      /* of the schedule; 0: none yet */
	uint32_t limit;
	unsigned n_row;      /* failures since it was reached last */
	bool failing, probing;
	uint32_t failing_since_s, probe_s;
	uint64_t period_ms;
	struct fault why;    /* its last answer, or why it was not reached; by: who said so */
	char by[256];
	struct loop_timer wake; /* its line may move */
};

struct destinations {
	struct queued *queued;
	struct table table;
	struct list idle;
	size_t n_idle;
};

void destinations_init(struct destinations *d, struct queued *q);
/* Safe on a zeroed one. */
void destinations_fini(struct destinations *d);

/* t's, made where it is not known. Fails: no memory. It stays as long as something points to it (n_held, n_out, its line), else until the next
 * call of this at least. */
MUST_USE struct destination *destination_of(struct destinations *d, const struct target *t, struct fault *why);
/* n_held, n_out or the line has changed: it is idle now, or not. */
void destination_settle(struct destination *to);
/* The one without lane, for messages that nothing is known of. */
void destination_init_unknown(struct destination *to, struct queued *q);
/* Its number in the schedule, made at the first call. 0: no memory. */
uint32_t destination_group(struct destination *to);

/* How many deliveries may be under way. */
size_t destination_limit(const struct destination *to);
/* Deliveries to it that may be in memory; more wait in line. */
size_t destination_share(const struct destination *to);
/* What may be worked at while more waits in its line: enough to keep it busy. */
size_t destination_window(const struct destination *to);

/* A delivery may begin: it is good, or this is the probe (then it is *probe). */
bool destination_admits(struct destination *to, bool *probe);
/* What came of one that was begun, which is not under way any more. False: it fails from here on, what waits for it does so in line. */
bool destination_unreachable(struct destination *to, bool probe, const struct fault *why, struct slice by);
/* What came of t, one of its targets: its last answer, for people. */
void destination_said(struct destination *to, const struct target *t);
/* It took something, or said why not; refused: by 421, or the connection broke. */
void destination_reached(struct destination *to, bool refused);
/* The probe came to nothing (our own daemon died, we stop). */
void destination_probe_lost(struct destination *to);
/* Somebody wants to see whether it is there: its next probe is due. */
void destination_probe_now(struct destination *to);
