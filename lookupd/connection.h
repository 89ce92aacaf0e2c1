/* lookupd/connection.h: one connection to PostgreSQL that never holds up the loop: asynchronous, pipelined, made again by itself.
 * Touches: libpq and its socket.
 *
 *	idle ──open──▶ resolving ─▶ connecting ─▶ preparing ─▶ up
 *	                   ▲   any failure: down is told, then a pause of 100 ms, doubling to 5 s
 *	                   └──────────── pausing ◀────────────────────────┘
 *
 * Invariants:
 *  1. A statement given away is ended exactly once: by its result, by an error, by the time limit or by the connection's end.
 *  2. Results come in the order in which the statements were sent; each has its own synchronisation point, so that an error stays its own.
 *  3. A statement that takes longer than the limit ends the connection, and with it all others that are under way on it. */
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/list.h"
#include "common/base/slice.h"

struct connection;
struct fault;
struct loop;
struct pool;
struct statement;

/* result NULL: there is none, why says why. result is freed afterwards. */
typedef void statement_fn(struct statement *s, const PGresult *result, const struct fault *why);
/* Lies in whoever asks; under way it stays where it is. */
struct statement {
	struct list node;
	uint64_t begun_ms;
	enum { STATEMENT_SENT, STATEMENT_HAS_RESULT, STATEMENT_SYNCING } phase;
	bool prepared;
	statement_fn *fn;
	struct connection *connection;
	PGresult *result;
};

struct connection_callbacks {
	void (*up)(void *arg);
	/* An attempt failed, or what was up has ended. Statements under way have been ended before. */
	void (*down)(void *arg, const struct fault *why);
	void (*notified)(void *arg, struct slice payload);
};

struct prepared {
	const char *name, *sql;
};
struct connection_options {
	struct slice conninfo;           /* libpq's connection string */
	bool writable;                   /* only a server that takes writes will do */
	bool prefer_writable;            /* each second attempt takes any */
	uint64_t timeout_ms;             /* of a statement, and of connecting to all hosts together twice that */
	const struct prepared *prepared; /* made on each new connection; borrowed for its lifetime */
	size_t n_prepared;
};

/* Begins to connect. The caller owns it. Fails: what is wrong with conninfo. */
MUST_USE bool connection_create(struct loop *loop, struct pool *pool, const struct connection_options *options,
				const struct connection_callbacks *callbacks, void *arg, struct connection **out, struct fault *why);
/* Ends what is under way (fn is called). NULL does nothing. */
void connection_destroy(struct connection *c);
bool connection_is_up(const struct connection *c);
/* Neither up nor in its first attempt since it was: there is nothing to wait for. */
bool connection_is_away(const struct connection *c);
/* The server is a standby. */
bool connection_is_standby(const struct connection *c);
size_t connection_under_way(const struct connection *c);
/* For the log: the host it is connected to, else all that the string names. */
struct slice connection_hosts(const struct connection *c);

/* Sends a prepared statement (prepared true: name) or SQL, with n text parameters; calls fn later. False: it is not up, or memory is out; fn is not called. */
MUST_USE bool connection_send(struct connection *c, struct statement *s, bool prepared, const char *name_or_sql, unsigned n,
			      const char *const *params, statement_fn *fn, struct fault *why);
/* Ends it, as if it had been lost, and makes it anew. */
void connection_renew(struct connection *c, const struct fault *why);
