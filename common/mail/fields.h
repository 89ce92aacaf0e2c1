/* common/mail/fields.h: a message's header in memory, cut into its fields, each as it stands there:
 * what signatures are made over.
 * Touches: nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;

struct field {
	struct slice name;  /* without colon and the blanks before it */
	struct slice raw;   /* the whole field, CR LF of folded lines in it, without the last one */
	struct slice value; /* behind the colon, to the end of raw */
};

struct fields {
	struct field *all; /* the topmost first; in the arena */
	size_t n;
	size_t length; /* octets of the header, with the empty line at its end */
};

/* Cuts the first field off *rest: with its folded lines and its last CR LF; name without colon.
 * False: the header is over, and *rest stands at the empty line, or at the line that can be no
 * field's and so belongs to the body (as in header.h), or is empty. */
bool field_next(struct slice *rest, struct slice *field, struct slice *name);
/* What stands behind the colon, without the blanks and line ends around it. */
struct slice field_value(struct slice field);

/* Reads the header that message begins with (RFC 5322 2.2); a line that is no field's ends it as an
 * empty one does, as in header.h. What comes out points into message. Fails, temporary: the arena
 * is full. */
MUST_USE bool fields_read(struct slice message, struct arena *arena, struct fields *out,
			  struct fault *why);
