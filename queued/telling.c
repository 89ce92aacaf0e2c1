#include "queued/telling.h"

#include "common/log/log.h"
#include "common/mail/dsn.h"
#include "queued/attempt.h"
#include "queued/message.h"
#include "queued/notice.h"
#include "queued/queued.h"
#include "queued/record.h"

/* ---- who is told of what ---- */

static bool is_to_double(const struct message *m)
{
	return slice_equal(m->envelope.notice, SLICE(NOTICE_OF_FAILURE)) && !slice_equal(m->queued->settings->double_bounce, SLICE("none"));
}

/* Is it a target that a notice of failure (or of a delay) is about? */
static bool is_told_of(const struct target *t, enum notice_kind kind)
{
	if (kind == NOTICE_DELAY)
		return t->state == TARGET_DEFERRED && (t->recipient->notify & DSN_DELAY) != 0;
	return t->state == TARGET_FAILED && (kind == NOTICE_DOUBLE || (t->recipient->notify & DSN_FAILURE) != 0);
}

static struct bounce_recipient about_target(const struct message *m, const struct target *t)
{
	return (struct bounce_recipient){.action = t->state == TARGET_FAILED ? BOUNCE_FAILED : BOUNCE_DELAYED,
					 .forward_path = t->forward_path,
					 .original_path = t->recipient->forward_path,
					 .orcpt = m->envelope.recipients[t->recipient->index].orcpt,
					 .status = t->status,
					 .reply = t->reply,
					 .host = t->by,
					 .at_us = t->at_us,
					 .expired = t->expired};
}

static size_t targets_told_of(const struct message *m, enum notice_kind kind, struct bounce_recipient *out)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_recipients; i++)
		for (const struct target *t = m->recipients[i].targets; t != NULL; t = t->next)
			if (is_told_of(t, kind)) {
				if (out != NULL)
					out[n] = about_target(m, t);
				n++;
			}
	return n;
}

/* RFC 3461 5.2: what became of r in this attempt, or in one before whose notice could not be made. False: it is not delivered. */
static bool about_delivered(const struct recipient *r, struct bounce_recipient *out)
{
	const struct spool_result *last = &r->past.last;
	const struct target *t = r->targets;

	*out = (struct bounce_recipient){.action = BOUNCE_EXPANDED, .forward_path = r->forward_path, .status = SLICE("2.0.0")};
	if (r->n_routes > 1 || (r->past.done && r->past.n_parts > 1)) {
		out->at_us = r->past.done ? last->at_us : t != NULL ? t->at_us : 0;
		return true;
	}
	if (r->past.done) {
		out->action = last->host.n > 0 ? BOUNCE_RELAYED : BOUNCE_DELIVERED;
		out->status = last->status;
		out->reply = last->reply;
		out->host = last->host;
		out->at_us = last->at_us;
		return last->kind == SPOOL_RESULT_DELIVERED;
	}
	if (t == NULL || t->state != TARGET_DELIVERED)
		return false;
	out->action = t->kind == ROUTE_LOCAL ? BOUNCE_DELIVERED : BOUNCE_RELAYED;
	out->forward_path = t->forward_path;
	out->status = t->status;
	out->reply = t->reply;
	out->host = t->kind == ROUTE_LOCAL ? SLICE_EMPTY : t->by;
	out->at_us = t->at_us;
	return true;
}

static size_t recipients_delivered(const struct message *m, struct bounce_recipient *out)
{
	struct bounce_recipient about;
	size_t n = 0;

	for (size_t i = 0; i < m->n_recipients; i++) {
		const struct recipient *r = &m->recipients[i];

		if ((r->notify & DSN_SUCCESS) == 0 || r->reported || !about_delivered(r, &about))
			continue;
		about.original_path = r->forward_path;
		about.orcpt = m->envelope.recipients[i].orcpt;
		if (about.at_us == 0)
			about.at_us = loop_wall_us(m->queued->loop);
		if (out != NULL)
			out[n] = about;
		n++;
	}
	return n;
}

bool telling_is_late(const struct message *m)
{
	uint64_t after_ms = m->queued->settings->queue_delay_warning, now_us = loop_wall_us(m->queued->loop);
	bool wanted = false;

	for (size_t i = 0; i < m->n_recipients && !wanted; i++)
		wanted = !m->recipients[i].done && (m->recipients[i].notify & DSN_DELAY) != 0;
	return wanted && !m->warned && after_ms > 0 && m->envelope.reverse_path.n > 0 && now_us > m->received_us &&
	       (now_us - m->received_us) / 1000 >= after_ms;
}

size_t telling_recipients(const struct message *m, enum notice_kind kind, struct bounce_recipient *out)
{
	bool has_sender = m->envelope.reverse_path.n > 0;

	switch (kind) {
	case NOTICE_FAILURE:
		return has_sender ? targets_told_of(m, kind, out) : 0;
	case NOTICE_DOUBLE:
		return !has_sender && is_to_double(m) ? targets_told_of(m, kind, out) : 0;
	case NOTICE_SUCCESS:
		return has_sender ? recipients_delivered(m, out) : 0;
	case NOTICE_DELAY:
		return telling_is_late(m) ? targets_told_of(m, kind, out) : 0;
	case NOTICE_KINDS:
		break;
	}
	return 0;
}

/* ---- what is then known ---- */

static void target_told(struct message *m, struct target *t)
{
	t->state = TARGET_TOLD;
	t->recorded = false;
	record_target(m, t);
}

static void targets_told(struct message *m, enum notice_kind kind)
{
	for (size_t i = 0; i < m->n_recipients; i++)
		for (struct target *t = m->recipients[i].targets; t != NULL; t = t->next)
			if (is_told_of(t, kind))
				target_told(m, t);
}

static void recipients_reported(struct message *m)
{
	struct bounce_recipient about;

	for (size_t i = 0; i < m->n_recipients; i++) {
		struct recipient *r = &m->recipients[i];

		if ((r->notify & DSN_SUCCESS) == 0 || r->reported || !about_delivered(r, &about))
			continue;
		r->reported = true;
		record_mark(m, r, SPOOL_RESULT_REPORTED);
	}
}

static void message_told(struct message *m, enum notice_kind kind)
{
	switch (kind) {
	case NOTICE_FAILURE:
	case NOTICE_DOUBLE:
		targets_told(m, kind);
		break;
	case NOTICE_SUCCESS:
		recipients_reported(m);
		break;
	case NOTICE_DELAY:
		m->warned = true;
		record_mark(m, &m->recipients[0], SPOOL_RESULT_WARNED);
		break;
	case NOTICE_KINDS:
		break;
	}
}

/* Of whom nobody is told, or wants to be told. */
static void targets_drop(struct message *m)
{
	bool has_sender = m->envelope.reverse_path.n > 0;
	enum log_name name = has_sender ? LOG_EVENT_notice_unwanted : LOG_EVENT_notice_dropped;

	for (size_t i = 0; i < m->n_recipients; i++)
		for (struct target *t = m->recipients[i].targets; t != NULL; t = t->next) {
			struct log_field fields[] = {F_ID(message_id(m)), F_SLICE(to, t->forward_path), F_SLICE(status, t->status),
						     F_SLICE(reason, t->reply)};

			if (t->state != TARGET_FAILED || (has_sender ? is_told_of(t, NOTICE_FAILURE) : is_to_double(m)))
				continue;
			log_write(name, fields, ARRAY_LENGTH(fields));
			target_told(m, t);
		}
}

/* ---- one notice behind the other ---- */

static void told(struct message *m, const struct fault *why)
{
	if (why != NULL)
		log_event(spool_failed, F_ID(message_id(m)), F_FAULT(why));
	attempt_told(m);
}

static void telling_next(struct message *m)
{
	static const enum notice_kind order[] = {NOTICE_FAILURE, NOTICE_DOUBLE, NOTICE_SUCCESS, NOTICE_DELAY};
	struct fault why;

	for (size_t i = 0; i < ARRAY_LENGTH(order); i++) {
		if (telling_recipients(m, order[i], NULL) == 0)
			continue;
		if (!notice_begin(m, order[i], &why))
			told(m, &why);
		else
			record_start(m); /* who has it has it, whatever happens meanwhile */
		return;
	}
	told(m, NULL);
}

void telling_begin(struct message *m)
{
	targets_drop(m);
	telling_next(m);
}

void telling_noticed(struct message *m, enum notice_kind kind, const struct fault *why)
{
	if (why != NULL) {
		told(m, why);
		return;
	}
	message_told(m, kind);
	telling_next(m);
}
