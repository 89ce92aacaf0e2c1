/* common/tls/key.h: private keys: where they are (lookupd), and their stand-ins where they are not.
 * Touches: OpenSSL's provider interface. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/ipc/messages.h"

struct fault;

/* A signature that a handshake waits for. The handshake is suspended until tls_sign_done; it does not hold up the loop. */
struct tls_sign_request {
	uint8_t key_id[32]; /* SHA-256 of the SubjectPublicKeyInfo */
	enum ipc_scheme scheme;
	char digest[32];    /* OpenSSL's name, "SHA256"; "" with Ed25519 */
	struct slice input; /* the digest to sign; with Ed25519 the whole message */
};
/* Ends the wait: the signature (DER for ECDSA), or an empty one when it could not be had. Exactly once, from the loop, also when the stream has gone in the meantime. */
void tls_sign_done(struct tls_sign_request *request, struct slice signature);

/* ---- in lookupd ---- */

struct tls_key;
/* A private key in PEM, not encrypted. The caller owns it. Fails, permanent: what is wrong with the text. */
MUST_USE bool tls_key_load(struct slice pem, struct tls_key **out, struct fault *why);
void tls_key_destroy(struct tls_key *k);
/* 32 octets, the key's lifetime. */
struct slice tls_key_id(const struct tls_key *k);
/* Is signing slow enough (RSA) to belong in the pool? */
bool tls_key_is_slow(const struct tls_key *k);
/* Thread-safe. Appends the signature. Fails: temporary. */
MUST_USE bool tls_key_sign(const struct tls_key *k, enum ipc_scheme scheme, struct slice digest, struct slice input, struct buf *out, struct fault *why);
/* n octets that nobody without the key can know, other ones for each info: HKDF-SHA-256 (RFC 5869) over the private key. n up to 8160. Fails: temporary. */
MUST_USE bool tls_key_derive(const struct tls_key *k, struct slice info, void *out, size_t n, struct fault *why);

/* ---- in master and the admin programs ---- */

/* Makes a P-256 key and a certificate for hostname signed by itself, valid ten years, both PEM. Fails: temporary. */
MUST_USE bool tls_make_self_signed(struct slice hostname, struct buf *certificate, struct buf *key, struct fault *why);
/* Do the leaf of the chain and the key belong together? Fails, permanent, in words. */
MUST_USE bool tls_pair_matches(struct slice chain_pem, struct slice key_pem, struct fault *why);
