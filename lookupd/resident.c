#include "lookupd/resident.h"

#include <stdio.h>
#include <string.h>

#include "common/base/fault.h"

/* The alias and the user of one local part, both asked for at once. */
static enum resident_kind find_local(struct lookup *l, const struct name *n, struct slice local, bool past_alias, struct resident *out)
{
	const struct rows *alias = NULL, *user = NULL;
	bool known = true;

	if (!past_alias)
		known = lookup_get(l, &(struct query_key){QUERY_alias, {local, n->domain}}, &alias);
	if (!lookup_get(l, &(struct query_key){QUERY_user, {local, n->domain}}, &user) || !known)
		return RESIDENT_LATER;
	if (alias != NULL && alias->n_rows > 0) {
		out->rows = alias;
		return RESIDENT_ALIAS;
	}
	if (user->n_rows > 0) {
		out->rows = user;
		out->local = local;
		return rows_flag(user, 0, USER_ENABLED, true) ? RESIDENT_USER : RESIDENT_DISABLED;
	}
	return RESIDENT_NOBODY;
}

static enum resident_kind find_in_domain(struct lookup *l, const struct name *n, bool past_alias, struct resident *out)
{
	struct resident without = {0};
	enum resident_kind kind = find_local(l, n, n->local, past_alias, out);

	if (n->base.n != n->local.n) { /* asked for at once, too */
		enum resident_kind second = find_local(l, n, n->base, past_alias, &without);

		if (kind == RESIDENT_LATER || second == RESIDENT_LATER)
			return RESIDENT_LATER;
		if (kind == RESIDENT_NOBODY) {
			*out = without;
			kind = second;
		}
	}
	if (kind == RESIDENT_NOBODY && !past_alias) {
		const struct rows *catch_all;

		if (!lookup_get(l, &(struct query_key){QUERY_alias, {SLICE_EMPTY, n->domain}}, &catch_all))
			return RESIDENT_LATER;
		if (catch_all->n_rows > 0) {
			out->rows = catch_all;
			kind = RESIDENT_ALIAS;
		}
	}
	return kind;
}

struct resident resident_find(struct lookup *l, const struct name *n, bool past_alias)
{
	struct resident r = {.kind = RESIDENT_LATER};
	const struct rows *domain;

	if (name_is_literal(n)) {
		r.kind = RESIDENT_ELSEWHERE;
		return r;
	}
	if (!lookup_get(l, &(struct query_key){QUERY_domain, {n->domain}}, &domain))
		return r;
	if (domain->n_rows == 0) {
		r.kind = RESIDENT_ELSEWHERE;
		return r;
	}
	if (!rows_flag(domain, 0, DOMAIN_ENABLED, true)) {
		r.kind = RESIDENT_DISABLED;
		return r;
	}
	r.kind = find_in_domain(l, n, past_alias, &r);
	if (slice_equal(rows_cell(domain, 0, DOMAIN_KIND), SLICE("relay"))) {
		if (r.kind == RESIDENT_USER ||
		    (r.kind == RESIDENT_NOBODY && slice_equal(rows_cell(domain, 0, DOMAIN_RECIPIENTS), SLICE("any"))))
			r.kind = RESIDENT_RELAYED;
	}
	return r;
}

bool resident_folder(const struct resident *r, const struct name *n, char out[FOLDER_MAX + 1], struct slice *folder, struct fault *why)
{
	struct slice own = rows_cell(r->rows, 0, USER_FOLDER);
	bool ours = own.n == 0;
	int length;

	if (ours)
		length = snprintf(out, FOLDER_MAX + 1, "%.*s/%.*s/", SLICE_PRINTF(n->domain), SLICE_PRINTF(r->local));
	else
		length = snprintf(out, FOLDER_MAX + 1, "%.*s%s", SLICE_PRINTF(own), slice_ends(own, SLICE("/")) ? "" : "/");
	*folder = slice_of(out, length > 0 && length <= FOLDER_MAX ? (size_t)length : 0);
	if (!folder_is_sound(*folder) || (ours && (slice_find(r->local, '/') != SIZE_MAX || r->local.p[0] == '.'))) {
		fault_set(why, "4.3.5", "the folder of %.*s is no path below mail_dir", SLICE_PRINTF(name_whole(n)));
		return false;
	}
	return true;
}

bool resident_name(const struct local_names *names, struct slice path, struct name *out)
{
	if (slice_equal_nocase(path, SLICE("postmaster")) && slice_find(names->postmaster, '@') != SIZE_MAX)
		path = names->postmaster;
	return name_parse(path, names->hostname, out);
}
