#include "lookupd/connection.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/event/loop.h"
#include "lookupd/conninfo.h"

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 5000

enum connection_state { CONNECTION_RESOLVING, CONNECTION_CONNECTING, CONNECTION_PREPARING, CONNECTION_UP, CONNECTION_PAUSING };

struct connection {
	struct loop *loop;
	struct conninfo *conninfo;
	const struct connection_callbacks *callbacks;
	void *arg;
	bool writable, prefer_writable;
	uint64_t timeout_ms;
	const struct prepared *prepared;
	size_t n_prepared;

	enum connection_state state;
	PGconn *pg;
	struct loop_io io;
	struct loop_timer timer; /* the attempt's limit, the oldest statement's limit, or the pause */
	struct loop_task lost;   /* ends the connection from the loop, for those who found out inside a call */
	struct fault lost_why;
	bool losing;
	struct list statements; /* sent, the oldest first */
	size_t n_statements;
	struct statement *preparing; /* n_prepared of them */
	size_t n_preparing;
	uint64_t pause_ms;
	unsigned attempt;   /* since it was up; the first is 0 */
	unsigned n_silent;  /* attempts that a silent host has used up: the next begins with another */
};

static void connection_begin(struct connection *c);

/* libpq's messages have lines of advice behind the first. */
static struct slice first_line(const char *message)
{
	struct slice s = slice_trim(slice_of_cstr(message));

	return slice_trim(slice_head(s, slice_find(s, '\n')));
}

static void fault_of_pg(struct fault *why, PGconn *pg, const char *what)
{
	fault_set(why, "4.3.0", "%s: %.*s", what, SLICE_PRINTF(first_line(PQerrorMessage(pg))));
}

/* ---- the end of an attempt or a connection ---- */

static void end_statements(struct connection *c, const struct fault *why)
{
	struct list *node;

	while ((node = list_first(&c->statements)) != NULL) {
		struct statement *s = LIST_ENTRY(node, struct statement, node);

		list_remove(&s->node);
		c->n_statements--;
		PQclear(s->result);
		s->result = NULL;
		s->fn(s, NULL, why);
	}
}

static void connection_close(struct connection *c)
{
	c->losing = false;
	loop_task_cancel(&c->lost);
	loop_timer_cancel(&c->timer);
	loop_io_fini(&c->io);
	PQfinish(c->pg);
	c->pg = NULL;
}

/* Ends the connection a little later: the caller is in the midst of something. */
static void connection_lose(struct connection *c, const struct fault *why)
{
	c->lost_why = *why;
	c->losing = true;
	loop_task_schedule(&c->lost);
}

/* Tells, and tries again: at once after a connection that was up, else after a pause. why may lie in c. */
static void connection_end(struct connection *c, const struct fault *reason)
{
	struct fault why = *reason;
	bool was_up = c->state == CONNECTION_UP;

	c->state = CONNECTION_PAUSING;
	connection_close(c);
	end_statements(c, &why);
	c->n_preparing = 0;
	if (was_up) {
		c->attempt = 0;
		c->pause_ms = 0;
	} else {
		c->attempt++;
		c->pause_ms = c->pause_ms == 0 ? PAUSE_MIN_MS : c->pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : c->pause_ms * 2;
	}
	loop_timer_set(&c->timer, c->pause_ms);
	c->callbacks->down(c->arg, &why);
}

static void connection_lost(void *arg)
{
	struct connection *c = arg;

	connection_end(c, &c->lost_why);
}

static void connection_timer(void *arg)
{
	struct connection *c = arg;
	struct fault why = {0};

	if (c->state == CONNECTION_PAUSING) {
		connection_begin(c);
		return;
	}
	fault_set(&why, "4.3.0", "PostgreSQL does not answer in time");
	if (c->state == CONNECTION_CONNECTING)
		c->n_silent++;
	connection_end(c, &why);
}

/* The oldest statement's limit. */
static void connection_set_timer(struct connection *c)
{
	struct list *node = list_first(&c->statements);
	uint64_t now = loop_now_ms(c->loop), limit;

	if (node == NULL) {
		loop_timer_cancel(&c->timer);
		return;
	}
	limit = LIST_ENTRY(node, struct statement, node)->begun_ms + c->timeout_ms;
	loop_timer_set(&c->timer, limit > now ? limit - now : 0);
}

/* ---- statements ---- */

static bool connection_flush(struct connection *c)
{
	int left = PQflush(c->pg);

	return left >= 0 && loop_io_want(&c->io, LOOP_READ | (left > 0 ? (unsigned)LOOP_WRITE : 0));
}

static void statement_begin(struct connection *c, struct statement *s, bool prepared,
			    statement_fn *fn)
{
	*s = (struct statement){.begun_ms = loop_now_ms(c->loop),
				.phase = STATEMENT_SENT,
				.prepared = prepared,
				.fn = fn,
				.connection = c};
	list_append(&c->statements, &s->node);
	c->n_statements++;
	if (c->n_statements == 1)
		connection_set_timer(c);
}

bool connection_send(struct connection *c, struct statement *s, bool prepared, const char *name_or_sql, unsigned n,
		     const char *const *params, statement_fn *fn, struct fault *why)
{
	int sent;

	if (c->state != CONNECTION_UP || c->losing) {
		fault_set(why, "4.3.0", "PostgreSQL is not connected");
		return false;
	}
	if (prepared)
		sent = PQsendQueryPrepared(c->pg, name_or_sql, (int)n, params, NULL, NULL, 0);
	else
		sent = PQsendQueryParams(c->pg, name_or_sql, (int)n, NULL, params, NULL, NULL, 0);
	if (sent != 1 || PQpipelineSync(c->pg) != 1 || !connection_flush(c)) {
		fault_of_pg(why, c->pg, "PostgreSQL takes no statement");
		connection_lose(c, why);
		return false;
	}
	statement_begin(c, s, prepared, fn);
	return true;
}

/* The result of the oldest statement, as the caller gets it. True: the connection is as before. */
static void statement_finish(struct connection *c, struct statement *s)
{
	struct fault why = {0};
	ExecStatusType status = PQresultStatus(s->result);
	PGresult *result = s->result;

	list_remove(&s->node);
	c->n_statements--;
	s->result = NULL;
	connection_set_timer(c);
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
		s->fn(s, result, NULL);
	} else {
		const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;

		fault_set(&why, "4.3.0", "PostgreSQL: %.*s",
			  SLICE_PRINTF(first_line(result != NULL ? PQresultErrorMessage(result) : "no result")));
		/* a plan that no longer fits, a prepared statement or a table that has gone: all is prepared again */
		if (s->prepared && state != NULL &&
		    (strncmp(state, "0A", 2) == 0 || strncmp(state, "26", 2) == 0 ||
		     strncmp(state, "42", 2) == 0))
			connection_lose(c, &why);
		s->fn(s, NULL, &why);
	}
	PQclear(result);
}

/* One thing that PQgetResult gave: NULL ends a statement's results, the synchronisation point ends the statement. False: this cannot be. */
static bool statement_take(struct connection *c, struct statement *s, PGresult *result)
{
	if (result == NULL) {
		if (s->phase != STATEMENT_HAS_RESULT)
			return false;
		s->phase = STATEMENT_SYNCING;
		return true;
	}
	if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
		PQclear(result);
		if (s->phase != STATEMENT_SYNCING)
			return false;
		statement_finish(c, s);
		return true;
	}
	PQclear(s->result);
	s->result = result;
	s->phase = STATEMENT_HAS_RESULT;
	return true;
}

static void tell_notifications(struct connection *c)
{
	PGnotify *n;

	while (c->pg != NULL && (n = PQnotifies(c->pg)) != NULL) {
		c->callbacks->notified(c->arg, slice_of_cstr(n->extra));
		PQfreemem(n);
	}
}

static void connection_read(struct connection *c)
{
	struct fault why = {0};
	struct list *node;

	if (PQconsumeInput(c->pg) != 1 || !connection_flush(c))
		goto lost;
	while (c->pg != NULL && (node = list_first(&c->statements)) != NULL && !PQisBusy(c->pg)) {
		if (!statement_take(c, LIST_ENTRY(node, struct statement, node), PQgetResult(c->pg)))
			goto lost;
	}
	tell_notifications(c);
	if (c->pg == NULL || PQstatus(c->pg) == CONNECTION_OK)
		return;
lost:
	fault_of_pg(&why, c->pg, "the connection to PostgreSQL ended");
	connection_end(c, &why);
}

/* ---- connecting ---- */

static void prepare_done(struct statement *s, const PGresult *result, const struct fault *why);

static bool connection_prepare(struct connection *c)
{
	if (PQsetnonblocking(c->pg, 1) != 0 || PQenterPipelineMode(c->pg) != 1)
		return false;
	c->state = CONNECTION_PREPARING;
	c->n_preparing = c->n_prepared;
	for (size_t i = 0; i < c->n_prepared; i++) {
		if (PQsendPrepare(c->pg, c->prepared[i].name, c->prepared[i].sql, 0, NULL) != 1 || PQpipelineSync(c->pg) != 1)
			return false;
		statement_begin(c, &c->preparing[i], true, prepare_done);
	}
	return connection_flush(c);
}

static void connection_is_ready(struct connection *c)
{
	c->state = CONNECTION_UP;
	c->attempt = 0;
	c->pause_ms = 0;
	connection_set_timer(c);
	c->callbacks->up(c->arg);
}

static void prepare_done(struct statement *s, const PGresult *result UNUSED, const struct fault *why)
{
	struct connection *c = s->connection;
	struct fault more;

	if (c->state != CONNECTION_PREPARING)
		return;
	c->n_preparing--;
	if (why != NULL) {
		more = *why;
		fault_add(&more, "the query %s cannot be prepared", c->prepared[s - c->preparing].name);
		connection_lose(c, &more);
	} else if (c->n_preparing == 0 && !c->losing) {
		connection_is_ready(c);
	}
}

static void connection_poll(struct connection *c);

static void connection_io(void *arg, unsigned ready UNUSED)
{
	struct connection *c = arg;

	if (c->state == CONNECTION_CONNECTING)
		connection_poll(c);
	else
		connection_read(c);
}

/* One step of libpq's way to a connection; the socket may be another one after each. */
static void connection_poll(struct connection *c)
{
	PostgresPollingStatusType status;
	struct fault why = {0};
	bool ok = false;

	loop_io_fini(&c->io);
	status = PQconnectPoll(c->pg);
	loop_io_init(&c->io, c->loop, PQsocket(c->pg), connection_io, c);
	if (status == PGRES_POLLING_READING)
		ok = loop_io_want(&c->io, LOOP_READ);
	else if (status == PGRES_POLLING_WRITING)
		ok = loop_io_want(&c->io, LOOP_WRITE);
	else if (status == PGRES_POLLING_OK)
		ok = connection_prepare(c);
	if (!ok) {
		fault_of_pg(&why, c->pg, "PostgreSQL cannot be reached");
		connection_end(c, &why);
	} else if (c->state == CONNECTION_PREPARING && c->n_prepared == 0) {
		connection_is_ready(c);
	}
}

static void silent(void *arg UNUSED, const PGresult *result UNUSED)
{
}

static void connection_resolved(void *arg, const struct conninfo_params *params, const struct fault *reason)
{
	struct connection *c = arg;
	struct fault why = {0};

	if (params == NULL) {
		connection_end(c, reason);
		return;
	}
	c->pg = PQconnectStartParams(params->keywords, params->values, 0);
	if (c->pg == NULL || PQstatus(c->pg) == CONNECTION_BAD) {
		if (c->pg == NULL)
			fault_set(&why, "4.3.1", "out of memory");
		else
			fault_of_pg(&why, c->pg, "PostgreSQL cannot be reached");
		connection_end(c, &why);
		return;
	}
	PQsetNoticeReceiver(c->pg, silent, NULL);
	c->state = CONNECTION_CONNECTING;
	loop_timer_set(&c->timer, 2 * c->timeout_ms);
	loop_io_init(&c->io, c->loop, PQsocket(c->pg), connection_io, c);
	if (!loop_io_want(&c->io, LOOP_WRITE)) { /* libpq: as if PQconnectPoll had said so */
		fault_set(&why, "4.3.1", "out of memory");
		connection_end(c, &why);
	}
}

static void connection_begin(struct connection *c)
{
	bool writable = c->writable || (c->prefer_writable && c->attempt % 2 == 0);

	c->state = CONNECTION_RESOLVING;
	loop_timer_set(&c->timer, 2 * c->timeout_ms);
	conninfo_resolve(c->conninfo, writable ? "read-write" : "any", c->writable, c->n_silent, connection_resolved, c);
}

bool connection_create(struct loop *loop, struct pool *pool, const struct connection_options *options,
		       const struct connection_callbacks *callbacks, void *arg, struct connection **out, struct fault *why)
{
	struct connection *c = memory_alloc(1, sizeof(*c), why);
	struct statement *preparing = memory_alloc(options->n_prepared + 1, sizeof(*preparing), why);

	if (c == NULL || preparing == NULL || !conninfo_create(options->conninfo, pool, &c->conninfo, why)) {
		free(c);
		free(preparing);
		return false;
	}
	c->preparing = preparing;
	c->loop = loop;
	c->callbacks = callbacks;
	c->arg = arg;
	c->writable = options->writable;
	c->prefer_writable = options->prefer_writable;
	c->timeout_ms = options->timeout_ms;
	c->prepared = options->prepared;
	c->n_prepared = options->n_prepared;
	list_init(&c->statements);
	loop_timer_init(&c->timer, loop, connection_timer, c);
	loop_task_init(&c->lost, loop, connection_lost, c);
	c->state = CONNECTION_PAUSING;
	loop_timer_set(&c->timer, 0);
	*out = c;
	return true;
}

void connection_destroy(struct connection *c)
{
	struct fault why = {0};

	if (c == NULL)
		return;
	fault_set(&why, "4.3.0", "the connection to PostgreSQL is being ended");
	c->state = CONNECTION_PAUSING;
	connection_close(c);
	end_statements(c, &why);
	conninfo_destroy(c->conninfo);
	free(c->preparing);
	free(c);
}

bool connection_is_up(const struct connection *c)
{
	return c->state == CONNECTION_UP;
}

bool connection_is_away(const struct connection *c)
{
	return c->state != CONNECTION_UP && c->attempt > 0;
}

bool connection_is_standby(const struct connection *c)
{
	const char *standby = c->state == CONNECTION_UP ? PQparameterStatus(c->pg, "in_hot_standby") : NULL;

	return standby != NULL && strcmp(standby, "on") == 0;
}

size_t connection_under_way(const struct connection *c)
{
	return c->n_statements;
}

struct slice connection_hosts(const struct connection *c)
{
	const char *host = c->state == CONNECTION_UP ? PQhost(c->pg) : NULL;

	return host != NULL && host[0] != '\0' ? slice_of_cstr(host) : conninfo_hosts(c->conninfo);
}

void connection_renew(struct connection *c, const struct fault *why)
{
	if (c->state != CONNECTION_UP)
		return;
	connection_lose(c, why);
}
