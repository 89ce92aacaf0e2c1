/* queued/bounce_text.h: lines of a notice: others' words made harmless, folded, encoded.
 * Touches: nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

bool text_is_ascii(struct slice s);
/* A line, with its CR LF. */
void text_put(struct buf *out, const char *line);
/* Octets of others: control characters become spaces; other octets than ASCII '?' where it is not said that they are UTF-8. */
void text_put_clean(struct buf *out, struct slice s, bool utf8);
/* The words of s, folded, and CR LF; every line but the first, on which `used` octets stand already, begins with indent. */
void text_put_folded(struct buf *out, struct slice s, size_t used, const char *indent, bool utf8);
/* "NAME: TYPE" and the words of value, as a header field or one of message/delivery-status. */
void text_put_field(struct buf *out, const char *name, const char *type, struct slice value, bool utf8);
void text_put_date(struct buf *out, const char *before, uint64_t at_us);
/* A header field of our own words; as encoded words (RFC 2047 2) where they are not ASCII. */
void text_put_header(struct buf *out, const char *name, struct slice words);
/* Lines that end in CR LF as quoted-printable (RFC 2045 6.7). */
void text_put_quoted(struct buf *out, struct slice lines);
