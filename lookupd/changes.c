#include "lookupd/changes.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/conf/settings.h"
#include "common/event/loop.h"
#include "common/log/log.h"
#include "lookupd/cache.h"
#include "lookupd/connection.h"

#define SELF_EVERY_MS 30000

struct changes {
	struct loop *loop;
	struct cache *cache;
	struct connection *connection;
	changes_work_fn *on_works;
	void *arg;
	struct statement listen, notify;
	struct loop_timer timer; /* the next notification to ourselves, or the limit for one under way */
	uint64_t timeout_ms;
	uint64_t n_sent;
	uint64_t mark; /* unlike other listeners' */
	char self[64];
	bool waits, works, told_lost;
};

/* The query and what explains it. */
static void drop_kinds_of(struct cache *cache, enum query query)
{
	for (unsigned i = 0; i < N_QUERIES; i++) {
		if (query_descriptions[i].of == query)
			cache_drop_kind(cache, (enum query)i);
	}
}

void changes_apply(struct cache *cache, struct slice payload)
{
	struct slice rest = payload, table, key;
	size_t at;

	if (!slice_cut(&rest, ' ', &table))
		return;
	key = rest;
	at = slice_find_last(key, '@');
	if (slice_equal(table, SLICE("self")))
		return;
	if (slice_equal(table, SLICE("relays"))) {
		drop_kinds_of(cache, QUERY_relay);
	} else if (slice_equal(table, SLICE("dkim_keys"))) {
		drop_kinds_of(cache, QUERY_dkim);
	} else if (slice_equal(table, SLICE("routes"))) {
		drop_kinds_of(cache, QUERY_route);
	} else if (slice_equal(table, SLICE("domains")) && key.n > 0) {
		cache_drop(cache, &(struct query_key){QUERY_domain, {key}});
	} else if (slice_equal(table, SLICE("users")) && at != SIZE_MAX) {
		cache_drop(cache, &(struct query_key){QUERY_user, {slice_head(key, at), slice_tail(key, at + 1)}});
		cache_drop_kind(cache, QUERY_senders_of);
	} else if (slice_equal(table, SLICE("aliases")) && at != SIZE_MAX) {
		cache_drop(cache, &(struct query_key){QUERY_alias, {slice_head(key, at), slice_tail(key, at + 1)}});
	} else {
		cache_drop_all(cache);
	}
}

static void changes_stop(struct changes *l)
{
	if (l->works)
		cache_notified(l->cache, false);
	l->works = l->waits = false;
	loop_timer_cancel(&l->timer);
}

static void statement_done(struct statement *s, const PGresult *result, const struct fault *why)
{
	if (result == NULL)
		connection_renew(s->connection, why);
}

static void changes_notify_self(struct changes *l)
{
	const char *params[] = {l->self};
	struct fault why = {0};

	snprintf(l->self, sizeof(l->self), "self %016llx %llu", (unsigned long long)l->mark, (unsigned long long)++l->n_sent);
	if (!connection_send(l->connection, &l->notify, false, "SELECT pg_notify('tassis', $1)", 1, params, statement_done, &why))
		return; /* it is being lost, which will be told */
	l->waits = true;
	loop_timer_set(&l->timer, l->timeout_ms);
}

static void changes_timer(void *arg)
{
	struct changes *l = arg;
	struct fault why = {0};

	if (!l->waits) {
		changes_notify_self(l);
		return;
	}
	fault_set(&why, "4.3.0", "PostgreSQL's notifications do not come back");
	changes_stop(l);
	connection_renew(l->connection, &why);
}

static void on_up(void *arg)
{
	struct changes *l = arg;
	struct fault why = {0};

	if (connection_send(l->connection, &l->listen, false, "LISTEN tassis", 0, NULL, statement_done, &why))
		changes_notify_self(l);
}

static void on_down(void *arg, const struct fault *why)
{
	struct changes *l = arg;

	if (!l->told_lost)
		log_event(database_lost, F_SLICE(server, connection_hosts(l->connection)), F_TEXT(text, "notifications"), F_FAULT(why));
	l->told_lost = true;
	changes_stop(l);
}

/* Our own has come back: all that was told before it has been heard. */
static void self_heard(struct changes *l)
{
	l->waits = false;
	loop_timer_set(&l->timer, SELF_EVERY_MS);
	if (l->works) {
		cache_notification_seen(l->cache);
		return;
	}
	l->works = true;
	l->told_lost = false;
	cache_notified(l->cache, true);
	log_event(database_connected, F_SLICE(server, connection_hosts(l->connection)), F_TEXT(text, "notifications"));
	if (l->on_works != NULL)
		l->on_works(l->arg);
}

static void on_notified(void *arg, struct slice payload)
{
	struct changes *l = arg;

	if (l->waits && slice_equal(payload, slice_of_cstr(l->self)))
		self_heard(l);
	else
		changes_apply(l->cache, payload);
	if (slice_equal(payload, SLICE("all")))
		log_event(cache_dropped, F_TEXT(reason, "more rows changed at once than are told one by one"));
}

static const struct connection_callbacks changes_callbacks = {on_up, on_down, on_notified};

bool changes_create(struct loop *loop, struct pool *pool, const struct settings *settings, struct cache *cache, changes_work_fn *works,
		     void *arg, struct changes **out, struct fault *why)
{
	struct changes *l = memory_alloc(1, sizeof(*l), why);
	struct connection_options options = {.conninfo = settings->database, .writable = true, .timeout_ms = settings->database_timeout};

	if (l == NULL)
		return false;
	l->loop = loop;
	l->cache = cache;
	l->on_works = works;
	l->arg = arg;
	l->timeout_ms = settings->database_timeout;
	random_fill(&l->mark, sizeof(l->mark));
	loop_timer_init(&l->timer, loop, changes_timer, l);
	if (!connection_create(loop, pool, &options, &changes_callbacks, l, &l->connection, why)) {
		free(l);
		return false;
	}
	*out = l;
	return true;
}

void changes_destroy(struct changes *l)
{
	if (l == NULL)
		return;
	changes_stop(l);
	connection_destroy(l->connection);
	free(l);
}

bool changes_work(const struct changes *l)
{
	return l->works;
}
