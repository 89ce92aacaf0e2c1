#include "queued/dispatch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "queued/attempt.h"
#include "queued/message.h"
#include "queued/queued.h"
#include "queued/results.h"

/* A deliverd that died over a delivery gets it once more after this; died it again, the recipients wait as after any other attempt. */
#define CRASH_PAUSE_MS 1000u
#define KEY_SIZE (IPC_HOST_MAX + 32)

struct destination {
	struct table_node node;
	char key[KEY_SIZE];
	struct lane *lane;
	struct list ready;   /* in the lane's ring */
	struct list waiting; /* deliveries */
	size_t n_under_way;  /* deliveries that a deliverd has */
	size_t n_held;       /* all that point here: the destination goes with the last */
};

static void dispatch_run(void *arg);
static void delivery_paused(void *arg);

void dispatch_init(struct dispatch *d, struct queued *q)
{
	d->queued = q;
	list_init(&d->local.ready);
	list_init(&d->remote.ready);
	list_init(&d->running);
	table_init(&d->destinations);
	loop_task_init(&d->run, q->loop, dispatch_run, d);
}

static void destination_free(struct table_node *node, void *arg)
{
	struct dispatch *d = arg;

	table_remove(&d->destinations, node);
	free(LIST_ENTRY(node, struct destination, node));
}

void dispatch_fini(struct dispatch *d)
{
	if (d->queued == NULL)
		return;
	LIST_EACH(at, &d->running) {
		struct delivery *v = LIST_ENTRY(at, struct delivery, node);

		ipc_ask_cancel(&v->ask);
		loop_timer_cancel(&v->pause);
	}
	loop_task_cancel(&d->run);
	table_each(&d->destinations, destination_free, d);
	table_fini(&d->destinations);
	d->queued = NULL;
}

/* ---- destinations ---- */

static size_t destination_limit(const struct dispatch *d, const struct destination *to)
{
	const struct settings *settings = d->queued->settings;

	return to->lane == &d->local ? settings->local_concurrency : settings->remote_concurrency_destination;
}

/* In the ring when it has something to start and may. */
static void destination_update(struct dispatch *d, struct destination *to)
{
	bool ready = !list_empty(&to->waiting) && to->n_under_way < destination_limit(d, to);

	if (!ready)
		list_remove(&to->ready);
	else if (list_empty(&to->ready)) {
		list_append(&to->lane->ready, &to->ready);
		loop_task_schedule(&d->run);
	}
}

static struct destination *destination_of(struct dispatch *d, const struct target *t, struct fault *why)
{
	bool local = t->kind == ROUTE_LOCAL;
	struct destination *to;
	struct table_node *node;
	char key[KEY_SIZE];
	int n = 5;

	if (local)
		memcpy(key, "local", 6);
	else
		n = snprintf(key, sizeof(key), "%.*s %u %u %u", SLICE_PRINTF(t->host), t->port, t->mx, t->tls);
	if ((node = table_find(&d->destinations, slice_of(key, (size_t)n))) != NULL)
		return LIST_ENTRY(node, struct destination, node);
	if ((to = memory_alloc(1, sizeof(*to), why)) == NULL)
		return NULL;
	memcpy(to->key, key, sizeof(key));
	to->lane = local ? &d->local : &d->remote;
	list_init(&to->ready);
	list_init(&to->waiting);
	if (!table_insert(&d->destinations, &to->node, slice_of(to->key, (size_t)n))) {
		fault_set(why, "4.3.1", "no memory for a destination");
		free(to);
		return NULL;
	}
	return to;
}

static void destination_leave(struct dispatch *d, struct destination *to)
{
	if (--to->n_held > 0) {
		destination_update(d, to);
		return;
	}
	list_remove(&to->ready);
	destination_free(&to->node, d);
}

/* ---- making deliveries ---- */

static int slice_order(struct slice a, struct slice b)
{
	return a.n != b.n ? (a.n < b.n ? -1 : 1) : slice_compare(a, b);
}

/* Without any before all others. */
static int credentials_compare(const struct credentials *a, const struct credentials *b)
{
	int order;

	if (a == NULL || b == NULL || a == b)
		return (a != NULL) - (b != NULL);
	order = slice_order(a->username, b->username);
	return order != 0 ? order : slice_order(a->password, b->password);
}

/* Same next hop, with the same credentials, beside each other; within it by index. */
static int hop_compare(const struct target *x, const struct target *y)
{
	int order;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->kind == ROUTE_LOCAL)
		return 0;
	if ((order = slice_order(x->host, y->host)) != 0)
		return order;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	if (x->mx != y->mx || x->tls != y->tls)
		return x->mx != y->mx ? (int)x->mx - (int)y->mx : (int)x->tls - (int)y->tls;
	return credentials_compare(x->credentials, y->credentials);
}

static int target_compare(const void *a, const void *b)
{
	const struct target *x = *(struct target *const *)a, *y = *(struct target *const *)b;
	int order = hop_compare(x, y);

	return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static void delivery_make(struct dispatch *d, struct message *m, struct target **targets, size_t n)
{
	struct fault why;
	struct delivery *v = arena_alloc(&m->arena, sizeof(*v), &why);
	struct destination *to = v == NULL ? NULL : destination_of(d, targets[0], &why);

	if (to == NULL) {
		for (size_t i = 0; i < n; i++)
			results_defer(m, targets[i], &why);
		return;
	}
	v->dispatch = d;
	v->message = m;
	v->destination = to;
	v->targets = targets;
	v->n_targets = n;
	loop_timer_init(&v->pause, d->queued->loop, delivery_paused, v);
	to->n_held++;
	m->n_deliveries++;
	list_append(&to->waiting, &v->node);
	destination_update(d, to);
}

static size_t open_targets(struct message *m, struct target **out)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_recipients; i++)
		for (struct target *t = m->recipients[i].targets; t != NULL; t = t->next)
			if (t->state == TARGET_OPEN) {
				if (out != NULL)
					out[n] = t;
				n++;
			}
	return n;
}

void dispatch_add(struct message *m)
{
	struct dispatch *d = &m->queued->dispatch;
	size_t n = open_targets(m, NULL);
	struct fault why;
	struct target **targets;

	if (n == 0)
		return;
	if (m->queued->stopping) {
		m->given_back = true;
		return;
	}
	if ((targets = arena_alloc(&m->arena, n * sizeof(struct target *), &why)) == NULL)
		return; /* all wait for the next attempt */
	(void)open_targets(m, targets);
	qsort(targets, n, sizeof(struct target *), target_compare);
	for (size_t i = 0, end; i < n; i = end) {
		size_t most = targets[i]->kind == ROUTE_LOCAL ? DELIVERY_TARGETS_LOCAL : DELIVERY_TARGETS_REMOTE;

		for (end = i + 1; end < n && end - i < most && hop_compare(targets[i], targets[end]) == 0; end++)
			;
		delivery_make(d, m, targets + i, end - i);
	}
}

/* ---- under way ---- */

/* v's targets have their results, or are given back. */
static void delivery_over(struct delivery *v)
{
	struct destination *to = v->destination;

	list_remove(&v->node);
	v->destination = NULL;
	v->message->n_deliveries--;
	destination_leave(v->dispatch, to);
	attempt_delivered(v->message);
}

static void delivery_leave_lane(struct delivery *v)
{
	v->destination->n_under_way--;
	v->destination->lane->n_under_way--;
	loop_task_schedule(&v->dispatch->run);
}

static void delivery_paused(void *arg)
{
	struct delivery *v = arg;

	list_remove(&v->node);
	list_append(&v->destination->waiting, &v->node);
	destination_update(v->dispatch, v->destination);
}

static void delivery_answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct delivery *v = arg;

	(void)fd;
	delivery_leave_lane(v);
	if (answer == NULL && v->n_crashes++ == 0) {
		destination_update(v->dispatch, v->destination);
		loop_timer_set(&v->pause, CRASH_PAUSE_MS);
		return;
	}
	results_take(v, answer, why);
	delivery_over(v);
}

/* A local delivery goes to the worker with the least to do; a remote one to the home of its next hop, which may have a connection open. */
static struct ipc_peer *delivery_peer(const struct delivery *v)
{
	const struct queued *q = v->dispatch->queued;
	struct ipc_peer *best = NULL;

	if (v->destination->lane == &v->dispatch->remote)
		return q->peers.home(q->peers.arg, IPC_ROLE_REMOTE, v->destination->node.key);
	for (unsigned i = 0; i < q->peers.n_workers(q->peers.arg, IPC_ROLE_LOCAL); i++) {
		struct ipc_peer *peer = q->peers.worker(q->peers.arg, IPC_ROLE_LOCAL, i);

		if (peer != NULL && (best == NULL || (ipc_peer_is_up(peer) && !ipc_peer_is_up(best)) ||
				     (ipc_peer_is_up(peer) == ipc_peer_is_up(best) &&
				      ipc_peer_under_way(peer) < ipc_peer_under_way(best))))
			best = peer;
	}
	return best;
}

static bool recipients_put(const struct delivery *v, struct buf *out, struct fault *why)
{
	for (size_t i = 0; i < v->n_targets; i++) {
		const struct target *t = v->targets[i];
		struct ipc_deliver_recipient r = {
			.index = t->index, .forward_path = t->forward_path, .folder = t->folder, .mailbox = t->mailbox,
			.quota_bytes = t->quota_bytes, .quota_messages = t->quota_messages};

		if (!ipc_put_deliver_recipient(out, &r)) {
			fault_set(why, "4.3.1", "the recipients do not fit into one delivery");
			return false;
		}
	}
	return true;
}

static bool delivery_ask(struct delivery *v, int fd, struct fault *why)
{
	const struct message *m = v->message;
	const struct target *t = v->targets[0];
	struct ipc_peer *peer = delivery_peer(v);
	struct buf recipients;
	bool ok = false;

	buf_init(&recipients, IPC_LIST_MAX);
	if (peer == NULL)
		fault_set(why, "4.3.0", "there is no deliverd");
	else if (recipients_put(v, &recipients, why)) {
		struct ipc_message ask = IPC_MESSAGE(deliver_ask, .id = message_id(m), .received_us = m->received_us,
						     .reverse_path = m->envelope.reverse_path, .eight_bit = m->envelope.eight_bit,
						     .utf8 = m->envelope.utf8, .host = t->host, .port = t->port, .mx = t->mx,
						     .tls = t->tls, .recipients = buf_slice(&recipients), .alone = message_is_alone(m));

		if (t->credentials != NULL) {
			ask.deliver_ask.username = t->credentials->username;
			ask.deliver_ask.password = t->credentials->password;
		}

		ok = ipc_ask(peer, &v->ask, &ask, fd, 0, false, delivery_answered, v, why);
	}
	buf_fini(&recipients);
	return ok;
}

/* The file is opened here, in the loop: smtpd or our own pool has just had it open, so nothing is read from the disk. */
static void delivery_start(struct delivery *v)
{
	struct message *m = v->message;
	struct fault why;
	int fd = place_open(m->queued->spool, &m->place, message_id(m), O_RDONLY);

	list_remove(&v->node);
	if (fd < 0) {
		m->vanished = errno == ENOENT;
		fault_errno(&why, "4.3.0", "cannot open message %s", m->id);
		if (!m->vanished)
			log_event(spool_failed, F_ID(message_id(m)), F_FAULT(&why));
	} else if (delivery_ask(v, fd, &why)) {
		list_append(&v->dispatch->running, &v->node);
		v->destination->n_under_way++;
		v->destination->lane->n_under_way++;
		fd_close(&fd);
		return;
	}
	fd_close(&fd);
	for (size_t i = 0; i < v->n_targets; i++)
		results_defer(m, v->targets[i], &why);
	delivery_over(v);
}

static void lane_run(struct dispatch *d, struct lane *lane, size_t limit)
{
	struct list *first;

	while (lane->n_under_way < limit && (first = list_first(&lane->ready)) != NULL) {
		struct destination *to = LIST_ENTRY(first, struct destination, ready);

		list_remove(&to->ready); /* its next turn is behind all others */
		to->n_held++;
		delivery_start(LIST_ENTRY(list_first(&to->waiting), struct delivery, node));
		destination_leave(d, to);
	}
}

static void dispatch_run(void *arg)
{
	struct dispatch *d = arg;

	if (d->queued->stopping)
		return;
	lane_run(d, &d->local, d->queued->settings->local_concurrency);
	lane_run(d, &d->remote, d->queued->settings->remote_concurrency);
}

static void destination_reload(struct table_node *node, void *arg)
{
	destination_update(arg, LIST_ENTRY(node, struct destination, node));
}

void dispatch_reload(struct dispatch *d)
{
	table_each(&d->destinations, destination_reload, d);
	loop_task_schedule(&d->run);
}

/* ---- stopping ---- */

static void destination_drain(struct table_node *node, void *arg)
{
	struct destination *to = LIST_ENTRY(node, struct destination, node);
	struct list *first;

	to->n_held++;
	while ((first = list_first(&to->waiting)) != NULL) {
		struct delivery *v = LIST_ENTRY(first, struct delivery, node);

		v->message->given_back = true;
		delivery_over(v);
	}
	destination_leave(arg, to);
}

void dispatch_drain(struct dispatch *d)
{
	table_each(&d->destinations, destination_drain, d);
}

void dispatch_give_back(struct dispatch *d)
{
	struct list *first;

	while ((first = list_first(&d->running)) != NULL) {
		struct delivery *v = LIST_ENTRY(first, struct delivery, node);

		if (loop_timer_is_set(&v->pause))
			loop_timer_cancel(&v->pause);
		else {
			ipc_ask_cancel(&v->ask);
			delivery_leave_lane(v);
		}
		v->message->given_back = true;
		delivery_over(v);
	}
	dispatch_drain(d);
}
