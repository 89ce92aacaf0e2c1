/* common/auth/dkim_sign.h: a DKIM-Signature field (RFC 6376 5) in the making: relaxed/relaxed, all
 * of the body. The private key is elsewhere (lookupd): here is what it signs, and what becomes of
 * the signature.
 * Touches: nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/mail/fields.h"

struct dkim_sign {
	struct slice domain, selector; /* d= and s= */
	bool ed25519;		       /* else rsa-sha256 */
	uint64_t now_s;		       /* t= */
	struct slice
		names; /* of the fields that are signed where they are there, with blanks between */
	const struct fields *fields;
	const uint8_t *body; /* SHA-256 of the relaxed body, 32 octets */
};

/* Appends the field up to "b=", and gives the digest that is to be signed. From is signed once more
 * often than it stands there, so that none can be added (RFC 6376 5.4.2). False: no room. */
MUST_USE bool dkim_sign_begin(const struct dkim_sign *d, struct buf *out, uint8_t digest[32]);
/* Appends the signature, and the field's CR LF. False: no room. */
MUST_USE bool dkim_sign_end(struct slice signature, struct buf *out);
