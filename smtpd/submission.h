/* smtpd/submission.h: what a user or a program of this host submits gets the fields it lacks and
 * loses those that nobody shall see (RFC 6409 8; common/mail/submission.h). Mail of other hosts is
 * never changed.
 * Touches: the transaction. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct session;
struct transaction;

/* Is the header to be kept for it? */
bool submission_keeps_header(const struct session *s);
/* Appends to front what stands there behind the trace fields; *skip is how many octets of the
 * content that is instead of. False: no memory. */
MUST_USE bool submission_append(const struct session *s, struct buf *front, uint64_t *skip);
