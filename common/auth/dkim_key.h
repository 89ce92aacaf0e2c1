/* common/auth/dkim_key.h: the public key of a signer, as it stands in DNS (RFC 6376 3.6.1, RFC
 * 8463), and what it verifies.
 * Touches: OpenSSL's digests and keys. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/auth/answers.h"
#include "common/base/attributes.h"
#include "common/base/slice.h"

/* Why a signature does not count, or that it does; the words that `tassis test` prints. */
#define DKIM_CODES(C)                                                                              \
	C(OK, "ok")                                                                                \
	C(BODY_HASH, "body-hash")                                                                  \
	C(SIGNATURE, "signature")                                                                  \
	C(DNS, "dns")                                                                              \
	C(SYNTAX, "syntax")                                                                        \
	C(MISSING_TAG, "missing-tag")                                                              \
	C(DUPLICATE_TAG, "duplicate-tag")                                                          \
	C(VERSION, "version")                                                                      \
	C(ALGORITHM, "algorithm")                                                                  \
	C(CANONICALIZATION, "canonicalization")                                                    \
	C(QUERY, "query")                                                                          \
	C(DOMAIN, "domain")                                                                        \
	C(FROM, "from")                                                                            \
	C(EXPIRED, "expired")                                                                      \
	C(NO_KEY, "no-key")                                                                        \
	C(KEY_SYNTAX, "key-syntax")                                                                \
	C(KEY_VERSION, "key-version")                                                              \
	C(KEY_REVOKED, "key-revoked")                                                              \
	C(KEY_TYPE, "key-type")                                                                    \
	C(KEY_HASH, "key-hash")                                                                    \
	C(KEY_SERVICE, "key-service")                                                              \
	C(KEY_DOMAIN, "key-domain")                                                                \
	C(KEY_SIZE, "key-size")                                                                    \
	C(LIMIT, "limit")                                                                          \
	C(POLICY, "policy")
enum dkim_code {
#define C(name, word) DKIM_##name,
	DKIM_CODES(C)
#undef C
};
const char *dkim_code_word(enum dkim_code code);

enum dkim_algorithm { DKIM_RSA_SHA256, DKIM_ED25519_SHA256 };

#define DKIM_RSA_BITS_MIN 1024u /* RFC 8301 3.2 */
/* A larger exponent makes verifying as slow as signing; everybody has 65537 (RFC 6376 3.3.1). */
#define DKIM_RSA_EXPONENT_BITS_MAX 64
#define DKIM_RSA_BITS_MAX 8192u /* beyond, verifying costs more than it is worth */

struct dkim_key {
	struct evp_pkey_st *pkey;
	unsigned bits; /* 256 for Ed25519 */
	bool testing;  /* t=y */
	bool strict;   /* t=s: no subdomain in i= */
};

/* The key among the answer's TXT records, for that algorithm. The code says why there is none;
 * reason (a sentence, of size octets) says it for people. Where DKIM_OK: the caller frees it with
 * dkim_key_fini. bits and the flags are set as far as they could be read. */
enum dkim_code dkim_key_read(const struct answer *answer, enum dkim_algorithm algorithm,
			     struct dkim_key *out, char *reason, size_t size);
void dkim_key_fini(struct dkim_key *key);
/* Is that the signature of data (Ed25519: of its SHA-256, RFC 8463 3)? */
MUST_USE bool dkim_key_verifies(const struct dkim_key *key, enum dkim_algorithm algorithm,
				struct slice data, struct slice signature);
