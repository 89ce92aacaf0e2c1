#include "common/tls/key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/tls/certificate.h"
#include "common/tls/errors.h"

struct tls_key {
	EVP_PKEY *pkey;
	uint8_t id[TLS_KEY_ID_BYTES];
};

bool tls_key_load(struct slice pem, struct tls_key **out, struct fault *why)
{
	struct tls_key *k = memory_alloc(1, sizeof(*k), why);
	bool ok = false;

	if (k == NULL || (k->pkey = tls_private_key_parse(pem, why)) == NULL)
		goto out;
	if (tls_public_key_kind(k->pkey) == TLS_KIND_NONE) {
		fault_set(why, "5.3.5",
			  "the private key is of no kind that can sign here (ECDSA P-256, P-384, "
			  "P-521, RSA from 2048 bits, Ed25519)");
		goto out;
	}
	if (!tls_public_key_id(k->pkey, k->id, why))
		goto out;
	*out = k;
	k = NULL;
	ok = true;
out:
	tls_key_destroy(k);
	return ok;
}

void tls_key_destroy(struct tls_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

struct slice tls_key_id(const struct tls_key *k)
{
	return slice_of(k->id, sizeof(k->id));
}

bool tls_key_is_slow(const struct tls_key *k)
{
	return tls_public_key_kind(k->pkey) == TLS_KIND_RSA;
}

static bool sign_message(const struct tls_key *k, struct slice input, struct buf *out)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	const uint8_t *message = (const uint8_t *)input.p;
	size_t n = (size_t)EVP_PKEY_get_size(k->pkey);
	char *room = buf_reserve(out, n);
	bool ok = c && room && EVP_DigestSignInit(c, NULL, NULL, NULL, k->pkey) == 1 &&
		  EVP_DigestSign(c, (uint8_t *)room, &n, message ? message : (const uint8_t *)"",
				 input.n) == 1;

	if (ok)
		buf_commit(out, n);
	EVP_MD_CTX_free(c);
	return ok;
}

static bool sign_digest(const struct tls_key *k, int padding, const EVP_MD *md, struct slice input,
			struct buf *out)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(k->pkey, NULL);
	size_t n = (size_t)EVP_PKEY_get_size(k->pkey);
	char *room = buf_reserve(out, n);
	bool ok = c && room && EVP_PKEY_sign_init(c) == 1;

	if (ok && padding)
		ok = EVP_PKEY_CTX_set_rsa_padding(c, padding) == 1;
	ok = ok && EVP_PKEY_CTX_set_signature_md(c, md) == 1;
	if (ok && padding == RSA_PKCS1_PSS_PADDING)
		ok = EVP_PKEY_CTX_set_rsa_pss_saltlen(c, RSA_PSS_SALTLEN_DIGEST) == 1;
	ok = ok && EVP_PKEY_sign(c, (uint8_t *)room, &n, (const uint8_t *)input.p, input.n) == 1;
	if (ok)
		buf_commit(out, n);
	EVP_PKEY_CTX_free(c);
	return ok;
}

bool tls_key_sign(const struct tls_key *k, enum ipc_scheme scheme, struct slice digest,
		  struct slice input, struct buf *out, struct fault *why)
{
	enum tls_kind kind = tls_public_key_kind(k->pkey);
	char name[32] = "";
	const EVP_MD *md;
	int padding = scheme == IPC_SCHEME_RSA_PSS     ? RSA_PKCS1_PSS_PADDING
		      : scheme == IPC_SCHEME_RSA_PKCS1 ? RSA_PKCS1_PADDING
						       : 0;
	bool fits = scheme == IPC_SCHEME_ECDSA	   ? kind == TLS_KIND_EC
		    : scheme == IPC_SCHEME_ED25519 ? kind == TLS_KIND_ED25519
						   : padding && kind == TLS_KIND_RSA;

	if (!fits) {
		fault_set(why, "4.3.5", "the key cannot sign in this way");
		return false;
	}
	if (scheme == IPC_SCHEME_ED25519) {
		if (sign_message(k, input, out))
			return true;
		tls_errors_to_fault(why, "4.3.0", "cannot sign");
		return false;
	}
	if (digest.n < sizeof(name))
		memcpy(name, digest.p ? digest.p : "", digest.n);
	/* The name comes from another process: only what TLS and DKIM use, and the length that goes
	 * with it. */
	md = strncmp(name, "SHA", 3) == 0 ? EVP_get_digestbyname(name) : NULL;
	if (md == NULL || input.n != (size_t)EVP_MD_get_size(md)) {
		fault_set(why, "4.3.5", "a digest that is not known, or of the wrong length");
		return false;
	}
	if (sign_digest(k, padding, md, input, out))
		return true;
	tls_errors_to_fault(why, "4.3.0", "cannot sign");
	return false;
}

bool tls_key_derive(const struct tls_key *k, struct slice info, void *out, size_t n,
		    struct fault *why)
{
	uint8_t *der = NULL;
	int n_der = i2d_PrivateKey(k->pkey, &der);
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *c = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	char digest[] = "SHA256";
	/* OSSL_PARAM takes no const, and changes nothing of what it is given to read. */
	void *in = (void *)(uintptr_t)info.p;
	bool ok = false;

	if (n_der > 0 && c) {
		OSSL_PARAM params[] = {
			OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
			OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, der, (size_t)n_der),
			OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, in, info.n),
			OSSL_PARAM_construct_end(),
		};
		ok = EVP_KDF_derive(c, out, n, params) == 1;
	}
	if (!ok)
		tls_errors_to_fault(why, "4.3.0", "cannot derive a secret");
	OPENSSL_clear_free(der, n_der > 0 ? (size_t)n_der : 0);
	EVP_KDF_CTX_free(c);
	EVP_KDF_free(kdf);
	return ok;
}
