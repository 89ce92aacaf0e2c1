#include "common/tls/context.h"

#include <assert.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/tls/certificate.h"
#include "common/tls/errors.h"
#include "common/tls/session.h"

/* TLS 1.2: forward secrecy only, and no key exchange that decrypts with the private key, which is
 * elsewhere. CBC is last: some old hosts have nothing else with it, and the other choice is no TLS
 * at all. TLS 1.3's own three are OpenSSL's defaults. */
#define SERVER_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES"
#define GROUPS "X25519:P-256:P-384"

static struct tls_context *make(bool is_server, bool tls13_only, struct fault *why)
{
	struct tls_context *c = memory_alloc(1, sizeof(*c), why);
	char groups[] = GROUPS;

	if (c == NULL)
		return NULL;
	c->is_server = is_server;
	list_init(&c->waiting);
	tls_chains_init(&c->chains);
	tls_resumption_init(&c->resumption);
	ERR_clear_error();
	if (is_server && !tls_library_init(&c->library, why)) {
		tls_context_destroy(c);
		return NULL;
	}
	c->ssl = SSL_CTX_new_ex(c->library.context, NULL,
				is_server ? TLS_server_method() : TLS_client_method());
	if ((c->bio = tls_session_bio_create()) == NULL || c->ssl == NULL ||
	    SSL_CTX_set_app_data(c->ssl, c) != 1 ||
	    SSL_CTX_set_min_proto_version(c->ssl, tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION) !=
		    1 ||
	    SSL_CTX_set1_groups_list(c->ssl, groups) != 1) {
		tls_errors_to_fault(why, "4.3.0", "cannot set up TLS");
		tls_context_destroy(c);
		return NULL;
	}
	/* An idle connection has no buffers. */
	SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(c->ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	return c;
}

void tls_context_destroy(struct tls_context *c)
{
	if (c == NULL)
		return;
	assert(c->n_sessions == 0);
	SSL_CTX_free(c->ssl);
	BIO_meth_free(c->bio);
	tls_chains_fini(&c->chains);
	tls_tickets_fini(&c->tickets);
	tls_resumption_fini(&c->resumption);
	tls_library_fini(&c->library);
	free(c);
}

/* ---- the server's side ---- */

/* Called by OpenSSL in a full handshake, when the client's name is known. */
static int choose_chain(SSL *ssl, void *arg)
{
	const struct tls_context *c = arg;
	const struct tls_chain *chain =
		tls_chains_find(&c->chains, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));

	return chain && SSL_use_cert_and_key(ssl, chain->leaf, chain->key, chain->others, 1) == 1;
}

static int use_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
		      EVP_MAC_CTX *mac, int sealing)
{
	const struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	return tls_tickets_use(&c->tickets, name, iv, cipher, mac, sealing);
}

struct tls_context *tls_server_create(struct loop *loop, bool tls13_only, tls_sign_fn *sign,
				      void *arg, struct fault *why)
{
	static const unsigned char session_group[] = "tassis";
	struct tls_context *c = make(true, tls13_only, why);

	(void)loop; /* a session's own is its stream's */
	if (c == NULL)
		return NULL;
	c->asker.ask = tls_session_ask;
	c->sign = sign;
	c->sign_arg = arg;
	/* No tickets before there are keys that all workers share; no other memory of sessions at
	 * all. */
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(c->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
					    SSL_OP_NO_TICKET);
	SSL_CTX_set_cert_cb(c->ssl, choose_chain, c);
	if (tls_tickets_init(&c->tickets, c->library.context, why) &&
	    SSL_CTX_set_cipher_list(c->ssl, SERVER_CIPHERS) == 1 &&
	    SSL_CTX_set_num_tickets(c->ssl, 0) == 1 &&
	    SSL_CTX_set_session_id_context(c->ssl, session_group, sizeof(session_group) - 1) == 1 &&
	    SSL_CTX_set_tlsext_ticket_key_evp_cb(c->ssl, use_ticket) == 1)
		return c;
	tls_errors_to_fault(why, "4.3.0", "cannot set up TLS");
	tls_context_destroy(c);
	return NULL;
}

bool tls_server_add_chain(struct tls_context *c, struct slice pem, struct fault *why)
{
	return tls_chains_add(&c->chains, pem, false, c->library.context, &c->asker, why);
}

bool tls_server_set_default_chain(struct tls_context *c, struct slice pem, struct fault *why)
{
	return tls_chains_add(&c->chains, pem, true, c->library.context, &c->asker, why);
}

bool tls_server_has_chain(const struct tls_context *c)
{
	return tls_chains_find(&c->chains, NULL) != NULL;
}

bool tls_server_set_ticket_keys(struct tls_context *c, struct slice keys, struct fault *why)
{
	if (!tls_tickets_set(&c->tickets, keys, why))
		return false;
	SSL_CTX_clear_options(c->ssl, SSL_OP_NO_TICKET);
	return SSL_CTX_set_num_tickets(c->ssl, 1) == 1;
}

/* ---- the client's side ---- */

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	const struct tls_session *t = SSL_get_app_data(ssl);

	if (t->host)
		tls_resumption_put(&t->context->resumption, t->host, session);
	return 0; /* we keep no reference */
}

struct tls_context *tls_client_create(struct loop *loop, bool tls13_only, bool verify_required,
				      struct fault *why)
{
	struct tls_context *c = make(false, tls13_only, why);

	(void)loop;
	if (c == NULL)
		return NULL;
	c->verify_required = verify_required;
	/* With SSL_VERIFY_NONE a client verifies all the same, writes down the result and goes on.
	 */
	SSL_CTX_set_verify(c->ssl, verify_required ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ssl, keep_session);
	(void)SSL_CTX_set_default_verify_dir(c->ssl);
	ERR_clear_error();
	return c;
}

bool tls_client_set_roots(struct tls_context *c, struct slice pem, struct fault *why)
{
	STACK_OF(X509) *roots = tls_roots_parse(pem, why);
	X509_STORE *store = X509_STORE_new();
	bool ok = roots != NULL && store != NULL;

	for (int i = 0; ok && i < sk_X509_num(roots); i++)
		ok = X509_STORE_add_cert(store, sk_X509_value(roots, i)) == 1;
	if (roots && !ok)
		tls_errors_to_fault(why, "4.3.1", "cannot keep a root certificate");
	sk_X509_pop_free(roots, X509_free);
	if (!ok) {
		X509_STORE_free(store);
		return false;
	}
	SSL_CTX_set_cert_store(c->ssl, store);
	tls_resumption_fini(&c->resumption);
	tls_resumption_init(&c->resumption);
	return true;
}
