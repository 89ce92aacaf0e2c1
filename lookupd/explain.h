/* lookupd/explain.h: every row and setting that decides what happens to mail for an address, from
 * it and by it (`tassis explain`), found by the functions that decide it: recipient.h, routing.h,
 * login.h.
 * Touches: the cache, through lookup_get.
 *
 * The answer is lines of three columns with a tab between: the part (address, to, from, by,
 * setting), what it is about, and a sentence. Of the part `to` one line is `reaches`: yes, no (it
 * is refused) or later (nobody can say now; `fault` says why). Passwords are never in it. */
#pragma once

#include "common/base/buf.h"
#include "lookupd/lookup.h"
#include "lookupd/login.h"
#include "lookupd/recipient.h"
#include "lookupd/resident.h"
#include "lookupd/routing.h"

struct settings;

struct explain {
	/* the ask; borrowed */
	const struct local_names *names;
	const struct settings *const *settings; /* the present ones */
	struct slice address;
	/* the answer; after a failure what was known until then */
	struct buf out;
	/* while it is made */
	struct name name;
	struct recipient recipient;
	struct routing routing;
	struct login login;
};

void explain_init(struct explain *e);
void explain_fini(struct explain *e);
/* A lookup_evaluate_fn with a struct explain. Fails: as the functions that decide do; permanent: it
 * is no address. */
void explain_evaluate(struct lookup *l, void *arg);
/* For the end: appends why there is nothing more. */
void explain_end(struct explain *e, const struct fault *why);
