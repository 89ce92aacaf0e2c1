/* t/unit/common/spool/compose.h: a spool file made in memory, for tests that want one without a writer. */
#pragma once

#include <string.h>

#include "common/base/buf.h"
#include "common/base/crc32c.h"
#include "common/spool/file.h"

#define COMPOSE_ID "01hqz6k3v2j0w9xq4mb7tn"

/* Appends all octets of a committed file: header block, envelope, content as one extent. *h is its header. */
static inline void compose(struct buf *out, const char *id, struct slice envelope, struct slice content, struct spool_header *h)
{
	char block[SPOOL_HEADER_SIZE];

	*h = (struct spool_header){.received_us = 1764088515123456,
				   .envelope_offset = SPOOL_HEADER_SIZE,
				   .envelope_length = envelope.n,
				   .envelope_crc = crc32c(0, envelope.p, envelope.n),
				   .content_length = content.n,
				   .content_crc = crc32c(crc32c(0, envelope.p, envelope.n), content.p, content.n),
				   .extents = {{SPOOL_HEADER_SIZE + envelope.n, content.n}},
				   .n_extents = 1,
				   .tail_offset = SPOOL_HEADER_SIZE + envelope.n + content.n};
	memcpy(h->id, id, sizeof(h->id));
	spool_header_encode(h, block);
	(void)buf_append(out, slice_of(block, sizeof(block)));
	(void)buf_append(out, envelope);
	(void)buf_append(out, content);
}
