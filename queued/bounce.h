/* queued/bounce.h: the text of a notice (RFC 3461 6, RFC 3464): for people first, then for programs, then what it is about.
 * Touches: nothing. What others said (replies, addresses, header fields) cannot break its form: control characters go, lines are folded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct template;

/* RFC 3464 2.3.3. */
enum bounce_action { BOUNCE_FAILED, BOUNCE_DELAYED, BOUNCE_DELIVERED, BOUNCE_RELAYED, BOUNCE_EXPANDED };

/* What became of one recipient. */
struct bounce_recipient {
	enum bounce_action action;
	struct slice forward_path;
	struct slice original_path; /* as the sender gave it; it may be the same */
	struct slice orcpt;         /* RFC 3461 4.2, or empty */
	struct slice status;        /* RFC 3463 */
	struct slice reply;         /* the far end's words, or our reason */
	struct slice host;          /* who said it; empty: ourselves */
	uint64_t at_us;
	bool expired; /* given up after queue_lifetime, not refused */
};

struct bounce {
	const struct template *words;
	struct slice hostname;
	struct slice postmaster; /* with or without domain */
	struct slice id;         /* the notice's */
	uint64_t made_us;
	struct slice about;      /* the id of the message that it is about */
	uint64_t received_us;
	uint64_t until_us;         /* when it is given up; in a notice of a delay */
	struct slice to;           /* whom the notice goes to */
	struct slice envid;        /* RFC 3461 4.4, or empty */
	struct slice content;      /* the message's header fields, CRLF line ends, or the message; empty: not to be had */
	bool whole;                /* it is the message */
	bool utf8;                 /* its header fields are UTF-8 (RFC 6532) */
	const struct bounce_recipient *recipients;
	size_t n_recipients;
};

/* Must the notice go with SMTPUTF8 (RFC 6533 4)? An address in it is not ASCII, or the message was so. */
bool bounce_is_utf8(const struct bounce *b);
/* Appends the whole notice, CRLF line ends: multipart/report (RFC 6522) with the words, the machine's part, and the header fields or the message. Where an address is
 * not ASCII the machine's part is as RFC 6533 has it. False: no room. */
MUST_USE bool bounce_compose(const struct bounce *b, struct buf *out);
