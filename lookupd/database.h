/* lookupd/database.h: the way from the cache to PostgreSQL: a few connections, pipelined, and what happens while there is none.
 * Touches: PostgreSQL, through lookupd/connection.h.
 *
 * A question waits for a connection only while one is being made for the first time, or at once after a loss, and at most the statement's time limit;
 * once an attempt has failed, questions fail at once until PostgreSQL is there again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "lookupd/cache.h"
#include "lookupd/query.h"

struct buf;
struct database;
struct fault;
struct loop;
struct pool;
struct settings;

/* settings are read, not kept. The caller owns it, and sets the cache before the loop runs. Fails: what is wrong with the connection string. */
MUST_USE bool database_create(struct loop *loop, struct pool *pool, const struct settings *settings, struct database **out, struct fault *why);
/* Every question under way fails first. NULL does nothing. */
void database_destroy(struct database *db);
void database_set_cache(struct database *db, struct cache *cache);
/* A cache_fetch_fn with a struct database. */
bool database_fetch(void *arg, const struct query_key *key, struct cache_entry *fill, struct fault *why);
/* A server that takes writes is there: connections to a standby are changed for it. */
void database_writable_seen(struct database *db);
/* Appends lines "name value" for `tassis status`. */
void database_print(const struct database *db, struct buf *out);
