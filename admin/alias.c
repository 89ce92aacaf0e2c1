/* `tassis alias …`. */
#include <stdio.h>
#include <string.h>

#include "admin/listing.h"
#include "admin/names.h"
#include "admin/objects.h"
#include "common/base/fault.h"

#define INSERT_SQL "INSERT INTO aliases (local_part, domain, target) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

static bool read_alias(const struct task *t, struct names_address *alias, struct fault *why)
{
	return names_address(task_word(t, 0), NAMES_CATCH_ALL, alias, why);
}

/* Runs sql for each target of the command line with alias and target; *n is how many rows were changed. */
static bool each_target(struct task *t, const struct names_address *alias, const char *sql, uint64_t *n, struct fault *why)
{
	struct names_address target;
	uint64_t one;

	*n = 0;
	for (size_t i = 1; arguments_word(&t->args, i) != NULL; i++) {
		if (!names_address(task_word(t, i), 0, &target, why) ||
		    !database_change(&t->db, &one, why, sql, PARAMS(alias->local_part, alias->domain, target.whole)))
			return false;
		*n += one;
	}
	return true;
}

/* An alias comes before a user of its name. */
static void note_user(struct task *t, const struct names_address *alias)
{
	uint64_t n = 0;
	struct fault ignored;

	if (database_ask_number(&t->db, &n, &ignored,
				"SELECT count(*) FROM users u WHERE u.local_part = $1 AND u.domain = $2 AND NOT EXISTS "
				"(SELECT FROM aliases a WHERE a.local_part = $1 AND a.domain = $2 AND lower(a.target) = $1 || '@' || $2)",
				PARAMS(alias->local_part, alias->domain)) &&
	    n > 0)
		task_note("note: there is a user %s, too, who no longer gets that mail; for a copy: tassis alias add %s %s", alias->whole, alias->whole,
			  alias->whole);
}

bool alias_add(struct task *t, struct fault *why)
{
	struct names_address alias;
	uint64_t n;

	if (!read_alias(t, &alias, why) || !task_needs_domain(t, alias.domain, why) || !database_begin(&t->db, why) ||
	    !each_target(t, &alias, INSERT_SQL, &n, why) || !database_commit(&t->db, why))
		return false;
	if (n == 0)
		return task_there(t, "alias", alias.whole, why);
	task_say("added %llu target%s to alias %s", (unsigned long long)n, n == 1 ? "" : "s", alias.whole);
	note_user(t, &alias);
	return true;
}

bool alias_change(struct task *t, struct fault *why)
{
	struct names_address alias;
	uint64_t n;

	/* Targets that stay keep their rows, so that only what differs is told to lookupd. */
	if (!read_alias(t, &alias, why) || !task_needs_domain(t, alias.domain, why) || !database_begin(&t->db, why) ||
	    !database_run(&t->db, NULL, why, "CREATE TEMPORARY TABLE meant (target text) ON COMMIT DROP", NO_PARAMS) ||
	    !each_target(t, &alias, "INSERT INTO meant SELECT $3 WHERE $1::text IS NOT NULL AND $2::text IS NOT NULL", &n, why) ||
	    !database_run(&t->db, NULL, why,
			  "DELETE FROM aliases WHERE local_part = $1 AND domain = $2 AND target NOT IN (SELECT target FROM meant)",
			  PARAMS(alias.local_part, alias.domain)) ||
	    !each_target(t, &alias, INSERT_SQL, &n, why) || !database_commit(&t->db, why))
		return false;
	task_say("changed alias %s", alias.whole);
	note_user(t, &alias);
	return true;
}

static bool switch_alias(struct task *t, const char *enabled, struct fault *why)
{
	struct names_address alias;
	uint64_t n;

	if (!read_alias(t, &alias, why) ||
	    !database_change(&t->db, &n, why, "UPDATE aliases SET enabled = $3::boolean WHERE local_part = $1 AND domain = $2",
			     PARAMS(alias.local_part, alias.domain, enabled)))
		return false;
	if (n == 0)
		return task_not_there(t, "alias", alias.whole, why);
	task_say("%sd alias %s", t->verb, alias.whole);
	return true;
}

bool alias_enable(struct task *t, struct fault *why)
{
	return switch_alias(t, "true", why);
}

bool alias_disable(struct task *t, struct fault *why)
{
	return switch_alias(t, "false", why);
}

bool alias_delete(struct task *t, struct fault *why)
{
	bool all = arguments_word(&t->args, 1) == NULL;
	struct names_address alias;
	uint64_t n = 0;

	if (!read_alias(t, &alias, why) || !database_begin(&t->db, why) ||
	    !(all ? database_change(&t->db, &n, why, "DELETE FROM aliases WHERE local_part = $1 AND domain = $2",
				    PARAMS(alias.local_part, alias.domain))
		  : each_target(t, &alias, "DELETE FROM aliases WHERE local_part = $1 AND domain = $2 AND lower(target) = $3", &n, why)) ||
	    !database_commit(&t->db, why))
		return false;
	if (n == 0)
		return task_not_there(t, all ? "alias" : "such target of alias", alias.whole, why);
	if (all)
		task_say("deleted alias %s", alias.whole);
	else
		task_say("deleted %llu target%s of alias %s", (unsigned long long)n, n == 1 ? "" : "s", alias.whole);
	return true;
}

bool alias_list(struct task *t, struct fault *why)
{
	struct names_filter filter;

	if (!names_filter(task_word(t, 0), &filter, why))
		return false;
	return listing_print(&t->db, arguments_has(&t->args, "--json"), why,
			     "SELECT local_part || '@' || domain AS address, target, enabled FROM aliases "
			     "WHERE ($1::text IS NULL OR domain = $1) AND ($2::text IS NULL OR local_part || '@' || domain LIKE $2) "
			     "ORDER BY domain, local_part, target",
			     PARAMS(filter.domain, filter.pattern));
}

bool alias_show(struct task *t, struct fault *why)
{
	struct names_address alias;
	bool found;

	if (!read_alias(t, &alias, why) ||
	    !listing_print_one(&t->db, arguments_has(&t->args, "--json"), &found, why,
			       "SELECT local_part || '@' || domain AS address, bool_and(enabled) AS enabled, array_agg(id::text ORDER BY id) AS ids, "
			       "array_agg(target::text ORDER BY id) AS targets "
			       "FROM aliases WHERE local_part = $1 AND domain = $2 GROUP BY domain, local_part",
			       PARAMS(alias.local_part, alias.domain)))
		return false;
	return found || task_not_there(t, "alias", alias.whole, why);
}
