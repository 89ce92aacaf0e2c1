/* common/mail/address_list.h: the addresses in a To, Cc or Bcc field (RFC 5322 3.4): names,
 * comments, quoted strings, groups, and what people write instead.
 * Touches: nothing. */
#pragma once

#include "common/base/buf.h"
#include "common/base/slice.h"

enum address_found {
	ADDRESS_NONE, /* the list is over */
	ADDRESS_ONE,
	ADDRESS_BAD, /* what stands up to the next comma is no address, or memory is out */
};

/* Takes the next address off *list, folded or not. On ADDRESS_ONE out (emptied before) holds what
 * would stand between < and >: no comments, no blanks; whether it is a mailbox is not looked at
 * (mailbox_parse does that), and it may have no domain. Empty groups and empty elements are passed
 * over. */
enum address_found address_list_next(struct slice *list, struct buf *out);
