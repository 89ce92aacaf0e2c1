/* deliverd/local/mailbox.h: the folder that a mailbox's name stands for, as Dovecot names it.
 * Touches: nothing. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

/* Appends the folder's name in its Maildir: nothing for "" and "inbox" in any case, which are the
 * root; else '.' and the name, with '.' between its parts ('/' is one, too) and what is not ASCII
 * in the UTF-7 of IMAP (RFC 3501 5.1.3). A first part "inbox" becomes "INBOX". Fails,
 * temporary, 4.3.5, with out as it was: the name has an empty part, begins with '~' (Dovecot knows
 * no such mailbox), has control characters, is not UTF-8, or is longer than a file's name may be.
 */
MUST_USE bool mailbox_folder_name(struct slice mailbox, struct buf *out, struct fault *why);
