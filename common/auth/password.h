/* common/auth/password.h: does a password fit what the database keeps of it? The strings are Dovecot's, {SCHEME}hash:
 *
 *	{SHA256.HEX}hex, or 64 hexadecimal digits alone       SHA-256 without salt
 *	{SCRAM-SHA-256}count,salt,StoredKey,ServerKey         RFC 7677, the three in base64
 *	{SHA512-CRYPT} {BLF-CRYPT} {CRYPT}                    what crypt(3) makes of it, yescrypt included
 *
 * Touches: nothing; thread-safe. Takes milliseconds to a second: for the pool. Hashes are compared in constant time. */
#pragma once

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

enum password_verdict {
	PASSWORD_RIGHT,
	PASSWORD_WRONG,
	PASSWORD_UNUSABLE, /* what is kept is of no scheme that we know, or damaged */
};

#define PASSWORD_SCRAM_COUNT_MAX 1000000

/* kept NULL or empty: nobody logs in; wrong. A password with a NUL is wrong. */
enum password_verdict password_verify(struct slice kept, struct slice password);

/* How often a new password is hashed: some ten milliseconds, at each login too. RFC 7677 4 asks for 4,096 at least. */
#define PASSWORD_SCRAM_COUNT 15000

/* Appends {SCRAM-SHA-256}… of a password, with a salt of its own. Fails: permanent, 5.5.4, when it is empty or holds a NUL; temporary when memory is out. */
MUST_USE bool password_make(struct slice password, struct buf *out, struct fault *why);
