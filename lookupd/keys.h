/* lookupd/keys.h: the private keys, which are nowhere else, and what is made with them: signatures, session ticket keys.
 * Touches: common/tls/key.h; slow signatures (RSA) are made in the pool. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/ipc/link.h"

struct fault;
struct keys;
struct pool;

/* Pool is borrowed. The caller owns it. */
MUST_USE struct keys *keys_create(struct pool *pool, struct fault *why);
/* No signature may be under way (destroy the pool before). */
void keys_destroy(struct keys *k);
/* Loads the private key in pem (the file may hold certificates too). It is the newest; the three before it stay, for handshakes of workers
 * that have the old certificate still. Fails: what is wrong with the text; all stays as it was. */
MUST_USE bool keys_load(struct keys *k, struct slice pem, struct fault *why);
/* Answers sign_ask: now, or from the pool. */
void keys_sign(struct keys *k, struct ipc_request *request, const struct ipc_sign_ask *ask);

#define TICKET_KEY_N 80
#define TICKET_GENERATIONS 2
#define TICKET_PERIOD_MS (12u * 60 * 60 * 1000)
/* The session ticket keys of group (RFC 5077 4) at that moment, the newest first; valid_ms: until the next one. They come from the newest private key and
 * the time, so that all lookupd, and one that was started again, have the same. Fails, temporary, without a key. */
MUST_USE bool keys_tickets(const struct keys *k, uint64_t wall_us, uint8_t group, uint8_t out[TICKET_GENERATIONS][TICKET_KEY_N],
			   uint64_t *valid_ms, struct fault *why);
