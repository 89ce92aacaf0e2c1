/* common/mail/path.h: reverse-paths, forward-paths and mailboxes as RFC 5321 4.1.2 writes them,
 * and how they compare.
 * Touches: libidn2 (domain_to_ascii alone), which has its only home here.
 *
 * Parsers take slices and return slices into their input. Local parts up to 256 octets and paths
 * up to 1,000 are taken (RFC 5321 4.5.3.1 asks for 64 and 256; what mailing lists make of an
 * address is longer). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/address.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

#define PATH_MAX_BYTES 1000
#define LOCAL_PART_MAX_BYTES 256
#define DOMAIN_MAX_BYTES 255

enum path_flag {
	PATH_NULL = 1,	     /* "<>" is one too: the null reverse-path */
	PATH_POSTMASTER = 2, /* "<Postmaster>" without a domain is one too, RFC 5321 4.1.1.3 */
	PATH_UTF8 = 4,	     /* RFC 6531 3.3: local part and domain may hold UTF-8 */
};

struct path {
	struct slice mailbox; /* "bob@example.com" as written, without <> and source route; empty:
				 the null reverse-path */
	struct slice local_part; /* as written, with its quotes */
	struct slice domain;	 /* as written, "[192.0.2.1]" with its brackets; empty: Postmaster
				    without a domain, or null */
	bool quoted;		 /* the local part is a quoted string */
	bool utf8;		 /* an octet outside ASCII is in it */
	struct ip literal;	 /* of an address literal, RFC 5321 4.1.3; else family 0 */
};

/* Takes "<…>" off the front of *rest. A source route in it is skipped (RFC 5321 appendix C). Fails,
 * permanent, 5.1.3: what is wrong. */
MUST_USE bool path_parse(struct slice *rest, unsigned flags, struct path *out, struct fault *why);
/* All of s is a mailbox, without <>; "" with PATH_NULL. Fails as above. */
MUST_USE bool mailbox_parse(struct slice s, unsigned flags, struct path *out, struct fault *why);

/* Appends the mailbox as it should be passed on: quoted only where it must be (RFC 5321 4.1.2), the
 * domain lower-case A-labels; the local part's case stays. False: no room, or the domain has no
 * A-label form. */
bool path_append(const struct path *p, struct buf *out);
/* Appends the local part as it is compared where the mailbox is ours: quotes and backslashes gone,
 * ASCII letters lower-case. False: no room. */
bool local_part_fold(struct slice local_part, struct buf *out);

/* Is it a domain name: labels of letters, digits, hyphens (and underscores, which are met in the
 * wild), 63 octets each, 255 in all? utf8: U-labels too. */
bool domain_is_valid(struct slice domain, bool utf8);
/* Does it have a dot, and a last label that is not all digits? */
bool domain_is_full(struct slice domain);
/* Is it "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 4.1.3)? */
bool address_literal_parse(struct slice s, struct ip *out);
/* Appends domain as lower-case A-labels (RFC 5891, UTS 46, not transitional), without a dot at its
 * end. ASCII goes a short way without libidn2. Fails, permanent, 5.1.2: it is no domain name; out
 * is as before. */
MUST_USE bool domain_to_ascii(struct slice domain, struct buf *out, struct fault *why);
