/* smtpd/policy.h: who may send to whom: one pure function from facts to a verdict.
 * Touches: nothing.
 *
 * "Local" is a domain of ours. The table, in the order of its questions:
 *
 *	this host    a program of it, at public/submit      goes on
 *	logged in    reverse-path not the user's own        550 5.7.1
 *	             else                                   goes on
 *	not          from a local domain, client no relay   550 5.7.1, 530 5.7.0 where logging in would help
 *	             from elsewhere to elsewhere            the same
 *	             null reverse-path to elsewhere         the same, unless the client is a relay
 *	             else                                   goes on
 *	recipient    unknown                                550 5.1.1
 *	             switched off                           550 5.2.1
 *	             else                                   taken */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/ipc/messages.h"
#include "common/mail/reply.h"

struct policy_facts {
	bool trusted;	      /* a program of this host: its sender is not asked about */
	bool authenticated;   /* the client has logged in */
	bool auth_would_help; /* it has not, and AUTH is offered, now or after STARTTLS */
	enum sender_kind sender;
	enum rcpt_kind recipient;
	bool relay; /* the client's address may send as the reverse-path's domain; with a null one,
		       as any */
	bool sender_owned; /* the reverse-path is one of the user's own */
};

/* Is this recipient taken? False: *no is the refusal. */
MUST_USE bool policy_recipient(const struct policy_facts *f, struct reply *no);
