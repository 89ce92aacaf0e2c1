/* common/auth/dmarc_record.h: a domain's policy record as text (RFC 9989 4.7).
 * Touches: nothing. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

enum dmarc_policy { DMARC_POLICY_NONE, DMARC_POLICY_QUARANTINE, DMARC_POLICY_REJECT };
const char *dmarc_policy_word(enum dmarc_policy p);

enum dmarc_psd { DMARC_PSD_UNKNOWN, DMARC_PSD_YES, DMARC_PSD_NO };

struct dmarc_record {
	struct slice text; /* as published, its strings joined */
	bool usable;	   /* p, sp and np are valid, or rua is, and then it counts as p=none (RFC
			      9989 4.10.1) */
	enum dmarc_policy p, sp, np;
	bool has_sp, has_np;
	bool strict_dkim, strict_spf;
	bool testing;	  /* t=y */
	unsigned percent; /* RFC 7489 6.3 alone knows it */
	enum dmarc_psd psd;
};

/* Does text begin with v=DMARC1, as a policy record does? */
bool dmarc_record_is(struct slice text);
/* Reads one. A tag that makes no sense counts as if it were not there, but for p, sp and np. */
void dmarc_record_read(struct slice text, struct dmarc_record *out);
