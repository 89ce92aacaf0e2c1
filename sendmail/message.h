/* sendmail/message.h: the message on standard input, made one that can go: CR LF at the end of each
 * line, and the fields that it lacks.
 * Touches: the descriptor given. All of it is held in memory, so that it can go another way when
 * the first fails.
 *
 * Lines may end in LF or CR LF. A CR elsewhere is a line's end too in the body (what shows progress
 * on a terminal writes such), and a blank in the header, where it must not make a field. What
 * begins without a header gets an empty line before it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

#define MESSAGE_HEADER_MAX ((size_t)256 << 10) /* as smtpd has it */

struct message {
	struct buf header; /* fields alone, each with its CR LF */
	struct buf body;   /* behind the empty line */
	bool eight_bit;
};

/* Reads to the end of the input or, unless dot_is_text, to a line with a dot alone. max: octets of
 * the message. The caller fini's m in any case. Fails: permanent, too large (5.3.4); temporary,
 * reading failed. */
MUST_USE bool message_read(int fd, bool dot_is_text, uint64_t max, struct message *m,
			   struct fault *why);
void message_fini(struct message *m);

/* Who sends it, for a From field that is missing. */
struct author {
	struct slice address;	/* user@host */
	struct slice full_name; /* may be empty */
};

/* Gives header its final form: without Bcc, with From, Date and Message-ID where they were missing.
 * Fails: temporary, no memory. */
MUST_USE bool message_complete(struct message *m, const struct author *from, struct slice id,
			       struct slice hostname, uint64_t at_us, struct fault *why);
/* Appends "Ann Other" as a display-name (RFC 5322 3.4), quoted or encoded (RFC 2047 5) where it
 * must be; nothing where it is too long for that. */
bool message_append_name(struct slice name, struct buf *out);
