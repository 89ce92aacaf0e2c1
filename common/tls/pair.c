#include "common/tls/pair.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/tls/certificate.h"
#include "common/tls/errors.h"
#include "common/tls/key.h"

#define FILE_MAX_BYTES (1u << 20)
#define PASSWORD_MAX_BYTES 1024

/* ---- PEM ---- */

/* Copies the blocks between BEGIN … CERTIFICATE and END … CERTIFICATE. */
static bool certificates_only(struct slice pem, struct buf *out, struct fault *why)
{
	size_t before = buf_length(out);
	struct slice line;
	bool inside = false;

	while (slice_cut(&pem, '\n', &line)) {
		struct slice trimmed = slice_trim(line);
		bool marks = slice_ends(trimmed, SLICE("CERTIFICATE-----"));

		if (marks && slice_starts(trimmed, SLICE("-----BEGIN ")))
			inside = true;
		if (inside) {
			buf_append(out, trimmed);
			buf_append_char(out, '\n');
		}
		if (marks && slice_starts(trimmed, SLICE("-----END ")))
			inside = false;
	}
	if (out->failed)
		fault_set(why, "4.3.1", "no memory for the certificate");
	else if (buf_length(out) == before)
		fault_set(why, "5.3.5", "there is no certificate in PEM in it, nor is it a PKCS#12 file");
	return !out->failed && buf_length(out) > before;
}

static bool is_encrypted(struct slice pem)
{
	return slice_find_slice(pem, SLICE("-----BEGIN ENCRYPTED PRIVATE KEY-----")) < pem.n ||
	       slice_find_slice(pem, SLICE("Proc-Type: 4,ENCRYPTED")) < pem.n;
}

static int give_password(char *out, int size, int writing, void *arg)
{
	const char *password = arg;
	size_t n = strlen(password);

	(void)writing;
	if (n > (size_t)size)
		return -1;
	memcpy(out, password, n);
	return (int)n;
}

static bool append_key(EVP_PKEY *pkey, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	char *p = NULL;
	bool ok = bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1;
	long n = ok ? BIO_get_mem_data(bio, &p) : 0;

	ok = n > 0 && buf_append(out, slice_of(p, (size_t)n));
	BIO_free(bio);
	return ok;
}

static bool decrypt_key(struct slice pem, const char *password, struct buf *out, struct fault *why)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	union {
		const char *in;
		void *out;
	} arg = {.in = password}; /* OpenSSL's callbacks take no const */
	EVP_PKEY *pkey = NULL;
	bool ok = false;

	if (password[0] == '\0') {
		fault_set(why, "5.3.5", "the private key is encrypted and there is no tls_password to open it");
		goto out;
	}
	ERR_clear_error();
	pkey = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, give_password, arg.out) : NULL;
	if (pkey == NULL)
		fault_set(why, "5.3.5", "tls_password does not open the private key");
	else if (!(ok = append_key(pkey, out)))
		fault_set(why, "4.3.1", "no memory for the private key");
	ERR_clear_error();
out:
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	return ok;
}

static bool read_pem(struct slice certificate, struct slice key_file, const char *password, struct buf *chain,
		     struct buf *key, struct fault *why)
{
	struct slice of_key = key_file.n > 0 ? key_file : certificate;

	if (!certificates_only(certificate, chain, why))
		return false;
	if (is_encrypted(of_key))
		return decrypt_key(of_key, password, key, why);
	if (!buf_append(key, of_key)) {
		fault_set(why, "4.3.1", "no memory for the private key");
		return false;
	}
	return true;
}

/* ---- PKCS#12 ---- */

/* DER's SEQUENCE, as long as the file is; PEM begins with a letter, a blank or '-'. */
static bool is_der(struct slice octets)
{
	return octets.n > 2 && octets.p[0] == 0x30;
}

/* What older programs wrote (RC2, say) is opened, too, where OpenSSL's module for it is there; in a library context of its own, so that nothing else gets it. */
struct old_and_new {
	OSSL_LIB_CTX *library;
	OSSL_PROVIDER *now, *legacy;
};

static void providers_load(struct old_and_new *o)
{
	*o = (struct old_and_new){.library = OSSL_LIB_CTX_new()};
	if (o->library == NULL)
		return;
	o->now = OSSL_PROVIDER_load(o->library, "default");
	o->legacy = OSSL_PROVIDER_load(o->library, "legacy");
}

static void providers_unload(struct old_and_new *o)
{
	if (o->legacy != NULL)
		OSSL_PROVIDER_unload(o->legacy);
	if (o->now != NULL)
		OSSL_PROVIDER_unload(o->now);
	OSSL_LIB_CTX_free(o->library);
}

static PKCS12 *parse_envelope(struct slice octets, OSSL_LIB_CTX *library)
{
	const uint8_t *p = (const uint8_t *)octets.p;
	PKCS12 *p12 = PKCS12_init_ex(NID_pkcs7_data, library, NULL);

	if (p12 == NULL || d2i_PKCS12(&p12, &p, (long)octets.n) != NULL)
		return p12;
	/* d2i has freed and cleared what it was given. */
	return NULL;
}

static bool append_certificate(X509 *certificate, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;
	bool ok = bio != NULL && PEM_write_bio_X509(bio, certificate) == 1;
	long n = ok ? BIO_get_mem_data(bio, &p) : 0;

	ok = n > 0 && buf_append(out, slice_of(p, (size_t)n));
	BIO_free(bio);
	return ok;
}

/* The leaf, then the certificate that signed the last one, as long as there is one: the file has them in any order. */
static bool append_chain(X509 *leaf, STACK_OF(X509) *others, struct buf *out)
{
	X509 *last = leaf;
	int left = others != NULL ? sk_X509_num(others) : 0;

	if (!append_certificate(leaf, out))
		return false;
	while (left > 0 && X509_self_signed(last, 0) != 1) {
		X509 *next = NULL;

		for (int i = 0; i < sk_X509_num(others) && next == NULL; i++)
			if (X509_check_issued(sk_X509_value(others, i), last) == X509_V_OK)
				next = sk_X509_value(others, i);
		if (next == NULL)
			break;
		if (!append_certificate(next, out))
			return false;
		last = next;
		left--; /* two that signed each other end here, too */
	}
	return true;
}

/* A wrong password is seen by the file's MAC. */
static void explain_failure(const char *password, struct fault *why)
{
	if (ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_PKCS12 &&
	    ERR_GET_REASON(ERR_peek_last_error()) == PKCS12_R_MAC_VERIFY_FAILURE)
		fault_set(why, "5.3.5", password[0] == '\0' ? "the PKCS#12 file has a password and there is no tls_password to open it"
							    : "tls_password does not open the PKCS#12 file");
	else
		tls_errors_to_fault(why, "5.3.5", "the PKCS#12 file cannot be opened; `openssl pkcs12 -legacy` can write it anew");
	ERR_clear_error();
}

static bool read_pkcs12(struct slice octets, const char *password, struct buf *chain, struct buf *key, struct fault *why)
{
	struct old_and_new providers;
	STACK_OF(X509) *others = NULL;
	EVP_PKEY *pkey = NULL;
	X509 *leaf = NULL;
	PKCS12 *p12;
	bool ok = false;

	ERR_clear_error();
	providers_load(&providers);
	p12 = parse_envelope(octets, providers.library);
	if (p12 == NULL) {
		fault_set(why, "5.3.5", "it is neither PEM nor a PKCS#12 file");
		goto out;
	}
	if (PKCS12_parse(p12, password, &pkey, &leaf, &others) != 1)
		explain_failure(password, why);
	else if (pkey == NULL)
		fault_set(why, "5.3.5", "there is no private key in the PKCS#12 file");
	else if (leaf == NULL)
		fault_set(why, "5.3.5", "no certificate in the PKCS#12 file is that of its private key");
	else if (!(ok = append_chain(leaf, others, chain) && append_key(pkey, key)))
		fault_set(why, "4.3.1", "no memory for the certificate");
out:
	X509_free(leaf);
	EVP_PKEY_free(pkey);
	sk_X509_pop_free(others, X509_free);
	PKCS12_free(p12);
	providers_unload(&providers);
	ERR_clear_error();
	return ok;
}

/* ---- both ---- */

bool tls_pair_read(struct slice certificate, struct slice key_file, struct slice password, struct buf *chain, struct buf *key,
		   struct fault *why)
{
	char secret[PASSWORD_MAX_BYTES];
	bool ok = false;

	if (!slice_cstr(password, secret, sizeof(secret), why)) {
		fault_add(why, "tls_password");
		return false;
	}
	if (certificate.n > FILE_MAX_BYTES || key_file.n > FILE_MAX_BYTES)
		fault_set(why, "5.3.5", "a file is too long for a certificate or a key");
	else if (!is_der(certificate))
		ok = read_pem(certificate, key_file, secret, chain, key, why);
	else if (key_file.n > 0)
		fault_set(why, "5.3.5", "tls_certificate is a PKCS#12 file, which holds its key: leave tls_key empty");
	else
		ok = read_pkcs12(certificate, secret, chain, key, why);
	memory_wipe(secret, sizeof(secret));
	return ok && tls_pair_matches(buf_slice(chain), buf_slice(key), why);
}

/* ---- what it says ---- */

static bool keep_first_name(void *arg, struct slice name)
{
	struct tls_facts *out = arg;

	return !slice_cstr(name, out->name, sizeof(out->name), NULL);
}

static int64_t seconds_of(const ASN1_TIME *t)
{
	struct tm tm = {0};

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

bool tls_facts_of(struct slice chain_pem, struct slice hostname, struct tls_facts *out, struct fault *why)
{
	STACK_OF(X509) *chain = tls_chain_parse(chain_pem, NULL, why);
	X509 *leaf;

	if (chain == NULL)
		return false;
	leaf = sk_X509_value(chain, 0);
	*out = (struct tls_facts){
		.begins_s = seconds_of(X509_get0_notBefore(leaf)),
		.ends_s = seconds_of(X509_get0_notAfter(leaf)),
		.names_host = hostname.n > 0 && X509_check_host(leaf, hostname.p, hostname.n, 0, NULL) == 1,
		.signed_by_itself = X509_self_signed(leaf, 0) == 1,
	};
	(void)tls_certificate_names(leaf, keep_first_name, out);
	ERR_clear_error();
	sk_X509_pop_free(chain, X509_free);
	return true;
}

bool tls_roots_count(struct slice pem, unsigned *out, struct fault *why)
{
	STACK_OF(X509) *roots = tls_roots_parse(pem, why);

	if (roots == NULL)
		return false;
	*out = (unsigned)sk_X509_num(roots);
	sk_X509_pop_free(roots, X509_free);
	return true;
}
