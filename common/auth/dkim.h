/* common/auth/dkim.h: who has signed this message? All of its DKIM signatures (RFC 6376, 8301,
 * 8463).
 * Touches: nothing; DNS through common/auth/answers.h.
 *
 *	dkim_begin     when the header is there: signatures are read, keys are wanted at once
 *	canon_bodies_feed … canon_bodies_end     while the body streams by
 *	dkim_finish    the verdicts, as soon as the keys are there */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/auth/answers.h"
#include "common/auth/canon.h"
#include "common/auth/signature.h"
#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/mail/fields.h"

struct fault;

#define DKIM_SIGNATURES_MAX                                                                        \
	10u /* that are looked at; RFC 6376 6.1 lets a verifier stop somewhere */
#define DKIM_SIGNATURES_SEEN_MAX 100u /* that are reported at all */

struct dkim {
	const struct fields *fields; /* borrowed */
	struct signature *all;	     /* the topmost first; in the arena */
	size_t n;
};

/* Reads the signatures of the message with these fields; arena and fields outlive d. Fails,
 * temporary: the arena is full. */
MUST_USE bool dkim_begin(struct dkim *d, const struct fields *fields, uint64_t now_s,
			 struct canon_bodies *bodies, struct answers *answers, struct arena *arena,
			 struct fault *why);
/* After the body's end. True: each signature has its verdict. False: answers wants more. */
MUST_USE bool dkim_finish(struct dkim *d, const struct canon_bodies *bodies,
			  struct answers *answers);
/* The message's: pass if any signature passes, else the first of temperror, fail, permerror, policy
 * that any has; none without any. *of is the signature that decides, NULL: there is none. */
enum dkim_verdict dkim_verdict(const struct dkim *d, const struct signature **of);
