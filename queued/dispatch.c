#include "queued/dispatch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fd.h"
#include "common/log/log.h"
#include "common/mail/dsn.h"
#include "queued/attempt.h"
#include "queued/destination.h"
#include "queued/due.h"
#include "queued/flow.h"
#include "queued/message.h"
#include "queued/queued.h"
#include "queued/results.h"
#include "queued/telling.h"

/* A deliverd that died over a delivery gets it once more after this; died it again, the recipients wait as after any other attempt. */
#define CRASH_PAUSE_MS 1000u
/* A message that several destinations keep waiting, if none says until when. */
#define PARKED_S 60u
/* A sender with less than this part of a destination's share is let through when the share is used up. */
#define FLOW_PART 8u

static void dispatch_run(void *arg);
static void delivery_paused(void *arg);

void dispatch_init(struct dispatch *d, struct queued *q)
{
	d->queued = q;
	list_init(&d->local.ready);
	list_init(&d->remote.ready);
	list_init(&d->running);
	flows_init(&d->flows);
	destinations_init(&d->destinations, q);
	loop_task_init(&d->run, q->loop, dispatch_run, d);
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
	flows_fini(&d->flows);
	destinations_fini(&d->destinations);
	d->queued = NULL;
}

/* ---- what waits ---- */

/* In the ring when it has something to start and may. */
static void destination_update(struct dispatch *d, struct destination *to)
{
	bool ready = !list_empty(&to->flows) && to->n_under_way < destination_limit(to);

	if (!ready)
		list_remove(&to->ready);
	else if (list_empty(&to->ready)) {
		list_append(&to->lane->ready, &to->ready);
		loop_task_schedule(&d->run);
	}
}

static void delivery_wait(struct delivery *v)
{
	struct flow *f = v->flow;

	list_append(&f->waiting, &v->node);
	if (list_empty(&f->turn))
		list_append(&f->destination->flows, &f->turn);
	destination_update(v->dispatch, f->destination);
}

/* It waits no more. */
static void delivery_take(struct delivery *v)
{
	list_remove(&v->node);
	if (list_empty(&v->flow->waiting))
		list_remove(&v->flow->turn);
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

static int destination_compare(const struct target *x, const struct target *y)
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
	return x->mx != y->mx ? (int)x->mx - (int)y->mx : (int)x->tls - (int)y->tls;
}

/* Same next hop, with the same credentials, beside each other; within it by index. */
static int hop_compare(const struct target *x, const struct target *y)
{
	int order = destination_compare(x, y);

	return order != 0 || x->kind == ROUTE_LOCAL ? order : credentials_compare(x->credentials, y->credentials);
}

static int target_compare(const void *a, const void *b)
{
	const struct target *x = *(struct target *const *)a, *y = *(struct target *const *)b;
	int order = hop_compare(x, y);

	return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* All of one destination: it waits on the disk, in line, without an attempt being written down. What it fails for is told to the log of one that is new, and to
 * the sender of one that is too old. */
static void delivery_park(struct message *m, const struct destination *to, struct target **targets, size_t n)
{
	uint32_t now_s = queued_now_s(m->queued), until_s = to->failing && to->probe_s > now_s ? to->probe_s : now_s + PARKED_S;

	m->parked = true;
	if (m->parked_until_s == 0 || until_s < m->parked_until_s)
		m->parked_until_s = until_s;
	for (size_t i = 0; to->failing && i < n; i++) {
		if (message_is_old(m) || telling_is_late(m))
			message_set_target(m, targets[i], TARGET_DEFERRED, slice_of_cstr(fault_status(&to->why)),
					   slice_of_cstr(to->why.text), slice_of_cstr(to->by));
		else if (!place_is_queue(m->place))
			log_event(deferred, F_ID(message_id(m)), F_SLICE(to, targets[i]->forward_path), F_SLICE(next_hop, targets[i]->host),
				  F_FAULT(&to->why), F_NUMBER(attempt, 0), F_NUMBER(next_attempt_s, until_s - now_s));
	}
}

static bool is_from_line(const struct message *m, const struct destination *to)
{
	return m->line != 0 && m->line == to->group;
}

/* Is there enough for to in memory? Where others stand in line already, m does so too. One from the line was let out by due.c; a sender who has few may go
 * beyond, as long as all of them do not go too far. */
static bool is_beyond_share(const struct message *m, const struct destination *to, const struct flow *f)
{
	size_t share = destination_share(to), most = share;

	if (schedule_line_n(m->queued->schedule, to->group) > 0)
		most = destination_window(to);
	if (is_from_line(m, to) || to->n_held < most)
		return false;
	return f->n_held >= most / FLOW_PART || to->n_held >= 2 * share;
}

static void delivery_make(struct dispatch *d, struct message *m, struct target **targets, size_t n)
{
	struct fault why;
	struct delivery *v = arena_alloc(&m->arena, sizeof(*v), &why);
	struct destination *to = v == NULL ? NULL : destination_of(&d->destinations, targets[0], &why);
	struct flow *f = to == NULL ? NULL : flow_of(&d->flows, to, m, &why);

	if (f == NULL) {
		for (size_t i = 0; i < n; i++)
			results_defer(m, targets[i], &why);
		return;
	}
	if (is_beyond_share(m, to, f) || !destination_admits(to, &v->probe)) {
		delivery_park(m, to, targets, n);
		flow_settle(&d->flows, f);
		return;
	}
	v->dispatch = d;
	v->message = m;
	v->destination = to;
	v->flow = f;
	v->targets = targets;
	v->n_targets = n;
	loop_timer_init(&v->pause, d->queued->loop, delivery_paused, v);
	to->n_held++;
	to->n_fresh += !is_from_line(m, to);
	f->n_held++;
	m->n_deliveries++;
	delivery_wait(v);
	destination_settle(to);
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

	delivery_take(v);
	if (v->probe)
		destination_probe_lost(to);
	v->destination = NULL;
	v->message->n_deliveries--;
	v->flow->n_held--;
	flow_settle(&v->dispatch->flows, v->flow);
	to->n_held--;
	to->n_fresh -= !is_from_line(v->message, to);
	destination_update(v->dispatch, to);
	due_update(to);
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
	delivery_wait(v);
}

/* What waits for to goes back to the disk. */
static void destination_park(struct destination *to)
{
	struct list *first;

	to->n_held++;
	while ((first = list_first(&to->flows)) != NULL) {
		struct flow *f = LIST_ENTRY(first, struct flow, turn);
		struct delivery *v = LIST_ENTRY(list_first(&f->waiting), struct delivery, node);

		delivery_park(v->message, to, v->targets, v->n_targets);
		delivery_over(v);
	}
	to->n_held--;
}

static void delivery_learn(struct delivery *v, const struct ipc_message *answer)
{
	struct destination *to = v->destination;
	const struct target *t = v->targets[0];
	bool probe = v->probe, refused = false;
	char status[sizeof(((struct fault *)NULL)->status)];
	struct fault why = {0};

	if (answer == NULL || answer->type != IPC_TYPE_deliver_answer)
		return;
	v->probe = false;
	for (size_t i = 0; i < v->n_targets; i++)
		if (v->targets[i]->state == TARGET_DEFERRED)
			t = v->targets[i];
	if (t->state == TARGET_DEFERRED)
		refused = slice_starts(t->reply, SLICE("421")) || slice_starts(t->status, SLICE("4.4."));
	destination_said(to, t);
	if (!answer->deliver_answer.unreachable || t->state != TARGET_DEFERRED) {
		destination_reached(to, refused);
		return;
	}
	if (!slice_cstr(t->status, status, sizeof(status), NULL))
		status[0] = '\0';
	fault_set(&why, status, "%.*s", SLICE_PRINTF(t->reply));
	if (!destination_unreachable(to, probe, &why, t->by))
		destination_park(to);
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
	delivery_learn(v, answer);
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

/* With what the sender wants to hear of it (RFC 3461 5.2). Of a list they have heard that it is expanded; of one address that an alias made another they hear under the one
 * that they gave. */
static bool recipient_put(const struct message *m, const struct target *t, struct ipc_deliver_recipient *r, struct buf *out)
{
	const struct envelope_recipient *asked = &m->envelope.recipients[t->recipient->index];
	unsigned notify = t->recipient->notify;
	struct buf orcpt;
	bool ok;

	if (t->recipient->n_routes > 1)
		notify &= ~(unsigned)DSN_SUCCESS;
	if (asked->notify.n > 0)
		r->notify = slice_of_cstr(dsn_notify_text(notify));
	r->orcpt = asked->orcpt;
	buf_init(&orcpt, 2 * DSN_ORCPT_MAX + 2 * ENVELOPE_PATH_MAX);
	if (asked->orcpt.n == 0 && !slice_equal(t->forward_path, t->recipient->forward_path) &&
	    dsn_orcpt_make(t->recipient->forward_path, &orcpt))
		r->orcpt = buf_slice(&orcpt);
	ok = ipc_put_deliver_recipient(out, r);
	buf_fini(&orcpt);
	return ok;
}

static bool recipients_put(const struct delivery *v, struct buf *out, struct fault *why)
{
	for (size_t i = 0; i < v->n_targets; i++) {
		const struct target *t = v->targets[i];
		struct ipc_deliver_recipient r = {
			.index = t->index, .forward_path = t->forward_path, .folder = t->folder, .mailbox = t->mailbox,
			.quota_bytes = t->quota_bytes, .quota_messages = t->quota_messages};

		if (!recipient_put(v->message, t, &r, out)) {
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
						     .tls = t->tls, .recipients = buf_slice(&recipients), .alone = message_is_alone(m),
						     .ret = m->envelope.ret, .envid = m->envelope.envid);

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

	delivery_take(v);
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
		struct flow *f = LIST_ENTRY(list_first(&to->flows), struct flow, turn);

		list_remove(&to->ready); /* its next turn is behind all others, and so is the flow's */
		list_remove(&f->turn);
		list_append(&to->flows, &f->turn);
		to->n_held++;
		delivery_start(LIST_ENTRY(list_first(&f->waiting), struct delivery, node));
		to->n_held--;
		destination_update(d, to);
		due_update(to);
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
	struct destination *to = LIST_ENTRY(node, struct destination, node);

	destination_update(arg, to);
	due_update(to);
}

void dispatch_reload(struct dispatch *d)
{
	table_each(&d->destinations.table, destination_reload, d);
	loop_task_schedule(&d->run);
}

/* The destination's name in the schedule, if all that is left of m goes there. */
void dispatch_bind(struct message *m)
{
	struct dispatch *d = &m->queued->dispatch;
	const struct target *one = NULL;
	struct destination *to;
	struct fault why;

	schedule_bind(m->queued->schedule, m->entry, 0, 0);
	for (size_t i = 0; i < m->n_recipients; i++)
		for (const struct target *t = m->recipients[i].targets; t != NULL; t = t->next) {
			if (t->state != TARGET_OPEN && t->state != TARGET_DEFERRED)
				continue;
			if (t->index == UINT32_MAX || (one != NULL && destination_compare(one, t) != 0))
				return;
			one = t;
		}
	if (one != NULL && (to = destination_of(&d->destinations, one, &why)) != NULL)
		schedule_bind(m->queued->schedule, m->entry, destination_group(to), flow_in_schedule(&d->flows, m));
}

/* ---- stopping ---- */

static void delivery_give_back(struct delivery *v)
{
	v->message->given_back = true;
	delivery_over(v);
}

static void destination_drain(struct table_node *node, void *arg)
{
	struct destination *to = LIST_ENTRY(node, struct destination, node);
	struct list *first;

	(void)arg;
	to->n_held++;
	while ((first = list_first(&to->flows)) != NULL)
		delivery_give_back(LIST_ENTRY(list_first(&LIST_ENTRY(first, struct flow, turn)->waiting), struct delivery, node));
	to->n_held--;
}

void dispatch_drain(struct dispatch *d)
{
	table_each(&d->destinations.table, destination_drain, NULL);
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
		delivery_give_back(v);
	}
	dispatch_drain(d);
}
