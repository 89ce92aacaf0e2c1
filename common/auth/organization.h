/* common/auth/organization.h: where a domain's policy stands, and which domain is the
 * organization's: by a walk up the tree of DNS (RFC 9989 4.10), or by the list of public suffixes
 * (RFC 7489 3.2).
 * Touches: DNS through common/auth/answers.h; libpsl, with the list that is built
 * into it or that Debian keeps up to date. */
#pragma once

#include <stdbool.h>

#include "common/auth/answers.h"
#include "common/auth/dmarc_record.h"
#include "common/base/attributes.h"
#include "common/base/slice.h"

#define WALK_MAX 8u /* queries of one walk, RFC 9989 4.10 */

struct psl_ctx_st;

enum organization_known {
	ORGANIZATION_KNOWN,
	ORGANIZATION_WAITS,  /* answers wants more */
	ORGANIZATION_FAILED, /* DNS did not answer */
};

struct organization {
	struct slice domain; /* the organizational domain, a part of the one that was asked about */
	struct slice policy_domain; /* where record was found: the domain itself, the
				       organization's, or a public suffix's; empty: there is none */
	struct dmarc_record record;
};

/* domain in lower-case A-labels, without a dot at its end; it outlives out. */
MUST_USE enum organization_known organization_by_walk(struct slice domain, struct answers *answers,
						      struct organization *out);
/* The same by the list. */
MUST_USE enum organization_known organization_by_list(const struct psl_ctx_st *list,
						      struct slice domain, struct answers *answers,
						      struct organization *out);

/* The newest list there is: Debian's, else the one built in; NULL: there is none. Opens a file:
 * before a chroot. The caller frees it. */
struct psl_ctx_st *organization_list_open(void);
void organization_list_close(struct psl_ctx_st *list);
