/* common/tls/session.h: the TLS half of a stream, and what all of them share. For this room alone.
 * Touches: OpenSSL; no socket. OpenSSL reads and writes buffers of ours, so that a wake-up is one
 * recv and a turn of the loop one send.
 *
 * 1. In a handshake that needs a signature, OpenSSL's async job is paused: t->asked is set, no
 * input is taken. tls_sign_done lets it go on.
 * 2. t->asked belongs to the session until it has been done and taken, or until the session ends
 * first: then it has no owner, and tls_sign_done frees it.
 * 3. At most TLS_SIGNING_MAX jobs are paused (each has a stack of 32 KiB, which OpenSSL keeps for
 * the next one); further handshakes wait in context->waiting. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/tls/chains.h"
#include "common/tls/context.h"
#include "common/tls/resumption.h"
#include "common/tls/stand_in.h"
#include "common/tls/tickets.h"

struct fault;
struct loop;
struct stream;
struct tls_asked;

#define TLS_SIGNING_MAX 256

struct tls_context {
	bool is_server, verify_required;
	struct tls_library library; /* a server's */
	SSL_CTX *ssl;
	BIO_METHOD *bio;
	size_t n_sessions;
	/* a server's */
	struct tls_asker asker;
	tls_sign_fn *sign;
	void *sign_arg;
	struct tls_session *current; /* whose handshake OpenSSL is in */
	size_t n_signing;
	struct list waiting;
	struct tls_chains chains;
	struct tls_tickets tickets;
	/* a client's */
	struct tls_resumption resumption;
};

struct tls_session {
	struct tls_context *context;
	struct stream *stream;
	SSL *ssl;
	char *host;	   /* a client's */
	struct buf wire;   /* to be sent as it is */
	struct buf raw;	   /* received, and not taken by OpenSSL yet */
	struct slice feed; /* the same, behind raw, during a call */
	struct tls_asked *asked;
	struct list waiting;
	bool up;
	char text[64];
};

/* How OpenSSL reads and writes the buffers; one for each context. NULL: memory is out. */
BIO_METHOD *tls_session_bio_create(void);
tls_ask_fn tls_session_ask;

/* What s has queued becomes the beginning of wire. NULL: why, temporary. The caller owns it. */
struct tls_session *tls_session_create(struct stream *s, struct tls_context *c, const char *host,
				       struct fault *why);
/* Ends a paused job. A close_notify is appended to wire when there was TLS. */
void tls_session_end(struct tls_session *t);
void tls_session_destroy(struct tls_session *t);

/* Goes on with the handshake, or decrypts into the stream's in as much as fits, when reading is on.
 * Returns events; with STREAM_FAILED why is filled. received is borrowed; what is not taken is
 * kept. */
unsigned tls_session_input(struct tls_session *t, struct slice received, struct fault *why);
/* Should more be received now? */
bool tls_session_wants_input(const struct tls_session *t);
/* Encrypts of the stream's out as much as makes one send. False: why. */
MUST_USE bool tls_session_output(struct tls_session *t, struct fault *why);
