#include "lookupd/login.h"

/* Does authzid name the user, however it is written? */
static bool authzid_fits(const struct login *g)
{
	struct name other;

	if (g->authzid.n == 0 || !g->match)
		return true;
	return name_parse(g->authzid, g->names.hostname, &other) &&
	       slice_equal(name_whole(&other), name_whole(&g->name));
}

void login_evaluate(struct lookup *l, void *arg)
{
	struct login *g = arg;
	const struct rows *domain, *user;
	bool domain_known;

	g->permitted = false;
	g->fixed = true;
	g->kept = SLICE_EMPTY;
	if (!name_parse(g->user, g->names.hostname, &g->name))
		return;
	domain_known = lookup_get(l, &(struct query_key){QUERY_domain, {g->name.domain}}, &domain);
	if (!lookup_get(l, &(struct query_key){QUERY_user, {g->name.local, g->name.domain}}, &user) || !domain_known)
		return;
	if (domain->n_rows == 0 || !rows_flag(domain, 0, DOMAIN_ENABLED, true) ||
	    slice_equal(rows_cell(domain, 0, DOMAIN_KIND), SLICE("relay")))
		return;
	if (user->n_rows == 0 || !rows_flag(user, 0, USER_ENABLED, true) || !authzid_fits(g))
		return;
	g->kept = rows_cell(user, 0, USER_PASSWORD);
	g->permitted = g->kept.n > 0;
	g->fixed = rows_flag(user, 0, USER_PASSWORD_FIXED, true);
}
