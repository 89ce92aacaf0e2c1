#include "queued/destination.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/log/log.h"
#include "queued/due.h"
#include "queued/message.h"
#include "queued/queued.h"

/* A probe is no more than a connection: it may come much more often than an attempt at each message. */
#define PERIOD_PART 8u
#define PROBE_LOST_S 10u
/* So that the next message is read from the disk while the one before is on its way. */
#define WINDOW_PER_LIMIT 4u
#define WINDOW_MIN 16u

void destinations_init(struct destinations *d, struct queued *q)
{
	d->queued = q;
	list_init(&d->idle);
	table_init(&d->table);
}

static void destination_free(struct destination *to)
{
	struct queued *q = to->queued;

	loop_timer_cancel(&to->wake);
	list_remove(&to->ready);
	list_remove(&to->due);
	list_remove(&to->idle);
	table_remove(&q->dispatch.destinations.table, &to->node);
	if (q->schedule != NULL)
		schedule_group_close(q->schedule, to->group);
	free(to);
}

static void destination_free_each(struct table_node *node, void *arg)
{
	(void)arg;
	destination_free(LIST_ENTRY(node, struct destination, node));
}

void destinations_fini(struct destinations *d)
{
	if (d->queued == NULL)
		return;
	table_each(&d->table, destination_free_each, NULL);
	table_fini(&d->table);
	d->queued = NULL;
}

/* ---- what it said last ---- */

void destination_said(struct destination *to, const struct target *t)
{
	char status[sizeof(to->why.status)];

	if (!slice_cstr(t->status, status, sizeof(status), NULL))
		status[0] = '\0';
	fault_set(&to->why, status, "%.*s", SLICE_PRINTF(t->reply));
	if (!slice_cstr(slice_head(t->by, sizeof(to->by) - 1), to->by, sizeof(to->by), NULL))
		to->by[0] = '\0';
}

/* ---- finding ---- */

static void wake(void *arg)
{
	due_update(arg);
}

static void destination_init(struct destination *to, struct queued *q, struct lane *lane)
{
	to->queued = q;
	to->lane = lane;
	to->limit = DESTINATION_LIMIT_FIRST;
	list_init(&to->ready);
	list_init(&to->flows);
	list_init(&to->due);
	list_init(&to->idle);
	loop_timer_init(&to->wake, q->loop, wake, to);
}

void destination_init_unknown(struct destination *to, struct queued *q)
{
	*to = (struct destination){0};
	destination_init(to, q, NULL);
}

/* The longest unused go. */
static void make_room(struct destinations *d)
{
	for (; d->n_idle >= DESTINATIONS_IDLE_MAX; d->n_idle--)
		destination_free(LIST_ENTRY(list_first(&d->idle), struct destination, idle));
}

struct destination *destination_of(struct destinations *d, const struct target *t, struct fault *why)
{
	struct dispatch *dispatch = &d->queued->dispatch;
	bool local = t->kind == ROUTE_LOCAL;
	struct destination *to;
	struct table_node *node;
	char key[DESTINATION_KEY_SIZE];
	int n = 5;

	if (local)
		memcpy(key, "local", 6);
	else
		n = snprintf(key, sizeof(key), "%.*s %u %u %u", SLICE_PRINTF(t->host), t->port, t->mx, t->tls);
	if ((node = table_find(&d->table, slice_of(key, (size_t)n))) != NULL)
		return LIST_ENTRY(node, struct destination, node);
	make_room(d);
	if ((to = memory_alloc(1, sizeof(*to), why)) == NULL)
		return NULL;
	memcpy(to->key, key, sizeof(key));
	destination_init(to, d->queued, local ? &dispatch->local : &dispatch->remote);
	if (!table_insert(&d->table, &to->node, slice_of(to->key, (size_t)n))) {
		fault_set(why, "4.3.1", "no memory for a destination");
		free(to);
		return NULL;
	}
	list_append(&d->idle, &to->idle);
	d->n_idle++;
	return to;
}

void destination_settle(struct destination *to)
{
	struct queued *q = to->queued;
	struct destinations *d = &q->dispatch.destinations;
	bool idle;

	if (to->lane == NULL)
		return;
	idle = to->n_held == 0 && to->n_out == 0 && schedule_line_n(q->schedule, to->group) == 0;
	if (!list_empty(&to->idle)) {
		list_remove(&to->idle);
		d->n_idle--;
	}
	if (!idle)
		return;
	list_append(&d->idle, &to->idle);
	d->n_idle++;
}

uint32_t destination_group(struct destination *to)
{
	struct fault why;

	if (to->group == 0)
		to->group = schedule_group_open(to->queued->schedule, to, &why);
	return to->group;
}

/* ---- how much ---- */

static bool is_local(const struct destination *to)
{
	return to->lane == &to->queued->dispatch.local;
}

static size_t limit_most(const struct destination *to)
{
	const struct settings *settings = to->queued->settings;

	return is_local(to) ? settings->local_concurrency : settings->remote_concurrency_destination;
}

size_t destination_limit(const struct destination *to)
{
	size_t most = limit_most(to);

	return is_local(to) || most < to->limit ? most : to->limit;
}

size_t destination_share(const struct destination *to)
{
	size_t most = to->queued->settings->queue_active_max;

	return is_local(to) ? most - most / 4 : most / 4;
}

size_t destination_window(const struct destination *to)
{
	size_t window, share;

	if (to->lane == NULL)
		return SIZE_MAX;
	window = WINDOW_PER_LIMIT * destination_limit(to);
	share = destination_share(to);
	if (window < WINDOW_MIN)
		window = WINDOW_MIN;
	return window < share ? window : share;
}

/* ---- whether ---- */

bool destination_admits(struct destination *to, bool *probe)
{
	*probe = false;
	if (!to->failing)
		return true;
	if (to->probing || queued_now_s(to->queued) < to->probe_s)
		return false;
	return to->probing = *probe = true;
}

static void halve(struct destination *to)
{
	if (to->limit > limit_most(to))
		to->limit = (uint32_t)limit_most(to);
	to->limit = to->limit > 1 ? to->limit / 2 : 1;
}

static void probe_at(struct destination *to, uint32_t at_s)
{
	to->probe_s = at_s;
	to->probing = false;
	schedule_line_opens(to->queued->schedule, to->group, at_s);
	due_update(to);
}

/* The period doubles like the pause of a message, up to a part of the longest; an eighth of it is left to chance, so that many do not meet. */
static void period_next(struct destination *to)
{
	const struct settings *settings = to->queued->settings;
	uint64_t most = settings->queue_retry_max / PERIOD_PART, pause_ms;

	to->period_ms = to->failing ? 2 * to->period_ms : settings->queue_retry_min;
	if (most < settings->queue_retry_min)
		most = settings->queue_retry_min;
	if (to->period_ms > most)
		to->period_ms = most;
	pause_ms = to->period_ms - random_below((uint32_t)(to->period_ms / 8));
	if (!to->failing)
		to->failing_since_s = queued_now_s(to->queued);
	to->failing = true;
	probe_at(to, queued_now_s(to->queued) + (uint32_t)((pause_ms + 999) / 1000));
}

static struct slice destination_name(const struct destination *to)
{
	struct slice key = to->node.key;
	size_t space = slice_find(key, ' ');

	return space == SIZE_MAX ? key : slice_head(key, space);
}

bool destination_unreachable(struct destination *to, bool probe, const struct fault *why, struct slice by)
{
	to->why = *why;
	if (!slice_cstr(by, to->by, sizeof(to->by), NULL))
		to->by[0] = '\0';
	to->n_row++;
	halve(to);
	if (to->failing) {
		if (probe)
			period_next(to);
		return false;
	}
	if (to->n_row < DESTINATION_ROW_MAX && to->n_under_way > 0)
		return true;
	period_next(to);
	log_event(destination_failing, F_SLICE(next_hop, destination_name(to)), F_FAULT(why),
		  F_NUMBER(next_attempt_s, to->probe_s - queued_now_s(to->queued)));
	return false;
}

void destination_reached(struct destination *to, bool refused)
{
	to->n_row = 0;
	if (refused)
		halve(to);
	else if (to->limit < limit_most(to))
		to->limit++;
	if (!to->failing)
		return;
	to->failing = to->probing = false;
	to->limit = limit_most(to) < DESTINATION_LIMIT_FIRST ? (uint32_t)limit_most(to) : DESTINATION_LIMIT_FIRST;
	schedule_line_opens(to->queued->schedule, to->group, queued_now_s(to->queued));
	log_event(destination_back, F_SLICE(next_hop, destination_name(to)),
		  F_NUMBER(took_ms, 1000 * (uint64_t)(queued_now_s(to->queued) - to->failing_since_s)));
	due_update(to);
}

void destination_probe_lost(struct destination *to)
{
	if (to->failing && to->probing)
		probe_at(to, queued_now_s(to->queued) + PROBE_LOST_S);
}

void destination_probe_now(struct destination *to)
{
	if (to->failing && !to->probing && to->probe_s > queued_now_s(to->queued))
		probe_at(to, queued_now_s(to->queued));
}
