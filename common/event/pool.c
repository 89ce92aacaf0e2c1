#include "common/event/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/event/loop.h"

#define STACK_BYTES (256u * 1024)

struct queue {
	struct pool_job *first, *last;
};

struct pool {
	struct loop_io io;
	int wake; /* an eventfd: written when the list of what is done stops being empty */
	size_t under_way, n_waiting_max;

	pthread_mutex_t lock; /* over all that follows */
	pthread_cond_t work;
	struct queue waiting, done;
	size_t n_waiting, n_running, n_threads, n_threads_max;
	bool ending;
	pthread_t threads[];
};

static void push(struct queue *q, struct pool_job *job)
{
	job->next = NULL;
	if (q->last)
		q->last->next = job;
	else
		q->first = job;
	q->last = job;
}

static struct pool_job *pop(struct queue *q)
{
	struct pool_job *job = q->first;

	if (job && (q->first = job->next) == NULL)
		q->last = NULL;
	return job;
}

static void *thread_main(void *arg)
{
	struct pool *p = arg;
	const uint64_t one = 1;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct pool_job *job;
		bool was_empty;

		while ((job = pop(&p->waiting)) == NULL && !p->ending)
			pthread_cond_wait(&p->work, &p->lock);
		if (job == NULL)
			break;
		p->n_waiting--;
		p->n_running++;
		pthread_mutex_unlock(&p->lock);
		job->work(job);
		pthread_mutex_lock(&p->lock);
		p->n_running--;
		was_empty = p->done.first == NULL;
		push(&p->done, job);
		if (was_empty)
			(void)!write(p->wake, &one, sizeof(one)); /* an eventfd of small numbers is never full */
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* With the lock held. */
static bool start_thread(struct pool *p)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int error;

	if (pthread_attr_init(&attributes) != 0)
		return false;
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
	error = pthread_create(&p->threads[p->n_threads], &attributes, thread_main, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (error != 0)
		return false;
	p->n_threads++;
	return true;
}

static void drain(struct pool *p)
{
	struct pool_job *job, *next;

	pthread_mutex_lock(&p->lock);
	job = p->done.first;
	p->done = (struct queue){0};
	pthread_mutex_unlock(&p->lock);
	for (; job; job = next) {
		next = job->next;
		p->under_way--;
		job->done(job);
	}
}

static void on_wake(void *arg, unsigned ready)
{
	struct pool *p = arg;
	uint64_t n;

	(void)ready;
	(void)!read(p->wake, &n, sizeof(n));
	drain(p);
}

struct pool *pool_create(struct loop *loop, size_t n_threads, size_t n_waiting, struct fault *why)
{
	struct pool *p = memory_alloc(1, sizeof(*p) + n_threads * sizeof(pthread_t), why);

	if (p == NULL)
		return NULL;
	p->n_threads_max = n_threads;
	p->n_waiting_max = n_waiting;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->wake < 0)
		fault_errno(why, "4.3.0", "cannot make an eventfd");
	loop_io_init(&p->io, loop, p->wake, on_wake, p);
	if (p->wake >= 0) {
		if (loop_io_want(&p->io, LOOP_READ))
			return p;
		fault_set(why, "4.3.1", "cannot watch an eventfd");
	}
	pool_destroy(p);
	return NULL;
}

void pool_destroy(struct pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	drain(p);
	loop_io_fini(&p->io);
	fd_close(&p->wake);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->work);
	free(p);
}

bool pool_submit(struct pool *p, struct pool_job *job)
{
	bool taken = false;

	pthread_mutex_lock(&p->lock);
	if (!p->ending && p->n_waiting + p->n_running < p->n_threads_max + p->n_waiting_max) {
		/* One more thread when all have something to do; the first must be had, further ones are a help. */
		if (p->n_threads < p->n_threads_max && p->n_threads <= p->n_waiting + p->n_running)
			start_thread(p);
		taken = p->n_threads > 0;
	}
	if (taken) {
		push(&p->waiting, job);
		p->n_waiting++;
		p->under_way++;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	return taken;
}

size_t pool_under_way(const struct pool *p)
{
	return p->under_way;
}

struct loop *pool_loop(const struct pool *p)
{
	return p->io.loop;
}
