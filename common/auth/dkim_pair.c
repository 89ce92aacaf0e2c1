#include "common/auth/dkim_pair.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/auth/tags.h"
#include "common/base/fault.h"
#include "common/base/text_codec.h"

#define RECORD_BYTES 8192

static bool fail(struct fault *why, const char *status, const char *what)
{
	char text[200];

	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	fault_set(why, status, "%s: %s", what, text);
	return false;
}

bool dkim_pair_make(unsigned bits, struct buf *pem, struct fault *why)
{
	EVP_PKEY *pkey = bits > 0 ? EVP_RSA_gen(bits) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	BIO *bio = BIO_new(BIO_s_secmem());
	bool ok = false;
	char *text;
	long n;

	if (pkey == NULL || bio == NULL ||
	    PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) != 1) {
		fail(why, "4.3.0", "cannot make a key");
		goto out;
	}
	n = BIO_get_mem_data(bio, &text);
	ok = n > 0 && buf_append(pem, slice_of(text, (size_t)n));
	if (!ok)
		fault_set(why, "4.3.1", "no memory for the key");
out:
	BIO_free(bio);
	EVP_PKEY_free(pkey);
	return ok;
}

/* The public half as p= has it: RSA as SubjectPublicKeyInfo, Ed25519 as its 32 octets. */
static bool append_public(EVP_PKEY *pkey, struct buf *out)
{
	unsigned char raw[32], *der = NULL;
	size_t n = sizeof(raw);
	int length;
	bool ok;

	if (EVP_PKEY_base_id(pkey) == EVP_PKEY_ED25519)
		return EVP_PKEY_get_raw_public_key(pkey, raw, &n) == 1 &&
		       base64_encode(out, slice_of(raw, n));
	length = i2d_PUBKEY(pkey, &der);
	ok = length > 0 && base64_encode(out, slice_of(der, (size_t)length));
	OPENSSL_free(der);
	return ok;
}

bool dkim_pair_record(struct slice pem, struct buf *record, struct fault *why)
{
	BIO *bio = BIO_new_mem_buf(pem.p, slice_int(pem.n));
	EVP_PKEY *pkey = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	bool ok = false;

	if (pkey == NULL) {
		fail(why, "5.3.5", "this is no private key in PEM");
		goto out;
	}
	ok = buf_printf(record, "v=DKIM1; k=%s; p=",
			EVP_PKEY_base_id(pkey) == EVP_PKEY_ED25519 ? "ed25519" : "rsa") &&
	     append_public(pkey, record);
	if (!ok)
		fail(why, "5.3.5", "the key has no public half that can be published");
out:
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	return ok;
}

/* The octets of p=. */
static bool public_of(struct slice text, struct buf *out)
{
	const struct tag *p;
	struct tags tags;

	return tags_read(text, &tags) && !tags.twice && (p = tags_find(&tags, "p")) != NULL &&
	       tags_base64(p->value, out);
}

bool dkim_pair_is_published(struct slice text, struct slice record)
{
	struct buf a, b;
	bool same;

	buf_init(&a, RECORD_BYTES);
	buf_init(&b, RECORD_BYTES);
	same = public_of(text, &a) && public_of(record, &b) &&
	       slice_equal(buf_slice(&a), buf_slice(&b));
	buf_fini(&a);
	buf_fini(&b);
	return same;
}
