/* common/auth/dmarc.h: does the author's domain stand behind this message, and what does it ask if
 * not? RFC 9989, or RFC 7489, which it obsoletes.
 * Touches: nothing; DNS through
 * common/auth/answers.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/auth/answers.h"
#include "common/auth/dkim.h"
#include "common/auth/dmarc_record.h"
#include "common/auth/spf.h"
#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/mail/fields.h"

struct psl_ctx_st;

#define DMARC_AUTHORS_MAX 16u /* domains in one From field; RFC 7489 6.6.1 */

enum dmarc_result { DMARC_NONE, DMARC_PASS, DMARC_FAIL, DMARC_TEMPERROR, DMARC_PERMERROR };
const char *dmarc_result_word(enum dmarc_result r);

struct dmarc_ask {
	const struct fields *fields;
	const struct spf_result *spf; /* NULL: SPF counts as none */
	const struct dkim *dkim;      /* finished; NULL: there is none */
	bool by_list;		      /* RFC 7489 with the list of public suffixes; else the walk */
	const struct psl_ctx_st *list;
	unsigned chance; /* 0 to 99: this message's lot where pct= asks for one */
};

struct dmarc_verdict {
	enum dmarc_result result;
	struct slice author_domain, org_domain, policy_domain; /* empty: not known, none */
	struct dmarc_record record; /* where policy_domain is not empty */
	bool applies;		    /* policy is what the record asks for this domain */
	enum dmarc_policy policy, disposition;
	bool sampled; /* chance decided */
	bool spf_aligned;
	uint64_t dkim_aligned[2]; /* a bit for each signature, in their order */
	char reason[300];
};

/* One check; zeroed before first use; what comes out lives until dmarc_fini. */
struct dmarc {
	struct dmarc_ask ask;
	struct arena arena; /* of one run */
	struct buf *steps;  /* NULL, or a line for each step */
};

void dmarc_init(struct dmarc *d, const struct dmarc_ask *ask, struct buf *steps);
void dmarc_fini(struct dmarc *d);
/* True: *out is the verdict. False: answers wants more. */
MUST_USE bool dmarc_check(struct dmarc *d, struct answers *answers, struct dmarc_verdict *out);
bool dmarc_is_dkim_aligned(const struct dmarc_verdict *v, size_t i);
