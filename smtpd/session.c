#include "smtpd/session.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "smtpd/client_name.h"
#include "smtpd/handover.h"
#include "smtpd/listener.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"

enum {
	SESSION_MAGIC = 0x736d7470,
	STEPS_A_TURN = 64,
	ARENA_BYTES = 8192,
	INPUT_BYTES = 65536, /* one read's worth of content: a run of it is at most a chunk of the
				spool writer's */
	COMMAND_LINE_BYTES = 2048,  /* RFC 5321 4.5.3.1.4 asks for 512 and more with extensions */
	AUTH_LINE_BYTES = 12288,    /* RFC 4954 4 */
	REPLIES_HELD_BYTES = 16384, /* more are not gathered */
	REPLIES_BYTES = 65536,
	UNSENT_BYTES = 65536, /* a client that reads no replies is read no commands from */
};

static const struct {
	const char *name;
	session_step_fn *fn;
	enum wake wake;
	enum over over;
} steps[] = {
#define X(name, wake, limit_ms, over) {#name, step_##name, wake, over},
	SESSION_STEPS(X)
#undef X
};

struct session *session_of(void *arg)
{
	struct session *s = arg;

	assert(s->magic == SESSION_MAGIC);
	return s;
}

struct session *session_of_node(struct list *node)
{
	return session_of(LIST_ENTRY(node, struct session, node));
}

struct slice session_id(const struct session *s)
{
	return slice_of(s->id, SPOOL_ID_LENGTH);
}

uint64_t session_limit_ms(const struct session *s, enum session_step step)
{
	const struct settings *conf = smtpd_settings(s->smtpd);

	switch (step) {
#define X(name, wake, limit_ms, over)                                                              \
	case STEP_##name:                                                                          \
		return limit_ms;
		SESSION_STEPS(X)
#undef X
	}
	return 0;
}

/* ---- the next step ---- */

static void set_step(struct session *s, enum session_step step)
{
	if (step != s->step && log_wanted(LOG_LEVEL_DEBUG))
		log_event(session_step, F_ID(session_id(s)), F_TEXT(step, steps[step].name));
	s->step = step;
}

enum next session_go(struct session *s, enum session_step step)
{
	set_step(s, step);
	return NEXT_GO;
}

enum next session_wait(struct session *s, enum session_step step)
{
	uint64_t limit_ms = steps[step].wake == WAKE_ANSWER ? 0 : session_limit_ms(s, step);

	set_step(s, step);
	s->limit_at_ms = limit_ms ? loop_now_ms(s->smtpd->loop) + limit_ms : 0;
	s->limit_over = false;
	s->noted = false;
	return NEXT_WAIT;
}

enum next session_wait_on(struct session *s)
{
	s->noted = false;
	return NEXT_WAIT;
}

enum next session_command(struct session *s)
{
	return session_wait(s, STEP_command);
}

/* ---- replies ---- */

/* Hands gathered replies to the stream, which sends them at the end of this turn. */
void session_send_replies(struct session *s)
{
	struct slice held = buf_slice(&s->replies);

	if (held.n == 0)
		return;
	if (!stream_write(&s->stream, held))
		s->lost = true;
	buf_fini(&s->replies);
}

void session_reply(struct session *s, const struct reply *r)
{
	if (!reply_encode(r, &s->replies))
		s->lost = true;
	if (buf_length(&s->replies) > REPLIES_HELD_BYTES)
		session_send_replies(s);
}

enum next session_refuse(struct session *s, const struct reply *r)
{
	struct reply enough;

	if (reply_is_permanent(r) && ++s->n_errors >= smtpd_settings(s->smtpd)->smtp_max_errors) {
		reply_set(&enough, 421, "4.7.0", "too many mistakes; the last: %.400s", r->text);
		return session_close(s, &enough, "too many mistakes");
	}
	session_reply(s, r);
	return session_command(s);
}

enum next session_close(struct session *s, const struct reply *r, const char *why)
{
	session_reply(s, r);
	session_reset(s);
	s->ending = why;
	s->lingers = true;
	return session_wait(s, STEP_closing);
}

/* ---- what the client sends ---- */

/* Is the line that is awaited a client's answer within AUTH? */
static bool awaits_auth_line(const struct session *s)
{
	return s->step == STEP_auth_response || s->step == STEP_auth_user ||
	       s->step == STEP_auth_password;
}

static size_t line_limit(const struct session *s)
{
	return awaits_auth_line(s) ? AUTH_LINE_BYTES : COMMAND_LINE_BYTES;
}

enum session_line session_take_line(struct session *s, struct slice *line)
{
	struct slice input = slice_head(stream_input(&s->stream), line_limit(s));
	size_t lf = slice_find(input, '\n');

	if (lf == SIZE_MAX) {
		s->auth_line = awaits_auth_line(s);
		return SESSION_LINE_TOO_LONG;
	}
	s->taken_bytes = (uint32_t)lf + 1;
	if (lf == 0 || input.p[lf - 1] != '\r')
		return SESSION_LINE_BARE;
	*line = slice_head(input, lf - 1);
	return SESSION_LINE;
}

enum next session_refuse_line(struct session *s, enum session_line what)
{
	struct reply no;

	if (what == SESSION_LINE_TOO_LONG)
		return session_wait(s, STEP_skip_line);
	reply_set(&no, 500, "5.5.2", "a line ends in CR LF");
	log_event(command_refused, F_ID(session_id(s)), F_IP(client, &s->address),
		  F_TEXT(status, no.status), F_TEXT(reason, no.text));
	return session_refuse(s, &no);
}

/* The rest of a line that is too long goes by and is not kept. */
enum next step_skip_line(struct session *s)
{
	struct slice input = stream_input(&s->stream);
	size_t lf = slice_find(input, '\n');
	struct reply no;

	s->taken_bytes = (uint32_t)(lf == SIZE_MAX ? input.n : lf + 1);
	if (lf == SIZE_MAX)
		return session_wait_on(s);
	reply_set(&no, 500, s->auth_line ? "5.5.6" : "5.5.2", "the line is too long");
	log_event(command_refused, F_ID(session_id(s)), F_IP(client, &s->address),
		  F_TEXT(status, no.status), F_TEXT(reason, no.text));
	return session_refuse(s, &no);
}

void session_discard_input(struct session *s)
{
	s->taken_bytes = 0;
	stream_discard_input(&s->stream);
}

/* ---- the only loop ---- */

static bool wants_input(const struct session *s)
{
	enum wake wake = steps[s->step].wake;

	return (wake == WAKE_LINE && stream_unsent(&s->stream) < UNSENT_BYTES) ||
	       wake == WAKE_INPUT;
}

static bool has_line(const struct session *s)
{
	struct slice input = stream_input(&s->stream);

	return slice_find(slice_head(input, line_limit(s)), '\n') != SIZE_MAX ||
	       input.n >= line_limit(s);
}

static bool is_awake(const struct session *s)
{
	if (s->limit_over && steps[s->step].over == OVER_RUN)
		return true;
	switch (steps[s->step].wake) {
	case WAKE_LINE:
		return wants_input(s) && has_line(s);
	case WAKE_INPUT:
		return stream_input(&s->stream).n > 0;
	case WAKE_NOTED:
	case WAKE_ANSWER:
		return s->noted;
	case WAKE_SENT:
		return buf_length(&s->replies) == 0 && stream_unsent(&s->stream) == 0;
	}
	return false;
}

/* Is the session between two messages, with nothing said that we have not answered? */
static bool is_idle(const struct session *s)
{
	return s->step == STEP_command && s->transaction == NULL && !has_line(s);
}

static enum next limit_is_over(struct session *s)
{
	struct reply late;

	if (steps[s->step].over != OVER_TELL) {
		s->ending = s->ending ? s->ending : "it took too long";
		return NEXT_END;
	}
	reply_set(&late, 421, "4.4.2", "%.*s: you took too long",
		  SLICE_PRINTF(smtpd_settings(s->smtpd)->hostname));
	return session_close(s, &late, "the client took too long");
}

/* What may end a wait from outside, before the step is asked whether it is awake. */
static enum next look_outside(struct session *s)
{
	struct reply stop;

	if (s->lost) {
		s->ending = s->ending ? s->ending : "the connection was lost";
		return NEXT_END;
	}
	if (s->limit_over && steps[s->step].over != OVER_RUN)
		return limit_is_over(s);
	if (s->smtpd->hurried && is_idle(s)) {
		reply_set(&stop, 421, "4.3.2", "%.*s is shutting down; come back soon",
			  SLICE_PRINTF(smtpd_settings(s->smtpd)->hostname));
		return session_close(s, &stop, "shutting down");
	}
	if (s->eof && wants_input(s) && !is_awake(s)) {
		s->ending = s->ending ? s->ending : "the client closed the connection";
		return NEXT_END;
	}
	return NEXT_WAIT;
}

/* The last reply has gone. Closing at once would make the kernel send a reset when something unread
 * is left, and the client might lose the reply over it. */
enum next step_closing(struct session *s)
{
	if (!s->lingers)
		return NEXT_END;
	if (!stream_is_tls(&s->stream))
		(void)shutdown(s->stream.fd, SHUT_WR);
	return session_wait(s, STEP_lingering);
}

enum next step_lingering(struct session *s)
{
	s->taken_bytes = (uint32_t)stream_input(&s->stream).n;
	return session_wait_on(s);
}

/* Nothing to do: the replies go out, the timer and the socket do the waiting. */
static void rest(struct session *s)
{
	uint64_t now_ms = loop_now_ms(s->smtpd->loop);

	if (steps[s->step].wake != WAKE_ANSWER)
		session_send_replies(s);
	s->yielded = false;
	if (s->limit_at_ms == 0)
		loop_timer_cancel(&s->timer);
	else if (s->timer.at_ms != s->limit_at_ms)
		loop_timer_set(&s->timer, s->limit_at_ms > now_ms ? s->limit_at_ms - now_ms : 0);
	stream_read(&s->stream, wants_input(s));
}

static enum next run_step(struct session *s)
{
	enum next next = steps[s->step].fn(s);

	s->limit_over = false;
	if (s->taken_bytes > 0)
		stream_consume(&s->stream, s->taken_bytes);
	s->taken_bytes = 0;
	return next;
}

void session_run(struct session *s)
{
	enum next next = s->waiting ? NEXT_WAIT : NEXT_GO;

	if (s->running)
		return;
	s->running = true;
	for (unsigned n = 0; next != NEXT_END; n++) {
		if (next == NEXT_WAIT && (next = look_outside(s)) == NEXT_WAIT && !is_awake(s)) {
			s->waiting = true;
			s->running = false;
			rest(s);
			return;
		}
		if (next == NEXT_END)
			break;
		if (n == STEPS_A_TURN) {
			s->waiting = next == NEXT_WAIT;
			s->running = false;
			s->yielded = true;
			loop_timer_set(&s->timer, 0);
			return;
		}
		next = run_step(s);
	}
	s->running = false;
	session_end(s, s->ending);
}

/* The limit is over, or others have had their turn. */
static void on_timer(void *arg)
{
	struct session *s = session_of(arg);

	s->limit_over = !s->yielded;
	s->yielded = false;
	session_run(s);
}

static void on_stream(void *arg, unsigned events)
{
	struct session *s = session_of(arg);

	s->eof |= (events & STREAM_EOF) != 0;
	s->lost |= (events & STREAM_FAILED) != 0;
	s->noted |= (events & STREAM_TLS_UP) != 0 && s->step == STEP_encrypted;
	if (s->lost && s->step == STEP_encrypted)
		log_event(tls_failed, F_ID(session_id(s)), F_IP(client, &s->address),
			  F_FAULT(stream_fault(&s->stream)));
	session_run(s);
}

void session_note(struct session *s)
{
	s->noted = true;
	session_run(s);
}

/* ---- beginning and end ---- */

static void log_connected(const struct session *s, const struct session_origin *from)
{
	if (from->trusted)
		log_event(client_connected, F_ID(session_id(s)), F_NUMBER(uid, from->uid),
			  F_SLICE(listener, from->listener));
	else
		log_event(client_connected, F_ID(session_id(s)), F_IP(client, &from->address),
			  F_NUMBER(client_port, from->port), F_SLICE(listener, from->listener));
}

bool session_create(struct smtpd *d, int fd, const struct session_origin *from)
{
	struct session *s = memory_alloc(1, sizeof(*s), NULL);

	if (s == NULL) {
		fd_close(&fd);
		return false;
	}
	*s = (struct session){.magic = SESSION_MAGIC,
			      .smtpd = d,
			      .client = from->client,
			      .address = from->address,
			      .port = from->port,
			      .trusted = from->trusted,
			      .uid = from->uid,
			      .tls = from->tls};
	stream_init(&s->stream, d->loop, fd, INPUT_BYTES, on_stream, s);
	loop_timer_init(&s->timer, d->loop, on_timer, s);
	arena_init(&s->arena, ARENA_BYTES);
	buf_init(&s->replies, REPLIES_BYTES);
	spool_id_make(&d->ids, loop_wall_us(d->loop), s->id);
	list_append(&d->sessions, &s->node);
	d->n_sessions++;
	log_connected(s, from);
	client_name_begin(s);
	s->step = STEP_connected;
	session_run(s);
	return true;
}

void session_reset(struct session *s)
{
	transaction_destroy(s->transaction);
	s->transaction = NULL;
}

void session_end(struct session *s, const char *why)
{
	struct smtpd *d = s->smtpd;

	log_event(client_left, F_ID(session_id(s)), F_IP(client, &s->address),
		  F_TEXT(reason, why ? why : "the end"));
	session_reset(s);
	handover_forget_session(s->handover);
	ipc_ask_cancel(&s->ask);
	client_name_cancel(s);
	loop_timer_cancel(&s->timer);
	stream_fini(&s->stream);
	buf_fini(&s->replies);
	arena_reset(&s->arena);
	client_left(d, s->client);
	list_remove(&s->node);
	d->n_sessions--;
	s->magic = 0;
	free(s);
	smtpd_ended_something(d);
}

bool session_keep(struct session *s, struct slice value, struct slice *kept, struct fault *why)
{
	return slice_equal(value, *kept) || arena_copy(&s->arena, value, kept, why);
}

static bool auth_is_done_here(const struct session *s)
{
	return s->smtpd->submission && !s->trusted && smtpd_settings(s->smtpd)->smtp_auth;
}

/* RFC 4954 4: a password never goes over a network in the clear. Without any TLS at a listener,
 * only from this host. */
bool session_offers_auth(const struct session *s)
{
	if (!auth_is_done_here(s))
		return false;
	return stream_is_tls(&s->stream) ||
	       (s->tls == LISTENER_TLS_NONE && ip_is_loopback(&s->address));
}

bool session_could_offer_auth(const struct session *s)
{
	return session_offers_auth(s) ||
	       (auth_is_done_here(s) &&
		(s->tls == LISTENER_TLS_STARTTLS || s->tls == LISTENER_TLS_REQUIRED));
}
