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
/* rows: what a call has given. NULL: it was not done, or nobody knows; why says why. */
typedef void database_called_fn(void *arg, const struct rows *rows, const struct fault *why);
/* Sends sql with n text parameters (copied), once, to a server that takes writes; it does not wait
 * for one. Calls fn once, from the loop, never before this returns; at the latest in
 * database_destroy. False: there is none now, or memory is out; fn is not called. */
MUST_USE bool database_call(struct database *db, const char *sql, unsigned n,
			    const char *const *params, database_called_fn *fn, void *arg,
			    struct fault *why);
/* A server that takes writes is there: connections to a standby are changed for it. */
void database_writable_seen(struct database *db);
/* Appends lines "name value" for `tassis status`. */
void database_print(const struct database *db, struct buf *out);
