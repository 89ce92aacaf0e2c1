/* deliverd/local/subscription.h: the list of a Maildir's folders that mail programs show, as
 * Dovecot keeps it: the file `subscriptions` in the root.
 * Touches: that file, and `subscriptions.lock`, which is Dovecot's lock on it. Blocks: for the
 * pool. */
#pragma once

#include "common/base/slice.h"

/* Adds the folder of that name ("spam", "Lists.tassis": encoded as on the disk, '.' between its
 * parts) to the list in maildir, a path below root, unless it stands there. Waits a second for
 * others' locks. What fails is not told: the folder is there, and can be subscribed by hand. */
void subscription_add(int root, struct slice maildir, struct slice name);
