#include "lookupd/lookup.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

struct pin {
	struct table_node node;
	struct list list;
	struct cache_waiter waiter;
	struct lookup *lookup;
	char key[];
};

static void lookup_run(void *arg)
{
	struct lookup *l = arg;

	if (!l->failed)
		l->evaluate(l, l->arg);
	if (l->failed)
		l->finish(l, l->arg, &l->why);
	else if (l->n_missing == 0)
		l->finish(l, l->arg, NULL);
}

void lookup_start(struct lookup *l, struct loop *loop, struct cache *cache, lookup_evaluate_fn *evaluate, lookup_finish_fn *finish, void *arg)
{
	l->cache = cache;
	l->evaluate = evaluate;
	l->finish = finish;
	l->arg = arg;
	l->n_missing = 0;
	l->failed = false;
	table_init(&l->pins);
	list_init(&l->pin_list);
	loop_task_init(&l->again, loop, lookup_run, l);
	lookup_run(l);
}

void lookup_fail(struct lookup *l, const struct fault *why)
{
	if (!l->failed)
		l->why = *why;
	l->failed = true;
}

static void pin_answered(struct cache_waiter *w, const struct rows *rows, const struct fault *why)
{
	struct lookup *l = CONTAINER_OF(w, struct pin, waiter)->lookup;

	l->n_missing--;
	if (rows == NULL)
		lookup_fail(l, why);
	if (l->n_missing == 0 || l->failed)
		loop_task_schedule(&l->again);
}

/* Waits for key, in a pin of its own. */
static bool lookup_ask(struct lookup *l, const struct query_key *key, struct slice octets, const struct rows **rows)
{
	struct fault why = {0};
	struct pin *pin = memory_alloc(1, sizeof(*pin) + octets.n, &why);
	enum cache_outcome outcome = CACHE_FAILED;

	if (pin != NULL) {
		pin->lookup = l;
		outcome = cache_get(l->cache, key, &pin->waiter, pin_answered, rows, &why);
	}
	if (outcome == CACHE_WAIT) {
		memcpy(pin->key, octets.p, octets.n);
		if (table_insert(&l->pins, &pin->node, slice_of(pin->key, octets.n))) {
			list_append(&l->pin_list, &pin->list);
			l->n_missing++;
			return false;
		}
		cache_release(l->cache, &pin->waiter);
		fault_set(&why, "4.3.1", "out of memory");
		outcome = CACHE_FAILED;
	}
	free(pin);
	if (outcome == CACHE_FAILED)
		lookup_fail(l, &why);
	return outcome == CACHE_KNOWN;
}

bool lookup_get(struct lookup *l, const struct query_key *key, const struct rows **rows)
{
	char octets[QUERY_KEY_MAX];
	size_t n;
	struct table_node *node;

	if (l->failed)
		return false;
	n = query_key_write(key, octets);
	node = l->pins.n > 0 ? table_find(&l->pins, slice_of(octets, n)) : NULL;
	if (node != NULL) {
		struct pin *pin = CONTAINER_OF(node, struct pin, node);

		if (!pin->waiter.pinned)
			return false;
		*rows = cache_pinned(&pin->waiter);
		return true;
	}
	*rows = cache_known(l->cache, key);
	return *rows != NULL || lookup_ask(l, key, slice_of(octets, n), rows);
}

void lookup_fini(struct lookup *l)
{
	if (l->cache == NULL)
		return;
	loop_task_cancel(&l->again);
	LIST_EACH(node, &l->pin_list) {
		struct pin *pin = LIST_ENTRY(node, struct pin, list);

		cache_release(l->cache, &pin->waiter);
		free(pin);
	}
	list_init(&l->pin_list);
	table_fini(&l->pins);
	l->cache = NULL;
}
