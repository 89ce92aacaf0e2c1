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

/* A header that is larger is refused with 552 5.3.4: it is held in memory until its end. */
#define SUBMISSION_HEADER_MAX ((size_t)256 << 10)

/* Keeps run, the next of the content, while the header lasts; to be called before the header
 * scanner has it. False: the header is too large. */
MUST_USE bool submission_keep(const struct session *s, struct slice run);
/* Appends to front what stands there behind the trace fields; *skip is how many octets of the
 * content that is instead of. False: no memory. */
MUST_USE bool submission_append(const struct session *s, struct buf *front, uint64_t *skip);
