/* common/auth/canon.h: what a signature is made over: header fields and body as RFC 6376 3.4 makes
 * them canonical.
 * Touches: nothing; digests by OpenSSL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct evp_md_ctx_st;

enum canon { CANON_SIMPLE, CANON_RELAXED };

/* Appends the field (raw: as in fields.h, without its last CR LF) and CR LF. False: no room. */
bool canon_field(enum canon c, struct slice raw, struct buf *out);
/* The same for a signature's own field: what its b= holds (b: between '=' and ';', within raw) is
 * left out, and no CR LF follows. */
bool canon_signature(enum canon c, struct slice raw, struct slice b, struct buf *out);

#define CANON_ALL UINT64_MAX
#define CANON_BODIES_MAX 24

/* The digests of one body, in each form that some signature wants, made in one pass as it streams
 * by. */
struct canon_body {
	enum canon form;
	uint64_t limit; /* canonical octets that count (l=), CANON_ALL */
	uint64_t n;	/* canonical octets so far */
	uint64_t hashed;
	struct evp_md_ctx_st *digest;
	uint64_t n_empty; /* CR LFs that count only if something comes behind them */
	bool blank; /* relaxed: a run of blanks that counts only if something comes behind it in the
		       line */
	bool cr;    /* a CR whose LF may follow */
	bool any;   /* an octet has come */
};
struct canon_bodies {
	struct canon_body all[CANON_BODIES_MAX];
	size_t n;
	bool failed; /* OpenSSL has no memory: no digest counts */
};

void canon_bodies_init(struct canon_bodies *b);
void canon_bodies_fini(struct canon_bodies *b);
/* The place of that digest, shared by all who want the same; -1: there are too many. Before the
 * body comes. */
int canon_bodies_want(struct canon_bodies *b, enum canon form, uint64_t limit);
/* The next octets of the body, in any pieces. */
void canon_bodies_feed(struct canon_bodies *b, struct slice octets);
/* The body is over. */
void canon_bodies_end(struct canon_bodies *b);
/* SHA-256 of one; false: there is none. After the end. */
MUST_USE bool canon_bodies_digest(const struct canon_bodies *b, int place, uint8_t out[32]);
