/* common/tls/stream.h: one non-blocking TCP connection, plain or TLS, with its buffers.
 * Touches: the socket. smtpd and deliverd share it.
 *
 * Buffers come when octets do and go back when empty: an idle connection has none. Output is gathered and sent
 * once a turn of the loop, so that the replies to a pipelined group are one segment. The callback is called from the loop, never from
 * inside a call here, and may call stream_fini. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/slice.h"
#include "common/event/loop.h"

struct tls_context;
struct tls_session;

enum stream_event {
	STREAM_INPUT = 1,    /* stream_input has more than before, or still something when reading was switched on again */
	STREAM_DRAINED = 2,  /* all output has been handed to the kernel */
	STREAM_TLS_UP = 4,   /* the handshake is done */
	STREAM_EOF = 8,      /* the other side has closed; what came before is still in stream_input */
	STREAM_FAILED = 16,  /* the connection or the handshake failed: stream_fault says how */
	STREAM_CONNECTED = 32,
};
typedef void stream_fn(void *arg, unsigned events);

struct stream {
	struct loop_io io;
	struct loop_task task;
	int fd;
	unsigned pending; /* events for the task to report */
	stream_fn *fn;
	void *arg;
	struct buf in, out;
	struct tls_session *tls;
	struct fault *why; /* made when needed */
	bool reading, eof, failed, connecting;
	bool blocked; /* the kernel took no more: wait until it does */
	bool written; /* something was written since the last STREAM_DRAINED */
};

/* Output queued at most; beyond, stream_write fails. Wait for STREAM_DRAINED long before. */
#define STREAM_OUT_MAX_BYTES (4u << 20)

/* Takes fd (a connected or connecting non-blocking socket). Reads nothing before stream_read. in_max: input kept unread at most. */
void stream_init(struct stream *s, struct loop *l, int fd, size_t in_max, stream_fn *fn, void *arg);
/* Starts a connection (with stream_init's fd made here) from any local address, with TCP_NODELAY. Event STREAM_CONNECTED or STREAM_FAILED. Fails at once
 * (temporary; s is as zeroed) when the kernel does; stream_write is allowed at once. */
struct ip;
MUST_USE bool stream_connect(struct stream *s, struct loop *l, const struct ip *ip, uint16_t port, size_t in_max, stream_fn *fn, void *arg, struct fault *why);
/* Closes and frees; output not yet sent is lost (wait for STREAM_DRAINED first). With TLS a close_notify is tried. Safe on a zeroed one. */
void stream_fini(struct stream *s);

/* Switches reading on or off: off is the back-pressure, and nothing is reported of input or the end of it until it is on again, when both are
 * reported again. Off and on costs no system call unless something arrives in between. */
void stream_read(struct stream *s, bool on);
/* What was received and not consumed; valid until the next call on s or turn of the loop. */
struct slice stream_input(const struct stream *s);
void stream_consume(struct stream *s, size_t n);
/* Input behind what was consumed is thrown away: RFC 3207 4.2, before the handshake. */
void stream_discard_input(struct stream *s);

/* Queues output (copied), sent at the end of this turn. False: memory is out, too much is queued, or the connection has failed already. */
bool stream_write(struct stream *s, struct slice octets);
/* The same for what is a secret: the copy is overwritten when its memory is given back. */
bool stream_write_secret(struct stream *s, struct slice octets);
/* Output queued and not sent. */
size_t stream_unsent(const struct stream *s);

/* Begins the handshake, as the server or the client (host: for SNI and the name check; NULL for a server), once what is queued has been sent plain. Nothing received before
 * counts as TLS. Event STREAM_TLS_UP or STREAM_FAILED. */
MUST_USE bool stream_start_tls(struct stream *s, struct tls_context *context, const char *host, struct fault *why);
bool stream_is_tls(const struct stream *s);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384"; "" when plain. Borrowed from s. */
const char *stream_tls_text(const struct stream *s);
/* RFC 3848's protocol name needs only stream_is_tls; Received wants version, cipher and bits: appended as in "(TLSv1.3:TLS_AES_256_GCM_SHA384:256)". */
bool stream_append_tls(const struct stream *s, struct buf *out);
/* Did the far end's certificate verify (chain and name)? */
bool stream_tls_verified(const struct stream *s);
const struct fault *stream_fault(const struct stream *s);
