/* common/auth/results.h: the field in which a host says what its checks found:
 * Authentication-Results (RFC 8601), and Received-SPF (RFC 7208 9.1).
 * Touches: nothing. */
#pragma once

#include <stdbool.h>

#include "common/auth/arc.h"
#include "common/auth/dkim.h"
#include "common/auth/dmarc.h"
#include "common/auth/spf.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

/* What was found; each may be NULL: then nothing is said of it. */
struct results {
	struct slice name; /* the authserv-id */
	const struct spf_result *spf;
	struct slice reverse_path, helo;
	struct ip client;
	struct slice
		client_name; /* as DNS says it both ways; empty: it has none (iprev, RFC 8601 3) */
	const struct dkim *dkim;
	const struct arc *arc;
	const struct dmarc_verdict *dmarc;
};

/* Appends the fields, with CR LF. False: no room. */
bool results_append(const struct results *r, struct buf *out);
bool results_append_received_spf(const struct results *r, struct buf *out);
/* Does the field with this value (behind the colon) claim to be from name? What cannot be read does
 * too, when it begins with that name. */
bool results_are_of(struct slice value, struct slice name);
/* Does the value of ARC-Authentication-Results say that method came to result: "dmarc", "pass"? */
bool results_say(struct slice value, struct slice method, struct slice result);
