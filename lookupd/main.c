/* lookupd: answers the questions of the other daemons about domains, users, aliases, relays and routes from PostgreSQL, checks
 * passwords, and signs with the private keys, which nobody else has. It sees no network but PostgreSQL's.
 *
 *	ask (ask.c) → evaluate (recipient.c, routing.c, login.c) → lookup.c → cache.c → database.c → connection.c → PostgreSQL
 *	                                                             ▲ changes.c: changes told by PostgreSQL */
#include "lookupd/lookupd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/event/pool.h"
#include "common/log/log.h"
#include "lookupd/aliases.h"
#include "lookupd/database.h"
#include "lookupd/failures.h"
#include "lookupd/keys.h"
#include "lookupd/changes.h"

#define KEY_FILE_MAX (256u << 10)
#define ALIASES_TOLD_MAX 100 /* lines of the file that are told as unusable */

static void lookupd_limits(const struct settings *s, struct cache_limits *out)
{
	*out = (struct cache_limits){
		.max_bytes = (size_t)s->lookup_cache,
		.ttl_ms = s->lookup_ttl,
		.stale_max_ms = s->lookup_stale_max,
#define Q(name, n_params, sql) .replaced[QUERY_##name] = s->query_##name.n > 0,
		QUERIES(Q)
#undef Q
	};
}

static void lookupd_hostname(struct lookupd *d)
{
	if (d->service->settings->hostname.n > 0 &&
	    slice_cstr(d->service->settings->hostname, d->hostname, sizeof(d->hostname), NULL))
		return;
	if (gethostname(d->hostname, sizeof(d->hostname)) != 0)
		d->hostname[0] = '\0';
	d->hostname[sizeof(d->hostname) - 1] = '\0';
}

/* The names of the present settings. Asks that wait look at them anew in their next evaluation. */
static void lookupd_names(struct lookupd *d)
{
	const struct settings *s = d->service->settings;

	lookupd_hostname(d);
	d->names.hostname = slice_of_cstr(d->hostname);
	d->names.postmaster = s->postmaster;
	free(d->postmaster_rows);
	d->postmaster_rows = slice_find(s->postmaster, '@') != SIZE_MAX ? rows_create(1, 1, &s->postmaster) : NULL;
	d->names.postmaster_rows = d->postmaster_rows;
}

static void notifications_work(void *arg)
{
	struct lookupd *d = arg;

	database_writable_seen(d->database);
}

/* The connections of the present settings, in place of those there are. On failure these stay. */
static bool lookupd_connect(struct lookupd *d, struct fault *why)
{
	struct service *s = d->service;
	struct database *database = NULL;
	struct changes *changes = NULL;

	if (!database_create(s->loop, d->signatures, s->settings, &database, why))
		return false;
	if (!changes_create(s->loop, d->signatures, s->settings, d->cache, notifications_work, d, &changes, why)) {
		database_destroy(database);
		return false;
	}
	database_set_cache(database, d->cache);
	changes_destroy(d->changes);
	database_destroy(d->database);
	d->database = database;
	d->changes = changes;
	return true;
}

/* The cache outlives a change of the database. */
static bool lookupd_fetch(void *arg, const struct query_key *key, struct cache_entry *fill, struct fault *why)
{
	struct lookupd *d = arg;

	return database_fetch(d->database, key, fill, why);
}

/* What the connections were made from. False: no memory to compare with. */
static bool lookupd_sources(const struct settings *s, struct buf *out)
{
	buf_printf(out, "%.*s\n%llu\n", SLICE_PRINTF(s->database), (unsigned long long)s->database_timeout);
#define Q(name, n_params, sql) buf_printf(out, "%.*s\n", SLICE_PRINTF(s->query_##name));
	QUERIES(Q)
#undef Q
	return !out->failed;
}

static bool lookupd_start(struct service *s, void *daemon, struct fault *why)
{
	struct lookupd *d = daemon;
	struct cache_limits limits;

	d->service = s;
	list_init(&d->asks);
	buf_init_secret(&d->typical, 2048);
	buf_init(&d->sources, 1u << 20);
	if (!lookupd_sources(s->settings, &d->sources))
		buf_reset(&d->sources);
	lookupd_names(d);
	lookupd_limits(s->settings, &limits);
	return (d->passwords = pool_create(s->loop, 2, 64, why)) != NULL &&
	       (d->failed_accounts = failures_create(why)) != NULL &&
	       (d->failed_clients = failures_create(why)) != NULL &&
	       (d->signatures = pool_create(s->loop, 2, 1024, why)) != NULL &&
	       (d->keys = keys_create(d->signatures, why)) != NULL &&
	       (d->cache = cache_create(s->loop, &limits, lookupd_fetch, d, why)) != NULL &&
	       lookupd_connect(d, why);
}

/* The PEM file with the private key; it may hold the certificates too. */
static void take_key(struct lookupd *d, int fd, struct slice path)
{
	struct fault why = {0};
	struct buf pem;

	buf_init_secret(&pem, KEY_FILE_MAX);
	if (fd_slurp(fd, &pem, &why) && keys_load(d->keys, buf_slice(&pem), &why))
		log_event(key_loaded, F_SLICE(file, path));
	else
		log_event(file_unusable, F_SLICE(file, path), F_FAULT(&why));
	buf_fini(&pem);
}

struct aliases_told {
	struct slice path;
	unsigned n;
};

static void tell_aliases_problem(void *arg, unsigned line, const struct fault *why)
{
	struct aliases_told *told = arg;

	if (told->n++ < ALIASES_TOLD_MAX)
		log_event(aliases_unusable, F_SLICE(file, told->path), F_NUMBER(line, line), F_FAULT(why));
}

/* The file of aliases, empty where there is none any more. */
static void take_aliases(struct lookupd *d, int fd, struct slice path)
{
	struct aliases_told told = {.path = path};
	struct aliases *aliases = NULL;
	struct fault why = {0};
	struct buf text;

	buf_init(&text, ALIASES_FILE_MAX);
	if (fd_slurp(fd, &text, &why) && aliases_parse(buf_slice(&text), tell_aliases_problem, &told, &aliases, &why)) {
		aliases_destroy(d->aliases);
		d->names.aliases = d->aliases = aliases;
	} else {
		log_event(file_unusable, F_SLICE(file, path), F_FAULT(&why));
	}
	buf_fini(&text);
}

/* The names "key" and "aliases". */
static void lookupd_file(void *daemon, int fd, struct slice name, struct slice path)
{
	struct lookupd *d = daemon;

	if (slice_equal(name, SLICE("key")))
		take_key(d, fd, path);
	else if (slice_equal(name, SLICE("aliases")))
		take_aliases(d, fd, path);
	fd_close(&fd);
}

/* Makes the connections anew only where they would be other ones: what is under way on the old ones fails. */
static void lookupd_reconnect(struct lookupd *d)
{
	struct fault why = {0};
	struct buf sources;

	buf_init(&sources, 1u << 20);
	if (lookupd_sources(d->service->settings, &sources) && slice_equal(buf_slice(&sources), buf_slice(&d->sources)))
		goto out;
	if (!lookupd_connect(d, &why)) {
		log_event(configuration_refused, F_FAULT(&why));
		goto out;
	}
	cache_drop_all(d->cache);
	buf_reset(&d->sources);
	buf_append(&d->sources, buf_slice(&sources));
out:
	buf_fini(&sources);
}

static void lookupd_reload(void *daemon)
{
	struct lookupd *d = daemon;
	struct cache_limits limits;

	lookupd_names(d);
	lookupd_limits(d->service->settings, &limits);
	cache_set_limits(d->cache, &limits);
	lookupd_reconnect(d);
}

static void answer_tickets(struct lookupd *d, struct ipc_request *request, uint8_t group)
{
	uint8_t keys[TICKET_GENERATIONS][TICKET_KEY_N];
	struct fault why = {0};
	uint64_t valid_ms;

	if (keys_tickets(d->keys, loop_wall_us(d->service->loop), group, keys, &valid_ms, &why))
		ipc_answer(request, &IPC_MESSAGE(tickets_answer, .keys = slice_of(keys, sizeof(keys)), .valid_ms = valid_ms), -1);
	else
		ipc_answer_fault(request, &why);
	memory_wipe(keys, sizeof(keys));
}

static void answer_control(struct lookupd *d, struct ipc_request *request, const struct ipc_control_ask *m)
{
	struct cache_counts counts;
	struct fault why = {0};
	struct buf text;

	if (slice_equal(m->verb, SLICE("explain"))) {
		ask_explain(d, request, m->argument);
		return;
	}
	if (!slice_equal(m->verb, SLICE("status"))) {
		fault_set(&why, "5.5.1", "lookupd knows no %.*s", SLICE_PRINTF(m->verb));
		ipc_answer_fault(request, &why);
		return;
	}
	cache_count(d->cache, &counts);
	buf_init(&text, 4096);
	database_print(d->database, &text);
	buf_printf(&text, "notifications %s\n", changes_work(d->changes) ? "work" : "do not come, answers live lookup_ttl");
	buf_printf(&text, "asks %llu\ncache_hits %llu\ncache_misses %llu\ncache_stale %llu\ncache_evicted %llu\n",
		   (unsigned long long)d->n_asks, (unsigned long long)counts.hits, (unsigned long long)counts.misses,
		   (unsigned long long)counts.stale, (unsigned long long)counts.evicted);
	buf_printf(&text, "cache_entries %zu\ncache_bytes %zu\n", counts.entries, counts.bytes);
	ipc_answer(request, &IPC_MESSAGE(control_answer, .text = buf_slice(&text)), -1);
	buf_fini(&text);
}

static void lookupd_handler(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd UNUSED)
{
	struct lookupd *d = arg;
	struct fault why = {0};

	if (request == NULL)
		return;
	if (m->type == IPC_TYPE_rcpt_ask) {
		ask_recipient(d, request, &m->rcpt_ask);
	} else if (m->type == IPC_TYPE_route_ask) {
		ask_route(d, request, &m->route_ask);
	} else if (m->type == IPC_TYPE_auth_ask) {
		ask_login(d, request, &m->auth_ask);
	} else if (m->type == IPC_TYPE_dkim_keys_ask) {
		ask_dkim_keys(d, request, &m->dkim_keys_ask);
	} else if (m->type == IPC_TYPE_dkim_sign_ask) {
		ask_dkim_signature(d, request, &m->dkim_sign_ask);
	} else if (m->type == IPC_TYPE_failure_ask) {
		ask_failure(d, request, &m->failure_ask);
	} else if (m->type == IPC_TYPE_sign_ask) {
		keys_sign(d->keys, request, &m->sign_ask);
	} else if (m->type == IPC_TYPE_tickets_ask) {
		answer_tickets(d, request, m->tickets_ask.group);
	} else if (m->type == IPC_TYPE_control_ask) {
		answer_control(d, request, &m->control_ask);
	} else {
		fault_set(&why, "5.5.1", "lookupd does not answer this");
		ipc_answer_fault(request, &why);
	}
}

/* Ends when all is answered, or the time is over. */
static void lookupd_drain(void *arg)
{
	struct lookupd *d = arg;
	bool idle = list_empty(&d->asks) && pool_under_way(d->passwords) == 0 && pool_under_way(d->signatures) == 0;

	if (idle || loop_now_ms(d->service->loop) >= d->stop_at_ms)
		service_end(d->service);
	else
		loop_timer_set(&d->drain, 10);
}

static void lookupd_stop(void *daemon, uint64_t within_ms)
{
	struct lookupd *d = daemon;

	d->stop_at_ms = loop_now_ms(d->service->loop) + within_ms;
	loop_timer_init(&d->drain, d->service->loop, lookupd_drain, d);
	lookupd_drain(d);
}

static void lookupd_destroy(void *daemon)
{
	struct lookupd *d = daemon;

	if (d->cache != NULL)
		asks_end(d);
	if (d->stop_at_ms != 0)
		loop_timer_cancel(&d->drain);
	pool_destroy(d->passwords);
	pool_destroy(d->signatures);
	changes_destroy(d->changes);
	database_destroy(d->database);
	cache_destroy(d->cache);
	keys_destroy(d->keys);
	failures_destroy(d->failed_accounts);
	failures_destroy(d->failed_clients);
	aliases_destroy(d->aliases);
	free(d->postmaster_rows);
	buf_fini(&d->typical);
	buf_fini(&d->sources);
}

static const struct service_callbacks lookupd_service = {
	.role = IPC_ROLE_LOOKUPD,
	.start = lookupd_start,
	.file = lookupd_file,
	.handler = lookupd_handler,
	.reload = lookupd_reload,
	.stop = lookupd_stop,
	.destroy = lookupd_destroy,
	.window = 1024,
};

int main(int argc, char **argv)
{
	struct lookupd d = {0};

	return service_main(argc, argv, &lookupd_service, &d);
}
