#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/event/loop.h"
#include "common/event/pool.h"

/* A job, and what it brings back. The gate is a pipe: a job reads one octet from it before it goes on. */
struct job {
	struct pool_job job;
	unsigned long given, result;
	unsigned *n_done;
	int gate, counter;
	bool signals_blocked;
	_Atomic unsigned *at_once, *at_once_max;
	struct pool *pool; /* to submit again from done */
	bool submit_refused;
};

static void square(struct pool_job *job)
{
	struct job *j = (struct job *)job;

	j->result = j->given * j->given;
}

static void wait_at_the_gate(struct pool_job *job)
{
	struct job *j = (struct job *)job;
	unsigned now = atomic_fetch_add(j->at_once, 1) + 1, most = atomic_load(j->at_once_max);
	char octet;

	while (now > most && !atomic_compare_exchange_weak(j->at_once_max, &most, now))
		;
	if (read(j->gate, &octet, 1) == 1)
		j->result = 1;
	atomic_fetch_sub(j->at_once, 1);
}

static void look_at_signals(struct pool_job *job)
{
	struct job *j = (struct job *)job;
	sigset_t blocked;

	sigemptyset(&blocked);
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	j->signals_blocked = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGUSR1) && sigismember(&blocked, SIGCHLD);
}

static void done(struct pool_job *job)
{
	struct job *j = (struct job *)job;

	++*j->n_done;
}

static void until(struct loop *l, const unsigned *n, unsigned wanted)
{
	while (*n < wanted)
		loop_turn(l, true);
}

static void jobs_come_back_done_through_the_loop(void **state)
{
	struct loop *l = loop_create(NULL);
	struct pool *p = pool_create(l, 3, 1000, NULL);
	struct job jobs[500] = {0};
	unsigned n_done = 0;

	(void)state;
	assert_non_null(p);
	assert_ptr_equal(pool_loop(p), l);
	for (unsigned long i = 0; i < 500; i++) {
		jobs[i] = (struct job){.job = {.work = square, .done = done}, .given = i, .n_done = &n_done};
		assert_true(pool_submit(p, &jobs[i].job));
	}
	assert_int_equal(n_done, 0); /* never from inside the call */
	assert_int_equal(pool_under_way(p), 500);
	until(l, &n_done, 500);
	assert_int_equal(pool_under_way(p), 0);
	for (unsigned long i = 0; i < 500; i++)
		assert_int_equal(jobs[i].result, i * i);
	pool_destroy(p);
	loop_destroy(l);
}

static void threads_work_at_once_and_what_is_over_the_queue_is_refused(void **state)
{
	struct loop *l = loop_create(NULL);
	struct pool *p = pool_create(l, 3, 2, NULL);
	_Atomic unsigned at_once = 0, at_once_max = 0;
	struct job jobs[6] = {0};
	unsigned n_done = 0;
	int gate[2];

	(void)state;
	assert_int_equal(pipe(gate), 0);
	for (int i = 0; i < 6; i++) {
		jobs[i] = (struct job){.job = {.work = wait_at_the_gate, .done = done}, .n_done = &n_done, .gate = gate[0],
				       .at_once = &at_once, .at_once_max = &at_once_max};
		assert_int_equal(pool_submit(p, &jobs[i].job), i < 5); /* three run, two wait */
	}
	while (atomic_load(&at_once) < 3)
		usleep(1000);
	assert_int_equal(pool_under_way(p), 5);
	assert_int_equal(write(gate[1], "xxxxx", 5), 5);
	until(l, &n_done, 5);
	assert_int_equal(at_once_max, 3);
	assert_int_equal(jobs[5].result, 0);
	assert_true(pool_submit(p, &jobs[5].job)); /* there is room again */
	assert_int_equal(write(gate[1], "x", 1), 1);
	until(l, &n_done, 6);
	pool_destroy(p);
	loop_destroy(l);
	close(gate[0]);
	close(gate[1]);
}

static void a_pool_without_a_queue_takes_as_many_as_it_has_threads(void **state)
{
	struct loop *l = loop_create(NULL);
	struct pool *p = pool_create(l, 1, 0, NULL);
	_Atomic unsigned at_once = 0, at_once_max = 0;
	struct job jobs[2] = {0};
	unsigned n_done = 0;
	int gate[2];

	(void)state;
	assert_int_equal(pipe(gate), 0);
	for (int i = 0; i < 2; i++)
		jobs[i] = (struct job){.job = {.work = wait_at_the_gate, .done = done}, .n_done = &n_done, .gate = gate[0],
				       .at_once = &at_once, .at_once_max = &at_once_max};
	assert_true(pool_submit(p, &jobs[0].job));
	assert_false(pool_submit(p, &jobs[1].job));
	assert_int_equal(write(gate[1], "xx", 2), 2);
	until(l, &n_done, 1);
	assert_true(pool_submit(p, &jobs[1].job));
	until(l, &n_done, 2);
	pool_destroy(p);
	loop_destroy(l);
	close(gate[0]);
	close(gate[1]);
}

static void signals_are_the_loops_alone(void **state)
{
	struct loop *l = loop_create(NULL);
	struct pool *p = pool_create(l, 1, 1, NULL);
	unsigned n_done = 0;
	struct job j = {.job = {.work = look_at_signals, .done = done}, .n_done = &n_done};
	sigset_t here;

	(void)state;
	assert_true(pool_submit(p, &j.job));
	until(l, &n_done, 1);
	assert_true(j.signals_blocked);
	sigprocmask(SIG_SETMASK, NULL, &here);
	assert_false(sigismember(&here, SIGTERM));
	pool_destroy(p);
	loop_destroy(l);
}

static void free_and_count(struct pool_job *job)
{
	done(job);
	free(job);
}

static void the_end_of_a_pool_waits_for_all_that_was_given_away(void **state)
{
	struct loop *l = loop_create(NULL);
	struct pool *p = pool_create(l, 2, 100, NULL);
	unsigned n_done = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct job *j = calloc(1, sizeof(*j));

		*j = (struct job){.job = {.work = square, .done = free_and_count}, .n_done = &n_done};
		assert_true(pool_submit(p, &j->job));
	}
	pool_destroy(p);
	assert_int_equal(n_done, 100);
	pool_destroy(NULL);
	loop_destroy(l);
}

static void submit_again(struct pool_job *job)
{
	struct job *j = (struct job *)job;

	if (++*j->n_done == 1000)
		return;
	if (!pool_submit(j->pool, &j->job))
		j->submit_refused = true;
}

static void a_job_may_be_submitted_again_from_its_done(void **state)
{
	struct loop *l = loop_create(NULL);
	struct pool *p = pool_create(l, 2, 1, NULL);
	unsigned n_done = 0;
	struct job j = {.job = {.work = square, .done = submit_again}, .n_done = &n_done, .pool = p};

	(void)state;
	assert_true(pool_submit(p, &j.job));
	until(l, &n_done, 1000);
	assert_false(j.submit_refused);
	n_done = 0;
	assert_true(pool_submit(p, &j.job));
	pool_destroy(p); /* an ending pool refuses, the job stays ours */
	assert_int_equal(n_done, 1);
	assert_true(j.submit_refused);
	loop_destroy(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_come_back_done_through_the_loop),
		cmocka_unit_test(threads_work_at_once_and_what_is_over_the_queue_is_refused),
		cmocka_unit_test(a_pool_without_a_queue_takes_as_many_as_it_has_threads),
		cmocka_unit_test(signals_are_the_loops_alone),
		cmocka_unit_test(the_end_of_a_pool_waits_for_all_that_was_given_away),
		cmocka_unit_test(a_job_may_be_submitted_again_from_its_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
