/* deliverd/local/quota.h: how full a Maildir is: its file maildirsize, which Dovecot (quota =
 * maildir) reads and writes as well. All calls block: for the pool.
 * Touches: the files of one Maildir, by paths relative to mail_dir.
 *
 * The file is believed unless it is missing, damaged, as long as MAILDIRSIZE_MAX, or made for other
 * limits; or it says that there is no room, and has been appended to or is older than 15 minutes.
 * Then all that is in new/ and cur/ of the root and of every folder is counted, by the sizes in the
 * files' names where they are there, and the file is made anew: in tmp/, then renamed. A Maildir
 * that changes meanwhile is counted again, three times at most.
 *
 * Nothing is locked, and nothing is synced: what is lost in a crash, or counted twice when somebody
 * counts at the same instant, is right again after the next count, 500 messages later at most.
 * Deliveries under way at once are each asked alone, so all of them together may pass the limit. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "deliverd/local/maildirsize.h"

struct fault;

/* Is there room for a message of that size? Never in a mailbox that is full to the limit. Without
 * limit there is, and nothing is touched; a Maildir that is not there is empty. maildir: its path
 * below root. Fails: temporary, when its files cannot be read. */
MUST_USE bool quota_fits(int root, struct slice maildir, const struct quota *limit,
			 uint64_t size_bytes, bool *fits, struct fault *why);
/* A message of that size was put there: noted in maildirsize where it is there, limit or not. */
void quota_add(int root, struct slice maildir, uint64_t size_bytes);
