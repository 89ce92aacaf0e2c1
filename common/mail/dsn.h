/* common/mail/dsn.h: the parameters of delivery status notifications in SMTP (RFC 3461 4): what was asked for, xtext, ORCPT.
 * Touches: nothing. */
#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

/* What a sender wants to hear of one recipient. */
enum dsn_notify { DSN_SUCCESS = 1, DSN_FAILURE = 2, DSN_DELAY = 4 };

#define DSN_NOTIFY_MAX 28 /* octets of a value of NOTIFY that we make */
#define DSN_ENVID_MAX 100
#define DSN_ORCPT_MAX 500

/* The value of NOTIFY (RFC 3461 4.1) as a set of enum dsn_notify; NEVER is none of them, and without a value it is FAILURE and DELAY. Words that are not known do not count. */
unsigned dsn_notify_read(struct slice value);
/* The value for a set, "NEVER" for none. */
const char *dsn_notify_text(unsigned notify);

/* Appends the octets that an xtext stands for (RFC 3461 4); what is no right xtext stays as it is. False: no room. */
bool dsn_xtext_decode(struct slice xtext, struct buf *out);
/* Appends ORCPT's value for an address (RFC 3461 4.2): of the type rfc822, or utf-8 where it is not ASCII (RFC 6533 3). False: no room, and nothing is
 * appended. */
bool dsn_orcpt_make(struct slice address, struct buf *out);
