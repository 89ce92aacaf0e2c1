#include "common/tls/stand_in.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/tls/certificate.h"
#include "common/tls/errors.h"

/* Everything but signing is done by OpenSSL's default provider with the public half: to fetch from
 * there. */
#define STANDARD "provider=default"
#define OURS "provider=tassis"
/* How the asker comes through OpenSSL to our import: the octets of a pointer, made and read in this
 * file. */
#define PARAM_ASKER "tassis-asker"

typedef void (*dispatch_fn)(void);

struct stand_in {
	OSSL_LIB_CTX *library;
	const char *type;
	EVP_PKEY *public;
	struct tls_asker *asker; /* NULL: a public key, as OpenSSL makes one to compare with */
	uint8_t id[TLS_KEY_ID_BYTES];
};

/* ---- keys (provider-keymgmt(7)) ---- */

static void *key_new(void *library, const char *type)
{
	struct stand_in *k = memory_alloc(1, sizeof(*k), NULL);

	if (k)
		*k = (struct stand_in){.library = library, .type = type};
	return k;
}

static void *key_new_ec(void *library)
{
	return key_new(library, "EC");
}

static void *key_new_rsa(void *library)
{
	return key_new(library, "RSA");
}

static void *key_new_ed25519(void *library)
{
	return key_new(library, "ED25519");
}

static void key_free(void *key)
{
	struct stand_in *k = key;

	if (k == NULL)
		return;
	EVP_PKEY_free(k->public);
	free(k);
}

static int key_has(const void *key, int selection)
{
	const struct stand_in *k = key;

	return k && k->public && (k->asker || !(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY));
}

static int key_match(const void *key, const void *other, int selection)
{
	const struct stand_in *a = key, *b = other;

	(void)selection; /* the public halves decide, whatever is asked */
	return a->public && b->public && EVP_PKEY_eq(a->public, b->public) == 1;
}

static int key_import(void *key, int selection, const OSSL_PARAM params[])
{
	struct stand_in *k = key;
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(k->library, k->type, STANDARD);
	const OSSL_PARAM *asker = OSSL_PARAM_locate_const(params, PARAM_ASKER);
	/* OpenSSL reads them only, but asks for them without const. */
	OSSL_PARAM *readable = (OSSL_PARAM *)(uintptr_t)params;
	bool ok = (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) && c &&
		  EVP_PKEY_fromdata_init(c) == 1 &&
		  EVP_PKEY_fromdata(c, &k->public, EVP_PKEY_PUBLIC_KEY, readable) == 1 &&
		  tls_public_key_id(k->public, k->id, NULL);

	if (ok && asker && asker->data_size == sizeof(k->asker))
		memcpy(&k->asker, asker->data, sizeof(k->asker));
	EVP_PKEY_CTX_free(c);
	return ok;
}

static const OSSL_PARAM *key_import_types(int selection)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_octet_string(PARAM_ASKER, NULL, 0),
		OSSL_PARAM_END,
	};

	return selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY ? types : NULL;
}

static int key_get_params(void *key, OSSL_PARAM params[])
{
	const struct stand_in *k = key;

	return k->public && EVP_PKEY_get_params(k->public, params) == 1;
}

static const OSSL_PARAM *key_gettable_params(void *library)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)library;
	return types;
}

static const char *ec_operation_name(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

/* ---- signatures (provider-signature(7)) ---- */

struct signing {
	OSSL_LIB_CTX *library;
	struct stand_in *key;
	EVP_MD *md; /* NULL with Ed25519 */
	int padding;
};

static void *signing_new(void *library, const char *properties)
{
	struct signing *s = memory_alloc(1, sizeof(*s), NULL);

	(void)properties;
	if (s)
		*s = (struct signing){.library = library, .padding = RSA_PKCS1_PADDING};
	return s;
}

static void signing_free(void *signing)
{
	struct signing *s = signing;

	if (s == NULL)
		return;
	EVP_MD_free(s->md);
	free(s);
}

/* Only what TLS uses is understood: PKCS #1, or PSS with a salt as long as the digest (RFC
 * 8446 4.2.3). */
static int signing_set_params(void *signing, const OSSL_PARAM params[])
{
	struct signing *s = signing;
	const OSSL_PARAM *p =
		params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
	int n;

	if (p && p->data_type == OSSL_PARAM_UTF8_STRING)
		s->padding = strcmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0
				     ? RSA_PKCS1_PSS_PADDING
				     : RSA_PKCS1_PADDING;
	else if (p && !OSSL_PARAM_get_int(p, &s->padding))
		return 0;
	if (s->padding != RSA_PKCS1_PADDING && s->padding != RSA_PKCS1_PSS_PADDING)
		return 0;
	p = params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN) : NULL;
	if (p && p->data_type == OSSL_PARAM_UTF8_STRING)
		return strcmp(p->data, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0;
	return !p || (OSSL_PARAM_get_int(p, &n) &&
		      (n == RSA_PSS_SALTLEN_DIGEST || (s->md && n == EVP_MD_get_size(s->md))));
}

static const OSSL_PARAM *signing_settable_params(void *signing, void *library)
{
	static const OSSL_PARAM types[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
		OSSL_PARAM_END,
	};

	(void)signing;
	(void)library;
	return types;
}

static int signing_begin(void *signing, const char *digest, void *key, const OSSL_PARAM params[])
{
	struct signing *s = signing;

	s->key = key;
	if (digest && *digest) {
		EVP_MD_free(s->md);
		if ((s->md = EVP_MD_fetch(s->library, digest, STANDARD)) == NULL)
			return 0;
	}
	return s->key && s->key->asker && signing_set_params(s, params);
}

static enum ipc_scheme scheme_of(const struct signing *s)
{
	if (strcmp(s->key->type, "EC") == 0)
		return IPC_SCHEME_ECDSA;
	if (strcmp(s->key->type, "ED25519") == 0)
		return IPC_SCHEME_ED25519;
	return s->padding == RSA_PKCS1_PSS_PADDING ? IPC_SCHEME_RSA_PSS : IPC_SCHEME_RSA_PKCS1;
}

static int signing_sign(void *signing, unsigned char *out, size_t *n, size_t size,
			const unsigned char *input, size_t n_input)
{
	struct signing *s = signing;
	size_t needed = (size_t)EVP_PKEY_get_size(s->key->public);
	enum ipc_scheme scheme = scheme_of(s);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n_digest = 0;

	if (out == NULL) {
		*n = needed;
		return 1;
	}
	if (scheme == IPC_SCHEME_ED25519)
		return s->key->asker->ask(s->key->asker, s->key->id, scheme, "",
					  slice_of(input, n_input), out, size, n);
	if (s->md == NULL || EVP_Digest(input, n_input, digest, &n_digest, s->md, NULL) != 1)
		return 0;
	/* The short name ("SHA256") is one and the same in all processes; a provider's own is not.
	 */
	return s->key->asker->ask(s->key->asker, s->key->id, scheme,
				  OBJ_nid2sn(EVP_MD_get_type(s->md)), slice_of(digest, n_digest),
				  out, size, n);
}

/* ---- the provider (provider(7)) ---- */

#define FN(number, f)                                                                              \
	{                                                                                          \
		number, (dispatch_fn)(f)                                                           \
	}
#define KEY_FUNCTIONS(make)                                                                        \
	FN(OSSL_FUNC_KEYMGMT_NEW, make), FN(OSSL_FUNC_KEYMGMT_FREE, key_free),                     \
		FN(OSSL_FUNC_KEYMGMT_HAS, key_has), FN(OSSL_FUNC_KEYMGMT_MATCH, key_match),        \
		FN(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                                          \
		FN(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),                              \
		FN(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                                  \
		FN(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params)

static const OSSL_DISPATCH ec_key[] = {
	KEY_FUNCTIONS(key_new_ec),
	FN(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, ec_operation_name),
	{0, NULL}};
static const OSSL_DISPATCH rsa_key[] = {KEY_FUNCTIONS(key_new_rsa), {0, NULL}};
static const OSSL_DISPATCH ed25519_key[] = {KEY_FUNCTIONS(key_new_ed25519), {0, NULL}};

static const OSSL_DISPATCH signature[] = {
	FN(OSSL_FUNC_SIGNATURE_NEWCTX, signing_new),
	FN(OSSL_FUNC_SIGNATURE_FREECTX, signing_free),
	FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, signing_begin),
	FN(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, signing_sign),
	FN(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signing_set_params),
	FN(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signing_settable_params),
	{0, NULL},
};

static const OSSL_ALGORITHM *algorithms(void *library, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM keys[] = {
		{"EC:id-ecPublicKey:1.2.840.10045.2.1", OURS, ec_key, NULL},
		{"RSA:rsaEncryption:1.2.840.113549.1.1.1", OURS, rsa_key, NULL},
		{"ED25519:1.3.101.112", OURS, ed25519_key, NULL},
		{NULL, NULL, NULL, NULL},
	};
	static const OSSL_ALGORITHM signatures[] = {
		{"ECDSA", OURS, signature, NULL},
		{"RSA:rsaEncryption:1.2.840.113549.1.1.1", OURS, signature, NULL},
		{"ED25519:1.3.101.112", OURS, signature, NULL},
		{NULL, NULL, NULL, NULL},
	};

	(void)library;
	*no_cache = 0;
	return operation == OSSL_OP_KEYMGMT	? keys
	       : operation == OSSL_OP_SIGNATURE ? signatures
						: NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
			 const OSSL_DISPATCH **out, void **provider_context)
{
	static const OSSL_DISPATCH functions[] = {
		FN(OSSL_FUNC_PROVIDER_QUERY_OPERATION, algorithms), {0, NULL}};

	for (; in->function_id != 0; in++) {
		/* Built into the same library as its caller: the core's context is the OSSL_LIB_CTX
		 * itself. */
		if (in->function_id == OSSL_FUNC_CORE_GET_LIBCTX)
			*provider_context = OSSL_FUNC_core_get_libctx(in)(handle);
	}
	*out = functions;
	return *provider_context != NULL;
}

bool tls_library_init(struct tls_library *l, struct fault *why)
{
	*l = (struct tls_library){.context = OSSL_LIB_CTX_new()};
	if (l->context && (l->standard = OSSL_PROVIDER_load(l->context, "default")) != NULL &&
	    OSSL_PROVIDER_add_builtin(l->context, "tassis", provider_init) == 1 &&
	    (l->ours = OSSL_PROVIDER_load(l->context, "tassis")) != NULL &&
	    EVP_set_default_properties(l->context, "?" STANDARD) == 1)
		return true;
	tls_errors_to_fault(why, "4.3.0", "cannot set up OpenSSL's providers");
	return false;
}

void tls_library_fini(struct tls_library *l)
{
	/* OSSL_LIB_CTX_free would not give back what the loads took. */
	if (l->ours)
		OSSL_PROVIDER_unload(l->ours);
	if (l->standard)
		OSSL_PROVIDER_unload(l->standard);
	OSSL_LIB_CTX_free(l->context);
	*l = (struct tls_library){0};
}

EVP_PKEY *tls_stand_in_create(OSSL_LIB_CTX *library, EVP_PKEY *public, struct tls_asker *asker,
			      struct fault *why)
{
	OSSL_PARAM *given = NULL, *all = NULL;
	OSSL_PARAM extra[] = {OSSL_PARAM_construct_octet_string(PARAM_ASKER, &asker, sizeof(asker)),
			      OSSL_PARAM_construct_end()};
	EVP_PKEY_CTX *c = NULL;
	EVP_PKEY *key = NULL;

	if (tls_public_key_kind(public) == TLS_KIND_NONE) {
		fault_set(why, "5.3.5",
			  "a key that cannot sign here (ECDSA P-256, P-384, P-521, RSA from 2048 "
			  "bits, Ed25519 can)");
		return NULL;
	}
	ERR_clear_error();
	if (EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &given) != 1 ||
	    (all = OSSL_PARAM_merge(given, extra)) == NULL ||
	    (c = EVP_PKEY_CTX_new_from_name(library, EVP_PKEY_get0_type_name(public), OURS)) ==
		    NULL ||
	    EVP_PKEY_fromdata_init(c) != 1 ||
	    EVP_PKEY_fromdata(c, &key, EVP_PKEY_PUBLIC_KEY, all) != 1)
		tls_errors_to_fault(why, "4.3.0", "cannot make the stand-in of a private key");
	EVP_PKEY_CTX_free(c);
	OPENSSL_free(all);
	OSSL_PARAM_free(given);
	return key;
}
