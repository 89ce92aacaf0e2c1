/* master/stages.h: the way of the whole from start to end.
 * Touches: the processes, through slot.h.
 *
 *	STARTING → RUNNING        all slots have a process that is ready
 *	STARTING → STOP_SMTPD     one died before it was ready or did not get ready: the start has failed
 *	RUNNING → STOP_SMTPD      told to stop
 *	STOP_SMTPD → STOP_QUEUED → STOP_REST → the loop ends; each when its processes are gone
 *
 * In each STOP stage processes have their time and are then killed; the times sum up to less than 30 seconds. */
#pragma once

#include <stdbool.h>

struct child;
struct master;

/* How long a process that was replaced on reload may take to finish: a long session, a slow next hop. */
#define STOP_OF_REPLACED_MS 3600000u

/* Starts all slots; who started us hears of it within a minute. */
void stages_start(struct master *m);
/* Begins the end; status is what master ends with. */
void stages_stop(struct master *m, int status);
void stages_child_ready(struct master *m);
/* c is gone from its slot and from the list. */
void stages_child_ended(struct master *m, const struct child *c, bool wanted);
