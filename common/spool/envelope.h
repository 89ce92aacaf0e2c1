/* common/spool/envelope.h: a message's envelope (RFC 5321 2.3.1) as it stands in the spool file: text records, one a line.
 * Touches: nothing.
 *
 *	from ann@example.org          the reverse-path, once; "from " alone is the null reverse-path
 *	client 192.0.2.1              absent: made here
 *	helo, client_name, user       as far as known
 *	body 8bitmime                 RFC 6152; absent: 7bit
 *	smtputf8 yes                  RFC 6531; absent: no
 *	spam yes                      marked as spam when it was received; absent: no
 *	ret, envid                    RFC 3461 4.3, 4.4
 *	to bob@example.com            a forward-path; the records behind it up to the next `to` are about it:
 *	notify, orcpt                 RFC 3461 4.1, 4.2
 *	mailbox sent                  `to` is a user, and this copy is for that mailbox of theirs; absent: where their mail goes
 *
 * A record is a key, a space, a value, LF; in a value, octets below SP, DEL and % stand as %XX. What is about the message stands before the first `to`. A record
 * with an unknown key is kept out of the way, not an error, so that a later version's file can be read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/address.h"
#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

struct envelope_recipient {
	struct slice forward_path; /* without <> */
	struct slice notify, orcpt; /* RFC 3461 4.1, 4.2, as given; empty: not given */
	struct slice mailbox;       /* empty: not given */
};

struct envelope {
	struct slice reverse_path; /* without <>; empty: null */
	struct ip client;          /* family 0: not known (made here) */
	struct slice helo, client_name, user;
	struct slice ret, envid; /* RFC 3461 4.3, 4.4 */
	struct slice notice;     /* of what kind it is, where it was made here (queued/notice.h); empty: it is none */
	bool eight_bit, utf8, spam;
	struct envelope_recipient *recipients;
	size_t n_recipients;
};

#define ENVELOPE_PATH_MAX 1000 /* octets of a reverse-path or forward-path; RFC 5321 4.5.3.1.3 has 256 */

/* Appends the records. False: no room. The paths are our own and not longer than ENVELOPE_PATH_MAX. */
bool envelope_encode(const struct envelope *e, struct buf *out);
/* Reads them; what needs it is copied (unescaped) into arena, the rest points into block. Fails: permanent, which line is wrong (a key twice or in the wrong place,
 * no `from`, no `to`, a path that is too long or a forward-path that is empty); temporary, the arena is full. At least one recipient. */
MUST_USE bool envelope_decode(struct slice block, struct arena *arena, struct envelope *out, struct fault *why);
