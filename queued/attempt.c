#include "queued/attempt.h"

#include <assert.h>

#include "common/base/random.h"
#include "common/log/log.h"
#include "queued/corrupt.h"
#include "queued/dispatch.h"
#include "queued/due.h"
#include "queued/message.h"
#include "queued/queued.h"
#include "queued/record.h"
#include "queued/results.h"
#include "queued/routing.h"
#include "queued/steer.h"
#include "queued/telling.h"

/* ---- beginning ---- */

/* Who is refused for good but was not told yet (the notice could not be made) is told in this attempt, and not tried again. */
static bool target_of_past(struct message *m, struct recipient *r, const struct spool_result *past, struct fault *why)
{
	struct target *t = message_add_target(m, r, past->forward_path.n > 0 ? past->forward_path : r->forward_path, why);

	if (t == NULL)
		return false;
	message_set_target(m, t, TARGET_FAILED, past->status, past->reply, past->host);
	t->at_us = past->at_us;
	t->recorded = true;
	return true;
}

static bool recipient_begin(struct message *m, struct recipient *r, struct fault *why)
{
	r->done = r->past.done;
	if (r->done)
		return true;
	if (r->past.failed) {
		r->routed = true;
		return target_of_past(m, r, &r->past.last, why);
	}
	for (size_t i = 0; i < r->past.n_parts; i++)
		if (r->past.parts[i].kind == SPOOL_RESULT_FAILED && !target_of_past(m, r, &r->past.parts[i], why))
			return false;
	return true;
}

void attempt_begin(struct message *m)
{
	struct fault why;

	/* A recipient for whom there is no memory waits, with the others, for the next attempt. */
	for (size_t i = 0; i < m->n_recipients; i++)
		if (!recipient_begin(m, &m->recipients[i], &why))
			log_event(deferred, F_ID(message_id(m)), F_SLICE(to, m->recipients[i].forward_path), F_FAULT(&why));
	m->step = MESSAGE_ROUTING;
	if (m->returned) {
		steer_return(m);
		attempt_routed(m);
	} else
		routing_begin(m);
}

void attempt_routed(struct message *m)
{
	m->step = MESSAGE_DELIVERING;
	queued_count(m);
	dispatch_add(m);
	if (m->n_deliveries == 0)
		attempt_delivered(m);
}

/* ---- telling ---- */

static bool has_state(const struct message *m, enum target_state state)
{
	for (size_t i = 0; i < m->n_recipients; i++)
		for (const struct target *t = m->recipients[i].targets; t != NULL; t = t->next)
			if (t->state == state)
				return true;
	return false;
}

static void each_target(struct message *m, enum target_state state, void (*fn)(struct message *m, struct target *t))
{
	for (size_t i = 0; i < m->n_recipients; i++)
		for (struct target *t = m->recipients[i].targets; t != NULL; t = t->next)
			if (t->state == state)
				fn(m, t);
}

/* RFC 5321 4.5.4.1: after the lifetime we give up; what the last attempt met is told. */
static void target_expire(struct message *m, struct target *t)
{
	t->state = TARGET_FAILED;
	t->expired = true;
	log_event(expired, F_ID(message_id(m)), F_SLICE(to, t->forward_path), F_SLICE(status, t->status), F_SLICE(reason, t->reply));
}

bool message_is_old(const struct message *m)
{
	uint64_t now_us = loop_wall_us(m->queued->loop);

	return now_us > m->received_us && (now_us - m->received_us) / 1000 >= m->queued->settings->queue_lifetime;
}

static void message_close(struct message *m);

static void message_tell(struct message *m)
{
	m->step = MESSAGE_TELLING;
	if (message_is_old(m))
		each_target(m, TARGET_DEFERRED, target_expire);
	if (m->vanished || m->corrupt)
		message_close(m);
	else
		telling_begin(m);
}

void attempt_delivered(struct message *m)
{
	if (m->n_deliveries == 0)
		message_tell(m);
	else
		record_start(m); /* invariant 3: a slow next hop does not keep what another has answered from the file */
}

void attempt_told(struct message *m)
{
	message_close(m);
}

/* ---- closing ---- */

static bool message_is_done(const struct message *m)
{
	for (size_t i = 0; i < m->n_recipients; i++)
		if (!recipient_is_final(&m->recipients[i]))
			return false;
	return telling_recipients(m, NOTICE_SUCCESS, NULL) == 0;
}

/* Did a far end put t off as one does that greylists? By 450 or 451 to a command of this message, whatever its words are. */
static bool is_greylisted(const struct target *t)
{
	return t->by.n > 0 && (slice_starts(t->reply, SLICE("450")) || slice_starts(t->reply, SLICE("451")));
}

static bool message_is_greylisted(const struct message *m)
{
	for (size_t i = 0; i < m->n_recipients; i++)
		for (const struct target *t = m->recipients[i].targets; t != NULL; t = t->next)
			if (t->state == TARGET_DEFERRED && is_greylisted(t))
				return true;
	return false;
}

/* The pause doubles with each attempt. Jitter, an eighth: what came together spreads over half a minute at first, over half an hour in the end, and more with
 * each attempt. It only shortens: a moment further ahead than queue_retry_max means a wrong clock.
 * A host that greylists wants to see the message again, most after a minute, some after five: one attempt soon, and then as if that had been the first. */
static uint64_t message_pause_ms(const struct message *m)
{
	const struct settings *settings = m->queued->settings;
	uint64_t pause_ms = settings->queue_retry_min;
	uint32_t n = message_n_attempts(m);

	if (message_is_greylisted(m) && n-- == 0) {
		n = 0;
		if (settings->queue_retry_greylist < pause_ms)
			pause_ms = settings->queue_retry_greylist;
	}
	for (; n > 0 && pause_ms < settings->queue_retry_max; n--)
		pause_ms *= 2;
	if (pause_ms > settings->queue_retry_max)
		pause_ms = settings->queue_retry_max;
	return pause_ms - random_below((uint32_t)(pause_ms / 8 < UINT32_MAX ? pause_ms / 8 : UINT32_MAX));
}

/* One line an attempt and recipient, with the first of its targets that was deferred; a line for each that is final. */
static void recipient_end(struct message *m, struct recipient *r, uint64_t pause_ms)
{
	bool deferred = false;

	for (struct target *t = r->targets; t != NULL; t = t->next) {
		if (t->state == TARGET_DEFERRED) {
			results_log_deferred(m, t, pause_ms);
			if (!deferred)
				record_deferred(m, t);
			deferred = true;
		} else if (t->state != TARGET_OPEN)
			record_target(m, t);
	}
}

/* Parked alone: no attempt was made. Its moment is now, or where it waits for several destinations, when the first may take it. */
static bool is_only_parked(const struct message *m)
{
	return m->parked && !m->given_back && !has_state(m, TARGET_DEFERRED);
}

static void message_end(struct message *m)
{
	struct queued *q = m->queued;
	uint64_t pause_ms = message_pause_ms(m);

	if (m->given_back)
		pause_ms = 0;
	m->next_due_s = queued_now_s(q) + (uint32_t)((pause_ms + 999) / 1000);
	dispatch_bind(m);
	if (is_only_parked(m))
		m->next_due_s = schedule_group(q->schedule, m->entry) != 0 ? queued_now_s(q) : m->parked_until_s;
	for (size_t i = 0; i < m->n_recipients; i++)
		if (!m->recipients[i].done)
			recipient_end(m, &m->recipients[i], pause_ms);
	m->ended = true;
	if (is_only_parked(m) && place_is_queue(m->place) && schedule_group(q->schedule, m->entry) != 0 && record_is_idle(m)) {
		attempt_recorded(m); /* in the file nothing is to be changed: it is due there, and stays so */
		return;
	}
	m->record_end = m->record_move = true;
	record_start(m);
}

static void message_forget(struct message *m)
{
	schedule_forget(m->queued->schedule, m->entry);
	queued_retire(m);
}

static void message_removed(void *arg, const struct fault *why)
{
	struct message *m = message_of(arg);
	uint64_t now_us = loop_wall_us(m->queued->loop);

	if (why != NULL) {
		log_event(spool_failed, F_ID(message_id(m)), F_FAULT(why));
		message_end(m); /* the file will say that all are done; it is removed at the next attempt */
		return;
	}
	log_event(removed, F_ID(message_id(m)), F_NUMBER(delay_ms, now_us > m->received_us ? (now_us - m->received_us) / 1000 : 0));
	message_forget(m);
}

static void message_set_aside(void *arg)
{
	message_forget(message_of(arg));
}

/* Comes again through attempt_recorded while the file is being written. */
static void message_close(struct message *m)
{
	m->step = MESSAGE_CLOSING;
	queued_count(m);
	if (m->record != NULL)
		return;
	if (m->vanished) {
		log_event(vanished, F_ID(message_id(m)));
		message_forget(m);
	} else if (m->corrupt)
		corrupt_set_aside(m->queued, message_id(m), m->place, &m->why, message_set_aside, m);
	else if (m->ended)
		record_start(m);
	else if (!message_is_done(m) || !files_remove(&m->queued->files, m->place, message_id(m), message_removed, m))
		message_end(m);
	else
		loop_timer_cancel(&m->record_again);
}

void attempt_recorded(struct message *m)
{
	struct queued *q = m->queued;
	struct steer_job *later;

	if (m->step != MESSAGE_CLOSING) {
		if (place_is_queue(m->place))
			queued_answer(m);
		return;
	}
	if (!m->ended) {
		message_close(m);
		return;
	}
	if (is_only_parked(m) && schedule_group(q->schedule, m->entry) != 0)
		due_line_up(&q->due, m);
	else
		schedule_wait(q->schedule, m->entry, m->next_due_s);
	queued_set_timer(q);
	later = m->later;
	m->later = NULL;
	queued_retire(m);
	steer_later(later);
}

void attempt_postpone(struct message *m)
{
	m->step = MESSAGE_CLOSING;
	m->next_due_s = queued_now_s(m->queued);
	m->ended = m->record_end = m->record_move = true;
	record_start(m);
}

static void message_broken(struct message *m)
{
	buf_reset(&m->lines);
	m->record_end = m->record_move = false;
	if (m->step == MESSAGE_CLOSING)
		message_close(m);
}

void attempt_vanished(struct message *m)
{
	m->vanished = true;
	message_broken(m);
}

void attempt_corrupt(struct message *m, const struct fault *why)
{
	assert(why != NULL);
	m->corrupt = true;
	m->why = *why;
	message_broken(m);
}
