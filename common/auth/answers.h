/* common/auth/answers.h: what DNS says about the names that one check needs.
 * Touches: nothing. Whoever runs a check asks DNS for it, by resolvd (smtpd) or by itself (`tassis
 * test`).
 *
 * A check is written as if all answers were there: it goes over its input with answers_get, and
 * where that says NULL it goes on as far as it can without, so that what is missing is asked for at
 * once. When all of that has come it runs again, from the beginning:
 *
 *	while (!spf_check(&spf, &answers, &result))
 *		each answers_next → ask DNS → answers_put
 *
 * However hostile the records, a check asks ANSWERS_MAX questions at most and keeps what the limit
 * allows; beyond, an answer is DNS_FAILED: the check ends for now, not for good. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/base/table.h"
#include "common/ipc/messages.h"

#define ANSWERS_MAX 400

struct answer {
	enum dns_outcome outcome;
	bool authentic;
	struct slice records; /* dns_record records, as dns_answer has them */
};

struct answers {
	struct arena arena;
	struct table table;
	struct list wanted; /* to be handed out */
	size_t n;	    /* questions, whether answered or not */
};

/* Empty; limit_bytes: of names and records together. */
void answers_init(struct answers *a, size_t limit_bytes);
void answers_fini(struct answers *a);
/* The answer, valid until answers_fini; NULL: not known yet, and noted as wanted. What is no name
 * that DNS can be asked for (RFC 1035 2.3.4: an empty label, one over 63 octets, over 253 in all)
 * does not exist. The dot at a name's end and the case of letters make no difference. */
const struct answer *answers_get(struct answers *a, struct slice name, uint16_t type);
/* The next question that nobody has been given yet; name lives until answers_fini. False: there is
 * none. */
MUST_USE bool answers_next(struct answers *a, struct slice *name, uint16_t *type);
/* The answer to one that was handed out; records are copied. Any other is passed over. */
void answers_put(struct answers *a, struct slice name, uint16_t type, const struct answer *answer);
