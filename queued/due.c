#include "queued/due.h"

#include "common/base/fault.h"
#include "common/spool/id.h"
#include "queued/load.h"
#include "queued/message.h"
#include "queued/queued.h"

#define LOADING_MAX 256u
#define HORIZON_SLACK_S 60u
#define BATCH 4096u /* into lines, in one turn of the loop */
#define LOOK_AGAIN_S 60u
#define LOOK_AGAIN_MS 60000u /* so that a clock that was put right is seen */
#define OVERDUE_OUT_MAX 64u  /* of one destination that fails */

static void due_run(void *arg);

/* No pause is longer than this; a moment further ahead was set by a clock that was wrong. */
static uint32_t horizon_s(const struct queued *q)
{
	return (uint32_t)(q->settings->queue_retry_max / 1000) + HORIZON_SLACK_S;
}

void due_init(struct due *d, struct queued *q)
{
	d->queued = q;
	list_init(&d->ring);
	loop_timer_init(&d->timer, q->loop, due_run, d);
	destination_init_unknown(&d->unknown, q);
}

void due_stop(struct due *d)
{
	loop_timer_cancel(&d->timer);
	loop_timer_cancel(&d->unknown.wake);
}

void due_fini(struct due *d)
{
	if (d->queued == NULL)
		return;
	due_stop(d);
	list_remove(&d->unknown.due);
	d->queued = NULL;
}

/* ---- deadlines ---- */

static uint32_t age_reached_s(uint64_t received_us, uint64_t age_ms)
{
	uint64_t at_s = (received_us / 1000 + age_ms) / 1000 + 1;

	return at_s < UINT32_MAX ? (uint32_t)at_s : UINT32_MAX - 1;
}

/* When the sender is to be told something, whether the line moves or not: that it is late, that it is given up. */
static uint32_t telling_s(const struct queued *q, uint64_t received_us)
{
	uint32_t late_s = age_reached_s(received_us, q->settings->queue_delay_warning);

	if (q->settings->queue_delay_warning > 0 && late_s > queued_now_s(q))
		return late_s;
	return age_reached_s(received_us, q->settings->queue_lifetime);
}

/* Nothing is read for it: an id says when it was made. */
static uint32_t deadline_s(const struct queued *q, uint32_t n)
{
	char id[SPOOL_ID_LENGTH + 1];

	schedule_id(q->schedule, n, id);
	return telling_s(q, spool_id_time_us(slice_of_cstr(id)));
}

/* ---- lines ---- */

static uint32_t overdue(const struct destination *to)
{
	const struct queued *q = to->queued;
	uint32_t n = schedule_line_urgent(q->schedule, to->group);

	return n != SCHEDULE_NONE && schedule_deadline_s(q->schedule, n) <= queued_now_s(q) ? n : SCHEDULE_NONE;
}

static bool may_move(const struct destination *to)
{
	if (schedule_line_n(to->queued->schedule, to->group) == 0)
		return false;
	if (!to->failing)
		return to->n_out + to->n_fresh < destination_window(to);
	if (to->n_out == 0 && !to->probing && queued_now_s(to->queued) >= to->probe_s)
		return true;
	return to->n_out < OVERDUE_OUT_MAX && overdue(to) != SCHEDULE_NONE;
}

/* One that fails moves at its probe, or at a deadline. */
static void wake_set(struct destination *to)
{
	const struct queued *q = to->queued;
	uint64_t now_ms = loop_wall_us(q->loop) / 1000;
	uint32_t n = schedule_line_urgent(q->schedule, to->group), at_s = UINT32_MAX;

	if (to->failing && n != SCHEDULE_NONE && !q->stopping) {
		at_s = schedule_deadline_s(q->schedule, n);
		if (!to->probing && to->n_out == 0 && to->probe_s < at_s)
			at_s = to->probe_s;
	}
	if (at_s == UINT32_MAX)
		loop_timer_cancel(&to->wake);
	else
		loop_timer_set(&to->wake, (uint64_t)at_s * 1000 > now_ms ? (uint64_t)at_s * 1000 - now_ms : LOOK_AGAIN_MS);
}

void due_update(struct destination *to)
{
	struct due *d = &to->queued->due;

	if (!may_move(to)) {
		list_remove(&to->due);
		wake_set(to);
	} else if (list_empty(&to->due)) {
		list_append(&d->ring, &to->due);
		due_set_timer(d);
	}
	destination_settle(to);
}

void due_returned(struct queued *q, uint32_t group)
{
	struct destination *to = schedule_group_owner(q->schedule, group);

	if (to == NULL)
		return;
	to->n_out--;
	due_update(to);
}

void due_take_up(struct queued *q, uint32_t n)
{
	struct destination *to = schedule_group_owner(q->schedule, schedule_group(q->schedule, n));

	schedule_take(q->schedule, n);
	if (to != NULL) {
		to->n_out++;
		due_update(to);
	}
	load_begin(q, n);
}

void due_line_up(struct due *d, struct message *m)
{
	struct queued *q = d->queued;
	struct destination *to = schedule_group_owner(q->schedule, schedule_group(q->schedule, m->entry));
	uint32_t end_s = telling_s(q, m->received_us), soon_s = queued_now_s(q) + LOOK_AGAIN_S;

	if (to == NULL || !schedule_line_up(q->schedule, m->entry, end_s > soon_s ? end_s : soon_s))
		schedule_wait(q->schedule, m->entry, soon_s);
	else
		due_update(to);
}

/* ---- running ---- */

/* Its moment has come. */
static void into_line(struct due *d, uint32_t n)
{
	struct queued *q = d->queued;
	struct destination *to = schedule_group_owner(q->schedule, schedule_group(q->schedule, n));
	uint32_t due_s = schedule_due_s(q->schedule, n);

	schedule_take(q->schedule, n);
	if (to == NULL) {
		to = &d->unknown;
		schedule_bind(q->schedule, n, destination_group(to), 0);
	}
	if (schedule_unwant(q->schedule, n))
		destination_probe_now(to);
	if (schedule_line_up(q->schedule, n, deadline_s(q, n)))
		due_update(to);
	else
		schedule_wait(q->schedule, n, due_s > queued_now_s(q) ? due_s : queued_now_s(q) + LOOK_AGAIN_S);
}

static bool has_room(const struct queued *q)
{
	return queued_has_room(q, false) && q->n_loading < LOADING_MAX;
}

static void next_of_line(struct due *d, struct destination *to)
{
	struct queued *q = d->queued;
	uint32_t n = to->failing ? overdue(to) : SCHEDULE_NONE;

	if (n == SCHEDULE_NONE)
		n = schedule_line_next(q->schedule, to->group);
	to->n_out++;
	schedule_take(q->schedule, n);
	load_begin(q, n);
}

static void due_run(void *arg)
{
	struct due *d = arg;
	struct queued *q = d->queued;
	struct list *first;
	uint32_t n;

	for (unsigned i = 0; i < BATCH && (n = schedule_due(q->schedule, queued_now_s(q), horizon_s(q))) != SCHEDULE_NONE; i++)
		into_line(d, n);
	while (has_room(q) && (first = list_first(&d->ring)) != NULL) {
		struct destination *to = LIST_ENTRY(first, struct destination, due);

		list_remove(first); /* its next turn is behind all others */
		if (may_move(to))
			next_of_line(d, to);
		due_update(to);
	}
	due_set_timer(d);
}

void due_set_timer(struct due *d)
{
	const struct queued *q = d->queued;
	uint32_t next_s = schedule_next_s(q->schedule);
	uint64_t now_ms = loop_wall_us(q->loop) / 1000, at_ms = (uint64_t)next_s * 1000, after_ms = LOOK_AGAIN_MS;

	if (q->stopping) {
		due_stop(d);
		return;
	}
	if (schedule_due(q->schedule, queued_now_s(q), horizon_s(q)) != SCHEDULE_NONE || (!list_empty(&d->ring) && has_room(q)))
		after_ms = 0;
	else if (next_s == UINT32_MAX) {
		loop_timer_cancel(&d->timer);
		return;
	} else if (at_ms > now_ms && at_ms - now_ms < after_ms)
		after_ms = at_ms - now_ms;
	loop_timer_set(&d->timer, after_ms);
}
