/* Server and client in one loop, over a socketpair; the private key is a tls_key that answers from
 * the loop, as lookupd does. */
#include "common/tls/stream.h"

#include <fcntl.h>
#include <malloc.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/fault.h"
#include "common/tls/context.h"
#include "common/tls/key.h"
#include "common/tls/session.h"

enum { CONSUME = 1, FINI = 2 };

struct side {
	struct stream s;
	unsigned seen;
	unsigned on; /* what the callback does */
	unsigned fini_on;
	struct buf got;
};

struct signs {
	struct loop *loop;
	struct tls_key *keys[8];
	int n_keys;
	struct tls_sign_request *waiting[1200];
	int n_waiting, n_asked;
	bool wrong; /* answers with a signature of something else */
	bool refuse;
	bool by_itself; /* answers at once, from the callback */
};

struct world {
	struct loop *loop;
	struct signs signs;
	struct tls_context *server, *client;
	struct side a, b; /* the server's side, the client's */
};

static void on_stream(void *arg, unsigned events)
{
	struct side *side = arg;

	side->seen |= events;
	if (side->on & CONSUME && events & STREAM_INPUT) {
		struct slice in = stream_input(&side->s);

		assert_true(buf_append(&side->got, in));
		stream_consume(&side->s, in.n);
	}
	if (side->fini_on & events)
		stream_fini(&side->s);
}

static void answer(struct signs *s, struct tls_sign_request *r)
{
	struct buf out;
	struct fault why = {0};
	char other[64] = "something else, as long as need be, that nobody wanted signed..";
	struct slice input = r->input;

	buf_init(&out, 1024);
	if (s->wrong)
		input = slice_of(other, input.n < sizeof(other) ? input.n : sizeof(other));
	for (int i = 0; i < s->n_keys && !s->refuse; i++) {
		if (slice_equal(tls_key_id(s->keys[i]), slice_of(r->key_id, 32)) &&
		    !tls_key_sign(s->keys[i], r->scheme, slice_of_cstr(r->digest), input, &out,
				  &why))
			print_message("sign: %s\n", why.text);
	}
	tls_sign_done(r, buf_slice(&out));
	buf_fini(&out);
}

static void on_sign(void *arg, struct tls_sign_request *request)
{
	struct signs *s = arg;

	s->n_asked++;
	if (s->by_itself) {
		answer(s, request);
		return;
	}
	assert_true(s->n_waiting < 1200);
	s->waiting[s->n_waiting++] = request;
}

static void answer_all(struct signs *s)
{
	int n = s->n_waiting;

	s->n_waiting = 0;
	for (int i = 0; i < n; i++)
		answer(s, s->waiting[i]);
}

/* ---- certificates ---- */

static void append_bio(BIO *bio, struct buf *out)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	assert_true(buf_append(out, slice_of(p, (size_t)n)));
	BIO_free(bio);
}

static void make_certificate_until(EVP_PKEY *key, const char *names, long days, struct buf *out)
{
	X509 *x = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	X509_EXTENSION *e;

	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_gmtime_adj(X509_getm_notBefore(x), -86400 * 30);
	X509_time_adj_ex(X509_getm_notAfter(x), (int)days, 0, NULL);
	X509_NAME_add_entry_by_NID(X509_get_subject_name(x), NID_commonName, MBSTRING_UTF8,
				   (const uint8_t *)"test", 4, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_set_pubkey(x, key);
	assert_non_null(e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names));
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	assert_true(X509_sign(x, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(bio, x), 1);
	append_bio(bio, out);
	X509_free(x);
}

static struct buf private_pem(EVP_PKEY *key)
{
	struct buf out;
	BIO *bio = BIO_new(BIO_s_mem());

	buf_init(&out, 10000);
	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	append_bio(bio, &out);
	return out;
}

static EVP_PKEY *make_key(const char *kind)
{
	if (strcmp(kind, "RSA") == 0)
		return EVP_RSA_gen(2048);
	if (strcmp(kind, "ED25519") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return EVP_EC_gen(kind);
}

/* Gives the server a chain, and the signs its key. */
static void give_chain(struct world *w, const char *kind, const char *names,
		       bool give(struct tls_context *, struct slice, struct fault *))
{
	EVP_PKEY *key = make_key(kind);
	struct buf pem, private = private_pem(key);
	struct fault why = {0};

	buf_init(&pem, 10000);
	make_certificate_until(key, names, 30, &pem);
	if (!give(w->server, buf_slice(&pem), &why))
		fail_msg("%s", why.text);
	assert_true(tls_key_load(buf_slice(&private), &w->signs.keys[w->signs.n_keys++], NULL));
	buf_fini(&pem);
	buf_fini(&private);
	EVP_PKEY_free(key);
}

static void add_chain(struct world *w, const char *kind, const char *names)
{
	give_chain(w, kind, names, tls_server_add_chain);
}

/* ---- the world ---- */

static int make_world(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct fault why = {0};

	assert_non_null(w->loop = loop_create(NULL));
	w->signs.loop = w->loop;
	if ((w->server = tls_server_create(w->loop, false, on_sign, &w->signs, &why)) == NULL)
		fail_msg("%s", why.text);
	assert_non_null(w->client = tls_client_create(w->loop, false, false, &why));
	w->a.on = w->b.on = CONSUME;
	buf_init(&w->a.got, 64u << 20);
	buf_init(&w->b.got, 64u << 20);
	*state = w;
	return 0;
}

static void end_pair(struct world *w)
{
	stream_fini(&w->a.s);
	stream_fini(&w->b.s);
	w->a.seen = w->b.seen = 0;
	buf_reset(&w->a.got);
	buf_reset(&w->b.got);
}

static int end_world(void **state)
{
	struct world *w = *state;

	end_pair(w);
	answer_all(&w->signs);
	tls_context_destroy(w->server);
	tls_context_destroy(w->client);
	loop_destroy(w->loop);
	for (int i = 0; i < w->signs.n_keys; i++)
		tls_key_destroy(w->signs.keys[i]);
	buf_fini(&w->a.got);
	buf_fini(&w->b.got);
	free(w);
	return 0;
}

static void make_pair(struct world *w)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	stream_init(&w->a.s, w->loop, fds[0], 65536, on_stream, &w->a);
	stream_init(&w->b.s, w->loop, fds[1], 65536, on_stream, &w->b);
}

static void start(struct world *w, const char *host)
{
	make_pair(w);
	assert_true(stream_start_tls(&w->a.s, w->server, NULL, NULL));
	assert_true(stream_start_tls(&w->b.s, w->client, host, NULL));
	stream_read(&w->a.s, true);
	stream_read(&w->b.s, true);
}

static void turns(struct world *w, int n)
{
	while (n-- > 0) {
		loop_turn(w->loop, false);
		answer_all(&w->signs);
	}
}

static void turns_unanswered(struct world *w, int n)
{
	while (n-- > 0)
		loop_turn(w->loop, false);
}

static void assert_up(struct world *w)
{
	if (w->a.seen & STREAM_FAILED)
		print_message("server: %s\n", stream_fault(&w->a.s)->text);
	if (w->b.seen & STREAM_FAILED)
		print_message("client: %s\n", stream_fault(&w->b.s)->text);
	assert_true(w->a.seen & STREAM_TLS_UP);
	assert_true(w->b.seen & STREAM_TLS_UP);
	assert_true(stream_is_tls(&w->a.s) && stream_is_tls(&w->b.s));
}

static void assert_got(struct side *side, const char *text)
{
	assert_int_equal(buf_length(&side->got), strlen(text));
	assert_memory_equal(buf_slice(&side->got).p, text, strlen(text));
}

/* ---- tests ---- */

static void handshake_with(struct world *w, const char *kind)
{
	add_chain(w, kind, "DNS:mx.test");
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	assert_int_equal(w->signs.n_asked, 1);
	assert_true(stream_write(&w->a.s, SLICE("250 hello\r\n")));
	assert_true(stream_write(&w->b.s, SLICE("MAIL FROM:<>\r\n")));
	turns(w, 4);
	assert_got(&w->a, "MAIL FROM:<>\r\n");
	assert_got(&w->b, "250 hello\r\n");
	assert_true(w->a.seen & STREAM_DRAINED);
	assert_string_equal(stream_tls_text(&w->a.s), "TLSv1.3 TLS_AES_256_GCM_SHA384");
	struct buf out;
	buf_init(&out, 100);
	assert_true(stream_append_tls(&w->a.s, &out));
	assert_string_equal(buf_cstr(&out), "(TLSv1.3:TLS_AES_256_GCM_SHA384:256)");
	buf_fini(&out);
}

static void handshake_with_p256(void **state)
{
	handshake_with(*state, "P-256");
}

static void handshake_with_p384(void **state)
{
	handshake_with(*state, "P-384");
}

static void handshake_with_rsa(void **state)
{
	handshake_with(*state, "RSA");
}

static void handshake_with_ed25519(void **state)
{
	handshake_with(*state, "ED25519");
}

static void handshake_waits_for_the_signature_without_holding_up_the_loop(void **state)
{
	struct world *w = *state;
	int fds[2];

	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns_unanswered(w, 20);
	assert_int_equal(w->signs.n_waiting, 1);
	assert_int_equal(w->a.seen | w->b.seen, 0);
	assert_int_equal(w->signs.waiting[0]->scheme, IPC_SCHEME_ECDSA);
	assert_string_equal(w->signs.waiting[0]->digest, "SHA256");
	assert_int_equal(w->signs.waiting[0]->input.n, 32);
	/* Others go on. */
	struct side x = {.on = CONSUME};
	buf_init(&x.got, 100);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	stream_init(&x.s, w->loop, fds[0], 100, on_stream, &x);
	stream_read(&x.s, true);
	assert_int_equal(write(fds[1], "hi", 2), 2);
	turns_unanswered(w, 2);
	assert_got(&x, "hi");
	stream_fini(&x.s);
	buf_fini(&x.got);
	close(fds[1]);
	turns(w, 6);
	assert_up(w);
}

static void tls12_with(struct world *w, const char *kind, const char *schemes,
		       enum ipc_scheme expected)
{
	char list[64];

	(void)snprintf(list, sizeof(list), "%s", schemes);
	assert_int_equal(SSL_CTX_set_max_proto_version(w->client->ssl, TLS1_2_VERSION), 1);
	assert_int_equal(SSL_CTX_set1_sigalgs_list(w->client->ssl, list), 1);
	add_chain(w, kind, "DNS:mx.test");
	start(w, "mx.test");
	turns_unanswered(w, 20);
	assert_int_equal(w->signs.n_waiting, 1);
	assert_int_equal(w->signs.waiting[0]->scheme, expected);
	turns(w, 10);
	assert_up(w);
	assert_non_null(strstr(stream_tls_text(&w->a.s), "TLSv1.2 ECDHE-"));
	end_pair(w);
}

static void tls12_signs_in_each_scheme(void **state)
{
	struct world *w = *state;

	tls12_with(w, "RSA", "RSA+SHA256", IPC_SCHEME_RSA_PKCS1);
	tls12_with(w, "RSA", "RSA-PSS+SHA384", IPC_SCHEME_RSA_PSS);
	tls12_with(w, "P-256", "ECDSA+SHA512", IPC_SCHEME_ECDSA);
	tls12_with(w, "ED25519", "ed25519", IPC_SCHEME_ED25519);
}

static void tls13_alone_refuses_tls12(void **state)
{
	struct world *w = *state;

	tls_context_destroy(w->server);
	assert_non_null(w->server = tls_server_create(w->loop, true, on_sign, &w->signs, NULL));
	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	end_pair(w);
	assert_int_equal(SSL_CTX_set_max_proto_version(w->client->ssl, TLS1_2_VERSION), 1);
	start(w, "mx.test");
	turns(w, 12);
	assert_true(w->a.seen & STREAM_FAILED);
	assert_true(w->b.seen & STREAM_FAILED);
}

static void tls11_is_refused(void **state)
{
	struct world *w = *state;

	add_chain(w, "RSA", "DNS:mx.test");
	SSL_CTX_set_security_level(w->client->ssl, 0);
	assert_int_equal(SSL_CTX_set_min_proto_version(w->client->ssl, TLS1_VERSION), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(w->client->ssl, TLS1_1_VERSION), 1);
	start(w, "mx.test");
	turns(w, 12);
	assert_true(w->a.seen & STREAM_FAILED);
	assert_int_equal(w->signs.n_asked, 0);
}

static void signature_may_come_at_once(void **state)
{
	struct world *w = *state;

	w->signs.by_itself = true;
	handshake_with(w, "P-256");
}

static uint8_t ticket_keys[3 * 80];

static void set_ticket_keys(struct world *w, int first, int n)
{
	for (size_t i = 0; i < sizeof(ticket_keys); i++)
		ticket_keys[i] = (uint8_t)(i / 80 * 31 + i % 80);
	assert_true(tls_server_set_ticket_keys(
		w->server, slice_of(ticket_keys + first * 80, (size_t)n * 80), NULL));
}

static void resumed_session_needs_no_signature(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	set_ticket_keys(w, 0, 2);
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	end_pair(w);
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	assert_int_equal(w->signs.n_asked, 1);
	end_pair(w);
	/* Another host: nothing to resume. */
	start(w, "mx2.test");
	turns(w, 12);
	assert_up(w);
	assert_int_equal(w->signs.n_asked, 2);
}

static void tls12_session_is_resumed_too(void **state)
{
	struct world *w = *state;

	assert_int_equal(SSL_CTX_set_max_proto_version(w->client->ssl, TLS1_2_VERSION), 1);
	add_chain(w, "P-256", "DNS:mx.test");
	set_ticket_keys(w, 0, 1);
	for (int i = 0; i < 3; i++) {
		start(w, "mx.test");
		turns(w, 12);
		assert_up(w);
		end_pair(w);
	}
	assert_int_equal(w->signs.n_asked, 1);
}

static void sessions_kept_are_bounded_and_the_oldest_goes(void **state)
{
	struct world *w = *state;
	struct tls_resumption *r = &w->client->resumption;
	SSL_SESSION *session;
	char host[32];

	add_chain(w, "P-256", "DNS:mx.test");
	set_ticket_keys(w, 0, 1);
	start(w, "mx.test");
	turns(w, 12);
	assert_non_null(session = tls_resumption_get(r, "mx.test"));
	for (int i = 0; i < TLS_RESUMPTION_MAX + 5; i++) {
		(void)snprintf(host, sizeof(host), "mx%d.test", i);
		tls_resumption_put(r, host, session);
	}
	SSL_SESSION_free(session);
	assert_int_equal(r->hosts.n, TLS_RESUMPTION_MAX);
	assert_null(tls_resumption_get(r, "mx.test"));
	assert_null(tls_resumption_get(r, "mx4.test"));
	assert_non_null(session = tls_resumption_get(r, "mx5.test"));
	tls_resumption_put(r, "mx5.test", session); /* the newest now, and still one */
	tls_resumption_put(r, "last.test", session);
	SSL_SESSION_free(session);
	assert_int_equal(r->hosts.n, TLS_RESUMPTION_MAX);
	assert_null(tls_resumption_get(r, "mx6.test"));
	assert_non_null(session = tls_resumption_get(r, "mx5.test"));
	SSL_SESSION_free(session);
}

static void ticket_of_a_key_that_is_gone_is_a_full_handshake(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	set_ticket_keys(w, 0, 1);
	start(w, "mx.test");
	turns(w, 12);
	end_pair(w);
	set_ticket_keys(w, 1, 1);
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	assert_int_equal(w->signs.n_asked, 2);
}

static void ticket_of_the_key_before_still_resumes(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	set_ticket_keys(w, 1, 1);
	start(w, "mx.test");
	turns(w, 12);
	end_pair(w);
	set_ticket_keys(w, 0, 2);
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	assert_int_equal(w->signs.n_asked, 1);
}

static void without_ticket_keys_nothing_is_resumed(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	for (int i = 1; i <= 2; i++) {
		start(w, "mx.test");
		turns(w, 12);
		assert_up(w);
		assert_int_equal(w->signs.n_asked, i);
		end_pair(w);
	}
}

static void ticket_keys_of_a_wrong_length_are_refused(void **state)
{
	struct world *w = *state;
	struct fault why = {0};

	assert_false(tls_server_set_ticket_keys(w->server, slice_of(ticket_keys, 79), &why));
	assert_false(tls_server_set_ticket_keys(w->server, SLICE_EMPTY, &why));
	assert_int_equal(why.class, FAULT_TEMPORARY);
}

static void octets_behind_starttls_are_thrown_away(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	make_pair(w);
	w->a.on = 0;
	stream_read(&w->a.s, true);
	stream_read(&w->b.s, true);
	assert_true(stream_write(&w->b.s, SLICE("STARTTLS\r\nRSET\r\nMAIL")));
	turns(w, 3);
	stream_consume(&w->a.s, 10);
	assert_true(stream_write(&w->a.s, SLICE("220 go ahead\r\n")));
	assert_true(stream_start_tls(&w->a.s, w->server, NULL, NULL));
	assert_int_equal(stream_input(&w->a.s).n, 0);
	turns(w, 3);
	assert_got(&w->b, "220 go ahead\r\n");
	w->a.on = CONSUME;
	assert_true(stream_start_tls(&w->b.s, w->client, "mx.test", NULL));
	turns(w, 12);
	assert_up(w);
	assert_int_equal(buf_length(&w->a.got), 0);
	assert_true(stream_write(&w->b.s, SLICE("EHLO")));
	turns(w, 3);
	assert_got(&w->a, "EHLO");
}

static void what_was_queued_goes_plain_before_the_handshake(void **state)
{
	struct world *w = *state;
	char out[64];
	int peer;

	add_chain(w, "P-256", "DNS:mx.test");
	make_pair(w);
	peer = w->b.s.fd;
	assert_true(stream_write(&w->a.s, SLICE("220 go\r\n")));
	assert_true(stream_start_tls(&w->a.s, w->server, NULL, NULL));
	assert_true(stream_write(&w->a.s, SLICE("secret")));
	assert_int_equal(stream_unsent(&w->a.s), 14);
	turns(w, 3);
	assert_int_equal(recv(peer, out, sizeof(out), 0), 8);
	assert_memory_equal(out, "220 go\r\n", 8);
}

static void plain_octets_instead_of_a_handshake_fail(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	make_pair(w);
	assert_true(stream_start_tls(&w->a.s, w->server, NULL, NULL));
	assert_true(stream_write(&w->b.s, SLICE("EHLO i.do.not.speak.tls\r\n")));
	turns(w, 5);
	assert_int_equal(w->a.seen, STREAM_FAILED);
	assert_int_equal(stream_fault(&w->a.s)->class, FAULT_TEMPORARY);
	assert_non_null(strstr(stream_fault(&w->a.s)->text, "TLS handshake"));
}

static void end_in_the_middle_of_the_handshake_fails(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns_unanswered(w, 1);
	stream_fini(&w->b.s);
	turns(w, 10);
	assert_true(w->a.seen & STREAM_FAILED);
	assert_false(w->a.seen & STREAM_TLS_UP);
}

static void stream_may_end_while_its_signature_is_pending(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns_unanswered(w, 20);
	assert_int_equal(w->signs.n_waiting, 1);
	stream_fini(&w->a.s);
	turns(w, 3); /* the signature comes now */
	assert_true(w->b.seen & STREAM_FAILED);
	end_pair(w);
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
}

static void stream_may_end_between_signature_and_handshake(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns_unanswered(w, 20);
	answer_all(&w->signs);
	stream_fini(&w->a.s);
	turns(w, 3);
	assert_true(w->b.seen & STREAM_FAILED);
}

static void client_that_leaves_while_signing_is_noticed_afterwards(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns_unanswered(w, 20);
	stream_fini(&w->b.s);
	turns_unanswered(w, 3);
	assert_int_equal(w->a.seen, 0);
	turns(w, 6);
	assert_true(w->a.seen & STREAM_FAILED);
}

static void wrong_signature_fails_both_sides(void **state)
{
	struct world *w = *state;

	w->signs.wrong = true;
	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns(w, 12);
	assert_true(w->b.seen & STREAM_FAILED);
	assert_true(w->a.seen & STREAM_FAILED);
	assert_false((w->a.seen | w->b.seen) & STREAM_TLS_UP);
}

static void signature_that_cannot_be_had_fails(void **state)
{
	struct world *w = *state;

	w->signs.refuse = true;
	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns(w, 12);
	assert_true(w->a.seen & STREAM_FAILED);
	assert_true(w->b.seen & STREAM_FAILED);
	assert_int_equal(stream_fault(&w->a.s)->class, FAULT_TEMPORARY);
	end_pair(w);
	w->signs.refuse = false;
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
}

static void server_without_a_chain_fails_the_handshake(void **state)
{
	struct world *w = *state;

	assert_false(tls_server_has_chain(w->server));
	start(w, "mx.test");
	turns(w, 12);
	assert_true(w->a.seen & STREAM_FAILED);
	add_chain(w, "P-256", "DNS:mx.test");
	assert_true(tls_server_has_chain(w->server));
}

/* Which key signs tells which chain was chosen. */
static int chosen(struct world *w, const char *host)
{
	int found = -1;

	end_pair(w);
	start(w, host);
	turns_unanswered(w, 20);
	assert_int_equal(w->signs.n_waiting, 1);
	for (int i = 0; i < w->signs.n_keys; i++) {
		if (memcmp(tls_key_id(w->signs.keys[i]).p, w->signs.waiting[0]->key_id, 32) == 0)
			found = i;
	}
	turns(w, 10);
	assert_up(w);
	return found;
}

static void name_chooses_the_chain(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.one.test,DNS:smtp.one.test");
	add_chain(w, "ED25519", "DNS:mx.two.test,DNS:*.three.test");
	assert_int_equal(chosen(w, "mx.one.test"), 0);
	assert_int_equal(chosen(w, "smtp.one.test"), 0);
	assert_int_equal(chosen(w, "MX.two.Test"), 1);
	assert_int_equal(chosen(w, "any.three.test"), 1);
	assert_int_equal(chosen(w, "a.b.three.test"), 0);
	assert_int_equal(chosen(w, "three.test"), 0);
	assert_int_equal(chosen(w, "unknown.test"), 0);
	assert_int_equal(chosen(w, NULL), 0);
	assert_int_equal(chosen(w, "192.0.2.1"), 0);
}

static void renewed_chain_replaces_the_old_one_and_sessions_go_on(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.one.test");
	add_chain(w, "P-256", "DNS:mx.two.test");
	assert_int_equal(chosen(w, "mx.one.test"), 0);
	add_chain(w, "P-256", "DNS:new.one.test,DNS:mx.one.test");
	assert_true(stream_write(&w->a.s, SLICE("still here")));
	turns(w, 3);
	assert_got(&w->b, "still here");
	assert_int_equal(chosen(w, "mx.one.test"), 2);
	assert_int_equal(chosen(w, "mx.two.test"), 1);
	assert_int_equal(chosen(w, NULL), 2); /* also as the default */
}

static void default_chain_takes_the_place_of_the_default_whatever_their_names(void **state)
{
	struct world *w = *state;

	give_chain(w, "P-256", "DNS:mx.one.test", tls_server_set_default_chain);
	add_chain(w, "P-256", "DNS:mx.two.test");
	assert_int_equal(chosen(w, NULL), 0);
	give_chain(w, "P-256", "DNS:another.test", tls_server_set_default_chain);
	assert_int_equal(chosen(w, NULL), 2);
	assert_int_equal(chosen(w, "mx.one.test"), 2);
	assert_int_equal(chosen(w, "mx.two.test"), 1);
}

static void chain_replaced_while_its_key_signs(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.one.test");
	start(w, "mx.one.test");
	turns_unanswered(w, 20);
	add_chain(w, "P-256", "DNS:mx.one.test");
	turns(w, 10);
	assert_up(w);
}

static void unusable_chains_are_refused_and_the_old_one_stays(void **state)
{
	struct world *w = *state;
	struct fault why = {0};
	struct buf pem;
	EVP_PKEY *weak = EVP_RSA_gen(1024), *key = EVP_EC_gen("P-256");

	add_chain(w, "P-256", "DNS:mx.test");
	buf_init(&pem, 10000);
	assert_false(tls_server_add_chain(w->server, SLICE_EMPTY, &why));
	assert_int_equal(why.class, FAULT_PERMANENT);
	assert_false(tls_server_add_chain(
		w->server, SLICE("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
		&why));
	assert_int_equal(why.class, FAULT_PERMANENT);
	make_certificate_until(key, "DNS:mx.test", -1, &pem);
	assert_false(tls_server_add_chain(w->server, buf_slice(&pem), &why));
	assert_non_null(strstr(why.text, "expired"));
	assert_int_equal(why.class, FAULT_PERMANENT);
	buf_reset(&pem);
	make_certificate_until(weak, "DNS:mx.test", 30, &pem);
	assert_false(tls_server_add_chain(w->server, buf_slice(&pem), &why));
	assert_non_null(strstr(why.text, "cannot sign"));
	EVP_PKEY_free(weak);
	EVP_PKEY_free(key);
	buf_fini(&pem);
	assert_int_equal(chosen(w, "mx.test"), 0);
}

static void fill(char *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)((i * 2654435761u) >> 13 ^ seed);
}

static void large_transfers_both_ways_arrive_whole(void **state)
{
	enum { N = 3 << 20 };
	struct world *w = *state;
	char *one = malloc(N), *two = malloc(N);

	fill(one, N, 1);
	fill(two, N, 2);
	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	w->a.seen = w->b.seen = 0;
	assert_true(stream_write(&w->a.s, slice_of(one, N)));
	assert_true(stream_write(&w->b.s, slice_of(two, N)));
	for (int i = 0; i < 5000 && (buf_length(&w->a.got) < N || buf_length(&w->b.got) < N); i++)
		turns(w, 1);
	assert_int_equal(buf_length(&w->a.got), N);
	assert_int_equal(buf_length(&w->b.got), N);
	assert_memory_equal(buf_slice(&w->a.got).p, two, N);
	assert_memory_equal(buf_slice(&w->b.got).p, one, N);
	assert_true(w->a.seen & STREAM_DRAINED && w->b.seen & STREAM_DRAINED);
	assert_int_equal(stream_unsent(&w->a.s), 0);
	free(one);
	free(two);
}

static void tls_input_that_has_no_room_waits(void **state)
{
	enum { N = 500000 };
	struct world *w = *state;
	char *one = malloc(N);
	size_t got = 0;

	fill(one, N, 1);
	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	w->a.on = 0;
	w->a.seen = 0;
	assert_true(stream_write(&w->b.s, slice_of(one, N)));
	turns(w, 20);
	assert_int_equal(stream_input(&w->a.s).n, 65536);
	stream_read(&w->a.s, false);
	turns(w, 5);
	for (int i = 0; i < 10000 && got < N; i++) {
		struct slice in = stream_input(&w->a.s);

		/* As a session that takes lines, and now and then pauses. */
		if (in.n > 0) {
			size_t take = in.n < 1000 ? in.n : 1000;

			assert_memory_equal(in.p, one + got, take);
			got += take;
			stream_consume(&w->a.s, take);
		}
		stream_read(&w->a.s, i % 3 != 0);
		turns(w, 1);
	}
	assert_int_equal(got, N);
	free(one);
}

static void close_notify_is_the_end_of_input(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	w->a.seen = 0;
	assert_true(stream_write(&w->b.s, SLICE("QUIT\r\n")));
	turns(w, 1);
	stream_fini(&w->b.s);
	turns(w, 5);
	assert_got(&w->a, "QUIT\r\n");
	assert_true(w->a.seen & STREAM_EOF);
	assert_false(w->a.seen & STREAM_FAILED);
}

static void garbage_in_the_middle_fails(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	w->a.seen = 0;
	assert_int_equal(write(w->b.s.fd, "MAIL FROM:<>\r\nRCPT TO:<>\r\n", 26), 26);
	turns(w, 5);
	assert_int_equal(w->a.seen, STREAM_FAILED);
	assert_string_equal(stream_fault(&w->a.s)->status, "4.4.2");
}

static void callback_may_end_a_tls_stream(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	w->a.fini_on = STREAM_TLS_UP;
	start(w, "mx.test");
	turns(w, 12);
	assert_true(w->a.seen & STREAM_TLS_UP);
	assert_true(w->b.seen & STREAM_EOF);
}

static void certificate_that_nobody_vouches_for_is_used_and_not_verified(void **state)
{
	struct world *w = *state;

	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	assert_false(stream_tls_verified(&w->b.s));
}

static void certificate_is_verified_by_root_and_name(void **state)
{
	struct world *w = *state;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct buf pem, private = private_pem(key);

	buf_init(&pem, 10000);
	make_certificate_until(key, "DNS:mx.test,IP:192.0.2.1", 30, &pem);
	assert_true(tls_server_add_chain(w->server, buf_slice(&pem), NULL));
	assert_true(tls_key_load(buf_slice(&private), &w->signs.keys[w->signs.n_keys++], NULL));
	assert_true(tls_client_set_roots(w->client, buf_slice(&pem), NULL));
	set_ticket_keys(w, 0, 1);
	for (int i = 0; i < 2; i++) { /* the second time resumed */
		start(w, "mx.test");
		turns(w, 12);
		assert_up(w);
		assert_true(stream_tls_verified(&w->b.s));
		end_pair(w);
		start(w, "other.test");
		turns(w, 12);
		assert_up(w);
		assert_false(stream_tls_verified(&w->b.s));
		end_pair(w);
	}
	assert_int_equal(w->signs.n_asked, 2);
	start(w, "192.0.2.1");
	turns(w, 12);
	assert_true(stream_tls_verified(&w->b.s));
	buf_fini(&pem);
	buf_fini(&private);
	EVP_PKEY_free(key);
}

static void required_verification_fails_the_handshake(void **state)
{
	struct world *w = *state;

	tls_context_destroy(w->client);
	assert_non_null(w->client = tls_client_create(w->loop, false, true, NULL));
	add_chain(w, "P-256", "DNS:mx.test");
	start(w, "mx.test");
	turns(w, 12);
	assert_true(w->b.seen & STREAM_FAILED);
	assert_string_equal(stream_fault(&w->b.s)->status, "4.7.5");
	assert_non_null(strstr(stream_fault(&w->b.s)->text, "mx.test"));
}

static void many_handshakes_wait_for_their_turn_to_sign(void **state)
{
	enum { N = 400 }; /* with room below the usual 1024 descriptors */
	struct world *w = *state;
	struct side *sides = calloc(2 * N, sizeof(*sides));
	int up = 0, fds[2];

	add_chain(w, "P-256", "DNS:mx.test");
	for (int i = 0; i < 2 * N; i += 2) {
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
		for (int k = 0; k < 2; k++) {
			stream_init(&sides[i + k].s, w->loop, fds[k], 4096, on_stream,
				    &sides[i + k]);
			assert_true(stream_start_tls(&sides[i + k].s, k ? w->client : w->server,
						     k ? "mx.test" : NULL, NULL));
		}
	}
	turns_unanswered(w, 300);
	assert_int_equal(w->signs.n_waiting, 256);
	/* Some of those that sign leave, and some that wait. */
	for (int i = 0; i < 2 * N; i += 20)
		stream_fini(&sides[i].s);
	for (int i = 0; i < 400; i++)
		turns(w, 1);
	for (int i = 0; i < 2 * N; i += 2)
		up += (sides[i].seen & STREAM_TLS_UP) != 0;
	assert_int_equal(up, N - N / 10);
	for (int i = 0; i < 2 * N; i++)
		stream_fini(&sides[i].s);
	free(sides);
}

static size_t heap_in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void idle_tls_stream_is_small(void **state)
{
	enum { N = 400 }; /* with room below the usual 1024 descriptors */
	struct world *w = *state;
	struct side *sides = calloc(2 * N, sizeof(*sides));
	size_t before, with_both;
	int fds[2];

	add_chain(w, "P-256", "DNS:mx.test");
	set_ticket_keys(w, 0, 1);
	start(w, "mx.test");
	turns(w, 12);
	assert_up(w);
	before = heap_in_use();
	for (int i = 0; i < 2 * N; i += 2) {
		assert_int_equal(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
		for (int k = 0; k < 2; k++) {
			sides[i + k].on = CONSUME;
			buf_init(&sides[i + k].got, 100);
			stream_init(&sides[i + k].s, w->loop, fds[k], 4096, on_stream,
				    &sides[i + k]);
			assert_true(stream_start_tls(&sides[i + k].s, k ? w->client : w->server,
						     k ? "mx.test" : NULL, NULL));
			stream_read(&sides[i + k].s, true);
		}
		turns(w, 8);
		assert_true(sides[i].seen & STREAM_TLS_UP);
		assert_true(stream_write(&sides[i].s, SLICE("220 hello\r\n")));
		assert_true(stream_write(&sides[i + 1].s, SLICE("EHLO you\r\n")));
		turns(w, 4);
		assert_int_equal(buf_length(&sides[i].got), 10);
		buf_fini(&sides[i].got);
		buf_fini(&sides[i + 1].got);
	}
	with_both = heap_in_use();
	for (int i = 0; i < 2 * N; i += 2)
		stream_fini(&sides[i].s);
	size_t server = (with_both - heap_in_use()) / N + sizeof(struct stream);
	size_t client = (heap_in_use() - before) / N + sizeof(struct stream);
	print_message("an idle TLS stream: %zu octets as server, %zu as client\n", server, client);
	if (before > 0) /* a sanitizer's malloc counts nothing */
		assert_true(server < 25000);
	for (int i = 0; i < 2 * N; i++)
		stream_fini(&sides[i].s);
	free(sides);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)
	const struct CMUnitTest tests[] = {
		T(handshake_with_p256),
		T(handshake_with_p384),
		T(handshake_with_rsa),
		T(handshake_with_ed25519),
		T(handshake_waits_for_the_signature_without_holding_up_the_loop),
		T(tls12_signs_in_each_scheme),
		T(tls13_alone_refuses_tls12),
		T(tls11_is_refused),
		T(signature_may_come_at_once),
		T(resumed_session_needs_no_signature),
		T(tls12_session_is_resumed_too),
		T(sessions_kept_are_bounded_and_the_oldest_goes),
		T(ticket_of_a_key_that_is_gone_is_a_full_handshake),
		T(ticket_of_the_key_before_still_resumes),
		T(without_ticket_keys_nothing_is_resumed),
		T(ticket_keys_of_a_wrong_length_are_refused),
		T(octets_behind_starttls_are_thrown_away),
		T(what_was_queued_goes_plain_before_the_handshake),
		T(plain_octets_instead_of_a_handshake_fail),
		T(end_in_the_middle_of_the_handshake_fails),
		T(stream_may_end_while_its_signature_is_pending),
		T(stream_may_end_between_signature_and_handshake),
		T(client_that_leaves_while_signing_is_noticed_afterwards),
		T(wrong_signature_fails_both_sides),
		T(signature_that_cannot_be_had_fails),
		T(server_without_a_chain_fails_the_handshake),
		T(name_chooses_the_chain),
		T(renewed_chain_replaces_the_old_one_and_sessions_go_on),
		T(default_chain_takes_the_place_of_the_default_whatever_their_names),
		T(chain_replaced_while_its_key_signs),
		T(unusable_chains_are_refused_and_the_old_one_stays),
		T(large_transfers_both_ways_arrive_whole),
		T(tls_input_that_has_no_room_waits),
		T(close_notify_is_the_end_of_input),
		T(garbage_in_the_middle_fails),
		T(callback_may_end_a_tls_stream),
		T(certificate_that_nobody_vouches_for_is_used_and_not_verified),
		T(certificate_is_verified_by_root_and_name),
		T(required_verification_fails_the_handshake),
		T(many_handshakes_wait_for_their_turn_to_sign),
		T(idle_tls_stream_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
