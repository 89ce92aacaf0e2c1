#include "lookupd/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/table.h"
#include "common/event/loop.h"

#define ALLOCATION_OVERHEAD 48

struct cache_entry {
	struct table_node node;
	struct list lru;     /* the front was used last */
	struct list waiters; /* of the query under way */
	struct rows *rows;   /* NULL: never filled */
	uint64_t generation;
	uint64_t asked_at_ms, epoch;             /* of the query that gave rows */
	uint64_t asking_at_ms, asking_epoch;     /* of the query under way */
	size_t size;
	unsigned pins;
	enum query query;
	bool in_cache, filling, by_ttl;
	char key[];
};

struct cache {
	struct loop *loop;
	struct table table;
	struct list lru;
	struct cache_limits limits;
	struct loop_task evict;
	cache_fetch_fn *fetch;
	void *arg;
	uint64_t generations[N_QUERIES];
	uint64_t epoch;
	uint64_t seen_at_ms;        /* notifications of this epoch worked then */
	uint64_t seen_before_at_ms; /* those of the epoch before */
	bool notified;
	struct cache_counts counts;
};

static void entry_free_if_unused(struct cache *c, struct cache_entry *e)
{
	if (e->in_cache || e->filling || e->pins > 0)
		return;
	c->counts.bytes -= e->size;
	free(e->rows);
	free(e);
}

/* Out of the table; it goes at once, or with the last who needs it. */
static void entry_detach(struct cache *c, struct cache_entry *e)
{
	if (e->in_cache) {
		table_remove(&c->table, &e->node);
		list_remove(&e->lru);
		e->in_cache = false;
	}
	entry_free_if_unused(c, e);
}

/* The front of the list was used last; what is pinned or being filled is passed over once. */
static void cache_evict(void *arg)
{
	struct cache *c = arg;

	for (size_t n = c->table.n; n > 0 && c->counts.bytes > c->limits.max_bytes; n--) {
		struct cache_entry *e = LIST_ENTRY(c->lru.prev, struct cache_entry, lru);

		if (e->pins > 0 || e->filling) {
			list_remove(&e->lru);
			list_prepend(&c->lru, &e->lru);
			continue;
		}
		c->counts.evicted++;
		entry_detach(c, e);
	}
}

static void cache_grow(struct cache *c, struct cache_entry *e, size_t size)
{
	c->counts.bytes += size;
	e->size += size;
	if (c->counts.bytes > c->limits.max_bytes)
		loop_task_schedule(&c->evict);
}

struct cache *cache_create(struct loop *loop, const struct cache_limits *limits, cache_fetch_fn *fetch, void *arg, struct fault *why)
{
	struct cache *c = memory_alloc(1, sizeof(*c), why);

	if (c == NULL)
		return NULL;
	c->loop = loop;
	c->limits = *limits;
	c->fetch = fetch;
	c->arg = arg;
	table_init(&c->table);
	list_init(&c->lru);
	loop_task_init(&c->evict, loop, cache_evict, c);
	return c;
}

void cache_destroy(struct cache *c)
{
	struct table_node *n;

	if (c == NULL)
		return;
	while ((n = table_any(&c->table)) != NULL) {
		struct cache_entry *e = CONTAINER_OF(n, struct cache_entry, node);

		assert(e->pins == 0 && !e->filling);
		entry_detach(c, e);
	}
	loop_task_cancel(&c->evict);
	table_fini(&c->table);
	free(c);
}

void cache_set_limits(struct cache *c, const struct cache_limits *limits)
{
	c->limits = *limits;
	loop_task_schedule(&c->evict);
}

/* The last moment at which the entry was known to be true. */
static uint64_t entry_true_at(const struct cache *c, const struct cache_entry *e)
{
	uint64_t seen = 0;

	if (!e->by_ttl && !c->limits.replaced[e->query]) {
		if (e->epoch == c->epoch)
			seen = c->notified ? loop_now_ms(c->loop) : c->seen_at_ms;
		else if (e->epoch + 1 == c->epoch)
			seen = c->seen_before_at_ms;
	}
	return seen > e->asked_at_ms ? seen : e->asked_at_ms;
}

static bool entry_is_fresh(const struct cache *c, const struct cache_entry *e)
{
	if (c->notified && e->epoch != c->epoch)
		return false;
	return loop_now_ms(c->loop) - entry_true_at(c, e) < c->limits.ttl_ms;
}

static bool entry_is_usable_stale(const struct cache *c, const struct cache_entry *e)
{
	return e->rows != NULL && loop_now_ms(c->loop) - entry_true_at(c, e) <= c->limits.stale_max_ms;
}

static struct cache_entry *entry_create(struct cache *c, enum query query, const char *key, size_t n, struct fault *why)
{
	struct cache_entry *e;

	/* what is pinned cannot be evicted */
	if (c->counts.bytes > 2 * c->limits.max_bytes) {
		fault_set(why, "4.3.1", "the look-ups under way need more memory than lookup_cache allows");
		return NULL;
	}
	e = memory_alloc(1, sizeof(*e) + n, why);
	if (e == NULL)
		return NULL;
	memcpy(e->key, key, n);
	e->query = query;
	e->generation = c->generations[query];
	list_init(&e->waiters);
	if (!table_insert(&c->table, &e->node, slice_of(e->key, n))) {
		fault_set(why, "4.3.1", "out of memory");
		free(e);
		return NULL;
	}
	list_prepend(&c->lru, &e->lru);
	e->in_cache = true;
	cache_grow(c, e, sizeof(*e) + n + ALLOCATION_OVERHEAD);
	return e;
}

/* The entry of key as far as rule 1 holds, or NULL. */
static struct cache_entry *entry_find(struct cache *c, enum query query, struct slice key)
{
	struct table_node *n = table_find(&c->table, key);
	struct cache_entry *e;

	if (n == NULL)
		return NULL;
	e = CONTAINER_OF(n, struct cache_entry, node);
	if (e->generation != c->generations[query]) {
		entry_detach(c, e);
		return NULL;
	}
	return e;
}

/* Begins the query for e. False: there is no asking now. */
static bool entry_ask(struct cache *c, struct cache_entry *e, const struct query_key *key, struct fault *why)
{
	if (!c->fetch(c->arg, key, e, why))
		return false;
	e->filling = true;
	e->asking_at_ms = loop_now_ms(c->loop);
	e->asking_epoch = c->epoch;
	c->counts.misses++;
	return true;
}

const struct rows *cache_known(struct cache *c, const struct query_key *key)
{
	char octets[QUERY_KEY_MAX];
	struct cache_entry *e = entry_find(c, key->query, slice_of(octets, query_key_write(key, octets)));

	if (e == NULL || e->rows == NULL || !entry_is_fresh(c, e))
		return NULL;
	if (c->lru.next != &e->lru) {
		list_remove(&e->lru);
		list_prepend(&c->lru, &e->lru);
	}
	c->counts.hits++;
	return e->rows;
}

enum cache_outcome cache_get(struct cache *c, const struct query_key *key, struct cache_waiter *w, cache_waiter_fn *fn,
			     const struct rows **rows, struct fault *why)
{
	char octets[QUERY_KEY_MAX];
	size_t n = query_key_write(key, octets);
	struct cache_entry *e;

	if (n == 0) {
		fault_set(why, "4.3.0", "a name is too long to look up");
		return CACHE_FAILED;
	}
	e = entry_find(c, key->query, slice_of(octets, n));
	if (e == NULL && (e = entry_create(c, key->query, octets, n, why)) == NULL)
		return CACHE_FAILED;
	if (e->rows != NULL && entry_is_fresh(c, e)) {
		*rows = e->rows;
		return CACHE_KNOWN;
	}
	if (!e->filling && !entry_ask(c, e, key, why)) {
		if (entry_is_usable_stale(c, e)) {
			c->counts.stale++;
			*rows = e->rows;
			return CACHE_KNOWN;
		}
		entry_detach(c, e);
		return CACHE_FAILED;
	}
	w->entry = e;
	w->pinned = false;
	w->fn = fn;
	list_append(&e->waiters, &w->node);
	return CACHE_WAIT;
}

const struct rows *cache_pinned(const struct cache_waiter *w)
{
	return w->entry->rows;
}

void cache_release(struct cache *c, struct cache_waiter *w)
{
	struct cache_entry *e = w->entry;

	if (e == NULL)
		return;
	w->entry = NULL;
	if (w->pinned) {
		e->pins--;
		entry_free_if_unused(c, e);
	} else {
		list_remove(&w->node);
	}
}

/* Those who waited are given what there is, rows or a reason. */
static void entry_tell(struct cache *c, struct cache_entry *e, bool usable, const struct fault *why)
{
	struct list *node;

	e->pins++; /* a waiter may release while we tell */
	while ((node = list_first(&e->waiters)) != NULL) {
		struct cache_waiter *w = LIST_ENTRY(node, struct cache_waiter, node);

		list_remove(&w->node);
		w->pinned = usable;
		if (usable)
			e->pins++;
		else
			w->entry = NULL;
		w->fn(w, usable ? e->rows : NULL, why);
	}
	e->pins--;
	if (e->rows == NULL)
		entry_detach(c, e);
	else
		entry_free_if_unused(c, e);
}

void cache_filled(struct cache *c, struct cache_entry *e, struct rows *rows, bool by_ttl, const struct fault *why)
{
	bool usable = true;

	e->filling = false;
	if (rows != NULL) {
		size_t old = e->rows != NULL ? e->rows->size : 0;

		free(e->rows);
		e->rows = rows;
		e->by_ttl = by_ttl;
		e->asked_at_ms = e->asking_at_ms;
		e->epoch = e->asking_epoch;
		e->size -= old;
		c->counts.bytes -= old;
		cache_grow(c, e, rows->size);
	} else {
		usable = entry_is_usable_stale(c, e);
		c->counts.stale += usable;
	}
	entry_tell(c, e, usable, why);
}

void cache_drop(struct cache *c, const struct query_key *key)
{
	char octets[QUERY_KEY_MAX];
	size_t n = query_key_write(key, octets);
	struct table_node *node = n > 0 ? table_find(&c->table, slice_of(octets, n)) : NULL;

	if (node != NULL)
		entry_detach(c, CONTAINER_OF(node, struct cache_entry, node));
}

void cache_drop_kind(struct cache *c, enum query query)
{
	c->generations[query]++;
}

void cache_drop_all(struct cache *c)
{
	for (unsigned i = 0; i < N_QUERIES; i++)
		c->generations[i]++;
}

void cache_notified(struct cache *c, bool works)
{
	if (works) {
		c->seen_before_at_ms = c->seen_at_ms;
		c->epoch++;
		c->seen_at_ms = loop_now_ms(c->loop);
	}
	c->notified = works;
}

void cache_notification_seen(struct cache *c)
{
	c->seen_at_ms = loop_now_ms(c->loop);
}

void cache_count(const struct cache *c, struct cache_counts *out)
{
	*out = c->counts;
	out->entries = c->table.n;
}
