/* common/spool/record.h: how a value stands in a text record of a spool file: octets below SP, DEL and % as %XX (upper-case hexadecimal).
 * Touches: nothing. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct arena;
struct fault;

/* Appends value, escaped; SP too where it would end a field. False: no room. */
bool record_escape(struct buf *out, struct slice value, bool space_too);
/* The value of an escaped text: text itself where nothing is escaped, else a copy in arena. Fails: permanent, a % without two hexadecimal digits; temporary, the arena is full. */
MUST_USE bool record_unescape(struct slice text, struct arena *arena, struct slice *out, struct fault *why);
