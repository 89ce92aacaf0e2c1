/* common/event/loop.h: the event loop of a daemon: descriptors, timers, signals, and what is to be done next.
 * Touches: libevent, which has its only home here. One thread, the loop's, calls everything below.
 *
 * A callback may free or fini any watcher, its own included. Nothing here calls back from inside a call. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/list.h"

struct event;
struct fault;
struct loop;

/* The caller owns it. Fails: temporary. */
MUST_USE struct loop *loop_create(struct fault *why);
/* All watchers must be fini'd before. NULL does nothing. */
void loop_destroy(struct loop *l);
/* Runs until loop_stop. False: libevent failed, or nothing is left to wait for. */
bool loop_run(struct loop *l);
/* One turn: waits for at most one round of events (not at all with wait false), runs what is due. For tests. */
void loop_turn(struct loop *l, bool wait);
void loop_stop(struct loop *l);

/* Monotonic milliseconds, and wall-clock microseconds, both as of this turn of the loop plus what loop_advance added. */
uint64_t loop_now_ms(struct loop *l);
uint64_t loop_wall_us(struct loop *l);
/* For tests: moves the time forward; timers that are due now fire in the next turn. */
void loop_advance(struct loop *l, uint64_t ms);

enum loop_ready { LOOP_READ = 1, LOOP_WRITE = 2 };
typedef void loop_io_fn(void *arg, unsigned ready);
struct loop_io {
	struct loop *loop;
	int fd;
	unsigned wanted;
	loop_io_fn *fn;
	void *arg;
	struct event *read, *write;
};
/* Watches nothing yet. Does not own fd. Cannot fail: memory comes when first wanted. */
void loop_io_init(struct loop_io *io, struct loop *l, int fd, loop_io_fn *fn, void *arg);
/* From now on calls fn whenever one of wanted (LOOP_READ | LOOP_WRITE, 0 for none) is ready: level-triggered. Asking for what is already wanted costs nothing. False: no memory. */
bool loop_io_want(struct loop_io *io, unsigned wanted);
/* Watches no more and frees. Before fd is closed. Safe on a zeroed one, and twice. */
void loop_io_fini(struct loop_io *io);

typedef void loop_timer_fn(void *arg);
struct loop_timer {
	struct loop *loop;
	loop_timer_fn *fn;
	void *arg;
	uint64_t at_ms; /* 0: not set */
	uint64_t not_before_turn;
	size_t place; /* in the loop's heap */
};
/* Timers lie in one heap of ours (a setting and a cancelling touch no system call and allocate nothing but the heap's row). */
void loop_timer_init(struct loop_timer *t, struct loop *l, loop_timer_fn *fn, void *arg);
/* Calls fn once, after_ms from now (0: in the next turn); replaces an earlier setting. */
void loop_timer_set(struct loop_timer *t, uint64_t after_ms);
void loop_timer_cancel(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);

typedef void loop_task_fn(void *arg);
struct loop_task {
	struct list node;
	struct loop *loop;
	loop_task_fn *fn;
	void *arg;
};
/* Something to do once, before the loop waits again. */
void loop_task_init(struct loop_task *t, struct loop *l, loop_task_fn *fn, void *arg);
void loop_task_schedule(struct loop_task *t); /* no effect when it is scheduled already */
void loop_task_cancel(struct loop_task *t);

typedef void loop_signal_fn(void *arg, int signal_number);
struct loop_signal {
	struct event *event;
	loop_signal_fn *fn;
	void *arg;
	int number;
};
MUST_USE bool loop_signal_init(struct loop_signal *s, struct loop *l, int number, loop_signal_fn *fn, void *arg, struct fault *why);
void loop_signal_fini(struct loop_signal *s);
