/* deliverd/remote/body.h: a message on its way through DATA: dots doubled (RFC 5321 4.5.2).
 * Touches: the spool file's descriptor. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/spool/file.h"

struct fault;

struct body {
	uint64_t at;  /* octets of the message given out */
	bool in_line; /* the last octet was not the end of a line */
};

/* Appends the next at most 64 KiB of the message to out, and behind its end CRLF where it lacks
 * one, and the last dot; *ended then. Fails: temporary. */
MUST_USE bool body_next(struct body *b, int fd, const struct spool_header *h, struct buf *out,
			bool *ended, struct fault *why);
/* Is there an octet over 127 in the message's header (RFC 6531)? Looks at its first 64 KiB; where
 * the header goes on behind them, or they cannot be read, true. */
bool body_header_is_utf8(int fd, const struct spool_header *h);
