#include "common/auth/dkim_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "common/auth/tags.h"
#include "common/base/buf.h"
#include "common/dns/message.h"
#include "common/ipc/frame.h"

#define KEY_BYTES_MAX 8192
#define ED25519_BYTES 32

const char *dkim_code_word(enum dkim_code code)
{
	static const char *const words[] = {
#define C(name, word) word,
		DKIM_CODES(C)
#undef C
	};

	return words[code];
}

static enum dkim_code because(char *reason, size_t size, enum dkim_code code, const char *sentence)
{
	snprintf(reason, size, "%s", sentence);
	return code;
}

/* The first that begins with v=DKIM1, else the first (RFC 6376 3.6.2.2 leaves it open). */
static struct slice choose(struct slice records)
{
	struct ipc_dns_record record;
	struct slice first = SLICE_EMPTY;
	bool broken = false;

	while (ipc_next_dns_record(&records, &record, &broken) && !broken) {
		if (slice_starts(record.data, SLICE("v=DKIM1")))
			return record.data;
		if (first.p == NULL)
			first = record.data;
	}
	return first;
}

static struct slice value_of(const struct tags *t, const char *name, struct slice otherwise)
{
	const struct tag *tag = tags_find(t, name);

	return tag != NULL ? tag->value : otherwise;
}

/* SubjectPublicKeyInfo, as everybody publishes it, or RSAPublicKey, as RFC 6376 3.6.1 says. */
static EVP_PKEY *rsa_of(struct slice der)
{
	const unsigned char *p = (const unsigned char *)der.p;
	EVP_PKEY *pkey = d2i_PUBKEY(NULL, &p, (long)der.n);

	if (pkey == NULL) {
		p = (const unsigned char *)der.p;
		pkey = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)der.n);
	}
	if (pkey != NULL && EVP_PKEY_base_id(pkey) == EVP_PKEY_RSA)
		return pkey;
	EVP_PKEY_free(pkey);
	return NULL;
}

static bool has_large_exponent(const EVP_PKEY *pkey)
{
	BIGNUM *e = NULL;
	bool large = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) != 1 ||
		     BN_num_bits(e) > DKIM_RSA_EXPONENT_BITS_MAX;

	BN_free(e);
	return large;
}

static enum dkim_code key_of(struct slice p, enum dkim_algorithm algorithm, struct dkim_key *out,
			     char *reason, size_t size)
{
	struct buf der;

	buf_init(&der, KEY_BYTES_MAX);
	if (tags_base64(p, &der)) {
		struct slice octets = buf_slice(&der);

		if (algorithm == DKIM_RSA_SHA256)
			out->pkey = rsa_of(octets);
		else if (octets.n == ED25519_BYTES)
			out->pkey = EVP_PKEY_new_raw_public_key(
				EVP_PKEY_ED25519, NULL, (const unsigned char *)octets.p, octets.n);
	}
	buf_fini(&der);
	if (out->pkey == NULL)
		return because(reason, size, DKIM_KEY_SYNTAX,
			       "the p= of the key holds no public key of its type");
	out->bits = algorithm == DKIM_RSA_SHA256 ? (unsigned)EVP_PKEY_bits(out->pkey) : 256;
	if (out->bits > DKIM_RSA_BITS_MAX ||
	    (algorithm == DKIM_RSA_SHA256 && has_large_exponent(out->pkey)))
		return because(reason, size, DKIM_POLICY,
			       "the key is larger than is looked at here");
	return DKIM_OK;
}

/* RFC 6376 6.1.2, in its order. */
static enum dkim_code judge(const struct tags *t, enum dkim_algorithm algorithm,
			    struct dkim_key *out, char *reason, size_t size)
{
	const struct tag *v = tags_find(t, "v"), *p = tags_find(t, "p"), *h = tags_find(t, "h");
	struct slice k = value_of(t, "k", SLICE("rsa")), s = value_of(t, "s", SLICE("*"));
	enum dkim_code code;

	if (p == NULL)
		return because(reason, size, DKIM_KEY_SYNTAX, "the key record has no p=");
	if (v != NULL && (v != &t->all[0] || !slice_equal(v->value, SLICE("DKIM1"))))
		return because(reason, size, DKIM_KEY_VERSION,
			       "the key record is of another version than DKIM1, or v= does not "
			       "come first");
	if (h != NULL && !tags_has(h->value, SLICE("sha256")))
		return because(reason, size, DKIM_KEY_HASH,
			       "the key may not be used with SHA-256 (h=)");
	if (p->value.n == 0)
		return because(reason, size, DKIM_KEY_REVOKED,
			       "the key was revoked: its p= is empty");
	if (!slice_equal(k, algorithm == DKIM_RSA_SHA256 ? SLICE("rsa") : SLICE("ed25519")))
		return because(
			reason, size, DKIM_KEY_TYPE,
			"the key is of another type (k=) than the signature's algorithm wants");
	if ((code = key_of(p->value, algorithm, out, reason, size)) != DKIM_OK)
		return code;
	if (!tags_has(s, SLICE("*")) && !tags_has(s, SLICE("email")))
		return because(reason, size, DKIM_KEY_SERVICE, "the key is not for mail (s=)");
	return DKIM_OK;
}

enum dkim_code dkim_key_read(const struct answer *answer, enum dkim_algorithm algorithm,
			     struct dkim_key *out, char *reason, size_t size)
{
	struct slice text = choose(answer->records);
	struct tags tags;

	*out = (struct dkim_key){0};
	if (answer->outcome == DNS_FAILED)
		return because(reason, size, DKIM_DNS, "DNS did not answer for the key");
	if (text.p == NULL)
		return because(reason, size, DKIM_NO_KEY, "there is no key under that selector");
	if (!tags_read(text, &tags) || tags.twice)
		return because(reason, size, DKIM_KEY_SYNTAX, "the key record is no tag list");
	out->testing = tags_has(value_of(&tags, "t", SLICE_EMPTY), SLICE("y"));
	out->strict = tags_has(value_of(&tags, "t", SLICE_EMPTY), SLICE("s"));
	return judge(&tags, algorithm, out, reason, size);
}

void dkim_key_fini(struct dkim_key *key)
{
	EVP_PKEY_free(key->pkey);
	key->pkey = NULL;
}

bool dkim_key_verifies(const struct dkim_key *key, enum dkim_algorithm algorithm, struct slice data,
		       struct slice signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const unsigned char *sig = (const unsigned char *)signature.p,
			    *octets = (const unsigned char *)data.p;
	unsigned char digest[SHA256_DIGEST_LENGTH];
	bool ok = false;

	if (ctx == NULL)
		return false;
	if (algorithm == DKIM_RSA_SHA256) {
		ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
		     EVP_DigestVerify(ctx, sig, signature.n, octets, data.n) == 1;
	} else {
		SHA256(octets, data.n, digest);
		ok = EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->pkey) == 1 &&
		     EVP_DigestVerify(ctx, sig, signature.n, digest, sizeof(digest)) == 1;
	}
	EVP_MD_CTX_free(ctx);
	return ok;
}
