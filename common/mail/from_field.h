/* common/mail/from_field.h: the mailbox that a message's header says it is from (RFC 5322 3.6.2):
 * the one in From; where that has several, the one in Sender; without Sender, the first in From.
 * Touches: nothing. Memory: two mailboxes.
 *
 * None can be told where From is missing, stands twice, was cut, has no mailbox (an empty group),
 * or what it has is none. */
#pragma once

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

struct from_field {
	struct buf first, sender; /* as they are passed on; empty: none */
	unsigned n_from, n_sender;
	unsigned n_mailboxes; /* in From, wrong ones too */
};

void from_field_init(struct from_field *f);
/* Safe on a zeroed one. */
void from_field_fini(struct from_field *f);
/* Takes one field as header.h reports it; passes over those that are neither From nor Sender. */
void from_field_take(struct from_field *f, struct slice name, struct slice value, bool cut);
/* After the header: the mailbox, quoted only where it must be, the domain in lower-case A-labels;
 * empty: none can be told. It lives until from_field_fini. */
struct slice from_field_mailbox(const struct from_field *f);
