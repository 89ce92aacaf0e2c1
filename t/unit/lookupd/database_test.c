/* The way from the cache to a real PostgreSQL: a private cluster, made by admin/cluster in a temporary folder. Without PostgreSQL on this host the tests are
 * skipped, and say so. */
#include "lookupd/database.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/event/loop.h"
#include "common/event/pool.h"
#include "common/log/log.h"
#include "lookupd/changes.h"
#include "lookupd/lookup.h"


#define PATIENCE_MS 30000

static char folder[] = "/tmp/tassis-unit.XXXXXX";
static bool have_cluster;

static struct loop *loop;
static struct pool *pool;
static struct settings *settings;
static struct cache *cache;
static struct database *database;
static struct changes *changes;
static struct loop_timer tick;

/* ---- the cluster ---- */

static int cluster(const char *what)
{
	char command[256];

	snprintf(command, sizeof(command), "admin/cluster %s %s/pg", what, folder);
	return system(command);
}

static PGconn *owner(void)
{
	char conninfo[256];
	PGconn *pg;

	snprintf(conninfo, sizeof(conninfo), "host=%s/pg/run dbname=tassis user=tassis options='-c client_min_messages=warning'", folder);
	pg = PQconnectdb(conninfo);
	assert_int_equal(PQstatus(pg), CONNECTION_OK);
	return pg;
}

static void sql(const char *text)
{
	PGconn *pg = owner();
	PGresult *result = PQexec(pg, text);

	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", text, PQerrorMessage(pg));
	PQclear(result);
	PQfinish(pg);
}

static void sql_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct buf text;

	buf_init(&text, 1 << 20);
	assert_true(fd >= 0 && fd_slurp(fd, &text, NULL));
	sql(buf_cstr(&text));
	buf_fini(&text);
	fd_close(&fd);
}

static int make_cluster(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0)
		return -1;
	have_cluster = cluster("create") == 0;
	if (!have_cluster) {
		print_message("SKIPPED: there is no PostgreSQL to test with\n");
		return 0;
	}
	sql("CREATE TABLE schema_version (version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())");
	sql_file("schema/0001-tables.sql");
	sql_file("schema/0002-roles.sql");
	sql_file("schema/0003-notify.sql");
	sql_file("schema/0004-passwords-mailboxes.sql");
	sql_file("schema/sample.sql");
	return 0;
}

static int end_cluster(void **state)
{
	char command[256];

	(void)state;
	(void)cluster("stop");
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command) == 0 ? 0 : -1;
}

/* ---- what lookupd does with it ---- */

static bool fetch(void *arg, const struct query_key *key, struct cache_entry *fill, struct fault *why)
{
	(void)arg;
	return database_fetch(database, key, fill, why);
}

static void ticked(void *arg)
{
	(void)arg;
	loop_timer_set(&tick, 5);
}

static void start(const char *hosts, const char *more)
{
	struct cache_limits limits = {.max_bytes = 1 << 20, .ttl_ms = 600000, .stale_max_ms = 3600000};
	struct buf text, problems;
	struct fault why = {0};

	buf_init(&text, 10000);
	buf_init(&problems, 10000);
	buf_printf(&text, "database = host=%s%s/pg/run%s dbname=tassis user=tassis_lookup\n%s", hosts, folder, hosts[0] != '\0' ? " port=1,1,5432" : "", more);
	if (!settings_parse(buf_slice(&text), "test", &settings, &problems))
		fail_msg("%s", buf_cstr(&problems));
	buf_fini(&text);
	buf_fini(&problems);
	loop = loop_create(&why);
	pool = pool_create(loop, 1, 8, &why);
	cache = cache_create(loop, &limits, fetch, NULL, &why);
	assert_non_null(cache);
	assert_true(database_create(loop, pool, settings, &database, &why));
	database_set_cache(database, cache);
	assert_true(changes_create(loop, pool, settings, cache, NULL, NULL, &changes, &why));
	loop_timer_init(&tick, loop, ticked, NULL);
	loop_timer_set(&tick, 5);
}

static void start_with(const char *more)
{
	start("", more);
}

static void end(void)
{
	changes_destroy(changes);
	database_destroy(database);
	pool_destroy(pool);
	cache_destroy(cache);
	loop_timer_cancel(&tick);
	loop_destroy(loop);
	settings_destroy(settings);
	changes = NULL;
}

static int set_up(void **state)
{
	(void)state;
	if (have_cluster)
		start_with("database_timeout = 500ms\n");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (have_cluster && changes != NULL)
		end();
	return 0;
}

static bool notifications_work(void)
{
	return changes_work(changes);
}

static void turn_until(bool (*condition)(void))
{
	uint64_t limit = clock_monotonic_ms() + PATIENCE_MS;

	while (!condition()) {
		assert_true(clock_monotonic_ms() < limit);
		loop_turn(loop, true);
	}
}

struct asked {
	struct lookup lookup;
	struct query_key key;
	bool done;
	char text[512];
};

static void evaluate(struct lookup *l, void *arg)
{
	struct asked *a = arg;
	const struct rows *rows;
	size_t n = 0;

	if (!lookup_get(l, &a->key, &rows))
		return;
	a->text[0] = '\0';
	for (size_t i = 0; i < rows->n_columns && rows->n_rows > 0; i++)
		n += (size_t)snprintf(a->text + n, sizeof(a->text) - n, "%.*s|", SLICE_PRINTF(rows_cell(rows, 0, i)));
}

static void finish(struct lookup *l, void *arg, const struct fault *why)
{
	struct asked *a = arg;

	(void)l;
	if (why != NULL) {
		snprintf(a->text, sizeof(a->text), "%s", why->class == FAULT_TEMPORARY ? "temporary" : "permanent");
		assert_string_equal(fault_status(why), "4.3.0");
	}
	a->done = true;
}

/* The first row, "temporary", or "" for no row. */
static const char *ask(enum query query, const char *first, const char *second)
{
	static struct asked a;
	uint64_t limit = clock_monotonic_ms() + PATIENCE_MS;

	a = (struct asked){.key = {query, {slice_of_cstr(first), slice_of_cstr(second)}}};
	lookup_start(&a.lookup, loop, cache, evaluate, finish, &a);
	while (!a.done) {
		assert_true(clock_monotonic_ms() < limit);
		loop_turn(loop, true);
	}
	lookup_fini(&a.lookup);
	return a.text;
}

static uint64_t n_queries(void)
{
	struct cache_counts counts;

	cache_count(cache, &counts);
	return counts.misses;
}

static const char *expected;
static struct query_key expected_of;

/* The present answer is the expected one: as soon as the notification has come. */
static bool as_expected(void)
{
	return strcmp(ask(expected_of.query, expected_of.params[0].p, expected_of.params[1].p), expected) == 0;
}

static void wait_for(enum query query, const char *first, const char *second, const char *cells)
{
	expected_of = (struct query_key){query, {slice_of_cstr(first), slice_of_cstr(second)}};
	expected = cells;
	turn_until(as_expected);
}

/* ---- the tests ---- */

#define SAMPLE_USER "{SHA256.HEX}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c|||t|||inbox\nsent\nspam|f|"

static void each_query_reads_its_tables(void **state)
{
	(void)state;
	if (!have_cluster)
		skip();
	sql("INSERT INTO domains (name, kind, recipients) VALUES ('gate.example', 'relay', 'any');"
	    "INSERT INTO aliases (domain, local_part, target) VALUES ('test.com', 'all', 'test@test.com');"
	    "INSERT INTO relays (network, domain) VALUES ('192.0.2.0/24', 'test.com'), ('2001:db8::/32', NULL);"
	    "INSERT INTO sender_addresses (user_id, address) SELECT id, '@gate.example' FROM users WHERE local_part = 'test';"
	    "INSERT INTO routes (domain, host, port, tls) VALUES ('*', 'out.example', 587, 'starttls'), ('far.example', '192.0.2.9', NULL, 'none');"
	    "INSERT INTO routes (domain, sender_domain, host, mx) VALUES ('far.example', 'test.com', 'special.example', true)");
	assert_string_equal(ask(QUERY_domain, "test.com", NULL), "local|t|list|");
	assert_string_equal(ask(QUERY_domain, "gate.example", NULL), "relay|t|any|");
	assert_string_equal(ask(QUERY_domain, "far.example", NULL), "");
	assert_string_equal(ask(QUERY_user, "test", "test.com"),
			    "{SHA256.HEX}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c|||t|@gate.example||inbox\nsent\nspam|f|");
	assert_string_equal(ask(QUERY_user, "nobody", "test.com"), "");
	assert_string_equal(ask(QUERY_alias, "all", "test.com"), "test@test.com|");
	assert_string_equal(ask(QUERY_relay, "192.0.2.77", NULL), "test.com|");
	assert_string_equal(ask(QUERY_relay, "2001:db8::5", NULL), "*|");
	assert_string_equal(ask(QUERY_relay, "198.51.100.1", NULL), "");
	assert_string_equal(ask(QUERY_route, "other.example", "test.com"), "out.example|587|f|starttls|||");
	assert_string_equal(ask(QUERY_route, "far.example", "other.example"), "192.0.2.9||f|none|||");
	assert_string_equal(ask(QUERY_route, "far.example", "test.com"), "special.example||t|optional|||");
	sql("UPDATE routes SET username = 'us', password = 'secret' WHERE host = 'out.example'");
	wait_for(QUERY_route, "other.example", "test.com", "out.example|587|f|starttls|us|secret|");
	assert_string_equal(ask(QUERY_relays_of, "test.com", NULL), "192.0.2.0/24|test.com|");
	assert_string_equal(ask(QUERY_relays_of, "far.example", NULL), "2001:db8::/32|*|");
	assert_string_equal(ask(QUERY_senders_of, "x@gate.example", "@gate.example"), "test@test.com|");
	assert_string_equal(ask(QUERY_senders_of, "x@test.com", "@test.com"), "");
	wait_for(QUERY_routes_of, "test.com", NULL,
		 "far.example|test.com|special.example||t|optional||");
	assert_string_equal(ask(QUERY_routes_of, "far.example", NULL),
			    "far.example|test.com|special.example||t|optional||");
	assert_string_equal(ask(QUERY_routes_of, "other.example", NULL), "*|*|out.example|587|f|starttls|us|");
	sql("DELETE FROM sender_addresses; DELETE FROM routes; DELETE FROM relays; DELETE FROM aliases; DELETE FROM domains WHERE name <> 'test.com'");
}

static void what_is_known_is_not_asked_again(void **state)
{
	uint64_t before;

	(void)state;
	if (!have_cluster)
		skip();
	turn_until(notifications_work);
	assert_string_equal(ask(QUERY_user, "test", "test.com"), SAMPLE_USER);
	before = n_queries();
	for (unsigned i = 0; i < 100; i++)
		assert_string_equal(ask(QUERY_user, "test", "test.com"), SAMPLE_USER);
	assert_int_equal(n_queries(), before);
}

static void every_kind_of_change_is_heard_of(void **state)
{
	(void)state;
	if (!have_cluster)
		skip();
	turn_until(notifications_work);
	assert_string_equal(ask(QUERY_domain, "new.example", NULL), "");
	assert_string_equal(ask(QUERY_user, "ann", "new.example"), "");
	assert_string_equal(ask(QUERY_alias, "", "new.example"), "");
	assert_string_equal(ask(QUERY_relay, "192.0.2.1", NULL), "");
	assert_string_equal(ask(QUERY_route, "far.example", ""), "");
	sql("INSERT INTO domains (name) VALUES ('new.example')");
	wait_for(QUERY_domain, "new.example", NULL, "local|t|list|");
	sql("INSERT INTO users (local_part, domain) VALUES ('ann', 'new.example')");
	wait_for(QUERY_user, "ann", "new.example", "|||t||||f|");
	sql("UPDATE users SET enabled = false WHERE local_part = 'ann'");
	wait_for(QUERY_user, "ann", "new.example", "|||f||||f|");
	sql("INSERT INTO sender_addresses (user_id, address) SELECT id, 'x@y.example' FROM users WHERE local_part = 'ann'");
	wait_for(QUERY_user, "ann", "new.example", "|||f|x@y.example|||f|");
	sql("DELETE FROM sender_addresses");
	wait_for(QUERY_user, "ann", "new.example", "|||f||||f|");
	sql("INSERT INTO mailboxes (user_id, name) SELECT id, 'spam' FROM users WHERE local_part = 'ann'");
	wait_for(QUERY_user, "ann", "new.example", "|||f|||spam|f|");
	sql("DELETE FROM mailboxes WHERE name = 'spam' AND user_id = (SELECT id FROM users WHERE local_part = 'ann')");
	wait_for(QUERY_user, "ann", "new.example", "|||f||||f|");
	sql("INSERT INTO aliases (local_part, domain, target) VALUES ('', 'new.example', 'ann@new.example')");
	wait_for(QUERY_alias, "", "new.example", "ann@new.example|");
	sql("INSERT INTO relays (network) VALUES ('192.0.2.0/24')");
	wait_for(QUERY_relay, "192.0.2.1", "", "*|");
	sql("INSERT INTO routes (host) VALUES ('out.example')");
	wait_for(QUERY_route, "far.example", "", "out.example||f|optional|||");
	/* a new key: the old one and the new one */
	assert_string_equal(ask(QUERY_user, "bea", "new.example"), "");
	sql("UPDATE users SET local_part = 'bea' WHERE local_part = 'ann'");
	wait_for(QUERY_user, "ann", "new.example", "");
	wait_for(QUERY_user, "bea", "new.example", "|||f||||f|");
	/* what goes with its domain */
	sql("UPDATE domains SET name = 'newer.example' WHERE name = 'new.example'");
	wait_for(QUERY_user, "bea", "new.example", "");
	wait_for(QUERY_user, "bea", "newer.example", "|||f||||f|");
	sql("DELETE FROM domains WHERE name = 'newer.example'; TRUNCATE routes, relays");
	wait_for(QUERY_user, "bea", "newer.example", "");
	wait_for(QUERY_alias, "", "newer.example", "");
	wait_for(QUERY_route, "far.example", "", "");
}

static void many_rows_at_once_are_heard_of_too(void **state)
{
	(void)state;
	if (!have_cluster)
		skip();
	turn_until(notifications_work);
	assert_string_equal(ask(QUERY_user, "u500", "test.com"), "");
	sql("INSERT INTO users (local_part, domain) SELECT 'u' || n, 'test.com' FROM generate_series(1, 1000) n");
	wait_for(QUERY_user, "u500", "test.com", "|||t||||f|");
	sql("DELETE FROM users WHERE local_part LIKE 'u%'");
	wait_for(QUERY_user, "u500", "test.com", "");
}

static void while_postgresql_is_away_the_known_is_served_and_then_it_heals(void **state)
{
	uint64_t begun;

	(void)state;
	if (!have_cluster)
		skip();
	turn_until(notifications_work);
	assert_string_equal(ask(QUERY_user, "test", "test.com"), SAMPLE_USER);
	assert_int_equal(cluster("stop"), 0);
	assert_string_equal(ask(QUERY_user, "unknown", "test.com"), "temporary");
	begun = clock_monotonic_ms();
	for (unsigned i = 0; i < 1000; i++) {
		assert_string_equal(ask(QUERY_user, "test", "test.com"), SAMPLE_USER);
		assert_string_equal(ask(QUERY_user, "unknown", "test.com"), "temporary");
	}
	assert_true(clock_monotonic_ms() - begun < 5000); /* nobody waits for what is known to be away */
	assert_false(notifications_work());
	assert_int_equal(cluster("start"), 0);
	sql("UPDATE users SET enabled = false"); /* before anybody listens again */
	turn_until(notifications_work);
	wait_for(QUERY_user, "test", "test.com", "{SHA256.HEX}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c|||f|||inbox\nsent\nspam|f|");
	assert_string_equal(ask(QUERY_user, "unknown", "test.com"), "");
	sql("UPDATE users SET enabled = true");
	wait_for(QUERY_user, "test", "test.com", SAMPLE_USER);
}

static void a_question_that_takes_too_long_fails_for_now(void **state)
{
	PGconn *pg;

	(void)state;
	if (!have_cluster)
		skip();
	turn_until(notifications_work);
	pg = owner();
	PQclear(PQexec(pg, "BEGIN"));
	PQclear(PQexec(pg, "LOCK TABLE domains"));
	assert_string_equal(ask(QUERY_domain, "slow.example", NULL), "temporary");
	PQfinish(pg);
	wait_for(QUERY_domain, "slow.example", NULL, "");
}

static void connections_that_are_ended_are_made_again(void **state)
{
	(void)state;
	if (!have_cluster)
		skip();
	turn_until(notifications_work);
	assert_int_equal(cluster("stop"), 0);
	assert_int_equal(cluster("start"), 0);
	wait_for(QUERY_domain, "test.com", NULL, "local|t|list|");
	turn_until(notifications_work);
}

static void a_table_that_is_gone_for_a_while_is_a_temporary_failure(void **state)
{
	(void)state;
	if (!have_cluster)
		skip();
	turn_until(notifications_work);
	sql("ALTER TABLE aliases RENAME TO sesaila");
	assert_string_equal(ask(QUERY_alias, "gone", "test.com"), "temporary");
	sql("ALTER TABLE sesaila RENAME TO aliases");
	wait_for(QUERY_alias, "gone", "test.com", "");
}

static void a_plan_that_no_longer_fits_is_made_again(void **state)
{
	(void)state;
	if (!have_cluster)
		skip();
	turn_until(notifications_work);
	assert_string_equal(ask(QUERY_route, "one.example", ""), "");
	sql("ALTER TABLE routes ALTER tls TYPE varchar(20)");
	wait_for(QUERY_route, "two.example", "", "");
	sql("ALTER TABLE routes ALTER tls TYPE text");
	wait_for(QUERY_route, "three.example", "", "");
}

static void a_replaced_query_gets_the_same_parameters(void **state)
{
	(void)state;
	if (!have_cluster)
		skip();
	end();
	start_with("query_user = SELECT '{X}' || $1 || '.' || $2, 'x/y/'\nquery_domain = SELECT 'local' WHERE $1 = 'any.example'\n");
	assert_string_equal(ask(QUERY_user, "ann'; DROP TABLE users; --", "any.example"), "{X}ann'; DROP TABLE users; --.any.example|x/y/|");
	assert_string_equal(ask(QUERY_domain, "any.example", NULL), "local|");
	assert_string_equal(ask(QUERY_domain, "other.example", NULL), "");
	/* what would explain it reads tables that need not be there */
	sql("INSERT INTO sender_addresses (user_id, address) SELECT id, '@own.example' FROM users WHERE local_part = 'test'");
	assert_string_equal(ask(QUERY_senders_of, "x@own.example", "@own.example"), "");
	sql("DELETE FROM sender_addresses");
}

static void a_replaced_query_that_is_wrong_fails_for_now(void **state)
{
	(void)state;
	if (!have_cluster)
		skip();
	end();
	start_with("query_user = SELEKT 1\n");
	assert_string_equal(ask(QUERY_user, "test", "test.com"), "temporary");
}

static void hosts_by_name_are_looked_up_and_those_that_are_away_passed_over(void **state)
{
	(void)state;
	if (!have_cluster)
		skip();
	end();
	/* nobody listens on port 1 */
	start("localhost,127.0.0.1,", "database_timeout = 5s\n");
	turn_until(notifications_work);
	assert_string_equal(ask(QUERY_domain, "test.com", NULL), "local|t|list|");
}

/* ---- calls ---- */

static char called_text[512];
static unsigned n_called;

static void called(void *arg, const struct rows *rows, const struct fault *why)
{
	assert_ptr_equal(arg, called_text);
	if (rows == NULL)
		snprintf(called_text, sizeof(called_text), "%s", why->class == FAULT_TEMPORARY ? "temporary" : "permanent");
	else
		snprintf(called_text, sizeof(called_text), "%.*s", SLICE_PRINTF(rows_cell(rows, 0, 0)));
	n_called++;
}

static bool has_been_called(void)
{
	return n_called > 0;
}

/* What the first cell says, or "temporary". */
static const char *call(const char *statement, unsigned n, const char *const *params)
{
	struct fault why = {0};

	n_called = 0;
	assert_true(database_call(database, statement, n, params, called, called_text, &why));
	assert_int_equal(n_called, 0);
	turn_until(has_been_called);
	assert_int_equal(n_called, 1);
	return called_text;
}

/* Of those for questions. */
static unsigned n_connections_up(void)
{
	static const char name[] = "database_connections ";
	struct buf text;
	const char *found;
	unsigned n;

	buf_init(&text, 4096);
	database_print(database, &text);
	found = strstr(buf_cstr(&text), name);
	assert_non_null(found);
	n = (unsigned)(found[strlen(name)] - '0');
	buf_fini(&text);
	return n;
}

static bool both_are_up(void)
{
	return n_connections_up() == 2;
}

#define OLD_PASSWORD "{SHA256.HEX}0ffe1abd1a08215353c233d6e009613e95eec4253832a761af28ff37ac5a150c"
#define REWRITE "SELECT rewrite_password($1, $2, $3, $4)"

static void rewrite_password_replaces_what_still_stands_there(void **state)
{
	const char *const params[] = {"rita", "test.com", OLD_PASSWORD, "{SCRAM-SHA-256}1,a,b,c"};
	const char *const weak[] = {"rita", "test.com", "{SCRAM-SHA-256}1,a,b,c", OLD_PASSWORD};

	(void)state;
	if (!have_cluster)
		skip();
	turn_until(notifications_work);
	turn_until(both_are_up);
	sql("INSERT INTO users (local_part, domain, password) VALUES ('rita', 'test.com', '" OLD_PASSWORD "')");
	wait_for(QUERY_user, "rita", "test.com", OLD_PASSWORD "|||t||||f|");
	assert_string_equal(call(REWRITE, 4, params), "t");
	wait_for(QUERY_user, "rita", "test.com", "{SCRAM-SHA-256}1,a,b,c|||t||||f|");
	assert_string_equal(call(REWRITE, 4, params), "f");
	assert_string_equal(call(REWRITE, 4, weak), "f");
	sql("UPDATE users SET password = '" OLD_PASSWORD "', password_fixed = true WHERE local_part = 'rita'");
	assert_string_equal(call(REWRITE, 4, params), "f");
	wait_for(QUERY_user, "rita", "test.com", OLD_PASSWORD "|||t||||t|");
	sql("DELETE FROM users WHERE local_part = 'rita'");
}

static void a_call_that_is_refused_fails_alone(void **state)
{
	(void)state;
	if (!have_cluster)
		skip();
	turn_until(both_are_up);
	/* lookupd's role may not do this, and the connections stay as they are */
	for (unsigned i = 0; i < 2; i++) {
		assert_string_equal(call("UPDATE users SET enabled = false", 0, NULL), "temporary");
		assert_int_equal(n_connections_up(), 2);
	}
	assert_string_equal(call("SELECT current_user", 0, NULL), "tassis_lookup");
}

static void a_call_fails_at_once_without_a_connection_and_at_the_end(void **state)
{
	struct fault why = {0};

	(void)state;
	if (!have_cluster)
		skip();
	assert_false(database_call(database, "SELECT 1", 0, NULL, called, called_text, &why));
	assert_string_equal(fault_status(&why), "4.3.0");
	turn_until(both_are_up);
	assert_string_equal(call("SELECT 1", 0, NULL), "1");
	n_called = 0;
	assert_true(database_call(database, "SELECT pg_sleep(10)", 0, NULL, called, called_text, &why));
	end();
	assert_int_equal(n_called, 1);
	assert_string_equal(called_text, "temporary");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_query_reads_its_tables),
		T(what_is_known_is_not_asked_again),
		T(every_kind_of_change_is_heard_of),
		T(many_rows_at_once_are_heard_of_too),
		T(while_postgresql_is_away_the_known_is_served_and_then_it_heals),
		T(a_question_that_takes_too_long_fails_for_now),
		T(connections_that_are_ended_are_made_again),
		T(a_table_that_is_gone_for_a_while_is_a_temporary_failure),
		T(a_plan_that_no_longer_fits_is_made_again),
		T(a_replaced_query_gets_the_same_parameters),
		T(a_replaced_query_that_is_wrong_fails_for_now),
		T(hosts_by_name_are_looked_up_and_those_that_are_away_passed_over),
		T(rewrite_password_replaces_what_still_stands_there),
		T(a_call_that_is_refused_fails_alone),
		T(a_call_fails_at_once_without_a_connection_and_at_the_end),
	};

	log_open("test", open("/dev/null", O_WRONLY | O_CLOEXEC), false, LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, make_cluster, end_cluster);
}
