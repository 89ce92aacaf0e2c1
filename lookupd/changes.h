/* lookupd/changes.h: the connection that hears of changes (LISTEN tassis), and tells the cache.
 * Touches: PostgreSQL, through lookupd/connection.h; the cache.
 *
 * It asks for a server that takes writes: LISTEN fails on a standby, and says nothing behind a pooler of transactions. So it sends itself a notification when
 * it is connected and each 30 s: only when that has come back do notifications count as working, and when it does not come in
 * time they do not, and the connection is made anew. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct buf;
struct cache;
struct fault;
struct changes;
struct loop;
struct pool;
struct settings;

typedef void changes_work_fn(void *arg);
/* works (may be NULL) is told when notifications begin to work. The caller owns it; destroyed before the cache. */
MUST_USE bool changes_create(struct loop *loop, struct pool *pool, const struct settings *settings, struct cache *cache, changes_work_fn *works,
			      void *arg, struct changes **out, struct fault *why);
void changes_destroy(struct changes *l);
bool changes_work(const struct changes *l);

/* What schema/0003-notify.sql sends, "TABLE KEY", "TABLE" or "all", done to the cache. Anything else drops all. */
void changes_apply(struct cache *cache, struct slice payload);
