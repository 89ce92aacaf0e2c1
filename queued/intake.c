#include "queued/intake.h"

#include "common/base/fault.h"
#include "common/ipc/link.h"
#include "common/log/log.h"
#include "queued/attempt.h"
#include "queued/message.h"
#include "queued/queued.h"
#include "queued/record.h"

static void wait_for_answer(struct message *m, struct ipc_request *request)
{
	struct queued *q = m->queued;

	queued_answer(m); /* an earlier ask, of a connection that has ended */
	m->request = request;
	if (request == NULL)
		return;
	m->asked_ms = loop_now_ms(q->loop);
	list_append(&q->unanswered, &m->unanswered);
	if (!loop_timer_is_set(&q->patience))
		loop_timer_set(&q->patience, INTAKE_PATIENCE_MS);
}

void intake_patience(void *queued)
{
	struct queued *q = queued;
	uint64_t now_ms = loop_now_ms(q->loop);
	struct list *first;

	while ((first = list_first(&q->unanswered)) != NULL) {
		struct message *m = LIST_ENTRY(first, struct message, unanswered);

		if (now_ms < m->asked_ms + INTAKE_PATIENCE_MS) {
			loop_timer_set(&q->patience, m->asked_ms + INTAKE_PATIENCE_MS - now_ms);
			return;
		}
		list_remove(first); /* from here the answer comes with the move, or with the end of the attempt */
		if (m->step == MESSAGE_CLOSING)
			continue;
		if (place_is_queue(m->place)) {
			queued_answer(m);
			continue;
		}
		m->record_move = true;
		record_start(m);
	}
}

bool intake_take(struct queued *q, place p, struct slice id, struct slice envelope, uint64_t received_us, uint64_t size_bytes,
		 struct ipc_request *request, struct fault *why)
{
	struct message *m = message_create(q, id, p, envelope, why);
	bool room = queued_has_room(q, true) && !q->stopping;

	if (m == NULL)
		return false;
	m->received_us = received_us;
	m->size_bytes = size_bytes;
	if (!schedule_add(q->schedule, id, 0, &m->entry, why))
		goto fail;
	if (!queued_activate(q, m, why)) {
		schedule_forget(q->schedule, m->entry);
		goto fail;
	}
	log_event(queued, F_ID(id), F_SLICE(from, m->envelope.reverse_path), F_NUMBER(size_bytes, size_bytes),
		  F_NUMBER(recipients, m->n_recipients));
	wait_for_answer(m, request);
	if (room)
		attempt_begin(m);
	else
		attempt_postpone(m);
	return true;
fail:
	message_destroy(m);
	return false;
}

/* True: the request has its answer, or will have it: the message is known. */
static bool is_known(struct queued *q, struct ipc_request *request, struct slice id)
{
	const struct ipc_message done = IPC_MESSAGE(done, .number = 0);
	struct message *known = queued_find_active(q, id);

	if (known != NULL)
		wait_for_answer(known, request);
	else if (schedule_find(q->schedule, id) != SCHEDULE_NONE)
		ipc_answer(request, &done, -1);
	else
		return false;
	return true;
}

static bool is_id(struct ipc_request *request, struct slice id)
{
	struct fault why;

	if (spool_id_is_valid(id))
		return true;
	fault_set(&why, "5.3.0", "that is no id");
	ipc_answer_fault(request, &why);
	return false;
}

void intake_ask(struct queued *q, struct ipc_request *request, const struct ipc_message *in)
{
	const struct ipc_message_ask *ask = &in->message_ask;
	place p = place_of_worker(ipc_request_worker(request));
	struct fault why;

	if (!is_id(request, ask->id) || is_known(q, request, ask->id))
		return;
	if (!intake_take(q, p, ask->id, ask->envelope, ask->received_us, ask->size_bytes, request, &why)) {
		log_event(spool_failed, F_ID(ask->id), F_FAULT(&why));
		ipc_answer_fault(request, &why);
	}
}

void intake_again(struct queued *q, struct ipc_request *request, const struct ipc_message *in)
{
	struct slice id = in->again_ask.id;

	if (is_id(request, id) && !is_known(q, request, id))
		scan_one(&q->scan, ipc_request_worker(request), id, request);
}
