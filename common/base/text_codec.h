/* common/base/text_codec.h: base64 (RFC 4648 4) and hexadecimal, strict. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

/* Appends the encoding of s. False as buf_append. */
bool base64_encode(struct buf *out, struct slice s);
/* Appends the decoded octets. False, and out as before: an octet outside the alphabet, padding missing or in the middle,
 * bits left over, or no room. */
MUST_USE bool base64_decode(struct buf *out, struct slice s);
bool hex_encode(struct buf *out, struct slice s); /* lower case */
MUST_USE bool hex_decode(struct buf *out, struct slice s);
