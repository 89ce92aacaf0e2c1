#include "common/tls/session.h"

#include <openssl/async.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/address.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/event/loop.h"
#include "common/tls/errors.h"
#include "common/tls/key.h"
#include "common/tls/stream.h"

enum {
	RECORD_BYTES = 16384,	     /* RFC 8446 5.1 */
	WIRE_FULL_BYTES = 4 * 16384, /* enough for one send */
	WIRE_MAX_BYTES = 1u << 20,   /* STREAM_OUT_MAX_BYTES plain may be in front of a handshake */
	RAW_MAX_BYTES = 1u << 17,    /* one recv, and what OpenSSL left of the one before */
	SIGNATURE_MAX_BYTES = 1024,  /* IPC_SIGN_ANSWER */
};

/* A signature asked for, with a copy of what is signed behind it. */
struct tls_asked {
	struct tls_sign_request request;
	struct tls_session *owner; /* NULL: the session has ended */
	bool done;
	size_t n; /* 0: it could not be had */
	uint8_t signature[SIGNATURE_MAX_BYTES];
	char input[];
};

/* ---- OpenSSL's view of the socket ---- */

static int bio_read(BIO *bio, char *out, size_t size, size_t *n)
{
	struct tls_session *t = BIO_get_data(bio);
	struct slice from = buf_length(&t->raw) > 0 ? buf_slice(&t->raw) : t->feed;

	BIO_clear_retry_flags(bio);
	*n = from.n < size ? from.n : size;
	if (*n == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(out, from.p, *n);
	if (buf_length(&t->raw) > 0)
		buf_consume(&t->raw, *n);
	else
		t->feed = slice_of(t->feed.p + *n, t->feed.n - *n);
	return 1;
}

static int bio_write(BIO *bio, const char *in, size_t size, size_t *n)
{
	struct tls_session *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (!buf_append(&t->wire, slice_of(in, size)))
		return 0;
	*n = size;
	return 1;
}

static long bio_ctrl(BIO *bio, int command, long n, void *p)
{
	(void)bio;
	(void)n;
	(void)p;
	return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_session_bio_create(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "tassis stream");

	if (m && BIO_meth_set_read_ex(m, bio_read) == 1 &&
	    BIO_meth_set_write_ex(m, bio_write) == 1 && BIO_meth_set_ctrl(m, bio_ctrl) == 1)
		return m;
	BIO_meth_free(m);
	return NULL;
}

/* ---- begin and end ---- */

/* RFC 6066 3: a name, never an address; the check of the certificate takes either. */
static bool name_host(SSL *ssl, char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	struct ip ip;

	if (ip_parse(slice_of_cstr(host), &ip))
		return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

static bool set_up_client(struct tls_session *t, const char *host)
{
	SSL_SESSION *old;
	bool ok = true;

	SSL_set_connect_state(t->ssl);
	if (host == NULL)
		return true;
	if ((t->host = strdup(host)) == NULL || !name_host(t->ssl, t->host))
		return false;
	if ((old = tls_resumption_get(&t->context->resumption, host)) != NULL)
		ok = SSL_set_session(t->ssl, old) == 1;
	SSL_SESSION_free(old);
	return ok;
}

struct tls_session *tls_session_create(struct stream *s, struct tls_context *c, const char *host,
				       struct fault *why)
{
	struct tls_session *t = memory_alloc(1, sizeof(*t), why);
	BIO *bio;

	if (t == NULL)
		return NULL;
	*t = (struct tls_session){.context = c, .stream = s};
	list_init(&t->waiting);
	buf_init(&t->raw, RAW_MAX_BYTES);
	buf_init(&t->wire, STREAM_OUT_MAX_BYTES + WIRE_MAX_BYTES);
	c->n_sessions++;
	ERR_clear_error();
	if ((t->ssl = SSL_new(c->ssl)) == NULL || SSL_set_app_data(t->ssl, t) != 1 ||
	    (bio = BIO_new(c->bio)) == NULL)
		goto failed;
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	if (c->is_server) {
		SSL_set_accept_state(t->ssl);
		SSL_set_mode(t->ssl, SSL_MODE_ASYNC);
	} else if (!set_up_client(t, host)) {
		goto failed;
	}
	if (!buf_append(&t->wire, buf_slice(&s->out)))
		goto failed;
	buf_fini(&s->out);
	return t;
failed:
	tls_errors_to_fault(why, "4.3.1", "cannot begin TLS");
	tls_session_destroy(t);
	return NULL;
}

/* A slot is free: the next handshake that waits for one may try. */
static void let_next_on(struct tls_context *c)
{
	struct list *first = list_first(&c->waiting);

	if (first == NULL || c->n_signing >= TLS_SIGNING_MAX)
		return;
	list_remove(first);
	loop_task_schedule(&LIST_ENTRY(first, struct tls_session, waiting)->stream->task);
}

static int step(struct tls_session *t)
{
	int result;

	ERR_clear_error();
	t->context->current = t;
	result = SSL_do_handshake(t->ssl);
	t->context->current = NULL;
	return result == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, result);
}

void tls_session_end(struct tls_session *t)
{
	struct tls_asked *asked = t->asked;

	if (asked) {
		t->asked = NULL; /* what tells the paused job that it is over; it must run to its
				    end, or its stack is lost */
		if (asked->done)
			free(asked);
		else
			asked->owner = NULL;
		t->context->n_signing--;
		(void)step(t);
	}
	if (t->up && !t->stream->failed)
		(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

void tls_session_destroy(struct tls_session *t)
{
	if (t == NULL)
		return;
	list_remove(&t->waiting);
	let_next_on(t->context);
	t->context->n_sessions--;
	SSL_free(t->ssl);
	buf_fini(&t->raw);
	buf_fini(&t->wire);
	free(t->host);
	free(t);
}

/* ---- signatures ---- */

bool tls_session_ask(struct tls_asker *asker, const uint8_t *key_id, enum ipc_scheme scheme,
		     const char *digest, struct slice input, uint8_t *out, size_t size, size_t *n)
{
	struct tls_session *t = CONTAINER_OF(asker, struct tls_context, asker)->current;
	struct tls_asked *asked = t && ASYNC_get_current_job()
					  ? memory_alloc(1, sizeof(*asked) + input.n, NULL)
					  : NULL;
	size_t n_digest = strlen(digest);
	bool ok;

	if (asked == NULL || n_digest >= sizeof(asked->request.digest)) {
		free(asked);
		return false;
	}
	memcpy(asked->input, input.p, input.n);
	memcpy(asked->request.key_id, key_id, sizeof(asked->request.key_id));
	memcpy(asked->request.digest, digest, n_digest);
	asked->request.scheme = scheme;
	asked->request.input = slice_of(asked->input, input.n);
	asked->owner = t;
	t->asked = asked;
	ASYNC_pause_job(); /* step() returns to its caller here, and comes back from its next call
			    */
	if ((asked = t->asked) == NULL)
		return false;
	t->asked = NULL;
	ok = asked->done && asked->n > 0 && asked->n <= size;
	if (ok) {
		memcpy(out, asked->signature, asked->n);
		*n = asked->n;
	}
	free(asked);
	return ok;
}

void tls_sign_done(struct tls_sign_request *request, struct slice signature)
{
	struct tls_asked *asked = CONTAINER_OF(request, struct tls_asked, request);

	if (asked->owner == NULL) {
		free(asked);
		return;
	}
	if (signature.n <= sizeof(asked->signature) && signature.n > 0) {
		memcpy(asked->signature, signature.p, signature.n);
		asked->n = signature.n;
	}
	asked->done = true;
	loop_task_schedule(&asked->owner->stream->task);
}

/* ---- the handshake ---- */

static void handshake_fault(struct tls_session *t, int error, struct fault *why)
{
	long verified = SSL_get_verify_result(t->ssl);

	if (!t->context->is_server && t->context->verify_required && verified != X509_V_OK) {
		fault_set(why, "4.7.5", "the certificate of %s cannot be trusted: %s",
			  t->host ? t->host : "the far end",
			  X509_verify_cert_error_string(verified));
		ERR_clear_error();
		return;
	}
	tls_errors_to_fault(why, "4.7.5",
			    error == SSL_ERROR_SSL ? "the TLS handshake failed"
						   : "the TLS handshake broke off");
}

static unsigned is_up(struct tls_session *t)
{
	t->up = true;
	SSL_clear_mode(t->ssl, SSL_MODE_ASYNC);
	(void)snprintf(t->text, sizeof(t->text), "%s %s", SSL_get_version(t->ssl),
		       SSL_get_cipher_name(t->ssl));
	return STREAM_TLS_UP;
}

/* Goes on as far as it can. */
static unsigned handshake(struct tls_session *t, struct fault *why)
{
	struct tls_context *c = t->context;
	bool resumed = t->asked && t->asked->done;
	int error;

	if (t->asked && !resumed)
		return 0;
	if (!resumed && c->is_server && buf_length(&t->raw) == 0 && t->feed.n == 0)
		return 0;
	list_remove(&t->waiting);
	if (!resumed && c->is_server && c->n_signing >= TLS_SIGNING_MAX) {
		list_append(&c->waiting, &t->waiting);
		return 0;
	}
	if (resumed)
		c->n_signing--;
	error = step(t);
	if (t->asked) {
		c->n_signing++;
		c->sign(c->sign_arg, &t->asked->request);
		return 0;
	}
	let_next_on(c);
	if (error == SSL_ERROR_NONE)
		return is_up(t);
	if (error == SSL_ERROR_WANT_READ)
		return 0;
	if (t->host)
		tls_resumption_forget(&c->resumption, t->host);
	handshake_fault(t, error, why);
	return STREAM_FAILED;
}

/* ---- octets ---- */

static unsigned decrypt(struct tls_session *t, struct fault *why)
{
	struct buf *in = &t->stream->in;
	char plain[RECORD_BYTES];
	unsigned events = 0;
	size_t n, room;

	while (t->stream->reading && !t->stream->eof && (room = in->max - buf_length(in)) > 0) {
		ERR_clear_error();
		if (SSL_read_ex(t->ssl, plain, room < sizeof(plain) ? room : sizeof(plain), &n) ==
		    1) {
			if (!buf_append(in, slice_of(plain, n))) {
				fault_set(why, "4.3.1", "out of memory");
				return events | STREAM_FAILED;
			}
			events |= STREAM_INPUT;
			continue;
		}
		switch (SSL_get_error(t->ssl, 0)) {
		case SSL_ERROR_WANT_READ:
			return events;
		case SSL_ERROR_ZERO_RETURN: /* close_notify */
			t->stream->eof = true;
			return events | STREAM_EOF;
		default:
			tls_errors_to_fault(why, "4.4.2", "the TLS connection broke");
			return events | STREAM_FAILED;
		}
	}
	return events;
}

unsigned tls_session_input(struct tls_session *t, struct slice received, struct fault *why)
{
	unsigned events = 0;

	t->feed = received;
	if (!t->up)
		events = handshake(t, why);
	if (t->up && !(events & STREAM_FAILED) &&
	    (t->feed.n > 0 || buf_length(&t->raw) > 0 || SSL_has_pending(t->ssl)))
		events |= decrypt(t, why);
	if (buf_length(&t->raw) == 0)
		buf_fini(&t->raw);
	if (t->feed.n > 0 && !t->stream->eof && !(events & STREAM_FAILED) &&
	    !buf_append(&t->raw, t->feed)) {
		fault_set(why, "4.3.1", "out of memory");
		events |= STREAM_FAILED;
	}
	t->feed = SLICE_EMPTY;
	return events;
}

bool tls_session_wants_input(const struct tls_session *t)
{
	const struct stream *s = t->stream;

	if (!t->up)
		return t->asked == NULL && list_empty(&t->waiting);
	return buf_length(&t->raw) == 0 && buf_length(&s->in) < s->in.max;
}

bool tls_session_output(struct tls_session *t, struct fault *why)
{
	struct buf *out = &t->stream->out;
	struct slice left;
	size_t n;

	while (t->up && (left = buf_slice(out)).n > 0 && buf_length(&t->wire) < WIRE_FULL_BYTES) {
		ERR_clear_error();
		if (SSL_write_ex(t->ssl, left.p, left.n < RECORD_BYTES ? left.n : RECORD_BYTES,
				 &n) != 1) {
			tls_errors_to_fault(why, "4.4.2", "the TLS connection broke");
			return false;
		}
		buf_consume(out, n);
	}
	return true;
}
