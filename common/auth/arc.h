/* common/auth/arc.h: what those who handed the message on say of it: the chain of ARC sets (RFC
 * 8617).
 * Touches: nothing; DNS through common/auth/answers.h.
 *
 *	arc_begin     when the header is there
 *	canon_bodies_feed … canon_bodies_end     while the body streams by
 *	arc_finish    the verdict, as soon as the keys are there */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/auth/answers.h"
#include "common/auth/canon.h"
#include "common/auth/signature.h"
#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/mail/fields.h"

struct fault;

#define ARC_SETS_MAX 50u /* RFC 8617 4.2.1 */

enum arc_result { ARC_NONE, ARC_PASS, ARC_FAIL };
#define ARC_CODES(C)                                                                               \
	C(OK, "ok")                                                                                \
	C(ABSENT, "none") C(COUNT, "count") C(STRUCTURE, "structure") C(CV, "cv") C(AMS, "ams")    \
		C(SEAL, "seal") C(DNS, "dns")
enum arc_code {
#define C(name, word) ARC_CODE_##name,
	ARC_CODES(C)
#undef C
};
const char *arc_code_word(enum arc_code code);
const char *arc_result_word(enum arc_result r);

struct arc_set {
	const struct field *aar, *ams_field, *seal_field;
	struct signature ams;
	bool ams_checked;
	struct tags seal;	  /* the tags of ARC-Seal */
	struct slice cv, d, s, a; /* of the seal */
	enum dkim_algorithm algorithm;
	enum dkim_verdict seal_verdict; /* NONE: not checked */
	char reason[200];		/* of the seal */
};

struct arc {
	const struct fields *fields; /* borrowed */
	struct arc_set *sets;	     /* i=1 first; in the arena */
	size_t n;		     /* 0: there is no chain, or it cannot be read */
	enum arc_result result;
	enum arc_code code;
	bool done;	      /* the result stands without DNS */
	bool temporary;	      /* it failed because DNS did not answer, and for no other reason */
	unsigned oldest_pass; /* with ARC_PASS: the lowest instance whose message signature still
				 verifies, 0: all do */
	char reason[240];
};

/* Reads the sets of the message with these fields; arena and fields outlive a. Fails, temporary:
 * the arena is full. */
MUST_USE bool arc_begin(struct arc *a, const struct fields *fields, uint64_t now_s,
			struct canon_bodies *bodies, struct answers *answers, struct arena *arena,
			struct fault *why);
/* After the body's end. True: the result stands. False: answers wants more. */
MUST_USE bool arc_finish(struct arc *a, const struct canon_bodies *bodies, struct answers *answers);
