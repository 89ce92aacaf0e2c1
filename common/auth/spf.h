/* common/auth/spf.h: may this client send as this domain? RFC 7208.
 * Touches: nothing; DNS through common/auth/answers.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/auth/answers.h"
#include "common/base/address.h"
#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

#define SPF_LOOKUPS_MAX 10u	/* RFC 7208 4.6.4 */
#define SPF_VOID_LOOKUPS_MAX 2u /* the same */

/* RFC 7208 2.6. */
enum spf_code {
	SPF_NONE,
	SPF_NEUTRAL,
	SPF_PASS,
	SPF_FAIL,
	SPF_SOFTFAIL,
	SPF_TEMPERROR,
	SPF_PERMERROR
};

struct spf_ask {
	struct ip client;
	struct slice helo; /* what the client calls itself */
	struct slice
		reverse_path;  /* "ann@example.org", "@example.org" or "example.org" (postmaster's);
				  empty: the null one, helo is checked (RFC 7208 2.4) */
	struct slice receiver; /* our name, for explanations */
	uint64_t now_s;
};

struct spf_result {
	enum spf_code code;
	bool of_helo;		  /* the scope: helo, not mfrom */
	struct slice domain;	  /* that was checked */
	struct slice mechanism;	  /* that matched, as published; empty: none did */
	struct slice explanation; /* the domain's own, with SPF_FAIL; empty: it has none */
	unsigned lookups, void_lookups;
	char reason[300]; /* a sentence */
};

/* One check; zeroed before first use. The result's slices live until spf_fini. */
struct spf {
	struct spf_ask ask; /* borrowed */
	struct arena arena; /* of one run */
	struct buf *steps;  /* NULL, or what is done is said there, a line each */
};

void spf_init(struct spf *s, const struct spf_ask *ask, struct buf *steps);
void spf_fini(struct spf *s);
/* True: *out is the result. False: answers wants more (answers.h); then again. */
MUST_USE bool spf_check(struct spf *s, struct answers *answers, struct spf_result *out);
/* "none", "neutral", … */
const char *spf_code_name(enum spf_code code);
