/* common/tls/chains.h: the certificate chains of a server, found by the name a client asks for. For
 * this room alone.
 * Touches: OpenSSL; no file. */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/base/table.h"
#include "common/tls/stand_in.h"

struct fault;

struct tls_chain {
	struct list node;
	struct list names;
	X509 *leaf;
	STACK_OF(X509) * others;
	EVP_PKEY *key; /* the stand-in */
};

struct tls_chains {
	struct list chains; /* the first is the default */
	struct table names; /* of struct name */
};

void tls_chains_init(struct tls_chains *c);
void tls_chains_fini(struct tls_chains *c);
/* As tls_server_add_chain; with is_default as tls_server_set_default_chain. */
MUST_USE bool tls_chains_add(struct tls_chains *c, struct slice pem, bool is_default,
			     OSSL_LIB_CTX *library, struct tls_asker *asker, struct fault *why);
/* The chain for the name (NULL: none was asked for), or the default; NULL when there is none at
 * all. Borrowed until the next change. */
const struct tls_chain *tls_chains_find(const struct tls_chains *c, const char *name);
