/* lookupd/lookup.h: one ask that needs several answers of PostgreSQL.
 * Touches: the cache.
 *
 * evaluate is written as if all were known: it goes over the cache, and where lookup_get says false it goes on as far as it can
 * without, so that what is missing is asked for at once. When all of that has come it runs again, from the beginning. What
 * it had to wait for is pinned until the end, so a small cache or a change in the meantime cannot make it run for ever. With all known it
 * runs once, in the turn of the loop in which the ask came. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/fault.h"
#include "common/base/list.h"
#include "common/base/table.h"
#include "common/event/loop.h"
#include "lookupd/cache.h"

struct lookup;
/* Reads; keeps its result in arg, anew each time. */
typedef void lookup_evaluate_fn(struct lookup *l, void *arg);
/* The end, exactly once: why NULL: the last evaluate had everything, and what it has from rows is still there. Else temporary. May free l. */
typedef void lookup_finish_fn(struct lookup *l, void *arg, const struct fault *why);

struct lookup {
	struct cache *cache;
	lookup_evaluate_fn *evaluate;
	lookup_finish_fn *finish;
	void *arg;
	struct loop_task again;
	struct table pins;
	struct list pin_list;
	size_t n_missing;
	bool failed;
	struct fault why;
};

/* Begins; finish may be called before it returns. */
void lookup_start(struct lookup *l, struct loop *loop, struct cache *cache, lookup_evaluate_fn *evaluate, lookup_finish_fn *finish, void *arg);
/* The answer to key. False: not known yet, or it failed. */
MUST_USE bool lookup_get(struct lookup *l, const struct query_key *key, const struct rows **rows);
/* For evaluate: the ask cannot be answered. */
void lookup_fail(struct lookup *l, const struct fault *why);
/* Gives back what is pinned and waited for; finish is not called any more. Also after finish. */
void lookup_fini(struct lookup *l);
