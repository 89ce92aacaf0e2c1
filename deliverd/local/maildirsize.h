/* deliverd/local/maildirsize.h: the text of a Maildir++'s file maildirsize, as Dovecot's quota
 * backend `maildir` and Courier write it: a first line with the limits, then a line for each
 * change:
 *
 *	1000000S,100C	limits: octets, messages
 *	20480 3		the sum when the file was made
 *	1024 1		a message more
 *	-1024 -1	one less
 *
 * Touches: nothing; octets in, octets out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

#define MAILDIRSIZE_MAX 5120 /* octets; a file as long as that is made anew */

/* 0: no limit of that kind. */
struct quota {
	uint64_t bytes, messages;
};

struct maildirsize {
	struct quota limit, used;
	size_t n_lines; /* of changes; 1: nothing has been appended since it was made */
};

/* Reads the file; behind its last LF is a line that is being written, and not looked at. False: it
 * is damaged (no first line, another line that is not two numbers, a NUL, a sum below 0) and is to
 * be made anew. */
MUST_USE bool maildirsize_parse(struct slice text, struct maildirsize *out);
/* Appends the text of a new file: limit and used. False: no room. */
MUST_USE bool maildirsize_format(const struct maildirsize *m, struct buf *out);
