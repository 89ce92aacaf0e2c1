/* common/auth/dkim_pair.h: a domain's key pair for DKIM: made, and its public half as DNS has it
 * (RFC 6376 3.6.1, RFC 8463 4).
 * Touches: OpenSSL. Making an RSA key takes up to a second. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

/* Appends a new private key in PEM: bits 0 is Ed25519, else RSA of so many. pem should be a secret
 * buf. Fails: temporary. */
MUST_USE bool dkim_pair_make(unsigned bits, struct buf *pem, struct fault *why);
/* Appends the TXT record of the key's public half: "v=DKIM1; k=rsa; p=…". Fails, permanent: pem is
 * no such key. */
MUST_USE bool dkim_pair_record(struct slice pem, struct buf *record, struct fault *why);
/* Is text (a TXT record's strings joined) a key record with the same public half as record? Other
 * tags may differ. */
bool dkim_pair_is_published(struct slice text, struct slice record);
