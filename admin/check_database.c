/* PostgreSQL: can lookupd log in, may it read what it asks for, is the schema the one that this tassis knows; can the admin commands write.
 * Touches: PostgreSQL, as lookupd in a process of its account, and as the caller; the names of the migrations' files. */
#include "admin/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/conf/settings.h"

#define CONNINFO_MAX 4096
#define TOLD_MAX 65536
#define MIGRATIONS_MAX 9999

/* What lookupd asks for, as it asks for it (lookupd/query.h); where the setting is given its query is another. */
static const struct right {
	size_t setting; /* the place of query_… in struct settings, 0: none */
	const char *name, *sql;
} rights[] = {
#define QUERY_SETTING(name) offsetof(struct settings, query_##name)
	{QUERY_SETTING(domain), "domains", "SELECT name, kind, recipients, enabled FROM domains LIMIT 0"},
	{QUERY_SETTING(user), "users",
	 "SELECT id, domain, local_part, password, enabled, folder, quota_bytes, quota_messages, password_fixed FROM users LIMIT 0"},
	{QUERY_SETTING(user), "mailboxes", "SELECT user_id, name FROM mailboxes LIMIT 0"},
	{QUERY_SETTING(user), "sender_addresses", "SELECT user_id, address FROM sender_addresses LIMIT 0"},
	{QUERY_SETTING(alias), "aliases", "SELECT id, domain, local_part, target, enabled FROM aliases LIMIT 0"},
	{QUERY_SETTING(relay), "relays", "SELECT network, domain FROM relays LIMIT 0"},
	{QUERY_SETTING(route), "routes", "SELECT domain, sender_domain, host, port, mx, tls, username, password FROM routes LIMIT 0"},
#undef QUERY_SETTING
};

/* ---- the words of one who asks: a letter (E, W) and a sentence a line ---- */

struct asking {
	const struct settings *settings;
	PGconn *pg;
	struct buf told;
};

static void tell(struct asking *a, char level, const char *template, ...) PRINTF_LIKE(3, 4);
static void tell(struct asking *a, char level, const char *template, ...)
{
	struct buf line;
	va_list args;
	struct slice text;

	buf_init(&line, 4096);
	va_start(args, template);
	(void)buf_vprintf(&line, template, args);
	va_end(args);
	text = slice_trim(buf_slice(&line));
	buf_append_char(&a->told, level);
	for (size_t i = 0; i < text.n; i++)
		buf_append_char(&a->told, text.p[i] == '\n' ? ' ' : text.p[i]);
	buf_append_char(&a->told, '\n');
	buf_fini(&line);
}

static bool open_connection(struct asking *a, const char *conninfo)
{
	static const char *const names[] = {"dbname", "connect_timeout", "gssencmode", "application_name", NULL};
	const char *values[] = {conninfo, "5", "disable", "tassis check", NULL};

	a->pg = PQconnectdbParams(names, values, 1);
	return PQstatus(a->pg) == CONNECTION_OK;
}

/* The first value of the answer, in out; false: there is none, PQerrorMessage says why. */
static bool ask(struct asking *a, const char *sql, char *out, size_t size)
{
	PGresult *result = PQexec(a->pg, sql);
	bool ok = PQresultStatus(result) == PGRES_TUPLES_OK;

	(void)snprintf(out, size, "%s", ok && PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	if (!ok)
		(void)snprintf(out, size, "%s", PQresultErrorField(result, PG_DIAG_SQLSTATE) != NULL
							? PQresultErrorField(result, PG_DIAG_SQLSTATE) : "");
	PQclear(result);
	return ok;
}

/* ---- the schema ---- */

/* The highest number of the migrations that came with this tassis, 0: none is there. */
static unsigned newest_migration(void)
{
	DIR *dir = opendir(TASSIS_SHAREDIR "/schema");
	struct dirent *entry;
	unsigned newest = 0;
	uint64_t n;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		struct slice name = slice_of_cstr(entry->d_name);

		if (name.n > 9 && name.p[4] == '-' && slice_ends(name, SLICE(".sql")) &&
		    number_u64(slice_head(name, 4), MIGRATIONS_MAX, &n) && n > newest)
			newest = (unsigned)n;
	}
	if (dir != NULL)
		(void)closedir(dir);
	return newest;
}

static bool is_replaced(const struct settings *s, const struct right *r)
{
	const struct slice *query = (const struct slice *)(const void *)((const char *)s + r->setting);

	return query->n > 0;
}

static bool all_replaced(const struct settings *s)
{
	for (size_t i = 0; i < ARRAY_LENGTH(rights); i++)
		if (!is_replaced(s, &rights[i]))
			return false;
	return true;
}

/* True: it is the one that this tassis knows, so a table that is not there is no matter of versions. */
static bool ask_schema(struct asking *a)
{
	unsigned knows = newest_migration();
	char text[64];
	uint64_t has;

	if (!ask(a, "SELECT coalesce(max(version), 0) FROM schema_version", text, sizeof(text))) {
		if (strcmp(text, "42P01") == 0)
			tell(a, 'E', "database: the tables are not there yet: `tassis schema upgrade` makes them");
		else
			tell(a, 'E', "database: the schema's version cannot be read: %s", PQerrorMessage(a->pg));
		return false;
	}
	if (!number_u64(slice_of_cstr(text), MIGRATIONS_MAX, &has))
		return false;
	if (has < knows)
		tell(a, 'E', "database: the schema is %u and this tassis wants %u: `tassis schema upgrade`", (unsigned)has, knows);
	else if (has > knows && knows > 0)
		tell(a, 'E', "database: the schema is %u and this tassis knows %u: install the newer tassis that made it", (unsigned)has, knows);
	return has == knows;
}

/* ---- as lookupd ---- */

static void ask_rights(struct asking *a)
{
	char text[64], role[128] = "";

	(void)!ask(a, "SELECT current_user", role, sizeof(role));
	for (size_t i = 0; i < ARRAY_LENGTH(rights); i++) {
		if (is_replaced(a->settings, &rights[i]) || ask(a, rights[i].sql, text, sizeof(text)))
			continue;
		if (strcmp(text, "42501") == 0)
			tell(a, 'E', "database: the role %s may not read all it needs of %s: as the owner, `GRANT SELECT ON %s TO %s`", role,
			     rights[i].name, rights[i].name, role);
		else
			tell(a, 'E', "database: %s", PQerrorMessage(a->pg));
	}
	if (a->settings->auth_rehash && a->settings->query_user.n == 0 &&
	    ask(a, "SELECT has_function_privilege('rewrite_password(text, text, text, text)', 'EXECUTE')", text, sizeof(text)) &&
	    strcmp(text, "f") == 0)
		tell(a, 'W', "database: the role %s may not call rewrite_password, so weak passwords stay as they are: as the owner, `GRANT "
		     "EXECUTE ON FUNCTION rewrite_password TO %s`, or set auth_rehash = no", role, role);
}

/* lookupd shall read, and no more. */
static void ask_role(struct asking *a)
{
	char text[64], role[128] = "";

	(void)!ask(a, "SELECT current_user", role, sizeof(role));
	if (ask(a, "SELECT rolsuper OR EXISTS (SELECT FROM pg_class c WHERE c.relname = 'users' AND c.relkind = 'r' AND "
		"(pg_has_role(c.relowner, 'USAGE') OR has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE'))) "
		"FROM pg_roles WHERE rolname = current_user", text, sizeof(text)) && strcmp(text, "t") == 0)
		tell(a, 'W', "database: lookupd logs in as %s, who may change the tables; it need only read: name the role tassis_lookup "
		     "(tassis-schema(7))", role);
	if (ask(a, "SELECT pg_is_in_recovery()", text, sizeof(text)) && strcmp(text, "t") == 0)
		tell(a, 'W', "database: the server is a standby, where changes are not told: name the primary as well");
}

static void ask_as_lookupd(struct asking *a, const char *conninfo)
{
	if (!open_connection(a, conninfo)) {
		tell(a, 'E', "database: %s (the setting database in main.conf says where it is; `tassis setup` or %s/cluster start a private "
		     "one)", PQerrorMessage(a->pg), TASSIS_LIBEXECDIR);
	} else if (!all_replaced(a->settings)) {
		if (ask_schema(a))
			ask_rights(a);
		ask_role(a);
	}
	PQfinish(a->pg);
}

/* In a process of lookupd's account: PostgreSQL may know who asks by that alone. */
NORETURN static void child(const struct check *c, const char *conninfo, int out)
{
	struct asking a = {.settings = c->settings};

	buf_init(&a.told, TOLD_MAX);
	if (c->accounts.change &&
	    (setgroups(0, NULL) != 0 || setgid(c->accounts.of[ACCOUNT_LOOKUP].gid) != 0 ||
	     setuid(c->accounts.of[ACCOUNT_LOOKUP].uid) != 0))
		tell(&a, 'E', "cannot take the account tassis-lookup");
	else
		ask_as_lookupd(&a, conninfo);
	(void)!fd_write_all(out, buf_slice(&a.told).p, buf_length(&a.told), -1);
	_exit(0);
}

static void hand_on(struct check *c, struct slice told)
{
	struct slice line;

	while (slice_cut(&told, '\n', &line)) {
		if (line.n < 2)
			continue;
		if (line.p[0] == 'E')
			check_error(c, "database", "%.*s", SLICE_PRINTF(slice_tail(line, 1)));
		else
			check_warning(c, "database", "%.*s", SLICE_PRINTF(slice_tail(line, 1)));
	}
}

static void read_to_the_end(int fd, struct buf *out)
{
	char octets[4096];
	ssize_t n;

	while ((n = read(fd, octets, sizeof(octets))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			buf_append(out, slice_of(octets, (size_t)n));
}

static void check_as_lookupd(struct check *c)
{
	char conninfo[CONNINFO_MAX];
	struct fault why = {0};
	struct buf told;
	int pipe_fds[2];
	pid_t pid;

	if (!slice_cstr(c->settings->database, conninfo, sizeof(conninfo), &why)) {
		check_fault(c, "database", &why);
		return;
	}
	(void)fflush(stdout);
	if (pipe2(pipe_fds, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		check_error(c, "database", "cannot ask PostgreSQL: %s", strerror(errno));
		return;
	}
	if (pid == 0)
		child(c, conninfo, pipe_fds[1]);
	memory_wipe(conninfo, sizeof(conninfo));
	fd_close(&pipe_fds[1]);
	buf_init(&told, TOLD_MAX);
	read_to_the_end(pipe_fds[0], &told);
	fd_close(&pipe_fds[0]);
	(void)waitpid(pid, NULL, 0);
	hand_on(c, buf_slice(&told));
	buf_fini(&told);
}

/* ---- as the owner ---- */

static void ask_as_owner(struct asking *a, const char *conninfo)
{
	char text[64], role[128] = "";

	if (!open_connection(a, conninfo)) {
		tell(a, 'W', "database_admin: %s (mail flows without it; the commands that change domains and users do not work)",
		     PQerrorMessage(a->pg));
		return;
	}
	(void)!ask(a, "SELECT current_user", role, sizeof(role));
	if (!ask(a, "SELECT coalesce((SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('domains')), true)", text,
		 sizeof(text)))
		tell(a, 'W', "database_admin: %s", PQerrorMessage(a->pg));
	else if (strcmp(text, "f") == 0)
		tell(a, 'W', "database_admin: the role %s does not own the tables, so `tassis schema upgrade` and the commands that change domains and "
		     "users do not work: name their owner", role);
}

static void check_as_owner(struct check *c)
{
	struct asking a = {.settings = c->settings};
	char conninfo[CONNINFO_MAX];

	if (all_replaced(c->settings) || !slice_cstr(c->settings->database_admin, conninfo, sizeof(conninfo), NULL))
		return;
	buf_init(&a.told, TOLD_MAX);
	ask_as_owner(&a, conninfo);
	memory_wipe(conninfo, sizeof(conninfo));
	hand_on(c, buf_slice(&a.told));
	PQfinish(a.pg);
	buf_fini(&a.told);
}

void check_database(struct check *c)
{
	check_as_lookupd(c);
	check_as_owner(c);
}
