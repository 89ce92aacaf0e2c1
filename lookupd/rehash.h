/* lookupd/rehash.h: a password that is kept in a weak form is kept as SCRAM-SHA-256 after a good
 * login (auth_rehash).
 *
 * Touches: the pool of passwords; PostgreSQL, where the function rewrite_password
 * (schema/0004-passwords-mailboxes.sql) does it. */
#pragma once

#include "common/base/slice.h"

struct lookupd;

/* user: the whole name; kept is replaced only where it still stands there; password fits it. Copies
 * all three. Nobody waits for it: a success and a failure are logged, and after a failure the next
 * login tries again. */
void rehash_begin(struct lookupd *d, struct slice user, struct slice kept, struct slice password);
