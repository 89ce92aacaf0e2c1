/* lookupd/cache.h: what PostgreSQL has answered, negative answers too, bounded, the least used goes first.
 * Touches: memory. Who asks PostgreSQL is given at creation (lookupd/database.h; a test's own).
 *
 * When an entry may be used:
 *  1. The generation of its kind is the one at which its query began, and no change of its key was told since. Else it is not there. A change told while the query
 *     is under way takes the entry out of the cache: those who wait get the answer, nobody after them.
 *  2. While notifications work: as long as 1 holds, if its query began after they did (the epoch). Kinds whose query the administrator replaced, and
 *     answers of a standby, live ttl: nobody tells of their changes.
 *  3. While they do not: ttl, counted from the moment at which it was last known to be true.
 *  4. Otherwise it is asked for again; and if there is no answer, it is served all the same up to stale_max after that moment.
 *
 * One key has one query under way, whoever waits for it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/list.h"
#include "lookupd/query.h"

struct cache;
struct cache_entry;
struct cache_waiter;
struct fault;
struct loop;

/* Asks for key; cache_filled is called later, exactly once, never from inside. False: there is no asking now. */
typedef bool cache_fetch_fn(void *arg, const struct query_key *key, struct cache_entry *fill, struct fault *why);
/* rows NULL: there is no answer, why says why. Called from the loop; the entry is pinned for the waiter where rows is not NULL. */
typedef void cache_waiter_fn(struct cache_waiter *w, const struct rows *rows, const struct fault *why);

/* Lies in whoever waits. Zeroed before first use. */
struct cache_waiter {
	struct list node;
	struct cache_entry *entry; /* waited for, or pinned; NULL: neither */
	bool pinned;
	cache_waiter_fn *fn;
};

struct cache_limits {
	size_t max_bytes;
	uint64_t ttl_ms, stale_max_ms;
	bool replaced[N_QUERIES]; /* the administrator's own query */
};

/* The caller owns it; nothing may wait any more at destroy. Fails: temporary. */
MUST_USE struct cache *cache_create(struct loop *loop, const struct cache_limits *limits, cache_fetch_fn *fetch, void *arg, struct fault *why);
void cache_destroy(struct cache *c);
void cache_set_limits(struct cache *c, const struct cache_limits *limits);

/* What is known and fresh, until the loop's next turn; or NULL: then cache_get asks. */
const struct rows *cache_known(struct cache *c, const struct query_key *key);

enum cache_outcome {
	CACHE_KNOWN,  /* *rows lives until the loop's next turn */
	CACHE_WAIT,   /* w->fn will be called, unless cache_release comes first */
	CACHE_FAILED, /* temporary; why is filled */
};
enum cache_outcome cache_get(struct cache *c, const struct query_key *key, struct cache_waiter *w, cache_waiter_fn *fn,
			     const struct rows **rows, struct fault *why);
/* What a pinned entry holds now. */
const struct rows *cache_pinned(const struct cache_waiter *w);
/* Neither waits nor pins any more. Safe on a zeroed one. */
void cache_release(struct cache *c, struct cache_waiter *w);

/* The fetch's end: takes rows (NULL: none, why says why). by_ttl: from a server that no notification speaks for. */
void cache_filled(struct cache *c, struct cache_entry *fill, struct rows *rows, bool by_ttl, const struct fault *why);

/* A change was told: of one key, of a kind, of anything. */
void cache_drop(struct cache *c, const struct query_key *key);
void cache_drop_kind(struct cache *c, enum query query);
void cache_drop_all(struct cache *c);
/* Notifications work (all before is doubted), or no longer. seen: they still do. */
void cache_notified(struct cache *c, bool works);
void cache_notification_seen(struct cache *c);

struct cache_counts {
	uint64_t hits, misses, stale, evicted;
	size_t entries, bytes;
};
void cache_count(const struct cache *c, struct cache_counts *out);
