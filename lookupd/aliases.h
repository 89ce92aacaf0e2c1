/* lookupd/aliases.h: the file of aliases (aliases(5)): the host's own names (root, cron), and where
 * their mail goes.
 * Touches: memory; the text is given.
 *
 *	# a comment
 *	name: target, target
 *	      target
 *
 * Names have no domain, count in any case, and stand in quotes where they hold a blank, ':' or '#'. A
 * line that begins with a blank goes on with the one before. A target is an address, a name of the
 * host's, or \name: the user of that name, past aliases. Programs (|…), files (/…) and lists in files
 * (:include:…) are not done. */
#pragma once

#include "common/base/attributes.h"
#include "common/base/slice.h"

#define ALIASES_FILE_MAX (1u << 20)
#define ALIASES_NAMES_MAX 10000
#define ALIASES_TARGETS_MAX 10000 /* of one name */

struct aliases;
struct fault;
struct rows;

/* What is passed over: a whole line, or one target of it. Lines count from 1. */
typedef void aliases_problem_fn(void *arg, unsigned line, const struct fault *why);

/* Reads text, of which nothing is borrowed. What makes no sense is passed over and told; of a name
 * that stands there twice the first counts. The caller owns *out. Fails: temporary, 4.3.1, no
 * memory; permanent: the text is larger than ALIASES_FILE_MAX. */
MUST_USE bool aliases_parse(struct slice text, aliases_problem_fn *problem, void *arg,
			    struct aliases **out, struct fault *why);
/* NULL does nothing. */
void aliases_destroy(struct aliases *a);
/* The targets, one column, a row each, as they stand in the file; NULL: there is no such name (or
 * no a). name: lower-case, without quotes. */
const struct rows *aliases_find(const struct aliases *a, struct slice name);
