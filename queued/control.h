/* queued/control.h: the administrator's asks: list, show, flush, status. What changes something is in steer.h.
 * Touches: message files (read, in the pool); the schedule.
 *
 * However long the queue is and however slow the disk: an ask reads at most CONTROL_PAGE_MAX files, CONTROL_STEP in one job of the pool, and CONTROL_READERS of
 * such jobs are in the pool at once, so that most of its threads are free for deliveries. */
#pragma once

#include <stddef.h>

#include "common/base/list.h"

struct ipc_message;
struct ipc_request;
struct queued;

#define CONTROL_PAGE_MAX 1000u
#define CONTROL_STEP 100u
#define CONTROL_READERS 2u

struct control {
	struct list waiting; /* jobs that wait for their turn in the pool */
	size_t n_reading;
	struct list counting; /* for stats.h */
};

void control_init(struct control *c);
/* Answers who waits. Safe on a zeroed one. */
void control_fini(struct control *c);

/* queue_list_ask: at most CONTROL_PAGE_MAX messages behind a place are looked at; their order stays while others come and go. A file that is gone or cannot be
 * read is left out. */
void control_list(struct queued *q, struct ipc_request *request, const struct ipc_message *m);
/* queue_show_ask. */
void control_show(struct queued *q, struct ipc_request *request, const struct ipc_message *m);
/* queue_flush_ask: all that wait are due now, or those with a recipient of one domain still to be reached: then every waiting file is read, page by page. */
void control_flush(struct queued *q, struct ipc_request *request, const struct ipc_message *m);
/* control_ask: "status"; "adopted": queue/ is read for messages that came from another host's spool. */
void control_verb(struct queued *q, struct ipc_request *request, const struct ipc_message *m);
