/* common/tls/stand_in.h: keys of which only the public half is here. For this room alone.
 * Touches: OpenSSL's provider interface. An OpenSSL provider of our own has the algorithms EC, RSA
 * and ED25519 whose keys can do one thing: sign, by asking elsewhere. The library takes them for
 * private keys. */
#pragma once

#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/ipc/messages.h"

struct fault;
struct tls_asker;

/* Gets the signature of input (see struct tls_sign_request) into out, at most size octets, and its
 * length into *n. It is called wherever OpenSSL signs, on the stack of an async job, and may pause
 * that. */
typedef bool tls_ask_fn(struct tls_asker *asker, const uint8_t *key_id, enum ipc_scheme scheme,
			const char *digest, struct slice input, uint8_t *out, size_t size,
			size_t *n);
/* Lies in who asks. */
struct tls_asker {
	tls_ask_fn *ask;
};

/* An OpenSSL of its own, in which the provider is loaded beside OpenSSL's default one, which stays
 * first choice for all else. */
struct tls_library {
	OSSL_LIB_CTX *context; /* NULL: the process's own OpenSSL */
	OSSL_PROVIDER *standard, *ours;
};
/* Fails: temporary; what was made is for tls_library_fini. */
MUST_USE bool tls_library_init(struct tls_library *l, struct fault *why);
/* Everything made with it must be gone. Safe on a zeroed one. */
void tls_library_fini(struct tls_library *l);
/* A key with public's public half that asks asker for signatures. asker must outlive it. NULL: why,
 * permanent: a key that cannot sign. The caller owns it. */
EVP_PKEY *tls_stand_in_create(OSSL_LIB_CTX *library, EVP_PKEY *public, struct tls_asker *asker,
			      struct fault *why);
