/* smtpd/policy.h: who may send to whom: pure functions from facts and settings to a verdict.
 * Touches: nothing. Of the settings it reads auth_sender, local_sender and null_sender.
 *
 * "Local" is a domain of ours. The table, in the order of its questions:
 *
 *	this host    a program of it, at public/submit      goes on
 *	logged in    reverse-path null or the user's own    goes on
 *	             any other                              550 5.7.1, unless auth_sender = any
 *	not          from a local domain, client no relay   550 5.7.1, unless it goes to a domain of
 *	                                                    ours, SPF passes and local_sender = spf
 *	             from elsewhere to elsewhere            550 5.7.1
 *	             null reverse-path, client a relay      goes on: it counts as the relay's domain
 *	             null reverse-path to elsewhere         550 5.7.1
 *	             any other null reverse-path            550 5.7.1 with null_sender = reject
 *	             else                                   goes on
 *	recipient    unknown                                550 5.1.1
 *	             switched off                           550 5.2.1
 *	             else                                   taken
 *
 * Where logging in would help, a 550 5.7.1 for who has not is a 530 5.7.0. Null reverse-paths are
 * judged here and not at MAIL: what they have to do with a relay is known at RCPT, and the log then
 * says which recipient has missed a notice. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/conf/settings.h"
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
	bool spf_pass; /* the client passes SPF of the reverse-path's domain; false: not asked */
};

/* May this client send as the reverse-path to where the recipient is, whoever that is there? False:
 * *no is the refusal. */
MUST_USE bool policy_sender(const struct policy_facts *f, const struct settings *conf,
			    struct reply *no);
/* Is this recipient taken? policy_sender first. False: *no is the refusal. */
MUST_USE bool policy_recipient(const struct policy_facts *f, const struct settings *conf,
			       struct reply *no);
