/* queued/stats.h: what waits, by destination.
 * Touches: the schedule, page by page, so that a long queue holds up nothing. No file. */
#pragma once

struct ipc_message;
struct ipc_request;
struct list;
struct queued;

#define STATS_PAGE 1000u

/* queue_stats_ask. */
void stats_ask(struct queued *q, struct ipc_request *request, const struct ipc_message *m);
/* Answers those whose counting has not ended. */
void stats_fini(struct list *counting);
