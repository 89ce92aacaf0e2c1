/* queued/bounce.h: the text of a notice to a sender whose message failed (RFC 3464), for people first.
 * Touches: nothing. What others said (replies, addresses, header fields) cannot break its form: control characters go, lines are folded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

/* One recipient that failed. */
struct bounce_recipient {
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
	struct slice hostname;
	struct slice postmaster; /* with or without domain */
	struct slice id;         /* the notice's */
	uint64_t made_us;
	struct slice about;      /* the id of the message that failed */
	uint64_t received_us;
	struct slice reverse_path; /* whom the notice goes to */
	struct slice envid;        /* RFC 3461 4.4, or empty */
	struct slice headers;      /* the message's header fields, CRLF line ends; empty: not to be had */
	const struct bounce_recipient *recipients;
	size_t n_recipients;
};

/* Appends the whole notice, CRLF line ends: multipart/report with the words, the machine's part and the header fields (RFC 3462). False: no room. */
MUST_USE bool bounce_compose(const struct bounce *b, struct buf *out);
