/* One message: MAIL, RCPT, DATA, the content, and what the replies say of each recipient. */
#include "deliverd/remote/steps.h"

#include <stdio.h>

#include "common/base/fault.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "deliverd/remote/job.h"
#include "deliverd/remote/remote.h"

#define OUTPUT_MAX (1u << 20) /* a chunk of the body with its dots */
#define GROUP_RECIPIENTS 100  /* RCPTs sent before their replies are awaited, RFC 2920 */

/* Replies of one transaction come in the order of its commands: MAIL, each RCPT, DATA. */
enum { COMMAND_MAIL = 0 };

static size_t n_commands(const struct session *s)
{
	return s->n_recipients + 2;
}

/* " NAME=" and its value, for "%s%.*s"; nothing where it is not given or may not be said. */
#define PARAMETER(name, may, value)                                                                \
	(may) && (value).n > 0 ? (name) : "", (may) ? slice_int((value).n) : 0,                    \
		(value).n > 0 ? (value).p : ""

static void say_mail(struct session *s)
{
	const struct job *j = s->job;
	char size[48] = "";

	if (s->can.size_max)
		snprintf(size, sizeof(size), " SIZE=%llu",
			 (unsigned long long)j->header.content_length);
	session_say(s, "MAIL FROM:<%.*s>%s%s%s%s%.*s%s%.*s", SLICE_PRINTF(j->reverse_path), size,
		    j->eight_bit && s->can.eight_bit_mime ? " BODY=8BITMIME" : "",
		    j->utf8 && s->can.smtputf8 ? " SMTPUTF8" : "",
		    PARAMETER(" RET=", s->can.dsn, j->ret),
		    PARAMETER(" ENVID=", s->can.dsn, j->envid));
}

/* RFC 3461 5.2.1: a host that knows DSN hears what the sender wants to hear, and tells it. */
static void say_rcpt(struct session *s, struct job_recipient *r)
{
	r->dsn = s->can.dsn;
	session_say(s, "RCPT TO:<%.*s>%s%.*s%s%.*s", SLICE_PRINTF(r->forward_path),
		    PARAMETER(" NOTIFY=", r->dsn, r->notify),
		    PARAMETER(" ORCPT=", r->dsn, r->orcpt));
}

static void say_command(struct session *s, size_t command)
{
	if (command == COMMAND_MAIL)
		say_mail(s);
	else if (command <= s->n_recipients)
		say_rcpt(s, &s->job->recipients[command - 1]);
	else
		session_say(s, "DATA");
}

/* Sends what may go now: with PIPELINING a group, DATA its last (RFC 2920 3.1); without, one
 * command when the one before has its reply. */
static enum next send_group(struct session *s)
{
	size_t limit = s->can.pipelining ? s->n_replied + GROUP_RECIPIENTS : s->n_replied + 1;

	while (s->n_sent < n_commands(s) && s->n_sent < limit)
		say_command(s, s->n_sent++);
	return session_wait(s, STEP_group);
}

enum next step_ready(struct session *s)
{
	struct job *j = s->job;
	struct fault why = {0};

	s->n_recipients = job_begin_transaction(j);
	s->n_sent = s->n_replied = s->n_accepted = 0;
	s->mail_refused = s->end_sent = false;
	s->refusal.code = 0;
	s->body = (struct body){0};
	if (!arena_copy(&j->arena, slice_of_cstr(s->host), &j->last_host,
			NULL)) /* the job may outlive this session */
		j->last_host = SLICE_EMPTY;
	buf_reset(&s->key);
	buf_append(&s->key, job_next_hop(j));
	if (job_is_deliverable(j, &s->can, &why))
		return send_group(s);
	if (s->way.first)
		return session_fail(s, &why);
	s->job = NULL;
	j->session = NULL;
	fault_add(&why, "%s", s->host);
	job_end(j, &why);
	return session_go(s, STEP_done);
}

/* RFC 5321 4.5.3.1.10: 552 once meant "too many recipients", which is temporary; it still does
 * where no other status says otherwise. */
static void correct_552(struct reply *reply)
{
	struct slice status = slice_of_cstr(reply->status);

	if (reply->code != 552 || (status.n && !slice_equal(status, SLICE("5.5.3"))))
		return;
	reply->code = 452;
	snprintf(reply->status, sizeof(reply->status), "4.5.3");
}

/* What the far end says of one recipient. On the first way of two (way.h) a refusal before the end
 * of data is none: the recipient waits for the other way. */
static void give_result(struct session *s, struct job_recipient *r, const struct reply *reply)
{
	if (!s->way.first || s->end_sent)
		job_result(s->job, r, reply, slice_of_cstr(s->host));
	else if (s->refusal.code == 0)
		s->refusal = *reply;
}

static void take_rcpt_reply(struct session *s, struct job_recipient *r)
{
	correct_552(&s->reply);
	if (s->mail_refused) {
		give_result(s, r, &s->refusal);
	} else if (s->reply.code / 100 == 2) {
		r->accepted = true;
		s->n_accepted++;
	} else {
		give_result(s, r, &s->reply);
	}
}

/* Every accepted recipient has the fate of the message. */
static void result_for_accepted(struct session *s, const struct reply *reply)
{
	for (size_t i = 0; i < s->n_recipients; i++)
		if (s->job->recipients[i].accepted)
			give_result(s, &s->job->recipients[i], reply);
}

static void result_for_all(struct session *s, const struct reply *reply)
{
	for (size_t i = 0; i < s->n_recipients; i++)
		give_result(s, &s->job->recipients[i], reply);
}

static enum next say_rset(struct session *s)
{
	session_say(s, "RSET");
	return session_wait(s, STEP_rset_sent);
}

static enum next after_data_reply(struct session *s)
{
	if (s->reply.code / 100 != 3) {
		if (s->reply.code / 100 == 2)
			return session_fail_reply(
				s, "DATA"); /* it did not say go on: nothing is known to be taken */
		result_for_accepted(s, &s->reply);
		return say_rset(s);
	}
	if (s->n_accepted == 0) { /* pipelined, all refused, and yet it waits: RFC 2920 3.1 */
		stream_write(&s->stream, SLICE(".\r\n"));
		return session_wait(s, STEP_body_ended);
	}
	return session_wait(s, STEP_body);
}

/* 421 may stand in place of any reply: the far end leaves, and nothing of the transaction counts
 * (RFC 5321 3.8). */
static enum next session_dismissed(struct session *s)
{
	if (s->reused) /* it had left before this message came */
		return session_fail_reply(s, "MAIL");
	result_for_all(s, &s->reply);
	return session_go(s, STEP_done);
}

enum next step_group(struct session *s)
{
	size_t command = s->n_replied;
	bool last_recipient = command == s->n_recipients;

	if (s->reply.code == 421)
		return session_dismissed(s);
	s->n_replied++;
	s->reused = false;
	if (command == COMMAND_MAIL && s->reply.code / 100 != 2) {
		s->mail_refused = true;
		s->refusal = s->reply;
	} else if (command > COMMAND_MAIL && command <= s->n_recipients) {
		take_rcpt_reply(s, &s->job->recipients[command - 1]);
	} else if (command > s->n_recipients) {
		return after_data_reply(s);
	}
	if (s->mail_refused && s->n_sent == 1) { /* nothing else is on its way */
		result_for_all(s, &s->refusal);
		return session_go(s, STEP_done);
	}
	if (last_recipient && s->n_accepted == 0 &&
	    s->n_sent < n_commands(s)) { /* DATA is not sent: nobody is there for it */
		return say_rset(s);
	}
	return send_group(s);
}

enum next step_rset_sent(struct session *s)
{
	s->spent = s->reply.code / 100 != 2;
	return session_go(s, STEP_done);
}

/* A reply came before the message was sent: a refusal counts, as it stands; anything else is out of
 * step, and must not pass for the reply to its end. */
static enum next answered_early(struct session *s)
{
	struct fault why = {0};

	session_heard(s, stream_input(&s->stream));
	if (s->reply.code >= 400)
		result_for_accepted(s, &s->reply);
	fault_set(&why, "4.5.0", "it answered before the message was sent");
	return session_fail(s, &why);
}

enum next step_body(struct session *s)
{
	struct slice input = stream_input(&s->stream);
	struct fault why = {0};
	struct buf chunk;
	bool ended = false, ok;

	if (reply_read(&input, &s->reply) == REPLY_DONE)
		return answered_early(s);
	buf_init(&chunk, OUTPUT_MAX);
	ok = body_next(&s->body, s->job->fd, &s->job->header, &chunk, &ended, &why);
	if (ok && !stream_write(&s->stream, buf_slice(&chunk))) {
		fault_set(&why, "4.4.2", "the connection was lost within the message");
		ok = false;
	}
	buf_fini(&chunk);
	if (!ok)
		return session_fail(s, &why);
	s->end_sent = ended;
	s->n_unsent = stream_unsent(&s->stream);
	return session_wait(s, ended ? STEP_body_sent : STEP_body);
}

enum next step_body_sent(struct session *s)
{
	if (stream_unsent(&s->stream))
		return answered_early(s);
	return session_wait(s, STEP_body_ended);
}

enum next step_body_ended(struct session *s)
{
	result_for_accepted(s, &s->reply);
	return session_go(s, STEP_done);
}
