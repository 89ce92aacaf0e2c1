/* common/mail/header.h: the header of a message (RFC 5322 2.2) as it streams by: fields, how many
 * Received, where it ends.
 * Touches: nothing outside itself. Memory: one field at a time, up to the maximum given; what is
 * longer is cut, never refused.
 *
 * A line that can be no field's (no colon, nothing or a blank before it) ends the header as an
 * empty line does: it belongs to the body. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

/* One whole field. name without colon; value without the blanks around it, CR LF of folded lines
 * left in; cut: octets are missing at its end. Both live until this returns. */
typedef void header_field_fn(void *arg, struct slice name, struct slice value, bool cut);

struct header {
	struct buf field; /* the field so far, as it stands in the message */
	header_field_fn *fn;
	void *arg;
	uint32_t n_fields;
	uint32_t n_received; /* RFC 5321 6.3: what tells a loop */
	bool at_start;	     /* of a line */
	bool after_cr;	     /* at a line's start, a CR came */
	bool cut;
	bool ended; /* the rest is body */
};

/* How long the name is at the beginning of field (RFC 5322 2.2; blanks before the colon are RFC
 * 5322 4.5's obsolete form), or SIZE_MAX: it is no field. */
size_t header_name_length(struct slice field);

/* Does the field begin as rule, "NAME: BEGINNING", says? The name is the same and the value begins
 * so, both without regard to case; folded lines count as one (RFC 5322 2.2.3), HT as SP. Blanks
 * around the rule's parts do not count; without a beginning each field of that name does it. A
 * rule without a colon fits nothing. */
bool header_field_begins(struct slice rule, struct slice name, struct slice value);

/* field_max: octets of one field that are kept, at least 16. fn may be NULL. */
void header_init(struct header *h, size_t field_max, header_field_fn *fn, void *arg);
void header_fini(struct header *h);
/* Reads on; content has been through lines.h, in any pieces. Costs nothing once ended. */
void header_feed(struct header *h, struct slice content);
/* The message is over: reports the last field when there was no body. */
void header_end(struct header *h);
