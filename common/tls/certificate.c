#include "common/tls/certificate.h"

#include <limits.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/tls/errors.h"
#include "common/tls/key.h"

enum {
	PEM_MAX_BYTES = 1 << 20,
	CHAIN_MAX = 16,
	ROOTS_MAX = 4096,
	NAME_MAX_BYTES = 253, /* RFC 1035 2.3.4, as text */
	TEN_YEARS_DAYS = 3652,
	COMMON_NAME_MAX = 64, /* RFC 5280 A.1, ub-common-name */
};

enum tls_kind tls_public_key_kind(const EVP_PKEY *pkey)
{
	char group[32] = "";

	if (EVP_PKEY_is_a(pkey, "ED25519"))
		return TLS_KIND_ED25519;
	if (EVP_PKEY_is_a(pkey, "RSA"))
		return EVP_PKEY_get_bits(pkey) >= 2048 ? TLS_KIND_RSA : TLS_KIND_NONE;
	if (!EVP_PKEY_is_a(pkey, "EC") ||
	    EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1)
		return TLS_KIND_NONE;
	return strcmp(group, SN_X9_62_prime256v1) == 0 || strcmp(group, SN_secp384r1) == 0 ||
			       strcmp(group, SN_secp521r1) == 0
		       ? TLS_KIND_EC
		       : TLS_KIND_NONE;
}

bool tls_public_key_id(const EVP_PKEY *pkey, uint8_t id[TLS_KEY_ID_BYTES], struct fault *why)
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(pkey, &der);

	if (n <= 0) {
		tls_errors_to_fault(why, "4.3.0", "cannot encode a public key");
		return false;
	}
	SHA256(der, (size_t)n, id);
	OPENSSL_free(der);
	return true;
}

static BIO *open_pem(struct slice pem, struct fault *why)
{
	BIO *bio;

	if (pem.n == 0 || pem.n > PEM_MAX_BYTES) {
		fault_set(why, "5.3.5", pem.n ? "the text is too long" : "the text is empty");
		return NULL;
	}
	if ((bio = BIO_new_mem_buf(pem.p, (int)pem.n)) == NULL)
		tls_errors_to_fault(why, "4.3.1", "cannot read the text");
	return bio;
}

/* Nobody is here to type a password: OpenSSL's own would ask the terminal. */
static int no_password(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

EVP_PKEY *tls_private_key_parse(struct slice pem, struct fault *why)
{
	BIO *bio = open_pem(pem, why);
	EVP_PKEY *pkey;

	if (bio == NULL)
		return NULL;
	ERR_clear_error();
	pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	if (pkey == NULL)
		tls_errors_to_fault(why, "5.3.5",
				    "no private key that can be read (PEM, without a password)");
	ERR_clear_error();
	BIO_free(bio);
	return pkey;
}

static STACK_OF(X509) *
	parse_certificates(struct slice pem, OSSL_LIB_CTX *library, int max, struct fault *why)
{
	BIO *bio = open_pem(pem, why);
	STACK_OF(X509) *chain = sk_X509_new_null();
	bool ok = false;

	if (bio == NULL || chain == NULL)
		goto out;
	for (;;) {
		X509 *certificate = X509_new_ex(library, NULL);

		ERR_clear_error();
		if (certificate == NULL ||
		    PEM_read_bio_X509(bio, &certificate, no_password, NULL) == NULL ||
		    sk_X509_num(chain) >= max || sk_X509_push(chain, certificate) <= 0) {
			X509_free(certificate);
			break;
		}
	}
	/* The end of the text is told by "no start line". */
	ok = sk_X509_num(chain) > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	if (!ok)
		tls_errors_to_fault(why, "5.3.5",
				    "no certificates that can be read (PEM), or too many");
	ERR_clear_error();
out:
	BIO_free(bio);
	if (ok)
		return chain;
	sk_X509_pop_free(chain, X509_free);
	return NULL;
}

STACK_OF(X509) * tls_chain_parse(struct slice pem, OSSL_LIB_CTX *library, struct fault *why)
{
	return parse_certificates(pem, library, CHAIN_MAX, why);
}

STACK_OF(X509) * tls_roots_parse(struct slice pem, struct fault *why)
{
	return parse_certificates(pem, NULL, ROOTS_MAX, why);
}

static bool give_name(const ASN1_STRING *string, tls_name_fn *fn, void *arg)
{
	const char *text = (const char *)ASN1_STRING_get0_data(string);
	size_t n = (size_t)ASN1_STRING_length(string);
	char name[NAME_MAX_BYTES];

	if (n == 0 || n > sizeof(name) || memchr(text, '\0', n))
		return true; /* a name that no client can ask for */
	for (size_t i = 0; i < n; i++)
		name[i] = ascii_lower(text[i]);
	return fn(arg, slice_of(name, n));
}

bool tls_certificate_names(X509 *certificate, tls_name_fn *fn, void *arg)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	const X509_NAME *subject = X509_get_subject_name(certificate);
	bool goes_on = true;
	int place;

	for (int i = 0; goes_on && i < sk_GENERAL_NAME_num(names); i++) {
		int type;
		const ASN1_STRING *value =
			GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);

		if (type == GEN_DNS)
			goes_on = give_name(value, fn, arg);
	}
	if (names == NULL && (place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)) >= 0)
		goes_on = give_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place)),
				    fn, arg);
	GENERAL_NAMES_free(names);
	return goes_on;
}

bool tls_pair_matches(struct slice chain_pem, struct slice key_pem, struct fault *why)
{
	STACK_OF(X509) *chain = tls_chain_parse(chain_pem, NULL, why);
	EVP_PKEY *key = NULL;
	bool ok = false;

	if (chain == NULL)
		goto out;
	if ((key = tls_private_key_parse(key_pem, why)) == NULL)
		goto out;
	ok = X509_check_private_key(sk_X509_value(chain, 0), key) == 1;
	if (!ok)
		fault_set(why, "5.3.5",
			  "the private key is not that of the chain's first certificate");
	ERR_clear_error();
out:
	EVP_PKEY_free(key);
	sk_X509_pop_free(chain, X509_free);
	return ok;
}

/* ---- a certificate signed by itself ---- */

static bool add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool ok = extension && X509_add_ext(certificate, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return ok;
}

/* Built from parts: a name in a line of OpenSSL's configuration could say more than a name. */
static bool add_dns_name(X509 *certificate, struct slice hostname)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	bool ok = names && name && text && ASN1_STRING_set(text, hostname.p, (int)hostname.n) == 1;

	if (ok) {
		GENERAL_NAME_set0_value(name, GEN_DNS, text);
		text = NULL;
		ok = sk_GENERAL_NAME_push(names, name) > 0;
		if (ok)
			name = NULL;
	}
	ok = ok && X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0) == 1;
	ASN1_IA5STRING_free(text);
	GENERAL_NAME_free(name);
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	return ok;
}

static bool set_serial(X509 *certificate)
{
	uint8_t octets[16];
	BIGNUM *number = NULL;
	bool ok = RAND_bytes(octets, sizeof(octets)) == 1;

	octets[0] = (octets[0] & 0x7f) | 0x40; /* positive, and of full length */
	ok = ok && (number = BN_bin2bn(octets, sizeof(octets), NULL)) != NULL &&
	     BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
	BN_free(number);
	return ok;
}

static bool fill_certificate(X509 *certificate, EVP_PKEY *key, struct slice hostname)
{
	X509_NAME *subject = X509_get_subject_name(certificate);

	if (X509_set_version(certificate, X509_VERSION_3) != 1 || !set_serial(certificate))
		return false;
	if (!X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) ||
	    !X509_time_adj_ex(X509_getm_notAfter(certificate), TEN_YEARS_DAYS, 0, NULL))
		return false;
	if (hostname.n <= COMMON_NAME_MAX &&
	    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
				       (const uint8_t *)hostname.p, (int)hostname.n, -1, 0) != 1)
		return false;
	return X509_set_issuer_name(certificate, subject) == 1 &&
	       X509_set_pubkey(certificate, key) == 1 && add_dns_name(certificate, hostname) &&
	       add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(certificate, NID_ext_key_usage, "serverAuth,clientAuth") &&
	       X509_sign(certificate, key, EVP_sha256()) > 0;
}

static bool append_bio(BIO *bio, struct buf *out)
{
	char *p = NULL;
	long n = BIO_get_mem_data(bio, &p);

	return n > 0 && buf_append(out, slice_of(p, (size_t)n));
}

bool tls_make_self_signed(struct slice hostname, struct buf *certificate, struct buf *key,
			  struct fault *why)
{
	EVP_PKEY *pkey = NULL;
	X509 *x509 = X509_new();
	BIO *public = BIO_new(BIO_s_mem()), *private = BIO_new(BIO_s_secmem());
	bool ok = false;

	if (hostname.n == 0 || hostname.n > NAME_MAX_BYTES) {
		fault_set(why, "4.3.5", "no host name to make a certificate for");
		goto out;
	}
	ok = x509 && public && private && (pkey = EVP_EC_gen("P-256")) != NULL &&
	     fill_certificate(x509, pkey, hostname) && PEM_write_bio_X509(public, x509) == 1 &&
	     PEM_write_bio_PKCS8PrivateKey(private, pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
	     append_bio(public, certificate) && append_bio(private, key);
	if (!ok)
		tls_errors_to_fault(why, "4.3.0", "cannot make a certificate");
out:
	BIO_free(public);
	BIO_free(private);
	X509_free(x509);
	EVP_PKEY_free(pkey);
	return ok;
}
