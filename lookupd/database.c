#include "lookupd/database.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/conf/settings.h"
#include "common/event/loop.h"
#include "common/log/log.h"
#include "lookupd/connection.h"

#define N_CONNECTIONS 2
#define WAITING_MAX 10000 /* questions that wait for a connection */

struct channel {
	struct database *db;
	struct connection *connection;
	bool told_lost; /* the log says that it is away */
};

struct database {
	struct loop *loop;
	struct cache *cache;
	struct channel channels[N_CONNECTIONS];
	struct prepared prepared[N_QUERIES];
	char *sql[N_QUERIES];
	struct list waiting; /* questions without a connection, the oldest first */
	size_t n_waiting;
	struct loop_timer limit;
	uint64_t timeout_ms;
	uint64_t n_asked;
	struct fault away; /* why there is no connection */
	bool ending;
};

/* One question, from the cache's fetch to cache_filled. */
struct question {
	struct statement statement;
	struct list node; /* in waiting */
	struct database *db;
	struct cache_entry *fill;
	uint64_t begun_ms;
	enum query query;
	const char *params[QUERY_PARAMS_MAX];
	char octets[];
};

static void question_end(struct question *q, struct rows *rows, bool by_ttl, const struct fault *why)
{
	cache_filled(q->db->cache, q->fill, rows, by_ttl, why);
	free(q);
}

/* The answer in the cache's form. NULL: memory is out, or it is too large. */
static struct rows *rows_of_result(const PGresult *result)
{
	size_t n_rows = (size_t)PQntuples(result), n_columns = (size_t)PQnfields(result);
	struct slice *cells;
	struct rows *rows;

	if (n_rows > QUERY_ROWS_MAX)
		n_rows = QUERY_ROWS_MAX;
	cells = calloc(n_rows * n_columns + 1, sizeof(*cells));
	if (cells == NULL)
		return NULL;
	for (size_t row = 0; row < n_rows; row++) {
		for (size_t column = 0; column < n_columns; column++) {
			int r = (int)row, c = (int)column;

			if (!PQgetisnull(result, r, c))
				cells[row * n_columns + column] = slice_of(PQgetvalue(result, r, c), (size_t)PQgetlength(result, r, c));
		}
	}
	rows = rows_create(n_rows, n_columns, cells);
	free(cells);
	return rows;
}

static void question_answered(struct statement *s, const PGresult *result, const struct fault *why)
{
	struct question *q = CONTAINER_OF(s, struct question, statement);
	struct fault own = {0};
	struct rows *rows = NULL;

	if (result != NULL) {
		rows = rows_of_result(result);
		if (rows == NULL) {
			fault_set(&own, "4.3.1", "PostgreSQL's answer about a %s is too large", query_descriptions[q->query].name);
			why = &own;
		}
	}
	if (rows == NULL && (result != NULL || connection_is_up(s->connection)))
		log_event(database_failed, F_SLICE(server, connection_hosts(s->connection)), F_FAULT(why));
	question_end(q, rows, connection_is_standby(s->connection), why);
}

/* The connection with the least to do; NULL: none is up. */
static struct connection *database_pick(struct database *db, bool takes_writes)
{
	struct connection *best = NULL;

	for (size_t i = 0; i < N_CONNECTIONS; i++) {
		struct connection *c = db->channels[i].connection;

		if (c == NULL || !connection_is_up(c) || (takes_writes && connection_is_standby(c)))
			continue;
		if (best == NULL || connection_under_way(c) < connection_under_way(best))
			best = c;
	}
	return best;
}

static bool database_is_away(const struct database *db)
{
	for (size_t i = 0; i < N_CONNECTIONS; i++) {
		const struct connection *c = db->channels[i].connection;

		if (c != NULL && !connection_is_away(c))
			return false;
	}
	return true;
}

static bool question_send(struct question *q, struct connection *c, struct fault *why)
{
	const struct query_description *d = &query_descriptions[q->query];

	if (!connection_send(c, &q->statement, true, d->name, d->n_params, q->params, question_answered, why))
		return false;
	q->db->n_asked++;
	return true;
}

static struct question *question_create(struct database *db, const struct query_key *key, struct cache_entry *fill, struct fault *why)
{
	unsigned n = query_descriptions[key->query].n_params;
	struct question *q;
	size_t size = 0;
	char *p;

	for (unsigned i = 0; i < n; i++)
		size += key->params[i].n + 1;
	q = memory_alloc(1, sizeof(*q) + size, why);
	if (q == NULL)
		return NULL;
	q->db = db;
	q->fill = fill;
	q->query = key->query;
	q->begun_ms = loop_now_ms(db->loop);
	list_init(&q->node);
	p = q->octets;
	for (unsigned i = 0; i < n; i++) {
		if (key->params[i].n > 0)
			memcpy(p, key->params[i].p, key->params[i].n);
		q->params[i] = p;
		p += key->params[i].n + 1;
	}
	return q;
}

bool database_fetch(void *arg, const struct query_key *key, struct cache_entry *fill, struct fault *why)
{
	struct database *db = arg;
	struct connection *c = database_pick(db, false);
	struct question *q;

	if (db->ending || (c == NULL && (database_is_away(db) || db->n_waiting >= WAITING_MAX))) {
		*why = db->away;
		if (why->text[0] == '\0')
			fault_set(why, "4.3.0", "PostgreSQL is away");
		return false;
	}
	q = question_create(db, key, fill, why);
	if (q == NULL)
		return false;
	if (c != NULL) {
		if (question_send(q, c, why))
			return true;
		free(q);
		return false;
	}
	list_append(&db->waiting, &q->node);
	if (db->n_waiting++ == 0)
		loop_timer_set(&db->limit, db->timeout_ms);
	return true;
}

/* A statement that is no question: nobody keeps its answer. */
struct call {
	struct statement statement;
	database_called_fn *fn;
	void *arg;
};

static void call_answered(struct statement *s, const PGresult *result, const struct fault *why)
{
	struct call *c = CONTAINER_OF(s, struct call, statement);
	struct rows *rows = result != NULL ? rows_of_result(result) : NULL;
	struct fault own = {0};

	if (result != NULL && rows == NULL)
		fault_set(&own, "4.3.1", "PostgreSQL's answer is too large");
	c->fn(c->arg, rows, rows != NULL ? NULL : result != NULL ? &own : why);
	free(rows);
	free(c);
}

bool database_call(struct database *db, const char *sql, unsigned n, const char *const *params,
		   database_called_fn *fn, void *arg, struct fault *why)
{
	struct connection *to = database_pick(db, true);
	struct call *c;

	if (db->ending || to == NULL) {
		fault_set(why, "4.3.0", "no server of PostgreSQL that takes writes is connected");
		return false;
	}
	c = memory_alloc(1, sizeof(*c), why);
	if (c == NULL)
		return false;
	c->fn = fn;
	c->arg = arg;
	if (connection_send(to, &c->statement, false, sql, n, params, call_answered, why))
		return true;
	free(c);
	return false;
}

static struct question *waiting_take(struct database *db)
{
	struct list *node = list_first(&db->waiting);

	if (node == NULL)
		return NULL;
	list_remove(node);
	db->n_waiting--;
	return LIST_ENTRY(node, struct question, node);
}

static void waiting_fail(struct database *db, const struct fault *why)
{
	struct question *q;

	loop_timer_cancel(&db->limit);
	while ((q = waiting_take(db)) != NULL)
		question_end(q, NULL, false, why);
}

/* Those who have waited for as long as a question may take. */
static void waiting_limit(void *arg)
{
	struct database *db = arg;
	struct fault why = {0};
	struct list *node;

	fault_set(&why, "4.3.0", "no connection to PostgreSQL in time");
	while ((node = list_first(&db->waiting)) != NULL) {
		uint64_t at = LIST_ENTRY(node, struct question, node)->begun_ms + db->timeout_ms, now = loop_now_ms(db->loop);

		if (at > now) {
			loop_timer_set(&db->limit, at - now);
			return;
		}
		question_end(waiting_take(db), NULL, false, &why);
	}
}

static void channel_up(void *arg)
{
	struct channel *ch = arg;
	struct database *db = ch->db;
	struct question *q;

	ch->told_lost = false;
	log_event(database_connected, F_SLICE(server, connection_hosts(ch->connection)));
	loop_timer_cancel(&db->limit);
	while ((q = waiting_take(db)) != NULL) {
		struct fault why = {0};

		if (!question_send(q, ch->connection, &why))
			question_end(q, NULL, false, &why);
	}
}

static void channel_down(void *arg, const struct fault *why)
{
	struct channel *ch = arg;
	struct database *db = ch->db;

	if (!ch->told_lost)
		log_event(database_lost, F_SLICE(server, connection_hosts(ch->connection)), F_FAULT(why));
	ch->told_lost = true;
	if (database_is_away(db)) {
		db->away = *why;
		waiting_fail(db, why);
	}
}

static void channel_notified(void *arg UNUSED, struct slice payload UNUSED)
{
}

static const struct connection_callbacks channel_callbacks = {channel_up, channel_down, channel_notified};

/* The tables may be others where a query is replaced: then what explains it has no rows. */
static const char *sql_without_rows(enum query query)
{
	return query_descriptions[query].n_params == 1 ? "SELECT $1::text WHERE false" : "SELECT $1::text, $2::text WHERE false";
}

/* The SQL of each query: the administrator's, or ours. */
static bool database_prepare(struct database *db, const struct settings *settings, struct fault *why)
{
	const struct slice replaced[N_QUERIES] = {
#define Q(name, n_params, sql) settings->query_##name,
		QUERIES(Q)
#undef Q
	};

	for (size_t i = 0; i < N_QUERIES; i++) {
		const struct query_description *q = &query_descriptions[i];

		db->prepared[i] = (struct prepared){q->name, q->sql};
		if (q->of != i && replaced[q->of].n > 0)
			db->prepared[i].sql = sql_without_rows((enum query)i);
		if (replaced[i].n == 0)
			continue;
		db->sql[i] = memory_alloc(1, replaced[i].n + 1, why);
		if (db->sql[i] == NULL || !slice_cstr(replaced[i], db->sql[i], replaced[i].n + 1, why))
			return false;
		db->prepared[i].sql = db->sql[i];
	}
	return true;
}

bool database_create(struct loop *loop, struct pool *pool, const struct settings *settings, struct database **out, struct fault *why)
{
	struct database *db = memory_alloc(1, sizeof(*db), why);
	struct connection_options options;

	if (db == NULL)
		return false;
	db->loop = loop;
	db->timeout_ms = settings->database_timeout;
	list_init(&db->waiting);
	loop_timer_init(&db->limit, loop, waiting_limit, db);
	if (!database_prepare(db, settings, why))
		goto fail;
	options = (struct connection_options){.conninfo = settings->database,
					      .prefer_writable = true,
					      .timeout_ms = settings->database_timeout,
					      .prepared = db->prepared,
					      .n_prepared = N_QUERIES};
	for (size_t i = 0; i < N_CONNECTIONS; i++) {
		db->channels[i].db = db;
		if (!connection_create(loop, pool, &options, &channel_callbacks, &db->channels[i], &db->channels[i].connection, why))
			goto fail;
	}
	*out = db;
	return true;
fail:
	database_destroy(db);
	return false;
}

void database_destroy(struct database *db)
{
	struct fault why = {0};

	if (db == NULL)
		return;
	db->ending = true;
	fault_set(&why, "4.3.0", "the connection to PostgreSQL is being ended");
	for (size_t i = 0; i < N_CONNECTIONS; i++)
		connection_destroy(db->channels[i].connection);
	waiting_fail(db, &why);
	for (size_t i = 0; i < N_QUERIES; i++)
		free(db->sql[i]);
	free(db);
}

void database_set_cache(struct database *db, struct cache *cache)
{
	db->cache = cache;
}

void database_writable_seen(struct database *db)
{
	struct fault why = {0};

	fault_set(&why, "4.3.0", "this server is a standby, and the primary is there");
	for (size_t i = 0; i < N_CONNECTIONS; i++) {
		if (connection_is_standby(db->channels[i].connection))
			connection_renew(db->channels[i].connection, &why);
	}
}

void database_print(const struct database *db, struct buf *out)
{
	unsigned n_up = 0, n_standby = 0;

	for (size_t i = 0; i < N_CONNECTIONS; i++) {
		n_up += connection_is_up(db->channels[i].connection);
		n_standby += connection_is_standby(db->channels[i].connection);
	}
	buf_printf(out, "database %s\n", n_up == 0 ? "away" : n_standby > 0 ? "standby" : "up");
	if (n_up == 0 && db->away.text[0] != '\0')
		buf_printf(out, "database_reason %s\n", db->away.text);
	buf_printf(out, "database_connections %u\n", n_up);
	buf_printf(out, "queries %llu\n", (unsigned long long)db->n_asked);
}
