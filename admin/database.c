#include "admin/database.h"

#include <stdlib.h>
#include <string.h>

#include "admin/constraints.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/conf/settings.h"

#define CONNINFO_MAX 4096

static const struct {
	const char *name, *sentence;
} constraints[] = {
#define C(name, sentence) {#name, sentence},
	CONSTRAINTS(C)
#undef C
};

/* PostgreSQL's own codes (its manual, appendix A), and what the administrator can do about them. */
static const struct {
	const char *code, *sentence;
} conditions[] = {
	{"42P01", "the database has no tables of tassis; `tassis schema upgrade` makes them"},
	{"42703", "the database's tables are older than this tassis; `tassis schema upgrade` brings them up to date"},
	{"42501", "the role of database_admin must own the tables"},
	{"25006", "this PostgreSQL is a standby, where nothing can be changed; database_admin must name the primary"},
	{"53100", "PostgreSQL's disk is full"},
	{"53300", "PostgreSQL has no connection left"},
	{"57P03", "PostgreSQL is starting or stopping; try again"},
	{"40P01", "somebody else changed the same rows; try again"},
	{"40001", "somebody else changed the same rows; try again"},
};

static const char *condition_sentence(const char *code)
{
	for (size_t i = 0; i < ARRAY_LENGTH(conditions); i++)
		if (strcmp(conditions[i].code, code) == 0)
			return conditions[i].sentence;
	return NULL;
}

static const char *constraint_sentence(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(constraints); i++)
		if (strcmp(constraints[i].name, name) == 0)
			return constraints[i].sentence;
	return NULL;
}

/* libpq's words, of several lines, as one sentence. */
static void own_words(const char *words, struct fault *why)
{
	struct slice rest = slice_trim(slice_of_cstr(words)), line;
	struct buf text;

	buf_init(&text, sizeof(why->text));
	while (slice_cut(&rest, '\n', &line)) {
		if (buf_length(&text) > 0)
			buf_append_cstr(&text, "; ");
		buf_append(&text, slice_trim(line));
	}
	fault_set(why, "4.3.0", "PostgreSQL: %.*s", SLICE_PRINTF(buf_slice(&text)));
	buf_fini(&text);
}

static const char *field(const PGresult *result, int which)
{
	const char *text = PQresultErrorField(result, which);

	return text != NULL ? text : "";
}

void database_words(const struct database *db, const PGresult *result, struct fault *why)
{
	const char *hint = field(result, PG_DIAG_MESSAGE_HINT);
	struct fault words = {0};

	own_words(field(result, PG_DIAG_MESSAGE_PRIMARY)[0] != '\0' ? field(result, PG_DIAG_MESSAGE_PRIMARY) : PQerrorMessage(db->pg), &words);
	fault_set(why, "4.3.0", "%s%s%s", words.text, hint[0] != '\0' ? "; " : "", hint);
}

void database_fault(const struct database *db, const PGresult *result, struct fault *why)
{
	const char *sentence = constraint_sentence(field(result, PG_DIAG_CONSTRAINT_NAME));

	if (sentence != NULL) {
		fault_set(why, "5.5.4", "%s", sentence);
		return;
	}
	database_words(db, result, why);
	sentence = condition_sentence(field(result, PG_DIAG_SQLSTATE));
	if (sentence != NULL)
		fault_add(why, "%s", sentence);
}

bool database_open(struct database *db, const struct settings *s, struct fault *why)
{
	char conninfo[CONNINFO_MAX];

	if (!slice_cstr(s->database_admin, conninfo, sizeof(conninfo), why)) {
		fault_add(why, "database_admin");
		return false;
	}
	db->pg = PQconnectdb(conninfo);
	memory_wipe(conninfo, sizeof(conninfo));
	if (PQstatus(db->pg) != CONNECTION_OK) {
		own_words(PQerrorMessage(db->pg), why);
		fault_add(why, "cannot connect as the setting database_admin says");
		return false;
	}
	return database_run(db, NULL, why, "SET client_min_messages = warning", NO_PARAMS) &&
	       database_run(db, NULL, why, "SET client_encoding = 'UTF8'", NO_PARAMS);
}

void database_close(struct database *db)
{
	PQfinish(db->pg);
	db->pg = NULL;
}

bool database_run(struct database *db, PGresult **out, struct fault *why, const char *sql, struct params params)
{
	PGresult *result = PQexecParams(db->pg, sql, params.n, NULL, params.p, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);
	bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

	if (!ok)
		database_fault(db, result, why);
	if (ok && out != NULL)
		*out = result;
	else
		PQclear(result);
	return ok;
}

bool database_change(struct database *db, uint64_t *n, struct fault *why, const char *sql, struct params params)
{
	PGresult *result;

	if (!database_run(db, &result, why, sql, params))
		return false;
	if (!number_u64(slice_of_cstr(PQcmdTuples(result)), UINT64_MAX, n))
		*n = 0;
	PQclear(result);
	return true;
}

bool database_ask(struct database *db, char **out, struct fault *why, const char *sql, struct params params)
{
	PGresult *result;
	bool ok = true;

	*out = NULL;
	if (!database_run(db, &result, why, sql, params))
		return false;
	if (PQntuples(result) > 0) {
		*out = strdup(PQgetvalue(result, 0, 0));
		ok = *out != NULL;
		if (!ok)
			fault_set(why, "4.3.1", "out of memory");
	}
	PQclear(result);
	return ok;
}

bool database_ask_number(struct database *db, uint64_t *out, struct fault *why, const char *sql, struct params params)
{
	char *text;

	if (!database_ask(db, &text, why, sql, params))
		return false;
	if (text == NULL || !number_u64(slice_of_cstr(text), UINT64_MAX, out))
		*out = 0;
	free(text);
	return true;
}

bool database_begin(struct database *db, struct fault *why)
{
	return database_run(db, NULL, why, "BEGIN", NO_PARAMS);
}

bool database_commit(struct database *db, struct fault *why)
{
	return database_run(db, NULL, why, "COMMIT", NO_PARAMS);
}
