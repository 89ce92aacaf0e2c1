/* lookupd/conninfo.h: PostgreSQL's connection string as libpq gets it: host names are resolved beforehand, since libpq would wait for DNS in the
 * loop; no GSSAPI; UTF-8.
 * Touches: DNS and /etc/hosts, in the pool (getaddrinfo). */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct conninfo;
struct fault;
struct pool;

/* What PQconnectStartParams takes. */
struct conninfo_params {
	const char **keywords, **values; /* NULL ends them */
};
/* params NULL: why says why. Borrowed until the next resolve or destroy. */
typedef void conninfo_fn(void *arg, const struct conninfo_params *params, const struct fault *why);

/* The caller owns it. Fails: what is wrong with text. */
MUST_USE bool conninfo_create(struct slice text, struct pool *pool, struct conninfo **out, struct fault *why);
/* A resolve under way is disowned. NULL does nothing. */
void conninfo_destroy(struct conninfo *c);
/* The hosts, for the log. */
struct slice conninfo_hosts(const struct conninfo *c);
/* Finds the addresses of the hosts, several for a host where it has several. fn is called once, before this returns where no host is a name. session: the value of
 * target_session_attrs, which forced puts in place of the string's own. first: which of the hosts is the first to be tried (counted on past the
 * last): libpq's asynchronous calls know no time limit for one host. */
void conninfo_resolve(struct conninfo *c, const char *session, bool forced, unsigned first, conninfo_fn *fn, void *arg);
