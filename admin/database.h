/* admin/database.h: the administrator's connection to PostgreSQL (the setting database_admin), and what it refuses as sentences.
 * Touches: PostgreSQL. Blocks. */
#pragma once

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"

struct fault;
struct settings;

struct database {
	PGconn *pg; /* NULL: not open */
};

/* Bound parameters as text; NULL is SQL's. */
struct params {
	const char *const *p;
	int n;
};
#define PARAMS(...)                                                                                                \
	((struct params){(const char *const[]){__VA_ARGS__},                                                       \
			 (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))})
#define NO_PARAMS ((struct params){NULL, 0})

/* Fails: nobody answers, or not to this role; the sentence names the setting. */
MUST_USE bool database_open(struct database *db, const struct settings *s, struct fault *why);
/* What is not committed is gone. Safe on a zeroed one. */
void database_close(struct database *db);

/* One statement. On success *out (may be NULL) is the caller's, to be given to PQclear. Fails: what PostgreSQL refused, as a sentence; 5.5.4 where a value was wrong. */
MUST_USE bool database_run(struct database *db, PGresult **out, struct fault *why, const char *sql, struct params params);
/* The same for a statement that changes rows: how many did, in *n. */
MUST_USE bool database_change(struct database *db, uint64_t *n, struct fault *why, const char *sql, struct params params);
/* The first column of the first row, in *out: NULL where there is no row. The caller frees it. */
MUST_USE bool database_ask(struct database *db, char **out, struct fault *why, const char *sql, struct params params);
MUST_USE bool database_ask_number(struct database *db, uint64_t *out, struct fault *why, const char *sql, struct params params);
MUST_USE bool database_begin(struct database *db, struct fault *why);
MUST_USE bool database_commit(struct database *db, struct fault *why);

/* Of a failed result: what PostgreSQL says, with its hint; and that as a sentence with what the administrator can do about it. */
void database_words(const struct database *db, const PGresult *result, struct fault *why);
void database_fault(const struct database *db, const PGresult *result, struct fault *why);
