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
	uint64_t at;       /* octets of the message given out */
	bool in_line;      /* the last octet was not the end of a line */
};

/* Appends the next at most 64 KiB of the message to out, and behind its end CRLF where it lacks one, and the last dot; *ended then. Fails: temporary. */
MUST_USE bool body_next(struct body *b, int fd, const struct spool_header *h, struct buf *out, bool *ended, struct fault *why);
