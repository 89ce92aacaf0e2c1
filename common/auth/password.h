/* common/auth/password.h: does a password fit what the database keeps of it? The strings are
 * Dovecot's, {SCHEME}hash:
 *
 *	{SHA256.HEX}hex, or 64 hexadecimal digits alone       SHA-256 without salt
 *	{SCRAM-SHA-256}count,salt,StoredKey,ServerKey         RFC 7677, the three in base64
 *	{SHA512-CRYPT} {BLF-CRYPT} {CRYPT}                    what crypt(3) makes of it, yescrypt
 * included
 *
 * Touches: nothing; thread-safe. Takes milliseconds to a second: for the pool. Hashes are compared
 * in constant time. */
#pragma once

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

enum password_verdict {
	PASSWORD_RIGHT,
	PASSWORD_WRONG,
	PASSWORD_UNUSABLE, /* what is kept is of no scheme that we know, or damaged, or asks for
			      more than the limits; or memory is out */
};

/* The most that a kept string may ask for. Dovecot makes ARGON2ID with 64 or 256 MiB and 3 passes.
 */
#define PASSWORD_SCRAM_COUNT_MAX 1000000
#define PASSWORD_CRYPT_ROUNDS_MAX 1000000
#define PASSWORD_BCRYPT_COST_MAX 16
#define PASSWORD_MEMORY_MAX_KIB (256u << 10)	  /* Argon2 and yescrypt */
#define PASSWORD_ARGON2_PASSES_KIB_MAX (4u << 20) /* passes times memory */
#define PASSWORD_ARGON2_LANES_MAX 16

/* kept NULL or empty: nobody logs in; wrong. A password with a NUL is wrong. */
enum password_verdict password_verify(struct slice kept, struct slice password);

/* How often a new password is hashed: some ten milliseconds, at each login too. RFC 7677 4 asks for
 * 4,096 at least. */
#define PASSWORD_SCRAM_COUNT 15000

/* Appends {SCRAM-SHA-256}… of a password, with a salt of its own. Fails: permanent, 5.5.4, when it
 * is empty or holds a NUL; temporary when memory is out. */
MUST_USE bool password_make(struct slice password, struct buf *out, struct fault *why);
/* Is it kept in a form that shall stay? False: a hash without salt, SCRAM with less than RFC 7677
 * 4's count, or one of crypt(3)'s other than SHA-512, bcrypt, scrypt and yescrypt. True for what
 * password_verify does not know. */
bool password_is_strong(struct slice kept);
