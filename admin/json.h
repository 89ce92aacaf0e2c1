/* admin/json.h: values as JSON (RFC 8259) on standard output's way: appended to a buf.
 * Touches: nothing. */
#pragma once

#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

/* "name": with a comma before unless the object has just begun ('{' is the last octet). */
void json_name(struct buf *out, const char *name);
/* A string; what is not UTF-8 becomes U+FFFD. */
void json_string(struct buf *out, struct slice s);
void json_number(struct buf *out, uint64_t n);
/* A moment as RFC 3339 says it; 0 is null. */
void json_time(struct buf *out, uint64_t wall_us);
