/* common/tls/resumption.h: a client's sessions, to be resumed by host name. For this room alone.
 * Touches: OpenSSL; the heap. Sessions are kept as octets, which is a fifth of what OpenSSL's
 * objects take. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>

#include "common/base/list.h"
#include "common/base/table.h"

enum { TLS_RESUMPTION_MAX = 1000, TLS_RESUMPTION_MAX_BYTES = 8192 };

struct tls_resumption {
	struct table hosts;
	struct list by_age; /* the newest first */
};

void tls_resumption_init(struct tls_resumption *r);
void tls_resumption_fini(struct tls_resumption *r);
/* Keeps a copy for host, in the place of an older one. One that is too large, or for which memory
 * is out, is not kept. The one not renewed for longest makes room. */
void tls_resumption_put(struct tls_resumption *r, const char *host, SSL_SESSION *session);
/* The session for host, or NULL. The caller owns it. */
SSL_SESSION *tls_resumption_get(const struct tls_resumption *r, const char *host);
/* What is kept for host did not serve. */
void tls_resumption_forget(struct tls_resumption *r, const char *host);
