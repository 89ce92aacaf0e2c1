/* master/batch.h: what a process is sent: log, settings, folders, account, listeners, files.
 * Touches: the channel; opens empty/. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"

struct child;
struct fault;
struct master;

/* All that a new process needs, in the order of common/service/service.h. folder (stays the caller's): what it works in, -1: nothing. Fails: temporary, and the
 * process must be ended. */
MUST_USE bool child_send_all(struct child *c, int folder, struct fault *why);

/* What may change later. A process of a kind that does not get it is sent nothing, nor is one that was told to stop. */
enum batch { BATCH_LOG = 1, BATCH_SETTINGS = 2, BATCH_KEY = 4, BATCH_CERTIFICATE = 8, BATCH_RESOLV = 16, BATCH_ALIASES = 32, BATCH_AUTHORITIES = 64, BATCH_TEMPLATES = 128 };
/* A process that cannot be sent its batch (memory) is killed, and so started again with all of it. */
void child_send(struct child *c, unsigned batch);
void children_send(struct master *m, unsigned batch);
