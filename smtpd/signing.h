/* smtpd/signing.h: what users and programs of this host submit is signed (DKIM, RFC 6376) by the
 * domain of its author, with each of that domain's active keys. The keys are lookupd's; the body is
 * hashed as it streams by.
 * Touches: the transaction; lookupd, through the session's ask.
 *
 *	DATA            begins
 *	the body        is hashed
 *	end of data     STEP_signed: may the user write as that author, where the domain is another than
 *	                the reverse-path's; which keys are there; then a signature by each
 *
 * A message whose domain has keys never goes without its signatures: while lookupd cannot give them
 * it is 451. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "smtpd/session.h"

struct signing;

/* DATA: begins, where this session's mail is signed. Fails, temporary: no memory. */
MUST_USE bool signing_begin(struct session *s, struct fault *why);
void signing_destroy(struct signing *g);
/* The next octets of the content, once the kept header has them. */
void signing_take(struct session *s, struct slice run);

enum signing_state {
	SIGNING_DONE,  /* there is nothing to sign, or all of it is signed */
	SIGNING_WAITS, /* lookupd was asked: the session waits in STEP_signed */
	SIGNING_FAILED /* for now */
};
/* The end of data, and each answer. */
enum signing_state signing_go_on(struct session *s);
/* Appends the fields. False: no room. */
MUST_USE bool signing_append(const struct session *s, struct buf *front);
