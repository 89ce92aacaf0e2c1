/* lookupd/login.h: who wants to log in, and what the database keeps of the password (auth_ask). The password itself is checked in the pool.
 * Touches: the cache, through lookup_get. */
#pragma once

#include <stdbool.h>

#include "common/base/slice.h"
#include "lookupd/lookup.h"
#include "lookupd/resident.h"

struct login {
	/* the ask; borrowed */
	struct local_names names;
	struct slice user;
	struct slice authzid; /* RFC 4616 2; empty: none */
	bool match;	      /* auth_authzid = match: authzid must be the user, or empty */
	/* the answer */
	struct name name;
	bool permitted;     /* such a user is there, enabled, of a domain of ours that is enabled, and has a password */
	struct slice kept;  /* "{SCHEME}hash"; lives as the rows do; empty where not permitted */
	bool fixed;	    /* it is somebody else's to say in which form the password is kept */
};

/* A lookup_evaluate_fn with a struct login. A user without a domain is one of hostname's; no aliases, no +detail. */
void login_evaluate(struct lookup *l, void *arg);
