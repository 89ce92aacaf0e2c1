/* `tassis domain …`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/listing.h"
#include "admin/names.h"
#include "admin/objects.h"
#include "common/base/fault.h"
#include "common/conf/settings.h"

static bool no_domain(const struct task *t, const char *name, struct fault *why)
{
	return task_not_there(t, "domain", name, why);
}

bool domain_add(struct task *t, struct fault *why)
{
	char name[NAMES_DOMAIN_MAX];
	uint64_t n;

	if (!names_domain(task_word(t, 0), name, why) ||
	    !database_change(&t->db, &n, why,
			     "INSERT INTO domains (name, kind, recipients) VALUES ($1, coalesce($2, 'local'), coalesce($3, 'list')) "
			     "ON CONFLICT (name) DO NOTHING",
			     PARAMS(name, arguments_value(&t->args, "--kind"), arguments_value(&t->args, "--recipients"))))
		return false;
	if (n == 0)
		return task_there(t, "domain", name, why);
	task_say("added domain %s", name);
	return true;
}

bool domain_change(struct task *t, struct fault *why)
{
	const char *kind = arguments_value(&t->args, "--kind"), *recipients = arguments_value(&t->args, "--recipients");
	char name[NAMES_DOMAIN_MAX];
	uint64_t n;

	if (kind == NULL && recipients == NULL) {
		fault_set(why, "5.5.4", "nothing to change; --kind or --recipients says what");
		return false;
	}
	if (!names_domain(task_word(t, 0), name, why) ||
	    !database_change(&t->db, &n, why,
			     "UPDATE domains SET kind = coalesce($2, kind), "
			     "recipients = coalesce($3, CASE WHEN coalesce($2, kind) = 'local' THEN 'list' ELSE recipients END) WHERE name = $1",
			     PARAMS(name, kind, recipients)))
		return false;
	if (n == 0)
		return no_domain(t, name, why);
	task_say("changed domain %s", name);
	return true;
}

static bool switch_domain(struct task *t, const char *enabled, struct fault *why)
{
	char name[NAMES_DOMAIN_MAX];
	uint64_t n;

	if (!names_domain(task_word(t, 0), name, why) ||
	    !database_change(&t->db, &n, why, "UPDATE domains SET enabled = $2::boolean WHERE name = $1", PARAMS(name, enabled)))
		return false;
	if (n == 0)
		return no_domain(t, name, why);
	task_say("%sd domain %s", t->verb, name);
	return true;
}

bool domain_enable(struct task *t, struct fault *why)
{
	return switch_domain(t, "true", why);
}

bool domain_disable(struct task *t, struct fault *why)
{
	return switch_domain(t, "false", why);
}

/* ---- deleting ---- */

/* What goes with a domain, as words; NULL: there is no such domain. */
static bool what_goes(struct task *t, const char *name, char **out, struct fault *why)
{
	return database_ask(&t->db, out, why,
			    "SELECT concat_ws(', ', u.n || ' user' || left('s', (u.n <> 1)::int), "
			    "a.n || ' alias' || left('es', 2 * (a.n <> 1)::int), r.n || ' relay' || left('s', (r.n <> 1)::int), "
			    "k.n || ' DKIM key' || left('s', (k.n <> 1)::int)) FROM domains d, "
			    "LATERAL (SELECT nullif(count(*), 0) FROM users WHERE domain = d.name) u (n), "
			    "LATERAL (SELECT nullif(count(DISTINCT local_part), 0) FROM aliases WHERE domain = d.name) a (n), "
			    "LATERAL (SELECT nullif(count(*), 0) FROM relays WHERE domain = d.name) r (n), "
			    "LATERAL (SELECT nullif(count(*), 0) FROM dkim_keys WHERE domain = d.name) k (n) WHERE d.name = $1",
			    PARAMS(name));
}

static bool may_delete(const struct task *t, const char *name, const char *goes, struct fault *why)
{
	char answer[16] = "";

	if (goes[0] == '\0' || arguments_has(&t->args, "--yes"))
		return true;
	if (isatty(STDIN_FILENO)) {
		(void)fprintf(stderr, "With domain %s go %s. Delete it? [y/N] ", name, goes);
		if (fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y'))
			return true;
	}
	fault_set(why, "4.3.0", "nothing was deleted; --yes deletes without asking: %s and its %s", name, goes);
	return false;
}

bool domain_delete(struct task *t, struct fault *why)
{
	char name[NAMES_DOMAIN_MAX], *goes = NULL;
	uint64_t n = 0;
	bool ok;

	if (!names_domain(task_word(t, 0), name, why) || !what_goes(t, name, &goes, why))
		return false;
	if (goes == NULL)
		return no_domain(t, name, why);
	ok = may_delete(t, name, goes, why) && database_change(&t->db, &n, why, "DELETE FROM domains WHERE name = $1", PARAMS(name));
	if (ok) {
		task_say("deleted domain %s%s%s", name, goes[0] != '\0' ? " with " : "", goes);
		if (strstr(goes, "user") != NULL)
			task_say("their mail stays on the disk, in %.*s/%s if no folder was set", SLICE_PRINTF(t->settings->mail_dir), name);
	}
	free(goes);
	return ok;
}

/* ---- looking ---- */

bool domain_list(struct task *t, struct fault *why)
{
	struct names_filter filter;

	if (!names_filter(task_word(t, 0), &filter, why))
		return false;
	return listing_print(&t->db, arguments_has(&t->args, "--json"), why,
			     "SELECT name AS domain, kind, recipients, enabled FROM domains "
			     "WHERE ($1::text IS NULL OR name = $1) AND ($2::text IS NULL OR name LIKE $2) ORDER BY name",
			     PARAMS(filter.domain, filter.pattern));
}

bool domain_show(struct task *t, struct fault *why)
{
	char name[NAMES_DOMAIN_MAX];
	bool found;

	if (!names_domain(task_word(t, 0), name, why) ||
	    !listing_print_one(&t->db, arguments_has(&t->args, "--json"), &found, why,
			       "SELECT d.name AS domain, d.id, d.kind, d.recipients, d.enabled, d.created_at::text, "
			       "(SELECT count(*) FROM users u WHERE u.domain = d.name) AS users, "
			       "(SELECT count(DISTINCT a.local_part) FROM aliases a WHERE a.domain = d.name) AS aliases, "
			       "ARRAY(SELECT a.target::text FROM aliases a WHERE a.domain = d.name AND a.local_part = '' ORDER BY 1) AS catch_all, "
			       "ARRAY(SELECT r.network::text FROM relays r WHERE r.domain = d.name OR r.domain IS NULL ORDER BY 1) AS relays, "
			       "ARRAY(SELECT concat_ws(' ', r.host, 'port ' || r.port, 'from ' || nullif(r.sender_domain, '*')) FROM routes r "
			       "WHERE r.domain = d.name ORDER BY 1) AS routes, "
			       "ARRAY(SELECT concat_ws(' ', k.selector, k.algorithm, k.state) FROM dkim_keys k WHERE k.domain = d.name ORDER BY 1) AS dkim_keys "
			       "FROM domains d WHERE d.name = $1",
			       PARAMS(name)))
		return false;
	return found || no_domain(t, name, why);
}
