#include "lookupd/failures.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/list.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/base/table.h"

#define KEY_N 8
#define COUNT_MAX 32 /* where a wait of 0 never gets to its maximum */

/* Keys are kept as their hash under a secret: of one size, and nobody finds two that meet. */
struct failure {
	struct table_node node;
	struct list list;
	uint64_t at_ms; /* the last one */
	uint64_t key;
	unsigned n;
};

struct failures {
	struct table table;
	struct list kept; /* the last failure last */
	uint8_t secret[16];
	size_t n_used; /* of all */
	struct failure all[FAILURES_MAX];
};

struct failures *failures_create(struct fault *why)
{
	struct failures *f = memory_alloc(1, sizeof(*f), why);

	if (f == NULL)
		return NULL;
	table_init(&f->table);
	list_init(&f->kept);
	random_fill(f->secret, sizeof(f->secret));
	return f;
}

void failures_destroy(struct failures *f)
{
	if (f == NULL)
		return;
	table_fini(&f->table);
	free(f);
}

static struct failure *failure_find(struct failures *f, struct slice key)
{
	uint64_t hash = siphash(f->secret, key.n > 0 ? key.p : "", key.n);
	struct table_node *node = table_find(&f->table, slice_of(&hash, KEY_N));

	return node != NULL ? CONTAINER_OF(node, struct failure, node) : NULL;
}

/* One that is free, or the one of longest ago. */
static struct failure *failure_take(struct failures *f)
{
	struct failure *one;

	if (f->n_used < FAILURES_MAX) {
		one = &f->all[f->n_used++];
		list_init(&one->list);
		return one;
	}
	one = LIST_ENTRY(list_first(&f->kept), struct failure, list);
	list_remove(&one->list);
	if (one->n > 0)
		table_remove(&f->table, &one->node);
	return one;
}

/* NULL: memory is out. */
static struct failure *failure_add(struct failures *f, struct slice key)
{
	struct failure *one = failure_take(f);

	one->n = 0;
	one->key = siphash(f->secret, key.n > 0 ? key.p : "", key.n);
	if (table_insert(&f->table, &one->node, slice_of(&one->key, KEY_N)))
		return one;
	list_prepend(&f->kept, &one->list);
	return NULL;
}

static uint64_t wait_of(unsigned n, const struct failure_waits *waits)
{
	uint64_t ms = waits->first_ms;

	for (unsigned i = 1; i < n && ms < waits->max_ms; i++)
		ms *= 2;
	return ms < waits->max_ms ? ms : waits->max_ms;
}

uint64_t failures_count(struct failures *f, struct slice key, const struct failure_waits *waits,
			uint64_t now_ms)
{
	struct failure *one = failure_find(f, key);
	uint64_t steps;

	if (one == NULL && (one = failure_add(f, key)) == NULL)
		return wait_of(1, waits);
	steps = one->n > 0 ? (now_ms - one->at_ms) / FAILURE_STEP_MS : 0;
	one->n -= steps < one->n ? (unsigned)steps : one->n;
	if (one->n == 0 || (one->n < COUNT_MAX && wait_of(one->n, waits) < waits->max_ms))
		one->n++;
	one->at_ms = now_ms;
	list_remove(&one->list);
	list_append(&f->kept, &one->list);
	return wait_of(one->n, waits);
}

void failures_forget(struct failures *f, struct slice key)
{
	struct failure *one = failure_find(f, key);

	if (one == NULL)
		return;
	table_remove(&f->table, &one->node);
	one->n = 0;
	list_remove(&one->list);
	list_prepend(&f->kept, &one->list);
}
