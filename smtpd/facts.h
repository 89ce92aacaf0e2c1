/* smtpd/facts.h: what lookupd knows of a reverse-path and a forward-path; what follows from it is
 * policy.h's to say.
 * Touches: lookupd, through the session's ask. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "smtpd/session.h"

struct fault;
struct policy_facts;

/* Asks; the answer is noted in the transaction and wakes step, which the session must wait in.
 * forward_path may be empty: about the sender alone. Copies both. Fails, temporary: nobody can be
 * asked. */
MUST_USE bool facts_ask(struct session *s, struct slice reverse_path, struct slice forward_path,
			enum session_step step, struct fault *why);
/* The facts that were answered. False: none came, or what came is no answer. */
MUST_USE bool facts_of(const struct session *s, struct policy_facts *f);
