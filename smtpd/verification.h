/* smtpd/verification.h: who sent this? SPF, DKIM, ARC and DMARC of what other hosts bring, in the
 * one pass in which it is received; and what follows from it.
 * Touches: the transaction; DNS, through questions.h.
 *
 *	MAIL            SPF is asked for
 *	the header      signatures are read, their keys asked for
 *	the body        is hashed as it streams by
 *	end of data     STEP_verified waits for what DNS still owes; then the verdict
 *
 * Nobody is refused for good because DNS does not answer (DESIGN.md, promise 4). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/mail/reply.h"
#include "smtpd/session.h"

struct verification;

/* MAIL: begins, where the settings want it of this client. Fails, temporary: no memory; then the
 * message is not taken, for nothing passes because it could not be checked. */
MUST_USE bool verification_begin(struct session *s, struct fault *why);
void verification_destroy(struct verification *v);

/* ---- SPF alone, for local_sender = spf ---- */

/* Has SPF passed for the reverse-path? True: *pass is the answer. False: it is not known yet, and
 * the session must wait in STEP_spf_answered. */
MUST_USE bool verification_spf(struct session *s, bool *pass);

/* ---- the message ---- */

/* Is the header to be kept for it? */
bool verification_keeps_header(const struct session *s);
/* The next octets of the content; kept: the header so far and what came with its end. */
void verification_take(struct session *s, struct slice run);
/* The end of data. True: something was checked, and the session goes to STEP_verified. */
bool verification_end(struct session *s);
/* Appends the fields that say what was found to front, and where a field of the message's own
 * forges one of ours, the header without it: *skip is how many octets of the content that is
 * instead of. False: no memory. */
MUST_USE bool verification_append(const struct session *s, struct buf *front, uint64_t *skip);

enum verification_outcome {
	VERIFICATION_WAITS,  /* DNS still owes an answer */
	VERIFICATION_TAKES,  /* and t->spam is set where it shall be */
	VERIFICATION_REFUSES /* *no says why */
};
enum verification_outcome verification_judge(struct session *s, struct reply *no);
