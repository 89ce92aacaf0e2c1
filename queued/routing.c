#include "queued/routing.h"

#include <stdlib.h>

#include "common/base/ascii.h"
#include "common/base/memory.h"
#include "common/ipc/link.h"
#include "queued/attempt.h"
#include "queued/message.h"
#include "queued/queued.h"
#include "queued/results.h"

#define SLOTS 512u              /* asks under way */
#define ROUTE_WITHIN_MS 30000u  /* lookupd answers within database_timeout; the rest is for its being started again */

/* One ask. */
struct route_slot {
	struct ipc_ask ask;
	struct list node;
	struct routing *routing;
	struct message *message; /* NULL: unused */
	struct recipient *recipient;
};

static void routing_run(void *arg);

bool routing_init(struct routing *r, struct queued *q, struct fault *why)
{
	r->queued = q;
	list_init(&r->unused);
	list_init(&r->waiting);
	loop_task_init(&r->run, q->loop, routing_run, r);
	if ((r->slots = memory_alloc(SLOTS, sizeof(*r->slots), why)) == NULL)
		return false;
	for (size_t i = 0; i < SLOTS; i++) {
		r->slots[i].routing = r;
		list_append(&r->unused, &r->slots[i].node);
	}
	return true;
}

void routing_fini(struct routing *r)
{
	if (r->slots == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		ipc_ask_cancel(&r->slots[i].ask);
	loop_task_cancel(&r->run);
	free(r->slots);
	r->slots = NULL;
}

/* ---- answers ---- */

static void recipient_defer(struct message *m, struct recipient *r, const struct fault *why)
{
	struct fault full;
	struct target *t = message_add_target(m, r, r->forward_path, &full);

	r->routed = true;
	if (t != NULL)
		message_set_target(m, t, TARGET_DEFERRED, slice_of_cstr(fault_status(why)), slice_of_cstr(why->text), SLICE_EMPTY);
}

/* What lookupd says must make sense; an address that it refuses for good fails (invariant 4), anything else waits. */
static bool target_is_sound(const struct ipc_route_target *in)
{
	if (in->forward_path.n == 0 || in->forward_path.n > SPOOL_FORWARD_PATH_MAX || in->tls > ROUTE_TLS_NONE)
		return false;
	switch ((enum route_kind)in->kind) {
	case ROUTE_LOCAL:
		return in->folder.n > 0;
	case ROUTE_REMOTE:
		return in->host.n > 0;
	case ROUTE_REFUSED:
		return true;
	}
	return false;
}

static void target_refused(struct message *m, struct target *t, const struct fault *why)
{
	bool permanent = why->class == FAULT_PERMANENT;

	message_set_target(m, t, permanent ? TARGET_FAILED : TARGET_DEFERRED, slice_of_cstr(fault_status(why)), slice_of_cstr(why->text),
			   SLICE_EMPTY);
	results_log_refused(m, t);
}

static bool target_take(struct message *m, struct recipient *r, const struct ipc_route_target *in, uint32_t place_of_it, struct fault *why)
{
	const struct spool_result *part = spool_state_part(&r->past, in->forward_path);
	struct target *t;

	if (part != NULL) {
		if (part->kind != SPOOL_RESULT_FAILED) /* those are targets already, to be told */
			r->n_targets++;
		return true;
	}
	if ((t = message_add_target(m, r, in->forward_path, why)) == NULL || !arena_copy(&m->arena, in->folder, &t->folder, why) ||
	    !arena_copy(&m->arena, in->mailbox, &t->mailbox, why) || !arena_copy(&m->arena, in->host, &t->host, why) ||
	    !message_credentials(m, in->username, in->password, &t->credentials, why))
		return false;
	t->index = r->index + (place_of_it << 16);
	t->kind = in->kind;
	t->tls = in->tls;
	t->mx = in->mx;
	t->port = in->port;
	t->quota_bytes = in->quota_bytes;
	t->quota_messages = in->quota_messages;
	if (in->kind == ROUTE_REFUSED)
		target_refused(m, t, &in->why);
	return true;
}

/* An answer that is broken in the middle: what it made so far is deferred, so nothing goes half the way. */
static void targets_take(struct message *m, struct recipient *r, struct slice targets)
{
	struct fault why = {0};
	struct ipc_route_target in;
	bool broken = false;
	uint32_t n = 0;

	while (why.text[0] == '\0' && ipc_next_route_target(&targets, &in, &broken)) {
		if (!target_is_sound(&in) || n > UINT16_MAX)
			fault_set(&why, "4.3.0", "the route of %.*s makes no sense", SLICE_PRINTF(r->forward_path));
		else if (!target_take(m, r, &in, n++, &why))
			break;
	}
	if (why.text[0] == '\0' && (broken || n == 0))
		fault_set(&why, "4.3.0", "there is no route for %.*s", SLICE_PRINTF(r->forward_path));
	if (why.text[0] == '\0') {
		r->n_routes = n;
		r->routed = true;
		return;
	}
	for (struct target *t = r->targets; t != NULL; t = t->next)
		if (t->state == TARGET_OPEN)
			message_set_target(m, t, TARGET_DEFERRED, slice_of_cstr(fault_status(&why)), slice_of_cstr(why.text), SLICE_EMPTY);
	recipient_defer(m, r, &why);
}

static void message_routed(struct message *m)
{
	if (m->n_routing == 0 && list_empty(&m->routing))
		attempt_routed(m);
}

static void route_answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct route_slot *slot = arg;
	struct message *m = slot->message;
	struct fault other = {0};

	(void)fd;
	if (answer != NULL && answer->type == IPC_TYPE_route_answer)
		targets_take(m, slot->recipient, answer->route_answer.targets);
	else {
		if (answer != NULL && answer->type == IPC_TYPE_failed)
			why = &answer->failed.why;
		else if (why == NULL) {
			fault_set(&other, "4.3.0", "lookupd gave another answer than was asked for");
			why = &other;
		}
		recipient_defer(m, slot->recipient, why);
	}
	slot->message = NULL;
	list_append(&slot->routing->unused, &slot->node);
	loop_task_schedule(&slot->routing->run);
	m->n_routing--;
	message_routed(m);
}

/* ---- asking ---- */

static struct recipient *recipient_next(struct message *m)
{
	while (m->next_to_route < m->n_recipients) {
		struct recipient *r = &m->recipients[m->next_to_route++];

		if (!r->done && !r->routed)
			return r;
	}
	return NULL;
}

/* The home of the recipient's domain. Names compare without case, so do their homes. */
static struct ipc_peer *lookupd_for(struct queued *q, struct slice forward_path)
{
	char key[IPC_HOST_MAX + 1];
	size_t at = slice_find_last(forward_path, '@');
	struct slice domain = slice_head(at == SIZE_MAX ? forward_path : slice_tail(forward_path, at + 1), IPC_HOST_MAX);

	for (size_t i = 0; i < domain.n; i++)
		key[i] = ascii_lower(domain.p[i]);
	return q->peers.home(q->peers.arg, IPC_ROLE_LOOKUPD, slice_of(key, domain.n));
}

static void route_ask(struct routing *r, struct message *m, struct recipient *recipient)
{
	struct route_slot *slot = LIST_ENTRY(list_first(&r->unused), struct route_slot, node);
	struct ipc_peer *peer = lookupd_for(r->queued, recipient->forward_path);
	struct ipc_message ask =
		IPC_MESSAGE(route_ask, .reverse_path = m->envelope.reverse_path, .forward_path = recipient->forward_path,
			    .spam = m->envelope.spam, .mailbox = recipient->mailbox);
	struct fault why = {0};

	if (peer == NULL)
		fault_set(&why, "4.3.0", "there is no lookupd");
	else if (ipc_ask(peer, &slot->ask, &ask, -1, ROUTE_WITHIN_MS, true, route_answered, slot, &why)) {
		slot->message = m;
		slot->recipient = recipient;
		list_remove(&slot->node);
		m->n_routing++;
		return;
	}
	recipient_defer(m, recipient, &why);
}

/* A recipient of each message in turn, so that one with thousands holds up no other. */
static void routing_run(void *arg)
{
	struct routing *r = arg;

	while (!list_empty(&r->waiting) && !list_empty(&r->unused)) {
		struct message *m = LIST_ENTRY(list_first(&r->waiting), struct message, routing);
		struct recipient *recipient = recipient_next(m);

		list_remove(&m->routing);
		if (recipient != NULL) {
			route_ask(r, m, recipient);
			list_append(&r->waiting, &m->routing);
		} else
			message_routed(m);
	}
}

void routing_begin(struct message *m)
{
	struct routing *r = &m->queued->routing;

	m->next_to_route = m->n_routing = 0;
	list_append(&r->waiting, &m->routing);
	loop_task_schedule(&r->run);
}

void routing_give_back(struct routing *r)
{
	struct list *first;

	for (size_t i = 0; i < SLOTS; i++) {
		struct message *m = r->slots[i].message;

		if (m == NULL)
			continue;
		ipc_ask_cancel(&r->slots[i].ask);
		r->slots[i].message = NULL;
		list_append(&r->unused, &r->slots[i].node);
		m->n_routing--;
		m->given_back = true;
		m->next_to_route = m->n_recipients;
		message_routed(m);
	}
	while ((first = list_first(&r->waiting)) != NULL) {
		struct message *m = LIST_ENTRY(first, struct message, routing);

		list_remove(first);
		m->given_back = true;
		message_routed(m);
	}
}
