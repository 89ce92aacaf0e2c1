/* queued/steer.h: the administrator's hand: hold, release, delete, retry, bounce.
 * Touches: message files (mode, time, removal; synced before the answer), in the pool; the schedule.
 *
 * A message that waits is taken from the schedule while the hand is on it (SCHEDULE_STEERED), and nobody else's meanwhile. One that is being delivered is
 * left alone: it is held from the end of its attempt on; and deleted or returned then, if something of it is left.
 *
 * Held is a bit of the file's mode, and SCHEDULE_HELD in memory: it is due at no moment, so it is neither tried nor does it expire. */
#pragma once

#include <stdbool.h>

#include "common/base/list.h"

struct ipc_message;
struct ipc_request;
struct message;
struct queued;
struct steer_job;

#define STEER_MAX 1000u  /* messages in one ask */
#define STEER_STEP 64u   /* of them in one job of the pool */
#define STEER_PATIENCE_MS 5000u /* with one that is just being read */

struct steer {
	struct list jobs;
};

void steer_init(struct steer *s);
/* Safe on a zeroed one. */
void steer_fini(struct steer *s);
bool steer_is_idle(const struct steer *s);

/* queue_steer_ask. */
void steer_ask(struct queued *q, struct ipc_request *request, const struct ipc_message *m);

/* The attempt has ended for which `later` waited: it is done now. NULL does nothing; takes it. */
void steer_later(struct steer_job *later);
/* The message is gone: nothing is left to do. NULL does nothing; takes it. */
void steer_drop(struct steer_job *later);
/* Every recipient of m that still waits has failed: the administrator returned it. */
void steer_return(struct message *m);
