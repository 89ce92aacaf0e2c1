/* Who must be reached can be reached (RFC 5321 4.5.1: postmaster), and aliases_file can be read. Where tassis runs, lookupd says who is reached, by the functions that
 * decide it; else the rows alone are looked at.
 * Touches: control/lookupd.0; PostgreSQL as the schema's owner; aliases_file. */
#include "admin/check.h"

#include <errno.h>
#include <libpq-fe.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/conf/settings.h"
#include "common/ipc/link.h"

#define ALIASES_FILE_MAX (1u << 20)
#define WITHIN_MS 10000u

/* ---- the file ---- */

static void check_line(struct check *c, const char *path, unsigned number, struct slice line)
{
	struct slice text = slice_trim(line), target;
	size_t colon = slice_find(text, ':');
	bool goes_on = line.p[0] == ' ' || line.p[0] == '\t';

	if (!goes_on && colon == SIZE_MAX) {
		check_warning(c, "aliases_file", "%s line %u is passed over: a line reads NAME: TARGET, TARGET", path, number);
		return;
	}
	text = goes_on ? text : slice_tail(text, colon + 1);
	while (slice_cut(&text, ',', &target)) {
		target = slice_trim(target);
		if (slice_starts(target, SLICE("\"")))
			target = slice_tail(target, 1);
		if (slice_starts(target, SLICE("|")) || slice_starts(target, SLICE("/")) || slice_starts(target, SLICE(":include:")))
			check_warning(c, "aliases_file", "%s line %u: %.*s is passed over: programs, files and lists in files are not done, an "
				      "address would be right", path, number, SLICE_PRINTF(slice_head(target, 200)));
	}
}

/* The file's octets; false: there is nothing to look at. */
static bool read_aliases(struct check *c, char path[PATH_MAX], struct buf *out)
{
	struct fault why = {0};

	if (c->settings->aliases_file.n == 0 || !slice_cstr(c->settings->aliases_file, path, PATH_MAX, NULL))
		return false;
	if (access(path, F_OK) != 0 && errno == ENOENT) {
		if (strcmp(path, "/etc/aliases") != 0)
			check_warning(c, "aliases_file", "aliases_file: there is no %s: make it, or leave the setting out", path);
		return false;
	}
	if (fd_slurp_path(path, out, NULL, &why))
		return true;
	check_error(c, "aliases_file", "aliases_file: %s; tassis does not start so: mend it, or name another", why.text);
	return false;
}

void check_aliases_file(struct check *c)
{
	char path[PATH_MAX];
	struct slice rest, line;
	unsigned number = 0;
	struct buf text;

	buf_init(&text, ALIASES_FILE_MAX);
	if (read_aliases(c, path, &text)) {
		rest = buf_slice(&text);
		while (slice_cut(&rest, '\n', &line)) {
			number++;
			if (slice_trim(line).n > 0 && slice_trim(line).p[0] != '#')
				check_line(c, path, number, line);
		}
	}
	buf_fini(&text);
}

/* Does the file name somebody for it? */
static bool file_names(const struct settings *s, const char *name)
{
	char path[PATH_MAX];
	struct slice rest, line, key;
	bool found = false;
	struct buf text;

	if (!slice_cstr(s->aliases_file, path, sizeof(path), NULL))
		return false;
	buf_init(&text, ALIASES_FILE_MAX);
	if (access(path, R_OK) == 0 && fd_slurp_path(path, &text, NULL, NULL)) {
		rest = buf_slice(&text);
		while (!found && slice_cut(&rest, '\n', &line))
			found = slice_cut(&line, ':', &key) && slice_equal_nocase(slice_trim(key), slice_of_cstr(name)) &&
				slice_trim(line).n > 0;
	}
	buf_fini(&text);
	return found;
}

/* ---- postmaster ---- */

enum reaches { REACHES_NOBODY, REACHES_SOMEBODY, REACHES_UNKNOWN };

/* Of the answer of lookupd/explain.h one line is "to\treaches\tyes". */
static enum reaches reaches_in(struct slice text)
{
	struct slice line;

	while (slice_cut(&text, '\n', &line)) {
		if (slice_equal(line, SLICE("to\treaches\tyes")))
			return REACHES_SOMEBODY;
		if (slice_equal(line, SLICE("to\treaches\tno")))
			return REACHES_NOBODY;
	}
	return REACHES_UNKNOWN;
}

static enum reaches ask_lookupd(const struct settings *s, struct slice address)
{
	struct ipc_message m = IPC_MESSAGE(control_ask, .verb = SLICE("explain"), .argument = address);
	enum reaches reaches = REACHES_UNKNOWN;
	char path[LAYOUT_SOCKET_PATH_MAX];
	struct ipc_message answer;
	struct buf frame;

	buf_init(&frame, IPC_FRAME_MAX);
	if (layout_socket_path(s, "control", "lookupd.0", path, NULL) &&
	    ipc_ask_once(path, &m, WITHIN_MS, &frame, &answer, NULL) && answer.type == IPC_TYPE_control_answer &&
	    !answer.control_answer.refused)
		reaches = reaches_in(answer.control_answer.text);
	buf_fini(&frame);
	return reaches;
}

/* $1: an address. Is there a row for it? Of another host's address nobody here can say more. */
#define SQL_REACHES                                                                                                                  \
	"SELECT NOT EXISTS (SELECT FROM domains WHERE name = split_part($1, '@', 2)) OR "                                            \
	"EXISTS (SELECT FROM users WHERE domain = split_part($1, '@', 2) AND local_part = split_part($1, '@', 1) AND enabled) OR "   \
	"EXISTS (SELECT FROM aliases WHERE domain = split_part($1, '@', 2) AND local_part IN ('', split_part($1, '@', 1)) AND enabled)"

static bool ask_row(PGconn *pg, const char *address)
{
	PGresult *result = PQexecParams(pg, SQL_REACHES, 1, NULL, &address, NULL, NULL, 0);
	bool there = PQresultStatus(result) != PGRES_TUPLES_OK || strcmp(PQgetvalue(result, 0, 0), "t") == 0;

	PQclear(result);
	return there;
}

/* Who takes what no row of a domain takes: the setting, or the file. */
static bool somebody_for_all(const struct check *c, PGconn *pg)
{
	char address[512];

	if (slice_find(c->settings->postmaster, '@') != SIZE_MAX && slice_cstr(c->settings->postmaster, address, sizeof(address), NULL) &&
	    ask_row(pg, address))
		return true;
	return file_names(c->settings, "postmaster") || file_names(c->settings, "root");
}

static void check_domain(struct check *c, PGconn *pg, bool for_all, const char *domain)
{
	enum reaches reaches = REACHES_UNKNOWN;
	char address[512];
	int n = snprintf(address, sizeof(address), "postmaster@%s", domain);

	if (n < 0 || (size_t)n >= sizeof(address))
		return;
	if (c->running)
		reaches = ask_lookupd(c->settings, slice_of_cstr(address));
	if (reaches == REACHES_UNKNOWN)
		reaches = for_all || ask_row(pg, address) ? REACHES_SOMEBODY : REACHES_NOBODY;
	if (reaches == REACHES_NOBODY)
		check_warning(c, "postmaster", "%s reaches nobody, and it must reach someone: set postmaster in main.conf to the address of who "
			      "looks after this host, or `tassis alias add %s TARGET`", address, address);
}

void check_postmaster(struct check *c)
{
	static const char domains[] = "SELECT name FROM domains WHERE enabled AND kind = 'local' ORDER BY name LIMIT 200";
	char conninfo[4096];
	PGresult *result = NULL;
	PGconn *pg;

	if (c->settings->query_domain.n > 0 || c->settings->query_user.n > 0 || c->settings->query_alias.n > 0 ||
	    !slice_cstr(c->settings->database_admin, conninfo, sizeof(conninfo), NULL))
		return;
	pg = PQconnectdb(conninfo);
	memory_wipe(conninfo, sizeof(conninfo));
	/* That it cannot be reached, or has no tables, has been said. */
	if (PQstatus(pg) == CONNECTION_OK && PQresultStatus(result = PQexec(pg, domains)) == PGRES_TUPLES_OK) {
		bool for_all = somebody_for_all(c, pg);

		for (int i = 0; i < PQntuples(result); i++)
			check_domain(c, pg, for_all, PQgetvalue(result, i, 0));
	}
	PQclear(result);
	PQfinish(pg);
}
