#include "deliverd/remote/session.h"

#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
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

/* The far end, or the connection, has failed. */
enum next session_fail(struct session *s, const struct fault *failure)
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

enum next session_fail_reply(struct session *s, const char *what)
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

bool session_say(struct session *s, const char *template, ...)
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

/* ---- afterwards ---- */

enum next step_done(struct session *s)
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
		session_say(s, "QUIT");
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
