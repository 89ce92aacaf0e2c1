/* common/auth/signature.h: one signature over fields and body as it stands in a header:
 * DKIM-Signature (RFC 6376 3.5) and, with other rules for v= and i=, ARC-Message-Signature (RFC
 * 8617 4.1.2).
 * Touches: nothing; DNS through common/auth/answers.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/auth/answers.h"
#include "common/auth/canon.h"
#include "common/auth/dkim_key.h"
#include "common/auth/tags.h"
#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/mail/fields.h"

/* What a verdict comes to (RFC 6376 3.9; RFC 8601 2.7.1 has the words). */
enum dkim_verdict {
	DKIM_VERDICT_NONE,
	DKIM_VERDICT_PASS,
	DKIM_VERDICT_FAIL,
	DKIM_VERDICT_TEMPERROR,
	DKIM_VERDICT_PERMERROR,
	DKIM_VERDICT_POLICY
};
const char *dkim_verdict_word(enum dkim_verdict v);

enum signature_kind { SIGNATURE_DKIM, SIGNATURE_ARC_MESSAGE };

struct signature {
	const struct field *field;
	struct tags tags;
	struct slice d, s, i, a, h,
		b; /* as published, p NULL: not there or unreadable; h: the list */
	bool has_l, has_t, has_x;
	uint64_t l, t, x;
	enum canon head, body;
	enum dkim_algorithm algorithm;
	int place;		   /* of its body's digest */
	enum dkim_code code;	   /* DKIM_OK until something is found */
	enum dkim_verdict verdict; /* NONE: not known yet */
	unsigned bits;
	bool testing;
	uint64_t unsigned_octets; /* of the canonical body, left out by l= */
	char reason[200];
};

/* Reads the field; what is wrong with it is its code, and its verdict stands then (RFC 6376 6.1.1).
 * now_s: for x=. Wants its body's digest of bodies. */
void signature_read(enum signature_kind kind, const struct field *field, uint64_t now_s,
		    struct canon_bodies *bodies, struct signature *out);
/* Says why it does not count. */
void signature_refuse(struct signature *s, enum dkim_code code, const char *reason);
/* Its key is asked for; as soon as it is read, the sooner the better. */
void signature_want_key(const struct signature *s, struct answers *answers);
/* With the body's end reached: the verdict. False: its key is not there yet. */
MUST_USE bool signature_verify(struct signature *s, const struct fields *fields,
			       const struct canon_bodies *bodies, struct answers *answers);
/* Appends "selector._domainkey.domain". False: no room. */
bool signature_key_name(const struct signature *s, struct buf *out);
/* Is sub domain, or below it? */
bool signature_domain_within(struct slice sub, struct slice domain);
