#include "common/tls/key.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/fault.h"

struct pair {
	EVP_PKEY *pkey;
	struct tls_key *key;
};

static struct buf pem_of(EVP_PKEY *pkey, const char *password)
{
	BIO *bio = BIO_new(BIO_s_mem());
	struct buf out;
	char *p;
	long n;

	buf_init(&out, 20000);
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey,
						       password ? EVP_aes_256_cbc() : NULL, NULL, 0,
						       NULL, (void *)(uintptr_t)password),
			 1);
	n = BIO_get_mem_data(bio, &p);
	assert_true(buf_append(&out, slice_of(p, (size_t)n)));
	BIO_free(bio);
	return out;
}

static EVP_PKEY *make(const char *kind, unsigned bits)
{
	if (strcmp(kind, "RSA") == 0)
		return EVP_RSA_gen(bits);
	if (strcmp(kind, "ED25519") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return EVP_EC_gen(kind);
}

static struct pair load(const char *kind)
{
	struct pair p = {.pkey = make(kind, 2048)};
	struct buf pem = pem_of(p.pkey, NULL);
	struct fault why = {0};

	if (!tls_key_load(buf_slice(&pem), &p.key, &why))
		fail_msg("%s", why.text);
	buf_fini(&pem);
	return p;
}

static void unload(struct pair *p)
{
	tls_key_destroy(p->key);
	EVP_PKEY_free(p->pkey);
}

/* Verified over the whole message, by another way than it was signed. */
static bool verifies(EVP_PKEY *pkey, enum ipc_scheme scheme, const EVP_MD *md, struct slice message,
		     struct slice signature)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pc;
	bool ok;

	assert_int_equal(EVP_DigestVerifyInit(c, &pc, md, NULL, pkey), 1);
	if (scheme == IPC_SCHEME_RSA_PSS) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pc, RSA_PKCS1_PSS_PADDING), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pc, RSA_PSS_SALTLEN_DIGEST), 1);
	}
	ok = EVP_DigestVerify(c, (const uint8_t *)signature.p, signature.n,
			      (const uint8_t *)message.p, message.n) == 1;
	EVP_MD_CTX_free(c);
	return ok;
}

static void sign_and_verify(const char *kind, enum ipc_scheme scheme, const char *digest)
{
	struct pair p = load(kind);
	const EVP_MD *md = *digest ? EVP_get_digestbyname(digest) : NULL;
	struct slice message = SLICE("From: me\r\nTo: you\r\n");
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	struct slice input = message;
	struct buf out;
	struct fault why = {0};

	if (md) {
		assert_int_equal(EVP_Digest(message.p, message.n, hash, &n, md, NULL), 1);
		input = slice_of(hash, n);
	}
	buf_init(&out, 1024);
	if (!tls_key_sign(p.key, scheme, slice_of_cstr(digest), input, &out, &why))
		fail_msg("%s", why.text);
	assert_true(verifies(p.pkey, scheme, md, message, buf_slice(&out)));
	assert_false(verifies(p.pkey, scheme, md, SLICE("From: you\r\n"), buf_slice(&out)));
	buf_fini(&out);
	unload(&p);
}

static void ecdsa_signs_digests(void **state)
{
	(void)state;
	sign_and_verify("P-256", IPC_SCHEME_ECDSA, "SHA256");
	sign_and_verify("P-384", IPC_SCHEME_ECDSA, "SHA384");
	sign_and_verify("P-521", IPC_SCHEME_ECDSA, "SHA512");
}

static void rsa_signs_both_ways(void **state)
{
	(void)state;
	sign_and_verify("RSA", IPC_SCHEME_RSA_PKCS1, "SHA256");
	sign_and_verify("RSA", IPC_SCHEME_RSA_PKCS1, "SHA1");
	sign_and_verify("RSA", IPC_SCHEME_RSA_PSS, "SHA256");
	sign_and_verify("RSA", IPC_SCHEME_RSA_PSS, "SHA512");
}

static void ed25519_signs_messages(void **state)
{
	(void)state;
	sign_and_verify("ED25519", IPC_SCHEME_ED25519, "");
}

static void what_does_not_fit_the_key_is_refused(void **state)
{
	struct pair ec = load("P-256"), rsa = load("RSA"), ed = load("ED25519");
	uint8_t hash[32] = {1};
	struct slice input = slice_of(hash, sizeof(hash));
	struct buf out;
	struct fault why;

	(void)state;
	buf_init(&out, 1024);
#define REFUSED(k, scheme, digest, in)                                                             \
	do {                                                                                       \
		why = (struct fault){.class = FAULT_PERMANENT};                                    \
		assert_false(                                                                      \
			tls_key_sign((k).key, scheme, slice_of_cstr(digest), in, &out, &why));     \
		assert_int_equal(why.class, FAULT_TEMPORARY);                                      \
		assert_int_equal(buf_length(&out), 0);                                             \
	} while (0)
	REFUSED(ec, IPC_SCHEME_RSA_PKCS1, "SHA256", input);
	REFUSED(ec, IPC_SCHEME_ED25519, "", input);
	REFUSED(rsa, IPC_SCHEME_ECDSA, "SHA256", input);
	REFUSED(ed, IPC_SCHEME_ECDSA, "SHA256", input);
	REFUSED(ed, IPC_SCHEME_RSA_PSS, "SHA256", input);
	REFUSED(ec, IPC_SCHEME_ECDSA, "", input);
	REFUSED(ec, IPC_SCHEME_ECDSA, "MD5", slice_of(hash, 16));
	REFUSED(ec, IPC_SCHEME_ECDSA, "SHA256", slice_of(hash, 31));
	REFUSED(ec, IPC_SCHEME_ECDSA, "SHA256", SLICE_EMPTY);
	REFUSED(rsa, IPC_SCHEME_RSA_PSS, "SHA384", input);
	REFUSED(rsa, IPC_SCHEME_RSA_PSS, "SHA256SHA256SHA256SHA256SHA256SHA256", input);
	REFUSED(rsa, (enum ipc_scheme)77, "SHA256", input);
	buf_fini(&out);
	buf_init(&out, 10); /* no room for a signature */
	REFUSED(ec, IPC_SCHEME_ECDSA, "SHA256", input);
	buf_fini(&out);
	unload(&ec);
	unload(&rsa);
	unload(&ed);
}

static void only_rsa_is_slow(void **state)
{
	struct pair ec = load("P-256"), rsa = load("RSA"), ed = load("ED25519");

	(void)state;
	assert_true(tls_key_is_slow(rsa.key));
	assert_false(tls_key_is_slow(ec.key));
	assert_false(tls_key_is_slow(ed.key));
	unload(&ec);
	unload(&rsa);
	unload(&ed);
}

static void id_is_the_hash_of_the_public_half(void **state)
{
	struct pair p = load("P-256");
	uint8_t *der = NULL, hash[32];
	int n = i2d_PUBKEY(p.pkey, &der);

	(void)state;
	SHA256(der, (size_t)n, hash);
	assert_int_equal(tls_key_id(p.key).n, 32);
	assert_memory_equal(tls_key_id(p.key).p, hash, 32);
	OPENSSL_free(der);
	unload(&p);
}

static void derived_secrets_differ_by_key_and_info(void **state)
{
	struct pair a = load("P-256"), b = load("P-256");
	uint8_t one[80], again[80], other_info[80], other_key[80], zero[80] = {0};

	(void)state;
	assert_true(tls_key_derive(a.key, SLICE("tickets 1"), one, sizeof(one), NULL));
	assert_true(tls_key_derive(a.key, SLICE("tickets 1"), again, sizeof(again), NULL));
	assert_true(
		tls_key_derive(a.key, SLICE("tickets 2"), other_info, sizeof(other_info), NULL));
	assert_true(tls_key_derive(b.key, SLICE("tickets 1"), other_key, sizeof(other_key), NULL));
	assert_memory_equal(one, again, sizeof(one));
	assert_memory_not_equal(one, other_info, sizeof(one));
	assert_memory_not_equal(one, other_key, sizeof(one));
	assert_memory_not_equal(one, zero, sizeof(one));
	unload(&a);
	unload(&b);
}

static void refuse_text(struct slice pem)
{
	struct tls_key *key = NULL;
	struct fault why = {0};

	assert_false(tls_key_load(pem, &key, &why));
	assert_int_equal(why.class, FAULT_PERMANENT);
	assert_true(strlen(why.text) > 0);
	assert_null(key);
}

static void texts_that_are_no_key_are_refused(void **state)
{
	EVP_PKEY *weak = EVP_RSA_gen(1024), *encrypt_only = EVP_PKEY_Q_keygen(NULL, NULL, "X25519"),
		 *odd = EVP_EC_gen("secp256k1");
	EVP_PKEY *key = EVP_EC_gen("P-256");
	EVP_PKEY *keys[] = {weak, encrypt_only, odd};
	struct buf pem;

	(void)state;
	refuse_text(SLICE_EMPTY);
	refuse_text(SLICE("hello"));
	refuse_text(SLICE("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
	for (size_t i = 0; i < 3; i++) {
		pem = pem_of(keys[i], NULL);
		refuse_text(buf_slice(&pem));
		buf_fini(&pem);
		EVP_PKEY_free(keys[i]);
	}
	pem = pem_of(key, "password"); /* and nobody is asked for it */
	refuse_text(buf_slice(&pem));
	buf_fini(&pem);
	pem = pem_of(key, NULL);
	for (size_t n = 0; n < buf_length(&pem) - 26; n++) /* cut anywhere before the end line */
		refuse_text(slice_of(buf_slice(&pem).p, n));
	buf_fini(&pem);
	EVP_PKEY_free(key);
}

/* ---- pairs ---- */

static X509 *parse(struct buf *pem)
{
	BIO *bio = BIO_new_mem_buf(buf_slice(pem).p, (int)buf_length(pem));
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	return x;
}

static void self_signed_certificate_is_one(void **state)
{
	struct buf certificate, key, second, second_key;
	X509 *x;
	int days, seconds;

	(void)state;
	buf_init(&certificate, 10000);
	buf_init(&key, 10000);
	buf_init(&second, 10000);
	buf_init(&second_key, 10000);
	assert_true(tls_make_self_signed(SLICE("mx.test"), &certificate, &key, NULL));
	assert_true(tls_make_self_signed(SLICE("mx.test"), &second, &second_key, NULL));
	assert_true(tls_pair_matches(buf_slice(&certificate), buf_slice(&key), NULL));
	assert_non_null(x = parse(&certificate));
	assert_int_equal(X509_check_host(x, "mx.test", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(x, "other.test", 0, 0, NULL), 0);
	assert_int_equal(X509_verify(x, X509_get0_pubkey(x)), 1);
	assert_true(ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)));
	assert_in_range(days, 3650, 3653);
	assert_true(X509_cmp_current_time(X509_get0_notBefore(x)) < 0);
	X509_free(x);

	struct fault why = {0};
	assert_false(tls_pair_matches(buf_slice(&certificate), buf_slice(&second_key), &why));
	assert_int_equal(why.class, FAULT_PERMANENT);
	assert_non_null(strstr(why.text, "first certificate"));
	/* The leaf is the first: a chain in the wrong order does not match. */
	assert_true(buf_append(&second, buf_slice(&certificate)));
	assert_false(tls_pair_matches(buf_slice(&second), buf_slice(&key), &why));
	assert_true(tls_pair_matches(buf_slice(&second), buf_slice(&second_key), &why));
	assert_false(tls_pair_matches(SLICE_EMPTY, buf_slice(&key), &why));
	assert_false(tls_pair_matches(buf_slice(&certificate), SLICE("x"), &why));
	assert_false(tls_pair_matches(buf_slice(&key), buf_slice(&certificate), &why));
	buf_fini(&certificate);
	buf_fini(&key);
	buf_fini(&second);
	buf_fini(&second_key);
}

static void long_and_odd_host_names_are_names_and_no_more(void **state)
{
	char name[253];
	struct buf certificate, key;
	struct slice odd = SLICE("a.test,DNS:b.test");
	X509 *x;

	(void)state;
	memset(name, 'a', sizeof(name));
	for (size_t i = 50; i < sizeof(name); i += 50)
		name[i] = '.';
	buf_init(&certificate, 10000);
	buf_init(&key, 10000);
	assert_true(tls_make_self_signed(slice_of(name, sizeof(name)), &certificate, &key, NULL));
	assert_non_null(x = parse(&certificate));
	assert_int_equal(X509_check_host(x, name, sizeof(name), 0, NULL), 1);
	X509_free(x);
	buf_reset(&certificate);
	assert_true(tls_make_self_signed(odd, &certificate, &key, NULL));
	assert_non_null(x = parse(&certificate));
	assert_int_equal(X509_check_host(x, "b.test", 0, 0, NULL), 0);
	X509_free(x);
	assert_false(tls_make_self_signed(SLICE_EMPTY, &certificate, &key, NULL));
	buf_fini(&certificate);
	buf_fini(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ecdsa_signs_digests),
		cmocka_unit_test(rsa_signs_both_ways),
		cmocka_unit_test(ed25519_signs_messages),
		cmocka_unit_test(what_does_not_fit_the_key_is_refused),
		cmocka_unit_test(only_rsa_is_slow),
		cmocka_unit_test(id_is_the_hash_of_the_public_half),
		cmocka_unit_test(derived_secrets_differ_by_key_and_info),
		cmocka_unit_test(texts_that_are_no_key_are_refused),
		cmocka_unit_test(self_signed_certificate_is_one),
		cmocka_unit_test(long_and_odd_host_names_are_names_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
