#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/event/loop.h"

/* What one callback does and counts. */
struct watched {
	struct loop *loop;
	struct loop_timer timer;
	struct loop_task task;
	struct loop_io io;
	struct watched *other;
	unsigned n, ready, order;
	unsigned *order_next;
	int fds[2];
	uint64_t rearm_ms;
	bool rearm;
};

static void count(void *arg)
{
	struct watched *w = arg;

	w->n++;
	if (w->order_next)
		w->order = ++*w->order_next;
	if (w->rearm)
		loop_timer_set(&w->timer, w->rearm_ms);
}

static void turns(struct loop *l, int n)
{
	while (n--)
		loop_turn(l, false);
}

/* ---- timers ---- */

static void a_timer_fires_once_when_its_time_has_come(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched w = {.loop = l};

	(void)state;
	loop_timer_init(&w.timer, l, count, &w);
	assert_false(loop_timer_is_set(&w.timer));
	loop_timer_set(&w.timer, 1000);
	assert_true(loop_timer_is_set(&w.timer));
	loop_advance(l, 900);
	turns(l, 3);
	assert_int_equal(w.n, 0);
	loop_advance(l, 101);
	turns(l, 3);
	assert_int_equal(w.n, 1);
	assert_false(loop_timer_is_set(&w.timer));
	loop_advance(l, 10000);
	turns(l, 3);
	assert_int_equal(w.n, 1);
	loop_destroy(l);
}

static void a_timer_set_again_keeps_only_the_later_setting(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched w = {.loop = l};

	(void)state;
	loop_timer_init(&w.timer, l, count, &w);
	loop_timer_set(&w.timer, 1000);
	loop_timer_set(&w.timer, 5000);
	loop_advance(l, 1500);
	turns(l, 2);
	assert_int_equal(w.n, 0);
	loop_timer_set(&w.timer, 10);
	loop_advance(l, 11);
	turns(l, 2);
	assert_int_equal(w.n, 1);
	loop_advance(l, 10000);
	turns(l, 2);
	assert_int_equal(w.n, 1);
	loop_destroy(l);
}

static void a_limit_past_the_end_of_time_is_no_limit(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched w = {.loop = l};

	(void)state;
	loop_timer_init(&w.timer, l, count, &w);
	loop_timer_set(&w.timer, UINT64_MAX);
	loop_advance(l, 1u << 30);
	turns(l, 2);
	assert_int_equal(w.n, 0);
	loop_timer_cancel(&w.timer);
	loop_timer_cancel(&w.timer);
	loop_destroy(l);
}

#define MANY 2000

/* Against the plain way: whatever is set, moved and cancelled, what fires is what is due, in order. */
static void thousands_of_timers_fire_in_the_order_of_their_times(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched *w = calloc(MANY, sizeof(*w));
	uint64_t *at = calloc(MANY, sizeof(*at)), now = 0, last_at;
	unsigned order = 0, seed = 4711;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		w[i].order_next = &order;
		loop_timer_init(&w[i].timer, l, count, &w[i]);
	}
	for (int i = 0; i < 5 * MANY; i++) {
		size_t which = (size_t)rand_r(&seed) % MANY;

		if (rand_r(&seed) % 4 == 0) {
			loop_timer_cancel(&w[which].timer);
			at[which] = 0;
		} else {
			at[which] = 1000000 + (uint64_t)rand_r(&seed) % 1000 * 100000;
			loop_timer_set(&w[which].timer, at[which]);
		}
	}
	for (; now <= 1000000 + 1000ull * 100000; now += 10000000) {
		for (size_t i = 0; i < MANY; i++) /* the clock has moved a little since they were set */
			assert_true(w[i].n == (at[i] && at[i] <= now) || (at[i] > now && at[i] < now + 60000));
		loop_advance(l, 10000000);
		turns(l, 1);
	}
	last_at = 0;
	for (unsigned want = 1; want <= order; want++)
		for (size_t i = 0; i < MANY; i++)
			if (w[i].order == want) {
				assert_true(at[i] >= last_at);
				last_at = at[i];
			}
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(w[i].n, at[i] ? 1 : 0);
	free(w);
	free(at);
	loop_destroy(l);
}

static void a_timer_that_sets_itself_at_once_waits_for_the_next_turn(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched w = {.loop = l, .rearm = true};

	(void)state;
	loop_timer_init(&w.timer, l, count, &w);
	loop_timer_set(&w.timer, 0);
	for (unsigned i = 1; i <= 5; i++) {
		loop_turn(l, true); /* and none of them waits */
		assert_int_equal(w.n, i);
	}
	loop_timer_cancel(&w.timer);
	loop_destroy(l);
}

static void cancel_other(void *arg)
{
	struct watched *w = arg;

	w->n++;
	loop_timer_cancel(&w->other->timer);
	loop_task_cancel(&w->other->task);
	loop_io_fini(&w->other->io);
}

static void a_timer_may_cancel_another_that_is_due_too(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched a = {.loop = l}, b = {.loop = l};

	(void)state;
	a.other = &b;
	loop_timer_init(&a.timer, l, cancel_other, &a);
	loop_timer_init(&b.timer, l, count, &b);
	loop_task_init(&b.task, l, count, &b);
	loop_timer_set(&a.timer, 5);
	loop_timer_set(&b.timer, 6);
	loop_advance(l, 10);
	turns(l, 2);
	assert_int_equal(a.n, 1);
	assert_int_equal(b.n, 0);
	loop_destroy(l);
}

static void the_loop_waits_no_longer_than_the_nearest_timer(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched near = {.loop = l}, far = {.loop = l};
	uint64_t began = clock_monotonic_ms();

	(void)state;
	loop_timer_init(&near.timer, l, count, &near);
	loop_timer_init(&far.timer, l, count, &far);
	loop_timer_set(&far.timer, 60000);
	loop_timer_set(&near.timer, 30);
	while (near.n == 0)
		loop_turn(l, true);
	assert_true(clock_monotonic_ms() - began >= 29);
	assert_true(clock_monotonic_ms() - began < 5000);
	assert_int_equal(far.n, 0);
	loop_timer_cancel(&far.timer);
	loop_destroy(l);
}

static void a_moved_clock_shortens_the_wait(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched w = {.loop = l};
	uint64_t began = clock_monotonic_ms();

	(void)state;
	loop_timer_init(&w.timer, l, count, &w);
	loop_timer_set(&w.timer, 60000);
	loop_turn(l, false);
	loop_advance(l, 59980);
	while (w.n == 0)
		loop_turn(l, true);
	assert_true(clock_monotonic_ms() - began < 5000);
	loop_destroy(l);
}

static void time_stands_still_within_a_turn_and_is_never_zero(void **state)
{
	struct loop *l = loop_create(NULL);
	uint64_t ms = loop_now_ms(l), us = loop_wall_us(l);

	(void)state;
	assert_true(ms >= 1);
	usleep(3000);
	assert_int_equal(loop_now_ms(l), ms);
	assert_int_equal(loop_wall_us(l), us);
	loop_turn(l, false);
	assert_true(loop_now_ms(l) > ms);
	assert_true(loop_wall_us(l) > us);
	ms = loop_now_ms(l);
	us = loop_wall_us(l);
	loop_advance(l, 5000);
	assert_int_equal(loop_now_ms(l), ms + 5000);
	assert_int_equal(loop_wall_us(l), us + 5000000);
	loop_destroy(l);
}

/* ---- tasks ---- */

static void schedule_again(void *arg)
{
	struct watched *w = arg;

	if (++w->n < 3)
		loop_task_schedule(&w->task);
}

static void a_task_runs_before_the_loop_waits_and_may_schedule_itself(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched w = {.loop = l}, far = {.loop = l};
	uint64_t began = clock_monotonic_ms();

	(void)state;
	loop_timer_init(&far.timer, l, count, &far);
	loop_timer_set(&far.timer, 10000); /* what the loop would wait for */
	loop_task_init(&w.task, l, schedule_again, &w);
	loop_task_schedule(&w.task);
	loop_task_schedule(&w.task);
	loop_turn(l, true);
	assert_int_equal(w.n, 3);
	assert_true(clock_monotonic_ms() - began < 5000);
	loop_timer_cancel(&far.timer);
	loop_task_schedule(&w.task);
	loop_task_cancel(&w.task);
	loop_task_cancel(&w.task);
	turns(l, 2);
	assert_int_equal(w.n, 3);
	loop_destroy(l);
}

static void forever(void *arg)
{
	struct watched *w = arg;

	w->n++;
	loop_task_schedule(&w->task);
}

static void a_task_without_end_lets_descriptors_have_their_turn(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched w = {.loop = l};

	(void)state;
	loop_task_init(&w.task, l, forever, &w);
	loop_task_schedule(&w.task);
	turns(l, 2); /* comes back */
	assert_true(w.n > 1);
	loop_task_cancel(&w.task);
	loop_task_cancel(&(struct loop_task){0});
	loop_destroy(l);
}

/* ---- descriptors ---- */

static void on_ready(void *arg, unsigned ready)
{
	struct watched *w = arg;

	w->n++;
	w->ready |= ready;
}

static void watch(struct watched *w, loop_io_fn *fn)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, w->fds), 0);
	loop_io_init(&w->io, w->loop, w->fds[0], fn, w);
}

static void unwatch(struct watched *w)
{
	loop_io_fini(&w->io);
	loop_io_fini(&w->io);
	close(w->fds[0]);
	close(w->fds[1]);
}

static void readiness_is_told_as_long_as_it_lasts_and_is_wanted(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched w = {.loop = l};
	char octet;

	(void)state;
	watch(&w, on_ready);
	assert_int_equal(write(w.fds[1], "x", 1), 1);
	turns(l, 2);
	assert_int_equal(w.n, 0); /* nothing is wanted yet */
	assert_true(loop_io_want(&w.io, LOOP_READ));
	assert_true(loop_io_want(&w.io, LOOP_READ));
	turns(l, 2);
	assert_int_equal(w.n, 2);
	assert_int_equal(w.ready, LOOP_READ);
	assert_true(loop_io_want(&w.io, 0));
	turns(l, 2);
	assert_int_equal(w.n, 2);
	assert_true(loop_io_want(&w.io, LOOP_READ | LOOP_WRITE));
	turns(l, 1);
	assert_int_equal(w.n, 4);
	assert_int_equal(w.ready, LOOP_READ | LOOP_WRITE);
	assert_int_equal(read(w.fds[0], &octet, 1), 1);
	assert_true(loop_io_want(&w.io, LOOP_READ));
	turns(l, 2);
	assert_int_equal(w.n, 4);
	unwatch(&w);
	loop_io_fini(&(struct loop_io){0});
	loop_destroy(l);
}

static void the_far_ends_closing_wakes_a_reader(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched w = {.loop = l};

	(void)state;
	watch(&w, on_ready);
	assert_true(loop_io_want(&w.io, LOOP_READ));
	shutdown(w.fds[1], SHUT_RDWR);
	turns(l, 1);
	assert_int_equal(w.ready, LOOP_READ);
	unwatch(&w);
	loop_destroy(l);
}

static void fini_both(void *arg, unsigned ready)
{
	struct watched *w = arg;

	(void)ready;
	w->n++;
	loop_io_fini(&w->io);
	loop_io_fini(&w->other->io);
}

static void a_callback_may_end_its_own_and_the_others_watch(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched a = {.loop = l}, b = {.loop = l};

	(void)state;
	a.other = &b;
	b.other = &a;
	watch(&a, fini_both);
	watch(&b, fini_both);
	assert_int_equal(write(a.fds[1], "x", 1), 1);
	assert_int_equal(write(b.fds[1], "x", 1), 1);
	assert_true(loop_io_want(&a.io, LOOP_READ | LOOP_WRITE));
	assert_true(loop_io_want(&b.io, LOOP_READ | LOOP_WRITE));
	turns(l, 3);
	assert_int_equal(a.n + b.n, 1);
	unwatch(&a);
	unwatch(&b);
	loop_destroy(l);
}

static void a_watch_on_a_number_used_again_sees_the_new_descriptor(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched a = {.loop = l}, b = {.loop = l};

	(void)state;
	watch(&a, on_ready);
	assert_true(loop_io_want(&a.io, LOOP_READ));
	turns(l, 1);
	unwatch(&a);
	watch(&b, on_ready);
	assert_int_equal(b.fds[0], a.fds[0]);
	assert_true(loop_io_want(&b.io, LOOP_READ));
	assert_int_equal(write(b.fds[1], "x", 1), 1);
	turns(l, 1);
	assert_int_equal(a.n, 0);
	assert_int_equal(b.n, 1);
	unwatch(&b);
	loop_destroy(l);
}

/* ---- signals, and the loop itself ---- */

static void stop(void *arg)
{
	struct watched *w = arg;

	w->n++;
	loop_stop(w->loop);
}

static void on_signal(void *arg, int number)
{
	struct watched *w = arg;

	assert_int_equal(number, SIGUSR1);
	stop(w);
}

static void a_signal_is_told_in_the_loop(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched w = {.loop = l};
	struct loop_signal s;

	(void)state;
	assert_true(loop_signal_init(&s, l, SIGUSR1, on_signal, &w, NULL));
	raise(SIGUSR1);
	assert_int_equal(w.n, 0);
	assert_true(loop_run(l));
	assert_int_equal(w.n, 1);
	loop_signal_fini(&s);
	loop_signal_fini(&s);
	loop_destroy(l);
}

static void a_loop_that_is_stopped_by_its_last_task_has_not_failed(void **state)
{
	struct loop *l = loop_create(NULL);
	struct watched w = {.loop = l};

	(void)state;
	loop_task_init(&w.task, l, stop, &w);
	loop_task_schedule(&w.task);
	assert_true(loop_run(l));
	assert_int_equal(w.n, 1);
	assert_false(loop_run(l)); /* nothing is left to wait for */
	loop_destroy(l);
	loop_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_fires_once_when_its_time_has_come),
		cmocka_unit_test(a_timer_set_again_keeps_only_the_later_setting),
		cmocka_unit_test(a_limit_past_the_end_of_time_is_no_limit),
		cmocka_unit_test(thousands_of_timers_fire_in_the_order_of_their_times),
		cmocka_unit_test(a_timer_that_sets_itself_at_once_waits_for_the_next_turn),
		cmocka_unit_test(a_timer_may_cancel_another_that_is_due_too),
		cmocka_unit_test(the_loop_waits_no_longer_than_the_nearest_timer),
		cmocka_unit_test(a_moved_clock_shortens_the_wait),
		cmocka_unit_test(time_stands_still_within_a_turn_and_is_never_zero),
		cmocka_unit_test(a_task_runs_before_the_loop_waits_and_may_schedule_itself),
		cmocka_unit_test(a_task_without_end_lets_descriptors_have_their_turn),
		cmocka_unit_test(readiness_is_told_as_long_as_it_lasts_and_is_wanted),
		cmocka_unit_test(the_far_ends_closing_wakes_a_reader),
		cmocka_unit_test(a_callback_may_end_its_own_and_the_others_watch),
		cmocka_unit_test(a_watch_on_a_number_used_again_sees_the_new_descriptor),
		cmocka_unit_test(a_signal_is_told_in_the_loop),
		cmocka_unit_test(a_loop_that_is_stopped_by_its_last_task_has_not_failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
