/* master/slot.h: places and the processes that fill them: start, death, the pause before the next.
 * Touches: fork and exec, the channels, the lock of the spool. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"

struct child;
struct fault;
struct master;
struct slot;

/* Makes the slots that the settings ask for, with their sockets bound. */
MUST_USE bool slots_make(struct master *m, struct fault *why);
void slots_destroy(struct master *m);

/* Starts a process in slot now; where that fails (logged) or must wait, later. On reload the older process goes on until the new one is ready. */
void slot_start(struct slot *slot);
/* Looks which processes have ended, and starts them again where they should not have. */
void children_reap(struct master *m);
/* Asks each process whether it lives, and ends one that has not answered for a minute. */
void children_ping(struct master *m);
/* Tells a process to stop; from then on its end is no surprise. */
void child_stop(struct child *c, uint64_t within_ms);
