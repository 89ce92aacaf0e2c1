#include "queued/results.h"

#include <stdlib.h>

#include "common/ipc/link.h"
#include "common/log/log.h"
#include "common/mail/dsn.h"
#include "queued/dispatch.h"
#include "queued/message.h"
#include "queued/queued.h"
#include "queued/record.h"

void results_defer(struct message *m, struct target *t, const struct fault *why)
{
	const char *status = why->class == FAULT_PERMANENT ? "4.3.0" : fault_status(why);

	message_set_target(m, t, TARGET_DEFERRED, slice_of_cstr(status), slice_of_cstr(why->text), SLICE_EMPTY);
}

static uint64_t message_age_ms(const struct message *m)
{
	uint64_t now_us = loop_wall_us(m->queued->loop);

	return now_us > m->received_us ? (now_us - m->received_us) / 1000 : 0;
}

/* The line of one recipient's result; original_to only where an alias changed it. */
static void result_log(enum log_name name, const struct message *m, const struct target *t, struct slice next_hop, const uint64_t *pause_ms)
{
	const struct recipient *r = t->recipient;
	struct log_field fields[9] = {F_ID(message_id(m)),
				      F_SLICE(to, t->forward_path),
				      F_SLICE(next_hop, next_hop),
				      F_SLICE(status, t->status),
				      t->state == TARGET_DELIVERED ? F_SLICE(reply, t->reply) : F_SLICE(reason, t->reply),
				      F_NUMBER(attempt, r->past.n_attempts + 1),
				      F_NUMBER(delay_ms, message_age_ms(m))};
	size_t n = 7;

	if (!slice_equal(t->forward_path, r->forward_path))
		fields[n++] = F_SLICE(original_to, r->forward_path);
	if (pause_ms != NULL)
		fields[n++] = F_NUMBER(next_attempt_s, *pause_ms / 1000);
	log_write(name, fields, n);
}

void results_log_refused(const struct message *m, const struct target *t)
{
	if (t->state == TARGET_FAILED)
		result_log(LOG_EVENT_failed, m, t, t->by, NULL);
}

void results_log_deferred(const struct message *m, const struct target *t, uint64_t pause_ms)
{
	result_log(LOG_EVENT_deferred, m, t, t->by.n > 0 ? t->by : t->kind == ROUTE_LOCAL ? SLICE("local") : t->host, &pause_ms);
}

static int index_compare(const void *key, const void *target)
{
	uint32_t index = *(const uint32_t *)key, other = (*(struct target *const *)target)->index;

	return (index > other) - (index < other);
}

/* A status that is none of its class is not believed. */
static struct slice status_or(struct slice status, struct slice plain)
{
	return status.n >= 5 && slice_equal(slice_head(status, 2), slice_head(plain, 2)) ? status : plain;
}

/* RFC 3461 5.2.1: a host that knows DSN was told what the sender wants to hear, and tells it. */
static void result_handed_on(struct message *m, struct target *t, bool dsn)
{
	struct recipient *r = t->recipient;

	if (!dsn || t->kind != ROUTE_REMOTE || r->n_routes != 1 || (r->notify & DSN_SUCCESS) == 0)
		return;
	r->reported = true;
	record_mark(m, r, SPOOL_RESULT_REPORTED);
}

static void result_take(struct message *m, struct target *t, const struct ipc_deliver_result *in)
{
	switch ((enum deliver_outcome)in->outcome) {
	case DELIVER_DELIVERED:
		message_set_target(m, t, TARGET_DELIVERED, status_or(in->status, SLICE("2.0.0")), in->reply, in->host);
		result_log(LOG_EVENT_delivered, m, t, t->kind == ROUTE_LOCAL ? SLICE("local") : t->by, NULL);
		record_target(m, t);
		result_handed_on(m, t, in->dsn);
		break;
	case DELIVER_DEFERRED:
		message_set_target(m, t, TARGET_DEFERRED, status_or(in->status, SLICE("4.0.0")), in->reply, in->host);
		break;
	case DELIVER_FAILED:
		message_set_target(m, t, TARGET_FAILED, status_or(in->status, SLICE("5.0.0")), in->reply, in->host);
		results_log_refused(m, t);
		break;
	case DELIVER_WAITING:
		break;
	}
}

void results_take(struct delivery *v, const struct ipc_message *answer, const struct fault *why)
{
	struct fault none = {0};
	struct ipc_deliver_result in;
	struct slice results = SLICE_EMPTY;
	bool broken = false;

	fault_set(&none, "4.3.0", "deliverd said nothing about this recipient");
	if (answer != NULL && answer->type == IPC_TYPE_deliver_answer)
		results = answer->deliver_answer.results;
	else if (answer != NULL && answer->type == IPC_TYPE_failed)
		none = answer->failed.why;
	else if (answer == NULL && why != NULL)
		none = *why;
	while (ipc_next_deliver_result(&results, &in, &broken)) {
		struct target **t = bsearch(&in.index, v->targets, v->n_targets, sizeof(struct target *), index_compare);

		if (t != NULL && (*t)->state == TARGET_OPEN)
			result_take(v->message, *t, &in);
	}
	for (size_t i = 0; i < v->n_targets; i++)
		if (v->targets[i]->state == TARGET_OPEN)
			results_defer(v->message, v->targets[i], &none);
	queued_count(v->message);
}
