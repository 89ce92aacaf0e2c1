#include "deliverd/remote/session.h"

#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/text_codec.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "deliverd/remote/job.h"
#include "deliverd/remote/remote.h"
#include "deliverd/remote/steps.h"

#define INPUT_MAX 65536
#define MESSAGES_MAX 100 /* over one connection */
#define MAGIC 0x53455353u

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

static uint64_t connect_limit_ms(const struct session *s)
{
	const struct settings *settings = s->remote->service->settings;

	return s->way.first ? settings->delivery_smtps_timeout : settings->delivery_connect_timeout;
}

static uint64_t tls_limit_ms(const struct session *s)
{
	const struct settings *settings = s->remote->service->settings;

	return s->way.first ? settings->delivery_smtps_timeout
			    : settings->delivery_greeting_timeout;
}

static uint64_t group_limit_ms(const struct session *s)
{
	const struct settings *settings = s->remote->service->settings;

	if (s->n_replied == 0)
		return settings->delivery_mail_timeout;
	return s->n_replied <= s->n_recipients ? settings->delivery_rcpt_timeout
					       : settings->delivery_data_timeout;
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

enum next session_go(struct session *s, enum step step)
{
	trace(s, step);
	return NEXT_GO;
}

enum next session_wait(struct session *s, enum step step)
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

static void log_failure(const struct job *j, const struct session *s, const struct fault *why)
{
	log_event(next_hop_failed, F_ID(j->id), F_TEXT(next_hop, s->host), F_IP(address, &s->ip),
		  F_FAULT(why));
}

/* The far end, or the connection, has failed. */
enum next session_fail(struct session *s, const struct fault *failure)
{
	struct fault why = *failure;
	struct job *j = s->job;
	char address[IP_TEXT_MAX];
	/* A handshake that fails where TLS is only wished for: once more to this address, in the
	 * clear (RFC 7435). */
	bool without_tls = j && s->step == STEP_tls_up &&
			   s->way.encryption == ENCRYPTION_IF_OFFERED && !session_needs_tls(s);

	s->job = NULL;
	fault_add(&why, "%s[%s]:%u", s->host, ip_text(&s->ip, address), s->way.port);
	if (j == NULL)
		return NEXT_END;
	j->session = NULL;
	if (s->reused && s->n_replied == 0) {
		job_session_stale(j);
	} else if (s->n_sent > 0 && (!s->way.first || s->end_sent)) {
		job_end(j, &why);
	} else {
		log_failure(j, s, &why);
		job_session_unusable(j,
				     s->way.first  ? JOB_OTHER_WAY
				     : without_tls ? JOB_WITHOUT_TLS
						   : JOB_NEXT_ADDRESS,
				     &s->ip, &why);
	}
	return NEXT_END;
}

static void fault_of_reply(struct fault *why, const char *what, const struct reply *reply)
{
	const char *plain = reply->code >= 500 ? "5.0.0" : "4.0.0";
	const char *status = reply->status[0] ? reply->status : plain;
	struct buf words;

	buf_init(&words, 512);
	if (!reply_print(reply, &words))
		buf_reset(&words);
	fault_set(why, status, "%s was answered by: %.*s", what, SLICE_PRINTF(buf_slice(&words)));
	buf_fini(&words);
}

enum next session_fail_reply(struct session *s, const char *what)
{
	struct fault why = {0};

	fault_of_reply(&why, what, &s->reply);
	return session_fail(s, &why);
}

/* ---- what is said ---- */

/* A line of the dialogue, with the side that said it before. */
static void log_line(const struct session *s, const char *side, struct slice line)
{
	struct buf text;

	buf_init(&text, 8192);
	buf_printf(&text, "%s: %.*s", side, SLICE_PRINTF(line));
	log_event(next_hop_dialogue, F_ID(s->job ? s->job->id : SLICE_EMPTY),
		  F_TEXT(next_hop, s->host), F_IP(address, &s->ip),
		  F_SLICE(text, buf_slice(&text)));
	buf_fini(&text);
}

void session_heard(const struct session *s, struct slice octets)
{
	struct slice line;

	if (!s->remote->service->settings->delivery_debug)
		return;
	while (slice_cut(&octets, '\n', &line))
		log_line(s, "S",
			 slice_ends(line, SLICE("\r")) ? slice_head(line, line.n - 1) : line);
}

bool session_say(struct session *s, const char *template, ...)
{
	struct buf line;
	va_list args;
	bool ok;

	buf_init(&line, 4096);
	va_start(args, template);
	ok = buf_vprintf(&line, template, args);
	va_end(args);
	if (ok && s->remote->service->settings->delivery_debug)
		log_line(s, "C", buf_slice(&line));
	ok = ok && buf_append_cstr(&line, "\r\n") && stream_write(&s->stream, buf_slice(&line));
	buf_fini(&line);
	return ok;
}

bool session_say_secret(struct session *s, const char *before, struct slice secret)
{
	struct buf line;
	bool ok;

	buf_init_secret(&line, 4096);
	ok = buf_printf(&line, "%s(not shown)", before);
	if (ok && s->remote->service->settings->delivery_debug)
		log_line(s, "C", buf_slice(&line));
	buf_reset(&line);
	ok = buf_append_cstr(&line, before) && base64_encode(&line, secret) &&
	     buf_append_cstr(&line, "\r\n") && stream_write_secret(&s->stream, buf_slice(&line));
	buf_fini(&line);
	return ok;
}

/* ---- afterwards ---- */

/* Some or all were refused on the first of two ways. */
static void other_way(struct session *s)
{
	struct job *j = s->job;
	struct fault why = {0};

	s->spent = s->spent || !s->end_sent; /* it takes nothing of us */
	s->job = NULL;
	j->session = NULL;
	fault_of_reply(&why, "a recipient", &s->refusal);
	log_failure(j, s, &why);
	job_session_unusable(j, JOB_OTHER_WAY, &s->ip, &why);
}

enum next step_done(struct session *s)
{
	struct job *j = s->job;

	s->n_messages++;
	if (j && job_waits(j)) {
		other_way(s);
	} else if (j) {
		s->job = NULL;
		j->session = NULL;
		job_end(j, NULL);
	}
	if (!s->spent && s->reply.code != 421 && s->n_messages < MESSAGES_MAX &&
	    !s->remote->stopping && s->remote->service->settings->delivery_reuse_idle > 0 &&
	    idle_keep(s->remote, &s->idle, buf_slice(&s->key)))
		return session_wait(s, STEP_idle);
	session_say(s, "QUIT");
	return session_wait(s, STEP_quit_sent);
}

enum next step_idle(struct session *s)
{
	(void)s;
	return NEXT_END; /* it speaks unasked: 421, it leaves */
}

enum next step_quit_sent(struct session *s)
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
	case STEP_auth_sent:
	case STEP_starttls_sent: /* octets behind it would be what an attacker put there, RFC 3207 6
				  */
		return false;
	case STEP_auth:
	case STEP_ready:
	case STEP_rset_sent:
	case STEP_body:
	case STEP_body_sent:
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
	session_heard(s, slice_head(stream_input(&s->stream), before - input.n));
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

/* Has the far end taken some of the body since it was looked at last? */
static bool is_taken(struct session *s)
{
	size_t n = stream_unsent(&s->stream);
	bool taken = n < s->n_unsent;

	s->n_unsent = n;
	return taken;
}

static void on_limit(void *arg)
{
	struct session *s = session_of(arg);
	struct fault why = {0};

	if (s->step == STEP_idle) {
		idle_forget(s->remote, &s->idle);
		session_say(s, "QUIT");
		session_wait(s, STEP_quit_sent);
		return;
	}
	if ((s->step == STEP_body || s->step == STEP_body_sent) && is_taken(s)) {
		loop_timer_set(&s->limit, step_limit_ms(s));
		return;
	}
	fault_set(&why, "4.4.1", "no answer in time at step %s", step_name(s->step));
	session_fail(s, &why);
	session_free(s);
}

/* ---- life ---- */

bool session_begin(struct remote *r, struct job *j, struct slice host, const struct ip *ip,
		   const struct way *way, struct fault *why)
{
	struct session *s = memory_alloc(1, sizeof(*s), why);

	if (s == NULL)
		return false;
	s->magic = MAGIC;
	s->remote = r;
	s->job = j;
	s->ip = *ip;
	s->way = *way;
	s->idle.session = s;
	buf_init(&s->key, JOB_NEXT_HOP_MAX);
	list_init(&s->node);
	loop_timer_init(&s->limit, r->service->loop, on_limit, s);
	if (!slice_cstr(host, s->host, sizeof(s->host), why) ||
	    !stream_connect(&s->stream, r->service->loop, ip, way->port, INPUT_MAX, on_stream, s,
			    why)) {
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
