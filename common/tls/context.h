/* common/tls/context.h: OpenSSL 3, set up once for each side: versions, certificates, resumption, keys that are elsewhere.
 * Touches: OpenSSL, whose ssl.h has its only home in this room. It reads no file but the system's CAs, by OpenSSL (one small file a chain, when it is needed): chains come as text, and the private key never comes at all: a
 * key that is only a name (key.h) asks lookupd for each signature. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;
struct loop;
struct tls_context;

/* Asks lookupd for a signature; done comes later, from the loop. Implemented by who has the IPC: smtpd (and deliverd, for client certificates). */
struct tls_sign_request; /* key.h */
typedef void tls_sign_fn(void *arg, struct tls_sign_request *request);

/* A server's context. sign is called for each full handshake. The caller owns it. */
MUST_USE struct tls_context *tls_server_create(struct loop *loop, bool tls13_only, tls_sign_fn *sign, void *arg, struct fault *why);
/* A certificate chain in PEM, leaf first. The names in it choose it by SNI; the first one added is the default. A chain replaces an
 * older one whose first name it has too (a renewed certificate); streams that use that go on. A name in two chains belongs to the one added last.
 * Fails, permanent: no certificate in it, expired, a key type that cannot sign; what was there before stays. */
MUST_USE bool tls_server_add_chain(struct tls_context *c, struct slice pem, struct fault *why);
/* The same, and it takes the place of the default, whatever names that had: the file in main.conf has been given another certificate. */
MUST_USE bool tls_server_set_default_chain(struct tls_context *c, struct slice pem, struct fault *why);
bool tls_server_has_chain(const struct tls_context *c);
/* Session ticket keys from lookupd, newest first, 80 octets each (RFC 5077; messages.h tickets_answer). Until there are some, no tickets are given. */
MUST_USE bool tls_server_set_ticket_keys(struct tls_context *c, struct slice keys, struct fault *why);

/* A client's context; verifies against the system's CAs but goes on without (opportunistic, RFC 7435) unless required. Sessions are resumed by host name. */
MUST_USE struct tls_context *tls_client_create(struct loop *loop, bool tls13_only, bool verify_required, struct fault *why);
/* The roots to verify against from here on, in PEM, and no others: for a client that has no files any more, or trusts its own alone. Nothing is resumed that was
 * verified before. Fails, permanent: no certificate in it; what was there stays. */
MUST_USE bool tls_client_set_roots(struct tls_context *c, struct slice pem, struct fault *why);
/* No stream may use it any more. NULL does nothing. */
void tls_context_destroy(struct tls_context *c);
