#include "smtpd/handover.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/spool/writer.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"

static struct ipc_peer *queued_of(const struct smtpd *d)
{
	return service_peer(d->service, IPC_ROLE_QUEUED, 0);
}

static bool window_is_full(const struct smtpd *d)
{
	struct ipc_peer *queued = queued_of(d);

	return queued != NULL && ipc_peer_is_up(queued) &&
	       ipc_peer_under_way(queued) >= ipc_peer_window(queued);
}

static void free_if_over(struct handover *h)
{
	struct smtpd *d = h->smtpd;

	if (h->session != NULL || h->committing || h->asking)
		return;
	transaction_destroy(h->transaction);
	list_remove(&h->node);
	free(h);
	smtpd_ended_something(d);
}

/* One answer of queued is one place in its window. A session that goes on ends its wait, and may
 * end itself and its handover. */
static void wake_one(struct smtpd *d)
{
	if (window_is_full(d))
		return;
	LIST_EACH (node, &d->handovers) {
		struct handover *h = LIST_ENTRY(node, struct handover, node);

		if (h->waiting && h->session != NULL) {
			h->waiting = false;
			session_note(h->session);
			return;
		}
	}
}

static bool ask_again(struct handover *h);

/* Whether queued took it or not: the file is there, and the scan finds what was not taken. It leaves
 * a living worker's files alone for a minute, though: so the next queued hears of what the last one
 * took along. */
static void queued_answered(void *arg, const struct ipc_message *answer, int *fd,
			    const struct fault *why)
{
	struct handover *h = arg;
	struct smtpd *d = h->smtpd;

	(void)fd;
	(void)why;
	h->asking = answer == NULL && ask_again(h);
	if (h->asking) {
		smtpd_ended_something(d); /* nobody waits for a queued that is away */
		return;
	}
	free_if_over(h);
	wake_one(d);
}

static bool ask_again(struct handover *h)
{
	struct ipc_message m = IPC_MESSAGE(again_ask, .id = slice_of(h->id, SPOOL_ID_LENGTH));
	struct ipc_peer *queued = queued_of(h->smtpd);

	return queued != NULL && ipc_ask(queued, &h->ask, &m, -1, 0, true, queued_answered, h, NULL);
}

static void tell_queued(struct handover *h)
{
	struct transaction *t = h->transaction;
	struct ipc_message m = IPC_MESSAGE(
		message_ask, .id = slice_of(h->id, SPOOL_ID_LENGTH), .received_us = t->received_us,
		.size_bytes = h->size_bytes, .envelope = buf_slice(&t->envelope));
	struct ipc_peer *queued = queued_of(h->smtpd);

	h->asking = queued != NULL &&
		    ipc_ask(queued, &h->ask, &m, -1, 0, false, queued_answered, h, NULL);
}

static void log_commit(const struct handover *h)
{
	const struct transaction *t = h->transaction;
	struct slice id = slice_of(h->id, SPOOL_ID_LENGTH),
		     session = slice_of(h->session_id, SPOOL_ID_LENGTH);

	if (h->failed && strcmp(h->why.status, "4.3.1") == 0)
		log_event(disk_full, F_ID(id), F_FAULT(&h->why));
	else if (h->failed)
		log_event(spool_failed, F_ID(id), F_FAULT(&h->why));
	else
		log_event(received, F_ID(id), F_SLICE(session, session),
			  F_SLICE(from, t->reverse_path), F_NUMBER(recipients, t->n_recipients),
			  F_NUMBER(size_bytes, h->size_bytes));
}

static void committed(void *arg, const struct fault *why)
{
	struct handover *h = arg;

	h->committing = false;
	h->failed = why != NULL;
	if (why != NULL)
		h->why = *why;
	log_commit(h);
	if (!h->failed)
		tell_queued(h);
	transaction_destroy(h->transaction);
	h->transaction = NULL;
	if (h->session != NULL)
		session_note(h->session);
	else
		free_if_over(h);
}

bool handover_begin(struct session *s, struct slice front, uint64_t skip, struct fault *why)
{
	struct handover *h = memory_alloc(1, sizeof(*h), why);
	struct transaction *t = s->transaction;
	struct spool_writer *writer = t->writer;

	if (h == NULL)
		return false;
	*h = (struct handover){
		.smtpd = s->smtpd, .session = s, .transaction = t, .committing = true};
	h->size_bytes = t->size_bytes + front.n - skip;
	memcpy(h->id, t->id, sizeof(h->id));
	memcpy(h->session_id, s->id, sizeof(h->session_id));
	list_append(&s->smtpd->handovers, &h->node);
	s->handover = h;
	s->transaction = NULL;
	t->writer = NULL;
	spool_writer_commit(writer, front, skip, committed, h);
	return true;
}

bool handover_must_wait(struct handover *h)
{
	h->waiting = window_is_full(h->smtpd);
	return h->waiting;
}

void handover_forget_session(struct handover *h)
{
	if (h == NULL)
		return;
	h->session->handover = NULL;
	h->session = NULL;
	free_if_over(h);
}

/* What queued is away for waits on the disk for the next one. */
bool handovers_matter(const struct smtpd *d)
{
	struct ipc_peer *queued = queued_of(d);
	bool there = queued != NULL && ipc_peer_is_up(queued);

	for (const struct list *node = d->handovers.next; node != &d->handovers;
	     node = node->next) {
		const struct handover *h =
			LIST_ENTRY((struct list *)(uintptr_t)node, struct handover, node);

		if (h->committing || (h->asking && there))
			return true;
	}
	return false;
}

void handovers_destroy(struct smtpd *d)
{
	LIST_EACH (node, &d->handovers) {
		struct handover *h = LIST_ENTRY(node, struct handover, node);

		ipc_ask_cancel(&h->ask);
		h->asking = false;
		free_if_over(h);
	}
}
