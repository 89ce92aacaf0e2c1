/* common/base/mdoc.h: text of our tables on its way into a manual page (mdoc).
 * Touches: nothing. */
#pragma once

struct buf;

/* Appends text as lines of a page, a sentence each, with LF behind the last: a backslash, and a dot or an apostrophe at a line's beginning, would be a
 * request of mdoc and are escaped. Whether there was room out says (buf.h). */
void mdoc_append(struct buf *out, const char *text);
