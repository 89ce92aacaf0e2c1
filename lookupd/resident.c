#include "lookupd/resident.h"

#include <stdio.h>
#include <string.h>

#include "common/base/fault.h"
#include "lookupd/aliases.h"

/* The alias and the user of one local part, both asked for at once. */
static enum resident_kind find_local(struct lookup *l, const struct name *n, struct slice local,
				     bool past_alias, struct resident *out)
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

static enum resident_kind find_in_domain(struct lookup *l, const struct name *n, bool past_alias,
					 struct resident *out)
{
	struct resident without = {0};
	enum resident_kind kind = find_local(l, n, n->local, past_alias, out);

	if (n->base.n != n->local.n) { /* asked for at once, too */
		enum resident_kind second = find_local(l, n, n->base, past_alias, &without);

		if (kind == RESIDENT_LATER || second == RESIDENT_LATER)
			return RESIDENT_LATER;
		if (kind == RESIDENT_NOBODY) {
			*out = without;
			out->source = RESIDENT_ROW_BASE;
			kind = second;
		}
	}
	if (kind == RESIDENT_NOBODY && !past_alias) {
		const struct rows *catch_all;

		if (!lookup_get(l, &(struct query_key){QUERY_alias, {SLICE_EMPTY, n->domain}},
				&catch_all))
			return RESIDENT_LATER;
		if (catch_all->n_rows > 0) {
			out->rows = catch_all;
			out->source = RESIDENT_CATCH_ALL;
			kind = RESIDENT_ALIAS;
		}
	}
	return kind;
}

/* What the database says. ours: the domain is, and no other host has its mailboxes. */
static struct resident find_rows(struct lookup *l, const struct name *n, bool past_alias,
				 bool *ours)
{
	struct resident r = {.kind = RESIDENT_LATER};
	const struct rows *domain;

	*ours = n->bare;
	if (name_is_literal(n)) {
		r.kind = RESIDENT_ELSEWHERE;
		return r;
	}
	if (!lookup_get(l, &(struct query_key){QUERY_domain, {n->domain}}, &domain))
		return r;
	if (domain->n_rows == 0) {
		r.kind = n->bare ? RESIDENT_NOBODY : RESIDENT_ELSEWHERE;
		return r;
	}
	if (!rows_flag(domain, 0, DOMAIN_ENABLED, true)) {
		r.kind = RESIDENT_DISABLED;
		return r;
	}
	r.kind = find_in_domain(l, n, past_alias, &r);
	*ours = !slice_equal(rows_cell(domain, 0, DOMAIN_KIND), SLICE("relay"));
	if (!*ours) {
		if (r.kind == RESIDENT_USER ||
		    (r.kind == RESIDENT_NOBODY &&
		     slice_equal(rows_cell(domain, 0, DOMAIN_RECIPIENTS), SLICE("any"))))
			r.kind = RESIDENT_RELAYED;
	}
	return r;
}

static bool alias_in_file(const struct local_names *names, struct slice name, struct resident *out)
{
	const struct rows *rows = aliases_find(names->aliases, name);

	if (rows != NULL)
		*out = (struct resident){
			.kind = RESIDENT_ALIAS, .source = RESIDENT_FILE, .rows = rows};
	return rows != NULL;
}

static bool is_host(const struct local_names *names, const struct name *n)
{
	return slice_equal_nocase(n->domain, names->hostname);
}

/* What the file says of names at hostname, where the database has nobody. */
static bool find_in_file(const struct local_names *names, const struct name *n,
			 struct resident *out)
{
	return (out->kind == RESIDENT_NOBODY || out->kind == RESIDENT_ELSEWHERE) &&
	       is_host(names, n) &&
	       (alias_in_file(names, n->local, out) || alias_in_file(names, n->base, out));
}

static struct resident find_plain(struct lookup *l, const struct local_names *names,
				  const struct name *n, bool past_alias)
{
	bool ours;
	struct resident r = find_rows(l, n, past_alias, &ours);

	if (!past_alias)
		(void)find_in_file(names, n, &r);
	return r;
}

/* ---- postmaster and abuse ---- */

#define REACHES_DEPTH_MAX 10
#define REACHES_LOOKS_MAX 100

enum reaches { REACHES_NOBODY, REACHES_SOMEONE, REACHES_LATER };

struct reaching {
	struct lookup *lookup;
	const struct local_names *names;
	const struct rows *opened[REACHES_LOOKS_MAX]; /* aliases; a loop ends at them */
	size_t n_opened, n_looks;
};

static bool alias_is_new(struct reaching *r, const struct resident *alias)
{
	for (size_t i = 0; i < r->n_opened; i++) {
		if (r->opened[i] == alias->rows)
			return false;
	}
	if (r->n_opened == REACHES_LOOKS_MAX)
		return false;
	r->opened[r->n_opened++] = alias->rows;
	return true;
}

/* Does the alias that was found for n lead to anyone? */
static enum reaches alias_reaches(struct reaching *r, const struct name *n,
				  const struct resident *alias, unsigned depth)
{
	enum reaches all = REACHES_NOBODY;

	if (depth == REACHES_DEPTH_MAX || !alias_is_new(r, alias))
		return REACHES_NOBODY;
	for (size_t i = 0; i < alias->rows->n_rows && r->n_looks < REACHES_LOOKS_MAX; i++) {
		struct resident_target target;
		struct resident found;
		struct name name;
		enum reaches one = REACHES_NOBODY;

		if (!resident_target(alias, i, r->names, n, &target, &name))
			continue;
		r->n_looks++;
		found = find_plain(r->lookup, r->names, &name, target.past_alias);
		if (found.kind == RESIDENT_ALIAS)
			one = alias_reaches(r, &name, &found, depth + 1);
		else if (found.kind == RESIDENT_USER || found.kind == RESIDENT_RELAYED ||
			 found.kind == RESIDENT_ELSEWHERE)
			one = REACHES_SOMEONE;
		else if (found.kind == RESIDENT_LATER)
			one = REACHES_LATER;
		if (one == REACHES_SOMEONE)
			return one;
		if (one == REACHES_LATER)
			all = one;
	}
	return all;
}

static bool is_role(const struct name *n)
{
	return slice_equal(n->base, SLICE("postmaster")) || slice_equal(n->base, SLICE("abuse"));
}

/* Nobody in the database takes the mail for this postmaster or abuse: who does then? */
static struct resident find_role(struct lookup *l, const struct local_names *names,
				 const struct name *n)
{
	const struct slice in_file[] = {n->base, SLICE("postmaster"), SLICE("root")};
	struct resident tries[1 + ARRAY_LENGTH(in_file)];
	size_t n_tries = 0;

	if (names->postmaster_rows != NULL)
		tries[n_tries++] = (struct resident){RESIDENT_ALIAS, RESIDENT_POSTMASTER,
						     names->postmaster_rows, SLICE_EMPTY};
	for (size_t i = 0; i < ARRAY_LENGTH(in_file); i++)
		n_tries += alias_in_file(names, in_file[i], &tries[n_tries]);
	for (size_t i = 0; i < n_tries; i++) {
		struct reaching r = {.lookup = l, .names = names};
		enum reaches reaches = alias_reaches(&r, n, &tries[i], 0);

		if (reaches == REACHES_SOMEONE)
			return tries[i];
		if (reaches == REACHES_LATER)
			return (struct resident){.kind = RESIDENT_LATER};
	}
	return (struct resident){.kind = RESIDENT_NEEDED};
}

struct resident resident_find(struct lookup *l, const struct local_names *names,
			      const struct name *n, bool past_alias)
{
	bool ours;
	struct resident r = find_rows(l, n, past_alias, &ours);

	if (past_alias)
		return r;
	if (is_role(n) && ((r.kind == RESIDENT_NOBODY && ours) ||
			   (r.kind == RESIDENT_ELSEWHERE && is_host(names, n)))) {
		struct resident role = find_role(l, names, n);

		return role.kind == RESIDENT_NEEDED && r.kind == RESIDENT_ELSEWHERE ? r : role;
	}
	(void)find_in_file(names, n, &r);
	return r;
}

bool resident_target(const struct resident *r, size_t row, const struct local_names *names,
		     const struct name *n, struct resident_target *out, struct name *name)
{
	bool of_file = r->source == RESIDENT_FILE;

	*out = (struct resident_target){.path = rows_cell(r->rows, row, 0)};
	if (of_file && slice_starts(out->path, SLICE("\\"))) {
		out->path = slice_tail(out->path, 1);
		out->past_alias = true;
	}
	if (!name_parse(out->path, of_file ? names->hostname : SLICE_EMPTY, name))
		return false;
	out->past_alias |= slice_equal(name_whole(name), name_whole(n));
	return true;
}

bool resident_folder(const struct resident *r, const struct name *n, char out[FOLDER_MAX + 1],
		     struct slice *folder, struct fault *why)
{
	struct slice own = rows_cell(r->rows, 0, USER_FOLDER);
	bool ours = own.n == 0;
	int length;

	if (ours)
		length = snprintf(out, FOLDER_MAX + 1, "%.*s/%.*s/", SLICE_PRINTF(n->domain),
				  SLICE_PRINTF(r->local));
	else
		length = snprintf(out, FOLDER_MAX + 1, "%.*s%s", SLICE_PRINTF(own),
				  slice_ends(own, SLICE("/")) ? "" : "/");
	*folder = slice_of(out, length > 0 && length <= FOLDER_MAX ? (size_t)length : 0);
	if (!folder_is_sound(*folder) ||
	    (ours && (slice_find(r->local, '/') != SIZE_MAX || r->local.p[0] == '.'))) {
		fault_set(why, "4.3.5", "the folder of %.*s is no path below mail_dir",
			  SLICE_PRINTF(name_whole(n)));
		return false;
	}
	return true;
}

bool resident_name(const struct local_names *names, struct slice path, struct name *out)
{
	if (slice_equal_nocase(path, SLICE("postmaster")) &&
	    slice_find(names->postmaster, '@') != SIZE_MAX)
		path = names->postmaster;
	return name_parse(path, names->hostname, out);
}
