#include "lookupd/aliases.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/table.h"
#include "lookupd/name.h"
#include "lookupd/query.h"

#define SHOWN 200 /* octets of a target in a message */

struct alias {
	struct table_node node;
	struct rows *targets;
	size_t n;
	char name[NAME_LOCAL_MAX];
};

struct aliases {
	struct table names;
};

/* The file while it is read. */
struct reading {
	struct aliases *aliases;
	aliases_problem_fn *problem;
	void *arg;
	unsigned line;	     /* the one being read */
	struct alias *alias; /* whose lines these are; NULL: what follows belongs to nothing */
	struct slice *targets;
	size_t n_targets;
	bool no_memory;
};

static void reading_tell(const struct reading *r, const char *reason, struct slice what)
{
	struct fault why = {0};

	if (r->problem == NULL)
		return;
	fault_set(&why, "4.3.5", "%.*s: %s", SLICE_PRINTF(slice_head(what, SHOWN)), reason);
	r->problem(r->arg, r->line, &why);
}

/* Where the first of the octets in stops stands outside quotes, or the length. */
static size_t unquoted_find(struct slice s, const char *stops)
{
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && s.p[i] != '\0' && strchr(stops, s.p[i]) != NULL)
			return i;
	}
	return s.n;
}

/* ---- targets ---- */

static const char *target_wrong(struct slice target)
{
	struct slice inner = slice_starts(target, SLICE("\"")) ? slice_tail(target, 1) : target;
	struct slice address = slice_starts(target, SLICE("\\")) ? slice_tail(target, 1) : target;
	struct name name;

	if (slice_starts(inner, SLICE("|")))
		return "programs are not run; an address would be right";
	if (slice_starts(inner, SLICE("/")))
		return "files are not written to; an address would be right";
	if (slice_starts(inner, SLICE(":")))
		return "lists in other files are not read; their addresses here, with commas "
		       "between, would be right";
	if (unquoted_find(address, " \t<>()") < address.n ||
	    !name_parse(address, SLICE("host"), &name))
		return "this is no address and no name; targets have commas between them";
	return NULL;
}

static void reading_target(struct reading *r, struct slice target)
{
	const char *wrong = target_wrong(target);

	if (wrong == NULL && r->n_targets == ALIASES_TARGETS_MAX)
		wrong = "a name may have 10,000 targets";
	if (wrong != NULL)
		reading_tell(r, wrong, target);
	else
		r->targets[r->n_targets++] = target;
}

/* What stands behind a name's colon, or in a line that goes on. A '#' where a target would begin
 * makes the rest a comment. */
static void reading_targets(struct reading *r, struct slice rest)
{
	while (rest.n > 0) {
		size_t at = unquoted_find(rest, ",");
		struct slice target = slice_trim(slice_head(rest, at));

		if (slice_starts(target, SLICE("#")))
			return;
		at = unquoted_find(target, " \t");
		if (slice_starts(slice_trim(slice_tail(target, at)), SLICE("#"))) {
			reading_target(r, slice_head(target, at));
			return;
		}
		if (target.n > 0)
			reading_target(r, target);
		rest = slice_tail(rest, unquoted_find(rest, ",") + 1);
	}
}

/* ---- names ---- */

/* The name before is whole. Without a target it is none: its mail is for whoever takes it
 * otherwise. */
static void reading_end_alias(struct reading *r)
{
	struct alias *a = r->alias;

	r->alias = NULL;
	if (a == NULL)
		return;
	if (r->n_targets > 0 && !r->no_memory) {
		a->targets = rows_create(r->n_targets, 1, r->targets);
		if (a->targets != NULL &&
		    table_insert(&r->aliases->names, &a->node, slice_of(a->name, a->n)))
			return;
		r->no_memory = true;
	}
	free(a->targets);
	free(a);
}

static const char *name_wrong(const struct reading *r, struct slice text, struct name *out)
{
	bool quoted = slice_starts(text, SLICE("\""));
	char octets[NAME_LOCAL_MAX + 2];

	if (text.n == 0 || (!quoted && unquoted_find(text, " \t@<>(),") < text.n))
		return "names stand without a domain and without blanks here";
	if (text.n > NAME_LOCAL_MAX)
		return "no name is that long";
	memcpy(octets, text.p, text.n);
	memcpy(octets + text.n, "@h",
	       2); /* so that an '@' in quotes is none that begins a domain */
	if (!name_parse(slice_of(octets, text.n + 2), SLICE_EMPTY, out))
		return "this is no name";
	if (table_find(&r->aliases->names, out->local) != NULL)
		return "this name stands there before; its first line counts";
	if (r->aliases->names.n == ALIASES_NAMES_MAX)
		return "there may be 10,000 names";
	return NULL;
}

static void reading_name(struct reading *r, struct slice line)
{
	size_t colon = unquoted_find(line, ":");
	struct slice text = slice_trim(slice_head(line, colon));
	const char *wrong = "a line reads NAME: TARGET, TARGET";
	struct fault why = {0};
	struct name name;

	if (colon < line.n)
		wrong = name_wrong(r, text, &name);
	if (wrong != NULL) {
		reading_tell(r, wrong, text);
		return;
	}
	if ((r->alias = memory_alloc(1, sizeof(*r->alias), &why)) == NULL) {
		r->no_memory = true;
		return;
	}
	memcpy(r->alias->name, name.local.p, name.local.n);
	r->alias->n = name.local.n;
	r->n_targets = 0;
	reading_targets(r, slice_tail(line, colon + 1));
}

static void reading_line(struct reading *r, struct slice line)
{
	struct slice text = slice_trim(line);
	bool goes_on = line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t');

	r->line++;
	if (text.n == 0 || text.p[0] == '#')
		return;
	if (!goes_on) {
		reading_end_alias(r);
		reading_name(r, text);
	} else if (r->alias != NULL) {
		reading_targets(r, text);
	}
}

/* ---- the whole ---- */

bool aliases_parse(struct slice text, aliases_problem_fn *problem, void *arg, struct aliases **out,
		   struct fault *why)
{
	struct reading r = {.problem = problem, .arg = arg};
	struct slice line;

	if (text.n > ALIASES_FILE_MAX) {
		fault_set(why, "5.3.4", "the file of aliases is larger than %u octets",
			  ALIASES_FILE_MAX);
		return false;
	}
	r.aliases = memory_alloc(1, sizeof(*r.aliases), why);
	r.targets = memory_alloc(ALIASES_TARGETS_MAX, sizeof(*r.targets), why);
	if (r.aliases == NULL || r.targets == NULL) {
		free(r.aliases);
		free(r.targets);
		return false;
	}
	table_init(&r.aliases->names);
	while (!r.no_memory && slice_cut(&text, '\n', &line))
		reading_line(&r, line);
	reading_end_alias(&r);
	free(r.targets);
	if (r.no_memory) {
		aliases_destroy(r.aliases);
		fault_set(why, "4.3.1", "no memory for the file of aliases");
		return false;
	}
	*out = r.aliases;
	return true;
}

static void alias_free(struct table_node *node, void *arg)
{
	struct aliases *aliases = arg;
	struct alias *a = CONTAINER_OF(node, struct alias, node);

	table_remove(&aliases->names, node);
	free(a->targets);
	free(a);
}

void aliases_destroy(struct aliases *a)
{
	if (a == NULL)
		return;
	table_each(&a->names, alias_free, a);
	table_fini(&a->names);
	free(a);
}

const struct rows *aliases_find(const struct aliases *a, struct slice name)
{
	struct table_node *node = a != NULL ? table_find(&a->names, name) : NULL;

	return node != NULL ? CONTAINER_OF(node, struct alias, node)->targets : NULL;
}
