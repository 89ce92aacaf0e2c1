/* What an administrator has of a certificate and its key comes out as PEM, or it is said what is wrong with it. */
#include "common/tls/pair.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/fault.h"
#include "common/tls/key.h"

struct made {
	EVP_PKEY *key;
	X509 *certificate;
};

/* Signed by signer, or by itself. */
static struct made make(const char *name, const struct made *signer, long days)
{
	struct made m = {.key = EVP_EC_gen("P-256"), .certificate = X509_new()};
	X509_NAME *subject = X509_get_subject_name(m.certificate);
	static int serial;

	assert_int_equal(X509_set_version(m.certificate, X509_VERSION_3), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(m.certificate), ++serial), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(m.certificate), days < 0 ? days * 2 * 86400 : -60));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(m.certificate), days * 86400));
	assert_int_equal(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const uint8_t *)name, -1, -1, 0), 1);
	assert_int_equal(X509_set_issuer_name(m.certificate, signer ? X509_get_subject_name(signer->certificate) : subject), 1);
	assert_int_equal(X509_set_pubkey(m.certificate, m.key), 1);
	assert_true(X509_sign(m.certificate, signer ? signer->key : m.key, EVP_sha256()) > 0);
	return m;
}

static void drop(struct made *m)
{
	EVP_PKEY_free(m->key);
	X509_free(m->certificate);
}

static struct buf from_bio(BIO *bio)
{
	struct buf out;
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	buf_init(&out, 65536);
	assert_true(buf_append(&out, slice_of(p, (size_t)n)));
	BIO_free(bio);
	return out;
}

static struct buf pem_of_key(EVP_PKEY *key, const char *password)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, password ? EVP_aes_256_cbc() : NULL, NULL, 0, NULL,
						       (void *)(uintptr_t)password), 1);
	return from_bio(bio);
}

static struct buf pem_of_certificate(X509 *certificate)
{
	BIO *bio = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_X509(bio, certificate), 1);
	return from_bio(bio);
}

/* others may be NULL, key and certificate too. */
static struct buf p12_of(EVP_PKEY *key, X509 *certificate, STACK_OF(X509) *others, const char *password)
{
	PKCS12 *p12 = PKCS12_create(password, "mail", key, certificate, others, 0, 0, 0, 0, 0);
	BIO *bio = BIO_new(BIO_s_mem());

	assert_non_null(p12);
	assert_int_equal(i2d_PKCS12_bio(bio, p12), 1);
	PKCS12_free(p12);
	return from_bio(bio);
}

/* Reads them; "" for a good pair, else the sentence. */
static const char *read(struct slice certificate, struct slice key, const char *password, struct buf *chain, struct buf *pem)
{
	static struct fault why;

	why = (struct fault){0};
	buf_init(chain, 65536);
	buf_init_secret(pem, 65536);
	if (tls_pair_read(certificate, key, slice_of_cstr(password), chain, pem, &why))
		return "";
	assert_int_equal(why.class, FAULT_PERMANENT);
	return why.text;
}

#define SAYS(expected, certificate, key, password)                                                             \
	do {                                                                                                   \
		struct buf chain_, pem_;                                                                       \
		const char *said_ = read(certificate, key, password, &chain_, &pem_);                          \
		if ((expected)[0] == '\0' ? said_[0] != '\0' : strstr(said_, expected) == NULL)                \
			fail_msg("said \"%s\", not \"%s\"", said_, expected);                                  \
		buf_fini(&chain_);                                                                             \
		buf_fini(&pem_);                                                                               \
	} while (0)

static unsigned certificates_in(const struct buf *pem)
{
	struct slice rest = buf_slice(pem), line;
	unsigned n = 0;

	while (slice_cut(&rest, '\n', &line))
		n += slice_equal(line, SLICE("-----BEGIN CERTIFICATE-----"));
	return n;
}

static void pem_in_two_files_or_in_one_is_read(void **state)
{
	struct made m = make("mx.test", NULL, 10);
	struct buf certificate = pem_of_certificate(m.certificate), key = pem_of_key(m.key, NULL), chain, pem;

	(void)state;
	assert_string_equal(read(buf_slice(&certificate), buf_slice(&key), "", &chain, &pem), "");
	assert_true(slice_equal(buf_slice(&chain), buf_slice(&certificate)));
	assert_true(slice_equal(buf_slice(&pem), buf_slice(&key)));
	buf_fini(&chain);
	buf_fini(&pem);
	assert_true(buf_append(&certificate, buf_slice(&key)));
	assert_string_equal(read(buf_slice(&certificate), SLICE_EMPTY, "", &chain, &pem), "");
	/* The key does not go where the chain goes. */
	assert_true(slice_find_slice(buf_slice(&chain), SLICE("PRIVATE")) == SIZE_MAX);
	buf_fini(&chain);
	buf_fini(&pem);
	buf_fini(&certificate);
	buf_fini(&key);
	drop(&m);
}

static void encrypted_pem_key_is_opened_by_the_password(void **state)
{
	struct made m = make("mx.test", NULL, 10);
	struct buf certificate = pem_of_certificate(m.certificate), key = pem_of_key(m.key, "secret"), chain, pem;

	(void)state;
	SAYS("tls_password does not open", buf_slice(&certificate), buf_slice(&key), "wrong");
	SAYS("encrypted and there is no tls_password", buf_slice(&certificate), buf_slice(&key), "");
	assert_string_equal(read(buf_slice(&certificate), buf_slice(&key), "secret", &chain, &pem), "");
	assert_true(slice_starts(buf_slice(&pem), SLICE("-----BEGIN PRIVATE KEY-----")));
	buf_fini(&chain);
	buf_fini(&pem);
	buf_fini(&certificate);
	buf_fini(&key);
	drop(&m);
}

static void pkcs12_gives_the_chain_in_order_and_the_key(void **state)
{
	struct made root = make("root", NULL, 10), middle = make("middle", &root, 10), leaf = make("mx.test", &middle, 10),
		    stranger = make("stranger", NULL, 10);
	STACK_OF(X509) *others = sk_X509_new_null();
	struct buf chain, pem, first = pem_of_certificate(leaf.certificate), second = pem_of_certificate(middle.certificate), p12;

	(void)state;
	assert_true(sk_X509_push(others, stranger.certificate) && sk_X509_push(others, root.certificate) &&
		    sk_X509_push(others, middle.certificate));
	p12 = p12_of(leaf.key, leaf.certificate, others, "secret");
	assert_string_equal(read(buf_slice(&p12), SLICE_EMPTY, "secret", &chain, &pem), "");
	assert_int_equal(certificates_in(&chain), 3);
	assert_true(slice_starts(buf_slice(&chain), buf_slice(&first)));
	assert_true(slice_starts(slice_tail(buf_slice(&chain), buf_length(&first)), buf_slice(&second)));
	assert_true(slice_starts(buf_slice(&pem), SLICE("-----BEGIN PRIVATE KEY-----")));
	assert_true(tls_pair_matches(buf_slice(&chain), buf_slice(&pem), NULL));
	buf_fini(&chain);
	buf_fini(&pem);
	buf_fini(&p12);
	p12 = p12_of(leaf.key, leaf.certificate, NULL, "");
	SAYS("", buf_slice(&p12), SLICE_EMPTY, "");
	buf_fini(&p12);
	buf_fini(&first);
	buf_fini(&second);
	sk_X509_free(others);
	drop(&root);
	drop(&middle);
	drop(&leaf);
	drop(&stranger);
}

static void what_is_wrong_with_a_pkcs12_file_is_said(void **state)
{
	struct made m = make("mx.test", NULL, 10), other = make("other", NULL, 10);
	STACK_OF(X509) *others = sk_X509_new_null();
	struct buf p12 = p12_of(m.key, m.certificate, NULL, "secret"), key = pem_of_key(m.key, NULL);

	(void)state;
	SAYS("", buf_slice(&p12), SLICE_EMPTY, "secret");
	SAYS("tls_password does not open the PKCS#12", buf_slice(&p12), SLICE_EMPTY, "wrong");
	SAYS("has a password and there is no tls_password", buf_slice(&p12), SLICE_EMPTY, "");
	SAYS("leave tls_key empty", buf_slice(&p12), buf_slice(&key), "secret");
	SAYS("neither PEM nor a PKCS#12", slice_head(buf_slice(&p12), buf_length(&p12) / 2), SLICE_EMPTY, "secret");
	SAYS("neither PEM nor a PKCS#12", SLICE("0\x82\x01\x00 nonsense"), SLICE_EMPTY, "");
	buf_fini(&p12);
	p12 = p12_of(NULL, m.certificate, NULL, "secret");
	SAYS("no private key in the PKCS#12", buf_slice(&p12), SLICE_EMPTY, "secret");
	buf_fini(&p12);
	assert_true(sk_X509_push(others, other.certificate));
	p12 = p12_of(m.key, NULL, others, "secret");
	SAYS("is that of its private key", buf_slice(&p12), SLICE_EMPTY, "secret");
	buf_fini(&p12);
	buf_fini(&key);
	sk_X509_free(others);
	drop(&m);
	drop(&other);
}

static void what_is_no_pair_in_pem_is_said(void **state)
{
	struct made m = make("mx.test", NULL, 10), other = make("other", NULL, 10);
	struct buf certificate = pem_of_certificate(m.certificate), key = pem_of_key(m.key, NULL), wrong = pem_of_key(other.key, NULL);
	char long_password[2000];

	(void)state;
	SAYS("no certificate", SLICE_EMPTY, buf_slice(&key), "");
	SAYS("no certificate", SLICE("noise\n"), buf_slice(&key), "");
	SAYS("no private key", buf_slice(&certificate), SLICE_EMPTY, "");
	SAYS("not that of the chain's first certificate", buf_slice(&certificate), buf_slice(&wrong), "");
	memset(long_password, 'x', sizeof(long_password));
	long_password[sizeof(long_password) - 1] = '\0';
	SAYS("tls_password", buf_slice(&certificate), buf_slice(&key), long_password);
	buf_fini(&certificate);
	buf_fini(&key);
	buf_fini(&wrong);
	drop(&m);
	drop(&other);
}

static void facts_are_the_leafs(void **state)
{
	struct made root = make("root", NULL, 1000), m = make("mx.test", &root, 10), old = make("old.test", NULL, -3);
	struct buf pem = pem_of_certificate(m.certificate), more = pem_of_certificate(root.certificate);
	struct buf past = pem_of_certificate(old.certificate);
	struct tls_facts facts;
	int64_t now = (int64_t)time(NULL);

	(void)state;
	assert_true(buf_append(&pem, buf_slice(&more)));
	assert_true(tls_facts_of(buf_slice(&pem), SLICE("mx.test"), &facts, NULL));
	assert_true(facts.names_host && !facts.signed_by_itself && facts.begins_s <= now);
	assert_in_range(facts.ends_s - now, 10 * 86400 - 60, 10 * 86400 + 60);
	assert_string_equal(facts.name, "mx.test");
	assert_true(tls_facts_of(buf_slice(&pem), SLICE("other.test"), &facts, NULL));
	assert_false(facts.names_host);
	assert_true(tls_facts_of(buf_slice(&past), SLICE_EMPTY, &facts, NULL));
	assert_true(facts.ends_s < now && facts.signed_by_itself && !facts.names_host);
	assert_false(tls_facts_of(SLICE("x"), SLICE_EMPTY, &facts, NULL));
	buf_fini(&pem);
	buf_fini(&more);
	buf_fini(&past);
	drop(&root);
	drop(&m);
	drop(&old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pem_in_two_files_or_in_one_is_read),
		cmocka_unit_test(encrypted_pem_key_is_opened_by_the_password),
		cmocka_unit_test(pkcs12_gives_the_chain_in_order_and_the_key),
		cmocka_unit_test(what_is_wrong_with_a_pkcs12_file_is_said),
		cmocka_unit_test(what_is_no_pair_in_pem_is_said),
		cmocka_unit_test(facts_are_the_leafs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
