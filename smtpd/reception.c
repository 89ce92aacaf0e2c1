/* DATA (RFC 5321 4.1.1.4): the message goes once through the line rules and the header scanner into
 * the spool writer. When the writer is full, reading stops. */
#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/mail/trace.h"
#include "common/spool/envelope.h"
#include "common/spool/writer.h"
#include "smtpd/facts.h"
#include "smtpd/handover.h"
#include "smtpd/inspection.h"
#include "smtpd/policy.h"
#include "smtpd/signing.h"
#include "smtpd/smtpd.h"
#include "smtpd/submission.h"
#include "smtpd/transaction.h"
#include "smtpd/verbs.h"
#include "smtpd/verification.h"

enum { FRONT_BYTES = 65536 }; /* with the signatures of a domain that has many keys */

/* The message that ended with the transaction, refused. */
static enum next refuse_message(struct session *s, struct slice id, const struct reply *no)
{
	const struct transaction *t = s->transaction;

	log_event(message_refused, F_ID(id), F_SLICE(session, session_id(s)),
		  F_IP(client, &s->address), F_SLICE(user, s->user),
		  F_SLICE(from, t ? t->reverse_path : SLICE_EMPTY), F_NUMBER(reply, no->code),
		  F_TEXT(status, no->status), F_TEXT(reason, no->text));
	session_reset(s);
	return session_refuse(s, no);
}

/* ---- the beginning ---- */

/* save_sent: what a user submits goes into the user's mailbox sent, too. */
static bool saves_sent(const struct session *s)
{
	return smtpd_settings(s->smtpd)->save_sent && s->user.n > 0 &&
	       s->user.n <= ENVELOPE_PATH_MAX && s->transaction->reverse_path.n > 0;
}

static bool encode_envelope(const struct session *s, struct transaction *t, struct fault *why)
{
	struct envelope_recipient *all = memory_alloc(t->n_recipients + 1, sizeof(*all), why);
	struct envelope e = {.reverse_path = t->reverse_path,
			     .client = s->address,
			     .helo = s->helo,
			     .client_name = s->client_name,
			     .user = s->user,
			     .ret = t->ret,
			     .envid = t->envid,
			     .eight_bit = t->eight_bit,
			     .spam = t->spam,
			     .recipients = all};
	bool ok;

	if (all == NULL)
		return false;
	for (const struct recipient *r = t->first; r != NULL; r = r->next)
		all[e.n_recipients++] = (struct envelope_recipient){
			.forward_path = r->forward_path, .notify = r->notify, .orcpt = r->orcpt};
	if (saves_sent(s))
		all[e.n_recipients++] = (struct envelope_recipient){.forward_path = s->user,
								    .mailbox = SLICE("sent")};
	ok = envelope_encode(&e, &t->envelope);
	if (!ok)
		fault_set(why, "4.3.1", "the envelope is too large");
	free(all);
	return ok;
}

/* Called by the writer when it has room again. */
static void writer_ready(void *arg)
{
	session_note(session_of(arg));
}

static bool may_begin(const struct session *s, struct reply *no)
{
	const struct transaction *t = s->transaction;

	if (t == NULL)
		reply_set(no, 503, "5.5.1", "say MAIL first");
	else if (t->n_recipients == 0 && t->n_refused > 0)
		reply_set(no, 554, "5.5.1", "no recipient was taken");
	else if (t->n_recipients == 0)
		reply_set(no, 503, "5.5.1", "say RCPT first");
	else
		return true;
	return false;
}

enum next verb_data(struct session *s, struct slice argument)
{
	struct transaction *t = s->transaction;
	struct fault why = {0};
	struct reply r;

	(void)argument;
	if (!may_begin(s, &r))
		return session_refuse_command(s, &r);
	t->received_us = loop_wall_us(s->smtpd->loop);
	inspection_begin(s);
	if (!signing_begin(s, &why) || !encode_envelope(s, t, &why) ||
	    !spool_writer_begin(&s->smtpd->place, t->id, t->received_us, buf_slice(&t->envelope),
				writer_ready, s, &t->writer, &why)) {
		reply_set_fault(&r, 452, &why);
		return refuse_message(s, transaction_id(t), &r);
	}
	reply_set(&r, 354, "", "go on; CR LF . CR LF ends it");
	session_reply(s, &r);
	return session_wait(s, STEP_content);
}

/* ---- the content ---- */

static void swallow(struct transaction *t, enum content_fault fault)
{
	t->content = fault;
	spool_writer_abort(t->writer);
	t->writer = NULL;
}

/* What comes with the header's end in one run is kept too, and then nothing more; without memory the
 * kept octets say so at the end. False: the header is too large. */
static bool keep_header(const struct session *s, struct slice run)
{
	struct transaction *t = s->transaction;

	if (t->header.ended || !(submission_keeps_header(s) || verification_keeps_header(s)))
		return true;
	if (buf_length(&t->kept_header) > KEPT_HEADER_MAX)
		return false;
	(void)buf_append(&t->kept_header, run);
	return true;
}

/* A run of content is looked at once. */
static void look_at(struct session *s, struct slice run)
{
	const struct settings *conf = smtpd_settings(s->smtpd);
	struct transaction *t = s->transaction;

	t->size_bytes += run.n;
	if (t->content != CONTENT_GOOD)
		return;
	if (!keep_header(s, run)) {
		swallow(t, CONTENT_HEADER_TOO_BIG);
		return;
	}
	header_feed(&t->header, run);
	verification_take(s, run);
	signing_take(s, run);
	if (t->size_bytes > conf->message_size_max)
		swallow(t, CONTENT_TOO_BIG);
	else if (t->header.n_received > conf->received_max)
		swallow(t, CONTENT_LOOPS);
}

/* False: the writer is full, nothing was taken. */
static bool store(struct transaction *t, struct slice run)
{
	return t->writer == NULL || run.n == 0 || spool_writer_append(t->writer, run);
}

static enum next finish(struct session *s);

/* A client that sends bare CR or LF may have a message within its message, of which one of us sees
 * the end where the other does not. */
static enum next refuse_lines(struct session *s)
{
	struct reply no;

	reply_set(&no, 521, "5.5.2", "lines end in CR LF; a bare CR or LF is not taken");
	log_event(message_refused, F_ID(transaction_id(s->transaction)),
		  F_SLICE(session, session_id(s)), F_IP(client, &s->address),
		  F_SLICE(from, s->transaction->reverse_path), F_NUMBER(reply, no.code),
		  F_TEXT(status, no.status), F_TEXT(reason, no.text));
	s->taken_bytes = (uint32_t)stream_input(&s->stream).n;
	return session_close(s, &no, "a bare CR or LF in a message");
}

static enum next go_on(struct session *s, struct slice rest)
{
	struct transaction *t = s->transaction;
	struct slice input = stream_input(&s->stream), run;

	for (;;) {
		switch (lines_next(&t->lines, &rest, &run)) {
		case LINES_MORE:
			s->taken_bytes = (uint32_t)input.n;
			return session_wait(s, STEP_content);
		case LINES_END:
			s->taken_bytes = (uint32_t)(input.n - rest.n);
			return finish(s);
		case LINES_BARE:
			return refuse_lines(s);
		case LINES_CONTENT:
			look_at(s, run);
			if (store(t, run))
				break;
			s->taken_bytes = (uint32_t)(run.p - input.p);
			t->held_bytes = run.n;
			return session_wait(s, STEP_content_full);
		}
	}
}

enum next step_content(struct session *s)
{
	return go_on(s, stream_input(&s->stream));
}

/* The run that had no room stands at the front of the input. */
enum next step_content_full(struct session *s)
{
	struct transaction *t = s->transaction;
	struct slice input = stream_input(&s->stream);

	if (!store(t, slice_head(input, t->held_bytes)))
		return session_wait(s, STEP_content_full);
	input = slice_tail(input, t->held_bytes);
	t->held_bytes = 0;
	return go_on(s, input);
}

/* ---- the end ---- */

static bool append_trace(const struct session *s, const struct transaction *t, struct buf *out)
{
	struct received r = {.helo = s->helo,
			     .client_name = s->client_name,
			     .client = s->address,
			     .local = s->trusted,
			     .uid = s->uid,
			     .by = smtpd_settings(s->smtpd)->hostname,
			     .extended = s->extended,
			     .encrypted = stream_is_tls(&s->stream),
			     .authenticated = s->user.n > 0,
			     .id = transaction_id(t),
			     .at_us = t->received_us};
	struct buf tls;
	bool ok = true;

	buf_init(&tls, 256);
	if (r.encrypted)
		ok = stream_append_tls(&s->stream, &tls);
	r.tls = buf_slice(&tls);
	if (t->n_recipients == 1)
		r.forward_path = t->first->forward_path;
	ok = ok && received_append(&r, out);
	buf_fini(&tls);
	return ok;
}

/* What the header said stands in the envelope. */
static bool renew_envelope(const struct session *s, struct transaction *t, struct fault *why)
{
	if (!t->envelope_is_old)
		return true;
	buf_reset(&t->envelope);
	if (!encode_envelope(s, t, why))
		return false;
	if (spool_writer_set_envelope(t->writer, buf_slice(&t->envelope)))
		return true;
	fault_set(why, "4.3.1", "no memory for the envelope");
	return false;
}

static bool commit(struct session *s, struct fault *why)
{
	struct buf front;
	uint64_t skip;
	bool ok;

	if (!renew_envelope(s, s->transaction, why))
		return false;
	buf_init(&front, FRONT_BYTES + buf_length(&s->transaction->kept_header));
	ok = signing_append(s, &front) && append_trace(s, s->transaction, &front) && submission_append(s, &front, &skip) &&
	     verification_append(s, &front, &skip);
	if (!ok)
		fault_set(why, "4.3.1", "no memory for the trace fields");
	ok = ok && handover_begin(s, buf_slice(&front), skip, why);
	buf_fini(&front);
	return ok;
}

static enum next hand_over(struct session *s)
{
	struct fault why = {0};
	struct reply no;

	if (commit(s, &why))
		return session_wait(s, STEP_committed);
	reply_set_fault(&no, 452, &why);
	return refuse_message(s, transaction_id(s->transaction), &no);
}

/* The last thing before it is committed: nothing of it changes any more. */
static enum next sign(struct session *s)
{
	struct reply no;

	switch (signing_go_on(s)) {
	case SIGNING_WAITS:
		return session_wait(s, STEP_signed);
	case SIGNING_DONE:
		return hand_over(s);
	case SIGNING_FAILED:
		break;
	}
	reply_set(&no, 451, "4.7.5", "the message cannot be signed now; try again later");
	return refuse_message(s, transaction_id(s->transaction), &no);
}

enum next step_signed(struct session *s)
{
	return sign(s);
}

/* envelope_from: the reverse-path is the header's, if the sender may use that. */
static enum next ask_about(struct session *s, struct slice reverse_path)
{
	struct fault why = {0};
	struct reply no;

	if (facts_ask(s, reverse_path, SLICE_EMPTY, STEP_sender_answered, &why))
		return session_wait(s, STEP_sender_answered);
	reply_set(&no, 451, "4.3.0", "the sender cannot be looked up now");
	return refuse_message(s, transaction_id(s->transaction), &no);
}

static bool may_send_as(const struct session *s, struct slice reverse_path, struct reply *no)
{
	struct policy_facts facts;
	struct reply refusal;

	if (!facts_of(s, &facts)) {
		reply_set(no, 451, "4.3.0", "the sender cannot be looked up now");
		return false;
	}
	facts.recipient = s->transaction->goes_elsewhere ? RCPT_REMOTE : RCPT_LOCAL;
	if (policy_sender(&facts, smtpd_settings(s->smtpd), &refusal))
		return true;
	reply_set(no, refusal.code, refusal.status, "the message is from %.*s: %s",
		  SLICE_PRINTF(reverse_path), refusal.text);
	return false;
}

enum next step_sender_answered(struct session *s)
{
	struct transaction *t = s->transaction;
	struct slice reverse_path = inspection_reverse_path(s);
	struct reply no;

	if (!may_send_as(s, reverse_path, &no))
		return refuse_message(s, transaction_id(t), &no);
	t->reverse_path = reverse_path;
	t->envelope_is_old = true;
	return sign(s);
}

/* The envelope as the header and the checks want it. */
static enum next settle_envelope(struct session *s)
{
	s->transaction->envelope_is_old = s->transaction->spam;
	if (inspection_reverse_path(s).n > 0)
		return ask_about(s, inspection_reverse_path(s));
	return sign(s);
}

/* Who sent it is known, or is waited for; waited: it has been before. */
static enum next judge_origin(struct session *s, bool waited)
{
	struct reply no;

	switch (verification_judge(s, &no)) {
	case VERIFICATION_WAITS:
		return waited ? session_wait_on(s) : session_wait(s, STEP_verified);
	case VERIFICATION_REFUSES:
		return refuse_message(s, transaction_id(s->transaction), &no);
	case VERIFICATION_TAKES:
		break;
	}
	return settle_envelope(s);
}

static enum next finish(struct session *s)
{
	const struct settings *conf = smtpd_settings(s->smtpd);
	struct transaction *t = s->transaction;
	struct reply no;

	if (t->content == CONTENT_GOOD) {
		header_end(&t->header);
		if (t->header.n_received > conf->received_max)
			swallow(t, CONTENT_LOOPS);
	}
	switch (t->content) {
	case CONTENT_TOO_BIG:
		reply_set(&no, 552, "5.3.4", "at most %llu octets are taken",
			  (unsigned long long)conf->message_size_max);
		return refuse_message(s, transaction_id(t), &no);
	case CONTENT_HEADER_TOO_BIG:
		reply_set(&no, 552, "5.3.4", "at most %zu octets of header are taken",
			  KEPT_HEADER_MAX);
		return refuse_message(s, transaction_id(t), &no);
	case CONTENT_LOOPS:
		reply_set(&no, 554, "5.4.6",
			  "the message has been in too many places; it goes round in circles");
		return refuse_message(s, transaction_id(t), &no);
	case CONTENT_GOOD:
		break;
	}
	if (verification_end(s))
		return judge_origin(s, false);
	return settle_envelope(s);
}

enum next step_verified(struct session *s)
{
	return judge_origin(s, true);
}

enum next step_committed(struct session *s)
{
	struct handover *h = s->handover;
	struct reply no;
	enum next next;

	if (h->failed) {
		if (slice_equal(slice_of_cstr(h->why.status), SLICE("4.3.1")))
			reply_set(&no, 452, "4.3.1", "there is no room for the message now");
		else
			reply_set(&no, 451, "4.3.0", "the message cannot be stored now");
		next = refuse_message(s, slice_of(h->id, SPOOL_ID_LENGTH), &no);
		handover_forget_session(h);
		return next;
	}
	if (handover_must_wait(h))
		return session_wait(s, STEP_handed);
	return session_go(s, STEP_handed);
}

/* Safe on the disk, and queued is told or too busy: from here on the message is ours (RFC
 * 5321 4.2.5). */
enum next step_handed(struct session *s)
{
	struct reply r;

	reply_set(&r, 250, "2.0.0", "received, id %s", s->handover->id);
	handover_forget_session(s->handover);
	session_reply(s, &r);
	return session_command(s);
}
