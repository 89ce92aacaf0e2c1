/* common/event/pool.h: a few threads for calls that block (fsync, a Maildir's files, crypt(3)), so that many are in flight at once.
 * Touches: pthread, which has its only home here. ARCHITECTURE.md lists the calls that may block in it.
 *
 * A job has one owner at a time: loop, pool, loop. It carries copies of all it needs and brings back its result and
 * its fault. work sees the job alone: no session, no context, no libevent, no log. The queue is bounded. One wake-up of
 * the loop drains all that is done. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"

struct fault;
struct loop;
struct pool;
struct pool_job;

typedef void pool_work_fn(struct pool_job *job); /* in a thread of the pool */
typedef void pool_done_fn(struct pool_job *job); /* in the loop; the job is the loop's again and may be freed */

/* Lies at the beginning of, or inside, the caller's job. */
struct pool_job {
	pool_work_fn *work;
	pool_done_fn *done;
	struct pool_job *next;
};

/* n_threads (1 to 256) are started with the first job, one by one, as they are needed. At most n_waiting jobs wait. The caller owns it. */
MUST_USE struct pool *pool_create(struct loop *loop, size_t n_threads, size_t n_waiting, struct fault *why);
/* Waits for the running and waiting jobs to end and calls their done. NULL does nothing. */
void pool_destroy(struct pool *p);
/* Gives job away until its done is called from the loop. False: the queue is full (or no thread could be started): job stays the caller's, done is not called. */
MUST_USE bool pool_submit(struct pool *p, struct pool_job *job);
/* Jobs given away and not done. */
size_t pool_under_way(const struct pool *p);
/* The loop that calls done. */
struct loop *pool_loop(const struct pool *p);
