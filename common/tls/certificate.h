/* common/tls/certificate.h: certificates and keys as text and as OpenSSL's objects. For this room
 * alone.
 * Touches: OpenSSL; no file. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

#define TLS_KEY_ID_BYTES 32

/* The kinds of keys that can sign a handshake here. */
enum tls_kind { TLS_KIND_NONE, TLS_KIND_EC, TLS_KIND_RSA, TLS_KIND_ED25519 };

enum tls_kind tls_public_key_kind(const EVP_PKEY *pkey);
/* SHA-256 of the SubjectPublicKeyInfo. */
MUST_USE bool tls_public_key_id(const EVP_PKEY *pkey, uint8_t id[TLS_KEY_ID_BYTES],
				struct fault *why);

/* The first private key in the text, not encrypted. NULL: permanent. The caller owns it. */
EVP_PKEY *tls_private_key_parse(struct slice pem, struct fault *why);
/* The certificates in the text, in their order, for use with library (NULL: OpenSSL's own). NULL:
 * permanent; never empty. The caller owns them. */
STACK_OF(X509) * tls_chain_parse(struct slice pem, OSSL_LIB_CTX *library, struct fault *why);
/* The same, as many as there are. */
STACK_OF(X509) * tls_roots_parse(struct slice pem, struct fault *why);

/* Calls fn with each DNS name of the certificate, in lower case: subjectAltName, or the common name
 * where there is none (RFC 6125 6.4.4). Ends early, with false, when fn does. */
typedef bool tls_name_fn(void *arg, struct slice name);
bool tls_certificate_names(X509 *certificate, tls_name_fn *fn, void *arg);
