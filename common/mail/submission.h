/* common/mail/submission.h: a message that enters the mail system here (RFC 6409 8): Date and
 * Message-ID are added where they are missing, Bcc goes.
 * Touches: nothing. Lines end in CR LF.
 *
 * Nothing else is changed, and what is added stands in front of all fields, so that a signature
 * of the client (RFC 6376) stays good. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/mail/fields.h"

struct submission {
	bool has_from, has_date, has_message_id, has_bcc;
	size_t header_bytes; /* of all fields */
};

/* Looks at the fields that message begins with. */
struct submission submission_look(struct slice message);
/* Is a field of that name Bcc or Resent-Bcc? */
bool submission_hides(struct slice name);
/* Appends the fields that are missing: "Date: …", "Message-ID: <id@hostname>". False: no room. */
bool submission_append_missing(const struct submission *s, struct slice id, struct slice hostname,
			       uint64_t at_us, struct buf *out);
/* Appends the fields of header but those that submission_hides. False: no room. */
bool submission_append_shown(struct slice header, struct buf *out);
