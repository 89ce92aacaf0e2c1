/* common/tls/pair.h: a certificate with its chain, and its private key, out of the files that administrators have: PEM, or PKCS#12
 * (RFC 7292, "FILE.p12"). And what a certificate says of itself.
 * Touches: OpenSSL; no file. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

/* Appends to chain the certificates in PEM, that of the key first, without the key; to key the private key in PEM, not encrypted. certificate is the content of
 * the first file, told by what it is, not by its name; key_file that of the second, empty where the key stands in the first. password opens PKCS#12 and an
 * encrypted PEM key; it may be empty. The two belong together. Fails, permanent, in words: which of it is missing, wrong, or does not fit. */
MUST_USE bool tls_pair_read(struct slice certificate, struct slice key_file, struct slice password, struct buf *chain, struct buf *key, struct fault *why);

/* What the first certificate of a chain says. */
struct tls_facts {
	int64_t begins_s, ends_s; /* seconds since 1970: valid between them */
	bool names_host;          /* it is good for the name that was asked about (RFC 6125 6.4) */
	bool signed_by_itself;
	char name[256]; /* the first name it has, "" for none */
};
/* Fails, permanent: the text holds no certificate. */
MUST_USE bool tls_facts_of(struct slice chain_pem, struct slice hostname, struct tls_facts *out, struct fault *why);
/* How many certificates of authorities the text holds, in PEM. Fails, permanent: none that can be read. */
MUST_USE bool tls_roots_count(struct slice pem, unsigned *out, struct fault *why);
