/* `tassis schema upgrade|status`: the numbered migrations of schema/, each applied once, in order, in a transaction of its own.
 * Touches: PostgreSQL as the schema's owner (the setting database_admin); the migrations' files. */
#include "admin/commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/conf/settings.h"

#define MIGRATION_MAX (4u << 20)
#define MIGRATIONS_MAX 9999
/* One upgrade at a time, whoever begins it: the word "tassis". */
#define LOCK "SELECT pg_advisory_lock(x'746173736973'::bigint)"

struct migration {
	unsigned number;
	char name[256]; /* the file's: 0001-tables.sql */
};

struct schema {
	PGconn *pg;
	int folder;
	struct migration *migrations; /* number i+1 at place i */
	unsigned n;
	unsigned version; /* of the database; 0: none yet */
};

/* ---- the files ---- */

/* "0001-tables.sql" gives 1; 0: this is no migration. */
static unsigned migration_number(const char *name)
{
	struct slice s = slice_of_cstr(name);
	uint64_t number;

	if (s.n < 10 || s.n > 255 || s.p[4] != '-' || !slice_ends(s, SLICE(".sql")) || !number_u64(slice_head(s, 4), MIGRATIONS_MAX, &number))
		return 0;
	return (unsigned)number;
}

static int compare_migrations(const void *a, const void *b)
{
	const struct migration *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static bool migrations_add(struct schema *s, const char *name, unsigned number, struct fault *why)
{
	struct migration *more = realloc(s->migrations, (s->n + 1) * sizeof(*more));

	if (more == NULL) {
		fault_set(why, "4.3.1", "out of memory");
		return false;
	}
	s->migrations = more;
	more[s->n].number = number;
	return slice_cstr(slice_of_cstr(name), more[s->n++].name, sizeof(more->name), why);
}

/* All of the folder, 1 to n without a gap. */
static bool migrations_find(struct schema *s, const char *path, struct fault *why)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool ok = true;

	if (dir == NULL) {
		fault_errno(why, "4.3.5", "cannot open the migrations' folder %s", path);
		return false;
	}
	s->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (ok && (entry = readdir(dir)) != NULL) {
		unsigned number = migration_number(entry->d_name);

		ok = number == 0 || migrations_add(s, entry->d_name, number, why);
	}
	closedir(dir);
	if (!ok)
		return false;
	if (s->n > 0)
		qsort(s->migrations, s->n, sizeof(s->migrations[0]), compare_migrations);
	for (unsigned i = 0; i < s->n; i++) {
		if (s->migrations[i].number != i + 1) {
			fault_set(why, "4.3.5", "%s: number %u is missing or there twice (next is %s)", path, i + 1, s->migrations[i].name);
			return false;
		}
	}
	if (s->n == 0)
		fault_set(why, "4.3.5", "%s: there are no migrations (0001-….sql)", path);
	return s->n > 0;
}

/* ---- the database ---- */

static bool run(struct schema *s, const char *sql, struct fault *why)
{
	PGresult *result = PQexec(s->pg, sql);
	ExecStatusType status = PQresultStatus(result);
	bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!ok)
		fault_set(why, "4.3.0", "%.*s", SLICE_PRINTF(slice_trim(slice_of_cstr(PQerrorMessage(s->pg)))));
	PQclear(result);
	return ok;
}

static bool schema_connect(struct schema *s, const struct settings *settings, struct fault *why)
{
	char conninfo[4096];

	if (!slice_cstr(settings->database_admin, conninfo, sizeof(conninfo), why)) {
		fault_add(why, "database_admin");
		return false;
	}
	s->pg = PQconnectdb(conninfo);
	memory_wipe(conninfo, sizeof(conninfo));
	if (PQstatus(s->pg) != CONNECTION_OK) {
		fault_set(why, "4.3.0", "%.*s", SLICE_PRINTF(slice_trim(slice_of_cstr(PQerrorMessage(s->pg)))));
		return false;
	}
	return run(s, "SET client_min_messages = warning", why);
}

static bool ask_number(struct schema *s, const char *sql, uint64_t *out, struct fault *why)
{
	PGresult *result = PQexec(s->pg, sql);
	bool ok = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
		  number_u64(slice_of_cstr(PQgetvalue(result, 0, 0)), MIGRATIONS_MAX, out);

	if (!ok)
		fault_set(why, "4.3.0", "cannot read schema_version: %.*s", SLICE_PRINTF(slice_trim(slice_of_cstr(PQerrorMessage(s->pg)))));
	PQclear(result);
	return ok;
}

static bool schema_read_version(struct schema *s, struct fault *why)
{
	uint64_t there, version = 0;

	if (!ask_number(s, "SELECT (to_regclass('schema_version') IS NOT NULL)::int", &there, why))
		return false;
	if (there != 0 && !ask_number(s, "SELECT coalesce(max(version), 0) FROM schema_version", &version, why))
		return false;
	s->version = (unsigned)version;
	return true;
}

static bool schema_record(struct schema *s, const struct migration *m, struct fault *why)
{
	char number[16];
	const char *params[] = {number, m->name};
	PGresult *result;
	bool ok;

	snprintf(number, sizeof(number), "%u", m->number);
	result = PQexecParams(s->pg, "INSERT INTO schema_version (version, name) VALUES ($1, $2)", 2, NULL, params, NULL, NULL, 0);
	ok = PQresultStatus(result) == PGRES_COMMAND_OK;
	if (!ok)
		fault_set(why, "4.3.0", "%.*s", SLICE_PRINTF(slice_trim(slice_of_cstr(PQerrorMessage(s->pg)))));
	PQclear(result);
	return ok;
}

/* The whole file or nothing of it. */
static bool migration_apply(struct schema *s, const struct migration *m, struct fault *why)
{
	int fd = openat(s->folder, m->name, O_RDONLY | O_CLOEXEC);
	struct buf sql;
	struct fault ignored;
	const char *text;
	bool ok = false;

	buf_init(&sql, MIGRATION_MAX);
	if (fd < 0) {
		fault_errno(why, "4.3.5", "cannot open");
		goto out;
	}
	if (!fd_slurp(fd, &sql, why))
		goto out;
	text = buf_cstr(&sql);
	if (text == NULL) {
		fault_set(why, "4.3.1", "out of memory");
		goto out;
	}
	ok = run(s, "BEGIN", why) && run(s, text, why) && schema_record(s, m, why) && run(s, "COMMIT", why);
	if (!ok)
		(void)!run(s, "ROLLBACK", &ignored);
out:
	if (!ok)
		fault_add(why, "%s", m->name);
	buf_fini(&sql);
	fd_close(&fd);
	return ok;
}

/* ---- the commands ---- */

static bool schema_refuse_newer(const struct schema *s, struct fault *why)
{
	if (s->version <= s->n)
		return true;
	fault_set(why, "5.3.5", "the database has schema %u, this tassis knows %u: it needs a newer tassis", s->version, s->n);
	return false;
}

static int schema_upgrade(struct schema *s, struct fault *why)
{
	if (!run(s, LOCK, why) ||
	    !run(s, "CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, name text NOT NULL, "
		    "applied_at timestamptz NOT NULL DEFAULT now())", why) ||
	    !schema_read_version(s, why) || !schema_refuse_newer(s, why))
		return ADMIN_FAILED;
	for (unsigned i = s->version; i < s->n; i++) {
		if (!migration_apply(s, &s->migrations[i], why))
			return ADMIN_FAILED;
		printf("applied %s\n", s->migrations[i].name);
	}
	printf("schema %u\n", s->n);
	return ADMIN_DONE;
}

static int schema_status(struct schema *s, struct fault *why)
{
	if (!schema_read_version(s, why) || !schema_refuse_newer(s, why))
		return ADMIN_FAILED;
	printf("schema %u of %u\n", s->version, s->n);
	for (unsigned i = s->version; i < s->n; i++)
		printf("not applied %s\n", s->migrations[i].name);
	return s->version == s->n ? ADMIN_DONE : ADMIN_FAILED;
}

int command_schema(const struct admin *a, int argc, char **argv)
{
	static const struct option options[] = {{"from", required_argument, NULL, 'f'}, {0}};
	const char *path = TASSIS_SHAREDIR "/schema";
	struct schema s = {.folder = -1};
	struct fault why = {0};
	int status = ADMIN_FAILED;
	bool upgrade;

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c != 'f')
			return admin_usage("schema");
		path = optarg;
	}
	if (argc - optind != 1 || (strcmp(argv[optind], "upgrade") != 0 && strcmp(argv[optind], "status") != 0))
		return admin_usage("schema");
	upgrade = strcmp(argv[optind], "upgrade") == 0;
	if (migrations_find(&s, path, &why) && schema_connect(&s, a->settings, &why))
		status = upgrade ? schema_upgrade(&s, &why) : schema_status(&s, &why);
	if (why.text[0] != '\0')
		fprintf(stderr, "tassis schema: %s\n", why.text);
	PQfinish(s.pg);
	fd_close(&s.folder);
	free(s.migrations);
	return status;
}
