/* common/mail/reply.h: an SMTP reply (RFC 5321 4.2): code, enhanced status (RFC 2034), text,
 * always together.
 * Touches: nothing. A reply is a value; it owns no memory. Set where the error happens, never put
 * together later. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

#define REPLY_STATUS_MAX 12
#define REPLY_TEXT_MAX 1024

struct reply {
	uint16_t code;		       /* 200 to 599 */
	char status[REPLY_STATUS_MAX]; /* "2.1.0"; "" where there is none */
	char text[REPLY_TEXT_MAX];     /* lines, LF between them; no other control character */
};

/* Fills r. status "" where RFC 2034 wants none (greeting, EHLO, 3yz). A text that is too long is
 * cut. */
void reply_set(struct reply *r, unsigned code, const char *status, const char *template, ...)
	PRINTF_LIKE(4, 5);
/* The reply that says why: its status and sentence behind code. Where the first digits of both
 * differ, the code's counts. */
void reply_set_fault(struct reply *r, unsigned code, const struct fault *why);
static inline bool reply_is_positive(const struct reply *r)
{
	return r->code < 400;
}
static inline bool reply_is_permanent(const struct reply *r)
{
	return r->code >= 500;
}

/* Appends it as it goes over the wire: a line for each line of text, each with code and status,
 * each at most 512 octets. False: no room. */
bool reply_encode(const struct reply *r, struct buf *out);
/* Appends "550 5.1.1 no such user", lines joined by a space: for logs. */
bool reply_print(const struct reply *r, struct buf *out);

/* What a server has sent so far of one reply. */
enum reply_read {
	REPLY_MORE, /* octets are missing */
	REPLY_DONE, /* *r is whole; *input goes on behind it */
	REPLY_BAD,  /* it is none */
};
/* Takes one whole reply off *input, multi-line ones too, or nothing. Lines may end in LF alone; a
 * line over 4,096 octets or a reply over 64 KiB is REPLY_BAD. The status is that of the first line,
 * when its class agrees with the code; text is cut at REPLY_TEXT_MAX, other control characters
 * become '?'. */
enum reply_read reply_read(struct slice *input, struct reply *r);
