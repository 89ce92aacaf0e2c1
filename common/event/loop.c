#include "common/event/loop.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/memory.h"

/* So many tasks run before the loop looks at its descriptors again: tasks that make tasks hold up nobody. */
#define TASKS_A_TURN 10000

struct loop {
	struct event_base *base;
	struct event *tick; /* libevent's one timer of ours: the nearest of the heap */
	uint64_t tick_at_ms;
	struct loop_timer **heap; /* from 1; heap[1] is the nearest */
	size_t n_timers, capacity;
	struct list tasks;
	uint64_t now_ms, wall_us, advanced_ms;
	uint64_t turn;  /* counts the turns, from 1 */
	bool fresh;     /* now_ms and wall_us were read in this turn */
	bool in_timers; /* a timer that is set now and due at once waits for the next turn: it cannot hold up the rest by setting itself */
	bool stopping;
};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg; /* the turn itself looks at the heap */
}

struct loop *loop_create(struct fault *why)
{
	struct loop *l = memory_alloc(1, sizeof(*l), why);
	struct event_config *config = event_config_new();

	if (l && config) {
		event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
		event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
		l->base = event_base_new_with_config(config);
		l->tick = l->base ? evtimer_new(l->base, on_tick, NULL) : NULL;
		l->capacity = 16;
		l->heap = calloc(l->capacity, sizeof(*l->heap));
		list_init(&l->tasks);
	}
	if (config)
		event_config_free(config);
	if (l && l->tick && l->heap)
		return l;
	fault_set(why, "4.3.1", "cannot make an event loop");
	loop_destroy(l);
	return NULL;
}

void loop_destroy(struct loop *l)
{
	if (l == NULL)
		return;
	if (l->tick)
		event_free(l->tick);
	if (l->base)
		event_base_free(l->base);
	free(l->heap);
	free(l);
}

static void read_clocks(struct loop *l)
{
	if (l->fresh)
		return;
	l->now_ms = clock_monotonic_ms() + 1;
	l->wall_us = clock_wall_us();
	l->fresh = true;
}

uint64_t loop_now_ms(struct loop *l)
{
	read_clocks(l);
	return l->now_ms + l->advanced_ms;
}

uint64_t loop_wall_us(struct loop *l)
{
	read_clocks(l);
	return l->wall_us + l->advanced_ms * 1000;
}

void loop_advance(struct loop *l, uint64_t ms)
{
	l->advanced_ms += ms;
	l->tick_at_ms = UINT64_MAX; /* libevent's timer knows nothing of it */
}

/* ---- timers: a binary heap ---- */

static void put(struct loop *l, size_t place, struct loop_timer *t)
{
	l->heap[place] = t;
	t->place = place;
}

static bool is_before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->not_before_turn < b->not_before_turn;
}

static void sift_up(struct loop *l, size_t place, struct loop_timer *t)
{
	while (place > 1 && is_before(t, l->heap[place / 2])) {
		put(l, place, l->heap[place / 2]);
		place /= 2;
	}
	put(l, place, t);
}

static void sift_down(struct loop *l, size_t place, struct loop_timer *t)
{
	for (size_t child; (child = place * 2) <= l->n_timers; place = child) {
		if (child < l->n_timers && is_before(l->heap[child + 1], l->heap[child]))
			child++;
		if (!is_before(l->heap[child], t))
			break;
		put(l, place, l->heap[child]);
	}
	put(l, place, t);
}

void loop_timer_init(struct loop_timer *t, struct loop *l, loop_timer_fn *fn, void *arg)
{
	*t = (struct loop_timer){.loop = l, .fn = fn, .arg = arg};
}

void loop_timer_set(struct loop_timer *t, uint64_t after_ms)
{
	struct loop *l = t->loop;
	uint64_t now = loop_now_ms(l);
	struct loop_timer was = *t;

	t->at_ms = after_ms > UINT64_MAX - now ? UINT64_MAX : now + after_ms;
	t->not_before_turn = l->in_timers ? l->turn + 1 : 0;
	if (t->place) {
		if (is_before(t, &was))
			sift_up(l, t->place, t);
		else
			sift_down(l, t->place, t);
		return;
	}
	if (l->n_timers + 1 >= l->capacity) {
		size_t capacity = l->capacity * 2;
		struct loop_timer **heap = realloc(l->heap, capacity * sizeof(struct loop_timer *));

		if (heap == NULL)
			abort(); /* eight octets a timer: without them no time-out of the process holds any more */
		l->heap = heap;
		l->capacity = capacity;
	}
	l->n_timers++;
	sift_up(l, l->n_timers, t);
}

void loop_timer_cancel(struct loop_timer *t)
{
	struct loop *l = t->loop;
	struct loop_timer *last;
	size_t place = t->place;

	if (place == 0)
		return;
	t->place = 0;
	t->at_ms = 0;
	last = l->heap[l->n_timers--];
	if (last == t)
		return;
	if (place > 1 && is_before(last, l->heap[place / 2]))
		sift_up(l, place, last);
	else
		sift_down(l, place, last);
}

bool loop_timer_is_set(const struct loop_timer *t)
{
	return t->place != 0;
}

static void run_timers(struct loop *l)
{
	uint64_t now = loop_now_ms(l);

	l->in_timers = true;
	while (l->n_timers && l->heap[1]->at_ms <= now && l->heap[1]->not_before_turn <= l->turn) {
		struct loop_timer *t = l->heap[1];

		loop_timer_cancel(t);
		t->fn(t->arg);
	}
	l->in_timers = false;
}

/* ---- tasks ---- */

void loop_task_init(struct loop_task *t, struct loop *l, loop_task_fn *fn, void *arg)
{
	list_init(&t->node);
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
}

void loop_task_schedule(struct loop_task *t)
{
	if (list_empty(&t->node))
		list_append(&t->loop->tasks, &t->node);
}

void loop_task_cancel(struct loop_task *t)
{
	if (t->node.next) /* none: zeroed, never init'ed */
		list_remove(&t->node);
}

static void run_tasks(struct loop *l)
{
	for (int i = 0; i < TASKS_A_TURN && !list_empty(&l->tasks); i++) {
		struct loop_task *t = LIST_ENTRY(list_first(&l->tasks), struct loop_task, node);

		list_remove(&t->node);
		t->fn(t->arg);
	}
}

/* ---- descriptors and signals ---- */

void loop_io_init(struct loop_io *io, struct loop *l, int fd, loop_io_fn *fn, void *arg)
{
	*io = (struct loop_io){.loop = l, .fd = fd, .fn = fn, .arg = arg};
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct loop_io *io = arg;

	(void)fd;
	io->fn(io->arg, what & EV_READ ? LOOP_READ : LOOP_WRITE);
}

static bool want_one(struct loop_io *io, struct event **event, bool on, short what)
{
	if (!on)
		return *event == NULL || event_del(*event) == 0;
	if (*event == NULL)
		*event = event_new(io->loop->base, io->fd, (short)(what | EV_PERSIST), on_ready, io);
	return *event != NULL && event_add(*event, NULL) == 0;
}

bool loop_io_want(struct loop_io *io, unsigned wanted)
{
	unsigned changed = wanted ^ io->wanted;

	if (changed & LOOP_READ && !want_one(io, &io->read, wanted & LOOP_READ, EV_READ))
		return false;
	if (changed & LOOP_WRITE && !want_one(io, &io->write, wanted & LOOP_WRITE, EV_WRITE))
		return false;
	io->wanted = wanted;
	return true;
}

void loop_io_fini(struct loop_io *io)
{
	if (io->read)
		event_free(io->read);
	if (io->write)
		event_free(io->write);
	io->read = io->write = NULL;
	io->wanted = 0;
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct loop_signal *s = arg;

	(void)what;
	s->fn(s->arg, (int)number);
}

bool loop_signal_init(struct loop_signal *s, struct loop *l, int number, loop_signal_fn *fn, void *arg, struct fault *why)
{
	*s = (struct loop_signal){.fn = fn, .arg = arg, .number = number};
	s->event = evsignal_new(l->base, number, on_signal, s);
	if (s->event && event_add(s->event, NULL) == 0)
		return true;
	loop_signal_fini(s);
	fault_set(why, "4.3.1", "cannot watch for signal %d", number);
	return false;
}

void loop_signal_fini(struct loop_signal *s)
{
	if (s->event)
		event_free(s->event);
	s->event = NULL;
}

/* ---- turns ---- */

/* libevent wakes at the heap's nearest timer; its own timer is moved only when that has changed. */
static void arm_tick(struct loop *l)
{
	uint64_t at = l->n_timers ? l->heap[1]->at_ms : 0, now, after;
	struct timeval tv;

	if (at == l->tick_at_ms && (at == 0 || event_pending(l->tick, EV_TIMEOUT, NULL)))
		return;
	l->tick_at_ms = at;
	if (at == 0) {
		event_del(l->tick);
		return;
	}
	now = loop_now_ms(l);
	after = at > now ? at - now : 0;
	if (after > 86400000)
		after = 86400000; /* a day: it is looked at again then */
	tv = (struct timeval){(time_t)(after / 1000), (suseconds_t)(after % 1000 * 1000)};
	event_add(l->tick, &tv);
}

static bool turn(struct loop *l, bool wait)
{
	int flags = EVLOOP_ONCE, done;

	l->turn++;
	if (!list_empty(&l->tasks) || (l->n_timers && l->heap[1]->at_ms <= loop_now_ms(l)))
		wait = false;
	if (!wait)
		flags |= EVLOOP_NONBLOCK; /* and ONCE: else it comes back only when no descriptor is ready any more */
	arm_tick(l);
	l->fresh = false;
	done = event_base_loop(l->base, flags);
	run_timers(l);
	run_tasks(l);
	l->fresh = false;
	return done == 0 || (done > 0 && (l->n_timers || !list_empty(&l->tasks)));
}

bool loop_run(struct loop *l)
{
	while (!l->stopping)
		if (!turn(l, true) && !l->stopping)
			return false;
	l->stopping = false;
	return true;
}

void loop_turn(struct loop *l, bool wait)
{
	turn(l, wait);
}

void loop_stop(struct loop *l)
{
	l->stopping = true;
}
