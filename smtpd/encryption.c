#include "smtpd/encryption.h"

#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/tls/context.h"
#include "common/tls/key.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"
#include "smtpd/verbs.h"

enum {
	CHAIN_BYTES = 1 << 20,
	SIGN_LIMIT_MS = 10000,
	TICKETS_LIMIT_MS = 10000,
	TICKETS_RETRY_MS = 5000,
	TICKETS_MARGIN_MS = 60000, /* asked again so long before they are over */
	TICKETS_LEAST_MS = 1000,
};

/* ---- signatures ---- */

struct signature {
	struct list node;
	struct ipc_ask ask;
	struct tls_sign_request *request;
};

static void sign_finish(struct signature *g, struct slice octets)
{
	struct tls_sign_request *request = g->request;

	list_remove(&g->node);
	ipc_ask_cancel(&g->ask);
	free(g);
	tls_sign_done(request, octets);
}

static void sign_answered(void *arg, const struct ipc_message *answer, int *fd,
			  const struct fault *why)
{
	(void)fd;
	(void)why;
	sign_finish(arg, answer != NULL && answer->type == IPC_TYPE_sign_answer
				 ? answer->sign_answer.signature
				 : SLICE_EMPTY);
}

/* A handshake waits for it, suspended; the loop goes on. */
static void sign(void *arg, struct tls_sign_request *request)
{
	struct smtpd *d = arg;
	struct slice key_id = slice_of(request->key_id, sizeof(request->key_id));
	struct ipc_peer *lookupd = service_peer_for(d->service, IPC_ROLE_LOOKUPD, key_id);
	struct ipc_message m =
		IPC_MESSAGE(sign_ask, .key_id = key_id, .scheme = (uint8_t)request->scheme,
			    .digest = slice_of_cstr(request->digest), .input = request->input);
	struct signature *g = memory_alloc(1, sizeof(*g), NULL);

	if (g == NULL) {
		tls_sign_done(request, SLICE_EMPTY);
		return;
	}
	g->request = request;
	list_append(&d->encryption.signatures, &g->node);
	if (lookupd == NULL ||
	    !ipc_ask(lookupd, &g->ask, &m, -1, SIGN_LIMIT_MS, true, sign_answered, g, NULL))
		sign_finish(g, SLICE_EMPTY);
}

/* ---- ticket keys: every worker has the same, so a session is resumed at any of them ---- */

static void tickets_ask(void *arg);

static uint64_t renew_after_ms(uint64_t valid_ms)
{
	uint64_t after_ms =
		valid_ms > 2 * TICKETS_MARGIN_MS ? valid_ms - TICKETS_MARGIN_MS : valid_ms / 2;

	return after_ms < TICKETS_LEAST_MS ? TICKETS_LEAST_MS : after_ms;
}

static void tickets_answered(void *arg, const struct ipc_message *answer, int *fd,
			     const struct fault *why)
{
	struct smtpd *d = arg;
	struct fault bad = {0};

	(void)fd;
	(void)why;
	if (answer != NULL && answer->type == IPC_TYPE_tickets_answer &&
	    tls_server_set_ticket_keys(d->encryption.context, answer->tickets_answer.keys, &bad))
		loop_timer_set(&d->encryption.renew,
			       renew_after_ms(answer->tickets_answer.valid_ms));
	else
		loop_timer_set(&d->encryption.renew, TICKETS_RETRY_MS);
}

static void tickets_ask(void *arg)
{
	struct smtpd *d = arg;
	struct ipc_peer *lookupd = service_peer(d->service, IPC_ROLE_LOOKUPD, 0);
	struct ipc_message m = IPC_MESSAGE(tickets_ask, .group = 0);

	if (lookupd == NULL || !ipc_ask(lookupd, &d->encryption.tickets, &m, -1, TICKETS_LIMIT_MS,
					true, tickets_answered, d, NULL))
		loop_timer_set(&d->encryption.renew, TICKETS_RETRY_MS);
}

/* ---- beginning, end, certificate ---- */

bool encryption_start(struct smtpd *d, struct fault *why)
{
	struct encryption *e = &d->encryption;

	list_init(&e->signatures);
	loop_timer_init(&e->renew, d->loop, tickets_ask, d);
	e->context = tls_server_create(d->loop, smtpd_settings(d)->tls_minimum == TLS_MINIMUM_1_3,
				       sign, d, why);
	if (e->context == NULL)
		return false;
	tickets_ask(d);
	return true;
}

void encryption_stop(struct smtpd *d)
{
	struct encryption *e = &d->encryption;

	if (e->signatures.next == NULL)
		return;
	ipc_ask_cancel(&e->tickets);
	loop_timer_cancel(&e->renew);
	LIST_EACH (node, &e->signatures)
		sign_finish(LIST_ENTRY(node, struct signature, node), SLICE_EMPTY);
	tls_context_destroy(e->context);
	e->context = NULL;
}

void encryption_take_certificate(struct smtpd *d, int fd, struct slice path)
{
	struct fault why = {0};
	struct buf pem;

	buf_init(&pem, CHAIN_BYTES);
	if (fd_slurp(fd, &pem, &why) &&
	    tls_server_set_default_chain(d->encryption.context, buf_slice(&pem), &why))
		log_event(file_taken, F_SLICE(file, path));
	else
		log_event(file_unusable, F_SLICE(file, path), F_FAULT(&why));
	buf_fini(&pem);
}

/* ---- in a session ---- */

bool encryption_is_offered(const struct session *s)
{
	return (s->tls == LISTENER_TLS_STARTTLS || s->tls == LISTENER_TLS_REQUIRED) &&
	       !stream_is_tls(&s->stream) && tls_server_has_chain(s->smtpd->encryption.context);
}

bool encryption_begin(struct session *s, struct fault *why)
{
	if (!tls_server_has_chain(s->smtpd->encryption.context)) {
		fault_set(why, "4.7.0", "there is no certificate");
		return false;
	}
	return stream_start_tls(&s->stream, s->smtpd->encryption.context, NULL, why);
}

/* RFC 3207 4.2: what was said in the clear is as if never said. */
static void forget(struct session *s)
{
	session_reset(s);
	s->helo = SLICE_EMPTY;
	s->user = SLICE_EMPTY;
	s->extended = false;
}

enum next verb_starttls(struct session *s, struct slice argument)
{
	struct fault why = {0};
	struct reply r;

	(void)argument;
	if (stream_is_tls(&s->stream)) {
		reply_set(&r, 503, "5.5.1", "TLS is on already");
		return session_refuse_command(s, &r);
	}
	if (s->tls == LISTENER_TLS_NONE) {
		reply_set(&r, 502, "5.5.1", "STARTTLS is not done here");
		return session_refuse_command(s, &r);
	}
	if (!encryption_is_offered(s)) {
		reply_set(&r, 454, "4.7.0", "TLS is not available now");
		return session_refuse_command(s, &r);
	}
	reply_set(&r, 220, "2.0.0", "begin the handshake");
	session_reply(s, &r);
	session_send_replies(s);
	forget(s);
	/* Whatever came behind the command was said in the clear, perhaps by somebody between us.
	 */
	session_discard_input(s);
	if (encryption_begin(s, &why))
		return session_wait(s, STEP_encrypted);
	log_event(tls_failed, F_ID(session_id(s)), F_IP(client, &s->address), F_FAULT(&why));
	s->ending = "TLS failed";
	return NEXT_END;
}

enum next step_encrypted(struct session *s)
{
	log_event(tls_started, F_ID(session_id(s)), F_IP(client, &s->address),
		  F_TEXT(tls, stream_tls_text(&s->stream)));
	if (s->tls == LISTENER_TLS_IMPLICIT)
		return session_go(s, STEP_connected);
	return session_command(s);
}
