/* common/tls/tickets.h: the keys of session tickets (RFC 5077), which lookupd gives to all workers.
 * For this room alone.
 * Touches: OpenSSL. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;

enum { TLS_TICKET_KEYS_MAX = 5, TLS_TICKET_KEY_BYTES = 80 };

struct tls_tickets {
	size_t n;
	uint8_t keys[TLS_TICKET_KEYS_MAX]
		    [TLS_TICKET_KEY_BYTES]; /* the newest first: name 16, AES-256 32, HMAC 32 */
	EVP_CIPHER *cipher;
};

MUST_USE bool tls_tickets_init(struct tls_tickets *t, OSSL_LIB_CTX *library, struct fault *why);
void tls_tickets_fini(struct tls_tickets *t);
/* Fails, temporary: not 1 to 5 keys; what was there stays. */
MUST_USE bool tls_tickets_set(struct tls_tickets *t, struct slice keys, struct fault *why);
/* For SSL_CTX_set_tlsext_ticket_key_evp_cb: seals or opens one ticket. */
int tls_tickets_use(const struct tls_tickets *t, unsigned char name[16], unsigned char *iv,
		    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing);
