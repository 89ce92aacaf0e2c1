/* smtpd/questions.h: what a session's checks want to know of DNS, asked of resolvd, all that is
 * known to be needed at once.
 * Touches: resolvd, by asks of their own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/auth/answers.h"
#include "common/base/list.h"

struct session;

struct questions {
	struct session *session;
	struct answers answers; /* of all checks of this message */
	struct list open;	/* asks under way */
	bool given_up;		/* what is asked from here on has no answer */
};

void questions_init(struct questions *q, struct session *s);
/* Answers that are still to come find nobody. */
void questions_fini(struct questions *q);
/* Asks for everything that is wanted and was not asked for yet. When all of it has come, and the
 * session waits for that in its step, it is woken. */
void questions_ask(struct questions *q);
/* Is nothing under way? */
bool questions_are_answered(const struct questions *q);
/* The time is over: what is open, and what is wanted from here on, has no answer. */
void questions_give_up(struct questions *q);
