/* lookupd/failures.h: how often a login has failed lately, by account or by client, and how long
 * the next refusal is held back for it.
 *
 * Touches: memory, a fixed amount of it: FAILURES_MAX keys are remembered, the one that failed
 * longest ago goes first. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct failures;
struct fault;

#define FAILURES_MAX 16384
#define FAILURE_STEP_MS 300000 /* so long without one takes one back */

/* The settings auth_failure_wait and auth_failure_wait_max. */
struct failure_waits {
	uint64_t first_ms, max_ms;
};

/* The caller owns it. Fails: temporary, 4.3.1. */
MUST_USE struct failures *failures_create(struct fault *why);
void failures_destroy(struct failures *f);
/* One more failure of key, which may be any octets. Gives the wait for it: first_ms, doubled for
 * each other one that counts, at most max_ms. Those beyond what max_ms asks for are not counted:
 * five minutes without always halve. */
uint64_t failures_count(struct failures *f, struct slice key, const struct failure_waits *waits,
			uint64_t now_ms);
/* The next failure of key is the first. */
void failures_forget(struct failures *f, struct slice key);
