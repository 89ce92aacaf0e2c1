/* `tassis schema upgrade|status|compat`: the numbered migrations of schema/, each applied once, in order, in a transaction of its own; and the views of
 * compat-simplesmtp.sql, which may be made again at any time.
 * Touches: PostgreSQL as the schema's owner (the setting database_admin); the migrations' files. */
#include "admin/commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/database.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/number.h"
#include "common/conf/settings.h"

#define MIGRATION_MAX (4u << 20)
#define MIGRATIONS_MAX 9999
#define COMPAT_FILE "compat-simplesmtp.sql"
/* One upgrade at a time, whoever begins it: the word "tassis". */
#define LOCK "SELECT pg_advisory_lock(x'746173736973'::bigint)"

struct migration {
	unsigned number;
	char name[256]; /* the file's: 0001-tables.sql */
};

struct schema {
	struct database db;
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
	PGresult *result = PQexec(s->db.pg, sql);
	ExecStatusType status = PQresultStatus(result);
	bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!ok)
		database_words(&s->db, result, why);
	PQclear(result);
	return ok;
}

static bool schema_read_version(struct schema *s, struct fault *why)
{
	uint64_t there, version = 0;

	if (!database_ask_number(&s->db, &there, why, "SELECT (to_regclass('schema_version') IS NOT NULL)::int", NO_PARAMS))
		return false;
	if (there != 0 && !database_ask_number(&s->db, &version, why, "SELECT coalesce(max(version), 0) FROM schema_version", NO_PARAMS))
		return false;
	s->version = (unsigned)version;
	return true;
}

static bool schema_record(struct schema *s, const struct migration *m, struct fault *why)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", m->number);
	return database_run(&s->db, NULL, why, "INSERT INTO schema_version (version, name) VALUES ($1::integer, $2)", PARAMS(number, m->name));
}

/* The whole file or nothing of it; m is NULL where it is no migration. */
static bool file_apply(struct schema *s, const char *name, const struct migration *m, struct fault *why)
{
	int fd = openat(s->folder, name, O_RDONLY | O_CLOEXEC);
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
	ok = run(s, "BEGIN", why) && run(s, text, why) && (m == NULL || schema_record(s, m, why)) && run(s, "COMMIT", why);
	if (!ok)
		(void)!run(s, "ROLLBACK", &ignored);
out:
	if (!ok)
		fault_add(why, "%s", name);
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
		if (!file_apply(s, s->migrations[i].name, &s->migrations[i], why))
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

/* The views stand on the tables as this tassis has them. */
static int schema_compat(struct schema *s, struct fault *why)
{
	if (!run(s, LOCK, why) || !schema_read_version(s, why) || !schema_refuse_newer(s, why))
		return ADMIN_FAILED;
	if (s->version < s->n) {
		fault_set(why, "4.3.0", "the database has schema %u of %u; first: tassis schema upgrade", s->version, s->n);
		return ADMIN_FAILED;
	}
	if (!file_apply(s, COMPAT_FILE, NULL, why))
		return ADMIN_FAILED;
	printf("applied " COMPAT_FILE "\n");
	return ADMIN_DONE;
}

typedef int schema_fn(struct schema *s, struct fault *why);

static schema_fn *find_verb(const char *name)
{
	static const struct {
		const char *name;
		schema_fn *fn;
	} verbs[] = {{"upgrade", schema_upgrade}, {"status", schema_status}, {"compat", schema_compat}};

	for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return verbs[i].fn;
	return NULL;
}

int command_schema(const struct admin *a, int argc, char **argv)
{
	static const struct option options[] = {{"from", required_argument, NULL, 'f'}, {0}};
	const char *path = TASSIS_SHAREDIR "/schema";
	struct schema s = {.folder = -1};
	struct fault why = {0};
	int status = ADMIN_FAILED;
	schema_fn *verb;

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c != 'f')
			return admin_usage("schema");
		path = optarg;
	}
	if (argc - optind != 1 || (verb = find_verb(argv[optind])) == NULL)
		return admin_usage("schema");
	if (migrations_find(&s, path, &why) && database_open(&s.db, a->settings, &why))
		status = verb(&s, &why);
	if (why.text[0] != '\0')
		fprintf(stderr, "tassis schema: %s\n", why.text);
	database_close(&s.db);
	fd_close(&s.folder);
	free(s.migrations);
	return status;
}
