#include "deliverd/remote/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/address.h"
#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/mail/reply.h"
#include "common/service/service.h"
#include "common/tls/context.h"
#include "common/tls/stream.h"
#include "deliverd/remote/body.h"
#include "deliverd/remote/extensions.h"
#include "deliverd/remote/idle.h"
#include "deliverd/remote/job.h"
#include "deliverd/remote/remote.h"

#define INPUT_MAX 65536
#define OUTPUT_MAX (1u << 20) /* commands of one group, or a chunk of the body with its dots */
#define MESSAGES_MAX 100      /* over one connection */
#define GROUP_RECIPIENTS 100  /* RCPTs sent before their replies are awaited, RFC 2920 */
#define QUIT_TIMEOUT_MS 5000
#define MAGIC 0x53455353u

enum wake { WAKE_NOTHING, WAKE_CONNECTED, WAKE_TLS, WAKE_REPLY, WAKE_DRAINED };

/*	  step           woken by        limit (a setting, or ms) */
/* clang-format off */
#define SESSION_STEPS(X)                                                       \
	X(connected,     WAKE_CONNECTED, settings->delivery_connect_timeout)   \
	X(tls_up,        WAKE_TLS,       settings->delivery_reply_timeout)     \
	X(greeting,      WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(ehlo_sent,     WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(helo_sent,     WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(starttls_sent, WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(ready,         WAKE_NOTHING,   0)                                    \
	X(group,         WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(rset_sent,     WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(body,          WAKE_DRAINED,   settings->delivery_data_timeout)      \
	X(body_ended,    WAKE_REPLY,     settings->delivery_data_timeout)      \
	X(done,          WAKE_NOTHING,   0)                                    \
	X(idle,          WAKE_REPLY,     settings->delivery_reuse_idle)        \
	X(quit_sent,     WAKE_REPLY,     QUIT_TIMEOUT_MS)
/* clang-format on */

enum step {
#define X(name, wake, limit) STEP_##name,
	SESSION_STEPS(X)
#undef X
};

/* What a step wants done next. */
enum next { NEXT_GO, NEXT_WAIT, NEXT_END };

/* Replies of one transaction come in the order of its commands: MAIL, each RCPT, DATA. */
enum { COMMAND_MAIL = 0 };

struct session {
	uint32_t magic;
	struct list node;
	struct idle_place idle;
	struct remote *remote;
	struct job *job; /* NULL: idle */
	struct stream stream;
	struct loop_timer limit;
	enum step step;
	struct ip ip;
	uint16_t port;
	char host[256];
	struct buf key; /* the next hop, under which it is kept */
	struct extensions can;
	bool reused; /* nothing was received since it was idle */
	bool spent;  /* no further message goes over it */
	unsigned n_messages;
	/* the transaction */
	size_t n_sent, n_replied; /* commands of the group: MAIL, RCPTs, DATA */
	bool mail_refused;
	size_t n_accepted;
	struct reply refusal; /* of MAIL */
	struct body body;
	struct reply reply;
};

static enum next session_step(struct session *s);

static struct session *session_of(void *arg)
{
	struct session *s = arg;

	if (s->magic != MAGIC)
		abort();
	return s;
}

static const char *step_name(enum step step)
{
	static const char *const names[] = {
#define X(name, wake, limit) #name,
		SESSION_STEPS(X)
#undef X
	};

	return names[step];
}

static enum wake step_wake(enum step step)
{
	static const enum wake wakes[] = {
#define X(name, wake, limit) wake,
		SESSION_STEPS(X)
#undef X
	};

	return wakes[step];
}

static uint64_t step_limit_ms(const struct session *s)
{
	const struct settings *settings = s->remote->service->settings;

	switch (s->step) {
#define X(name, wake, limit)                                                                       \
	case STEP_##name:                                                                          \
		return limit;
		SESSION_STEPS(X)
#undef X
	}
	return 0;
}

static void trace(struct session *s, enum step step)
{
	s->step = step;
	if (log_wanted(LOG_LEVEL_DEBUG))
		log_event(session_step, F_ID(s->job ? s->job->id : SLICE_EMPTY),
			  F_TEXT(step, step_name(step)), F_TEXT(next_hop, s->host));
}

static enum next session_go(struct session *s, enum step step)
{
	trace(s, step);
	return NEXT_GO;
}

static enum next session_wait(struct session *s, enum step step)
{
	trace(s, step);
	loop_timer_set(&s->limit, step_limit_ms(s));
	return NEXT_WAIT;
}

static void session_free(struct session *s)
{
	idle_forget(s->remote, &s->idle);
	list_remove(&s->node);
	loop_timer_cancel(&s->limit);
	stream_fini(&s->stream);
	buf_fini(&s->key);
	s->magic = 0;
	free(s);
}

/* ---- how it ends ---- */

/* The far end, or the connection, has failed. */
static enum next session_fail(struct session *s, const struct fault *failure)
{
	struct fault why = *failure;
	struct job *j = s->job;
	char address[IP_TEXT_MAX];
	/* A handshake that fails where TLS is only wished for: once more to this address, in the
	 * clear (RFC 7435). */
	bool without_tls = j && s->step == STEP_tls_up && j->tls == ROUTE_TLS_STARTTLS_IF_OFFERED;

	s->job = NULL;
	fault_add(&why, "%s[%s]:%u", s->host, ip_text(&s->ip, address), s->port);
	if (j == NULL)
		return NEXT_END;
	j->session = NULL;
	if (s->reused && s->n_replied == 0)
		job_session_stale(j);
	else if (s->n_sent > 0)
		job_end(j, &why);
	else
		job_session_unusable(j, without_tls, &why);
	return NEXT_END;
}

static enum next session_fail_reply(struct session *s, const char *what)
{
	struct fault why = {0};
	const char *plain = s->reply.code >= 500 ? "5.0.0" : "4.0.0";
	const char *status = s->reply.status[0] ? s->reply.status : plain;
	struct buf words;

	buf_init(&words, 512);
	if (!reply_print(&s->reply, &words))
		buf_reset(&words);
	fault_set(&why, status, "%s was answered by: %.*s", what, SLICE_PRINTF(buf_slice(&words)));
	buf_fini(&words);
	return session_fail(s, &why);
}

/* ---- greeting, EHLO, TLS ---- */

static bool say(struct session *s, const char *template, ...) PRINTF_LIKE(2, 3);

static bool say(struct session *s, const char *template, ...)
{
	struct buf line;
	va_list args;
	bool ok;

	buf_init(&line, 4096);
	va_start(args, template);
	ok = buf_vprintf(&line, template, args) && buf_append_cstr(&line, "\r\n") &&
	     stream_write(&s->stream, buf_slice(&line));
	va_end(args);
	buf_fini(&line);
	return ok;
}

static enum next start_tls(struct session *s)
{
	struct fault why = {0};

	if (s->remote->tls == NULL)
		fault_set(&why, "4.7.5", "TLS is not available here");
	else if (stream_start_tls(&s->stream, s->remote->tls, s->host, &why))
		return session_wait(s, STEP_tls_up);
	return session_fail(s, &why);
}

static enum next step_connected(struct session *s)
{
	log_event(next_hop_connected, F_ID(s->job->id), F_TEXT(next_hop, s->host),
		  F_IP(address, &s->ip));
	if (s->job->tls == ROUTE_TLS_IMPLICIT)
		return start_tls(s);
	return session_wait(s, STEP_greeting);
}

/* RFC 3207 4.2: what was known before TLS is forgotten. */
static enum next say_ehlo(struct session *s)
{
	s->can = (struct extensions){0};
	say(s, "EHLO %s", s->remote->hostname);
	return session_wait(s, STEP_ehlo_sent);
}

static enum next step_tls_up(struct session *s)
{
	return s->job->tls == ROUTE_TLS_IMPLICIT ? session_wait(s, STEP_greeting) : say_ehlo(s);
}

static enum next step_greeting(struct session *s)
{
	if (s->reply.code / 100 != 2)
		return session_fail_reply(s, "the connection");
	return say_ehlo(s);
}

static enum next step_ehlo_sent(struct session *s)
{
	struct fault why = {0};
	bool wanted = s->job->tls == ROUTE_TLS_STARTTLS ||
		      (s->job->tls == ROUTE_TLS_STARTTLS_IF_OFFERED && !s->job->without_tls);

	if (s->reply.code >= 500 && s->job->tls != ROUTE_TLS_STARTTLS) {
		say(s, "HELO %s", s->remote->hostname);
		return session_wait(s, STEP_helo_sent);
	}
	if (s->reply.code / 100 != 2)
		return session_fail_reply(s, "EHLO");
	s->can = extensions_read(slice_of_cstr(s->reply.text));
	if (stream_is_tls(&s->stream) || !wanted)
		return session_go(s, STEP_ready);
	if (s->can.starttls && s->remote->tls) {
		say(s, "STARTTLS");
		return session_wait(s, STEP_starttls_sent);
	}
	if (s->job->tls != ROUTE_TLS_STARTTLS)
		return session_go(s, STEP_ready);
	fault_set(&why, "4.7.4", "STARTTLS is required, and not offered");
	return session_fail(s, &why);
}

static enum next step_helo_sent(struct session *s)
{
	if (s->reply.code / 100 != 2)
		return session_fail_reply(s, "HELO");
	return session_go(s, STEP_ready);
}

static enum next step_starttls_sent(struct session *s)
{
	if (s->reply.code / 100 == 2) {
		return start_tls(s);
	}
	if (s->job->tls == ROUTE_TLS_STARTTLS || s->reply.code == 421)
		return session_fail_reply(s, "STARTTLS");
	return session_go(s, STEP_ready);
}

/* ---- the transaction ---- */

static size_t n_commands(const struct session *s)
{
	return s->job->n_recipients + 2;
}

static void say_mail(struct session *s)
{
	const struct job *j = s->job;
	char size[48] = "";

	if (s->can.size_max)
		snprintf(size, sizeof(size), " SIZE=%llu",
			 (unsigned long long)j->header.content_length);
	say(s, "MAIL FROM:<%.*s>%s%s%s", SLICE_PRINTF(j->reverse_path), size,
	    j->eight_bit && s->can.eight_bit_mime ? " BODY=8BITMIME" : "",
	    j->utf8 && s->can.smtputf8 ? " SMTPUTF8" : "");
}

static void say_command(struct session *s, size_t command)
{
	if (command == COMMAND_MAIL)
		say_mail(s);
	else if (command <= s->job->n_recipients)
		say(s, "RCPT TO:<%.*s>",
		    SLICE_PRINTF(s->job->recipients[command - 1].forward_path));
	else
		say(s, "DATA");
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

static enum next step_ready(struct session *s)
{
	struct job *j = s->job;
	struct fault why = {0};

	s->n_sent = s->n_replied = s->n_accepted = 0;
	s->mail_refused = false;
	s->body = (struct body){0};
	if (!arena_copy(&j->arena, slice_of_cstr(s->host), &j->last_host,
			NULL)) /* the job may outlive this session */
		j->last_host = SLICE_EMPTY;
	buf_reset(&s->key);
	buf_append(&s->key, job_next_hop(j));
	if (job_is_deliverable(j, &s->can, &why))
		return send_group(s);
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

static void take_rcpt_reply(struct session *s, struct job_recipient *r)
{
	correct_552(&s->reply);
	if (s->mail_refused) {
		job_result(s->job, r, &s->refusal, slice_of_cstr(s->host));
	} else if (s->reply.code / 100 == 2) {
		r->accepted = true;
		s->n_accepted++;
	} else {
		job_result(s->job, r, &s->reply, slice_of_cstr(s->host));
	}
}

/* Every accepted recipient has the fate of the message. */
static void result_for_accepted(struct session *s, const struct reply *reply)
{
	for (size_t i = 0; i < s->job->n_recipients; i++)
		if (s->job->recipients[i].accepted)
			job_result(s->job, &s->job->recipients[i], reply, slice_of_cstr(s->host));
}

static enum next say_rset(struct session *s)
{
	say(s, "RSET");
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
	for (size_t i = 0; i < s->job->n_recipients; i++)
		job_result(s->job, &s->job->recipients[i], &s->reply, slice_of_cstr(s->host));
	return session_go(s, STEP_done);
}

static enum next step_group(struct session *s)
{
	size_t command = s->n_replied;
	bool last_recipient = command == s->job->n_recipients;

	if (s->reply.code == 421)
		return session_dismissed(s);
	s->n_replied++;
	s->reused = false;
	if (command == COMMAND_MAIL && s->reply.code / 100 != 2) {
		s->mail_refused = true;
		s->refusal = s->reply;
	} else if (command > COMMAND_MAIL && command <= s->job->n_recipients) {
		take_rcpt_reply(s, &s->job->recipients[command - 1]);
	} else if (command > s->job->n_recipients) {
		return after_data_reply(s);
	}
	if (s->mail_refused && s->n_sent == 1) { /* nothing else is on its way */
		for (size_t i = 0; i < s->job->n_recipients; i++)
			job_result(s->job, &s->job->recipients[i], &s->refusal,
				   slice_of_cstr(s->host));
		return session_go(s, STEP_done);
	}
	if (last_recipient && s->n_accepted == 0 &&
	    s->n_sent < n_commands(s)) { /* DATA is not sent: nobody is there for it */
		return say_rset(s);
	}
	return send_group(s);
}

static enum next step_rset_sent(struct session *s)
{
	s->spent = s->reply.code / 100 != 2;
	return session_go(s, STEP_done);
}

/* A reply came before the message was sent: a refusal counts, as it stands; anything else is out of
 * step, and must not pass for the reply to its end. */
static enum next answered_early(struct session *s)
{
	struct fault why = {0};

	if (s->reply.code >= 400)
		result_for_accepted(s, &s->reply);
	fault_set(&why, "4.5.0", "it answered before the message was sent");
	return session_fail(s, &why);
}

static enum next step_body(struct session *s)
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
	return session_wait(s, ended ? STEP_body_ended : STEP_body);
}

static enum next step_body_ended(struct session *s)
{
	if (stream_unsent(&s->stream))
		return answered_early(s);
	result_for_accepted(s, &s->reply);
	return session_go(s, STEP_done);
}

/* ---- afterwards ---- */

static enum next step_done(struct session *s)
{
	struct job *j = s->job;

	s->job = NULL;
	s->n_messages++;
	if (j) {
		j->session = NULL;
		job_end(j, NULL);
	}
	if (!s->spent && s->reply.code != 421 && s->n_messages < MESSAGES_MAX &&
	    !s->remote->stopping && s->remote->service->settings->delivery_reuse_idle > 0 &&
	    idle_keep(s->remote, &s->idle, buf_slice(&s->key)))
		return session_wait(s, STEP_idle);
	say(s, "QUIT");
	return session_wait(s, STEP_quit_sent);
}

static enum next step_idle(struct session *s)
{
	(void)s;
	return NEXT_END; /* it speaks unasked: 421, it leaves */
}

static enum next step_quit_sent(struct session *s)
{
	(void)s;
	return NEXT_END;
}

/* ---- the loop ---- */

static enum next session_step(struct session *s)
{
	switch (s->step) {
#define X(name, wake, limit)                                                                       \
	case STEP_##name:                                                                          \
		return step_##name(s);
		SESSION_STEPS(X)
#undef X
	}
	return NEXT_END;
}

/* May something follow the reply that step waits for? With the others the far end has said more
 * than it was asked, and its replies cannot be told apart any more. */
static bool may_say_more(const struct session *s)
{
	switch (s->step) {
	case STEP_group:
		return s->n_replied + 1 < s->n_sent;
	case STEP_connected:
	case STEP_tls_up:
	case STEP_greeting:
	case STEP_ehlo_sent:
	case STEP_helo_sent:
	case STEP_starttls_sent: /* octets behind it would be what an attacker put there, RFC 3207 6
				  */
		return false;
	case STEP_ready:
	case STEP_rset_sent:
	case STEP_body:
	case STEP_body_ended:
	case STEP_done:
	case STEP_idle: /* which ends the session then */
	case STEP_quit_sent:
		return true;
	}
	return false;
}

/* Takes the reply that the step waits for. *wrong: what came instead. */
static bool take_reply(struct session *s, const char **wrong)
{
	struct slice input = stream_input(&s->stream);
	size_t before = input.n;

	switch (reply_read(&input, &s->reply)) {
	case REPLY_MORE:
		return false;
	case REPLY_BAD:
		*wrong = "what it sent is no reply";
		return false;
	case REPLY_DONE:
		break;
	}
	if (input.n && !may_say_more(s)) {
		*wrong = "it sent more replies than it was asked for";
		return false;
	}
	stream_consume(&s->stream, before - input.n);
	return true;
}

/* Is what the step waits for there? */
static bool is_woken(struct session *s, unsigned events, const char **wrong)
{
	struct slice input;

	switch (step_wake(s->step)) {
	case WAKE_NOTHING:
		return true;
	case WAKE_CONNECTED:
		return events & STREAM_CONNECTED;
	case WAKE_TLS:
		return events & STREAM_TLS_UP;
	case WAKE_DRAINED:
		input = stream_input(&s->stream);
		return stream_unsent(&s->stream) == 0 ||
		       reply_read(&input, &s->reply) == REPLY_DONE;
	case WAKE_REPLY:
		return take_reply(s, wrong);
	}
	return false;
}

static enum next session_lost(struct session *s, unsigned events)
{
	struct fault why = {0};

	if (events & STREAM_FAILED && stream_fault(&s->stream))
		why = *stream_fault(&s->stream);
	else
		fault_set(&why, "4.4.2", "it closed the connection at step %s", step_name(s->step));
	return session_fail(s, &why);
}

/* The only loop: runs steps until one waits, and frees the session when it has ended. */
static void session_run(struct session *s, unsigned events)
{
	struct fault why = {0};
	enum next next = NEXT_WAIT;
	const char *wrong = NULL;

	while (next != NEXT_END && (next == NEXT_GO || is_woken(s, events, &wrong))) {
		if (next == NEXT_WAIT)
			events &= ~(unsigned)(STREAM_CONNECTED | STREAM_TLS_UP);
		next = session_step(s);
	}
	if (wrong) {
		fault_set(&why, "4.5.0", "%s at step %s", wrong, step_name(s->step));
		next = session_fail(s, &why);
	} else if (next != NEXT_END && events & (STREAM_EOF | STREAM_FAILED)) {
		next = session_lost(s, events);
	}
	if (next == NEXT_END)
		session_free(s);
}

static void on_stream(void *arg, unsigned events)
{
	session_run(session_of(arg), events);
}

static void on_limit(void *arg)
{
	struct session *s = session_of(arg);
	struct fault why = {0};

	if (s->step == STEP_idle) {
		idle_forget(s->remote, &s->idle);
		say(s, "QUIT");
		session_wait(s, STEP_quit_sent);
		return;
	}
	fault_set(&why, "4.4.1", "no answer in time at step %s", step_name(s->step));
	session_fail(s, &why);
	session_free(s);
}

/* ---- life ---- */

bool session_begin(struct remote *r, struct job *j, struct slice host, const struct ip *ip,
		   uint16_t port, struct fault *why)
{
	struct session *s = memory_alloc(1, sizeof(*s), why);

	if (s == NULL)
		return false;
	s->magic = MAGIC;
	s->remote = r;
	s->job = j;
	s->ip = *ip;
	s->port = port;
	s->idle.session = s;
	buf_init(&s->key, 512);
	list_init(&s->node);
	loop_timer_init(&s->limit, r->service->loop, on_limit, s);
	if (!slice_cstr(host, s->host, sizeof(s->host), why) ||
	    !stream_connect(&s->stream, r->service->loop, ip, port, INPUT_MAX, on_stream, s, why)) {
		session_free(s);
		return false;
	}
	stream_read(&s->stream, true);
	list_append(&r->sessions, &s->node);
	j->session = s;
	session_wait(s, STEP_connected);
	return true;
}

void session_give(struct session *s, struct job *j)
{
	s->job = j;
	j->session = s;
	s->reused = true;
	trace(s, STEP_ready);
	session_run(s, 0);
}

void session_quit_idle(struct remote *r)
{
	LIST_EACH (node, &r->sessions) {
		struct session *s = LIST_ENTRY(node, struct session, node);

		if (s->step == STEP_idle)
			on_limit(s);
	}
}

void session_free_all(struct remote *r)
{
	LIST_EACH (node, &r->sessions)
		session_free(LIST_ENTRY(node, struct session, node));
}
