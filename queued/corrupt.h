/* queued/corrupt.h: spool files that are none, set aside in corrupt/ for a person to look at. The rest goes on.
 * Touches: rename from the file's place to corrupt/, in the pool. */
#pragma once

#include <stdbool.h>

#include "common/base/slice.h"
#include "queued/files.h"

struct fault;
struct queued;

/* Logs why (copied) and moves the file; done(arg) comes once from the loop, whether that went well or not. Without memory it comes at once. */
void corrupt_set_aside(struct queued *q, struct slice id, place p, const struct fault *why, void (*done)(void *arg), void *arg);
/* The call itself, in the pool. False: errno is set. */
bool corrupt_move(int spool, place p, struct slice id);
