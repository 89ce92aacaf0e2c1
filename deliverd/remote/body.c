#include "deliverd/remote/body.h"

#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/memory.h"

#define CHUNK_BYTES 65536

/* Appends octets with a dot before each line that begins with one. */
static bool append_stuffed(struct body *b, struct slice octets, struct buf *out)
{
	while (octets.n) {
		size_t end = slice_find(octets, '\n');
		struct slice line = slice_head(octets, end == SIZE_MAX ? octets.n : end + 1);

		if (!b->in_line && line.p[0] == '.' && !buf_append_char(out, '.'))
			return false;
		if (!buf_append(out, line))
			return false;
		b->in_line = end == SIZE_MAX;
		octets = slice_tail(octets, line.n);
	}
	return true;
}

bool body_next(struct body *b, int fd, const struct spool_header *h, struct buf *out, bool *ended,
	       struct fault *why)
{
	char *octets = memory_alloc(1, CHUNK_BYTES, why);
	size_t n = 0;
	bool ok;

	*ended = false;
	if (octets == NULL)
		return false;
	ok = spool_content_read(fd, h, b->at, octets, CHUNK_BYTES, &n, why);
	if (ok && !append_stuffed(b, slice_of(octets, n), out)) {
		fault_set(why, "4.3.1", "out of memory");
		ok = false;
	}
	free(octets);
	if (!ok)
		return false;
	b->at += n;
	if (b->at < h->content_length && n > 0)
		return true;
	if (b->at < h->content_length) {
		fault_set(why, "4.3.0", "the spool file ends before its message does");
		return false;
	}
	*ended = true;
	if (buf_append_cstr(out, b->in_line ? "\r\n.\r\n" : ".\r\n"))
		return true;
	fault_set(why, "4.3.1", "out of memory");
	return false;
}

bool body_header_is_utf8(int fd, const struct spool_header *h)
{
	char *octets = memory_alloc(1, CHUNK_BYTES, NULL);
	struct slice header;
	bool utf8 = true;
	size_t n = 0, end;

	if (octets && spool_content_read(fd, h, 0, octets, CHUNK_BYTES, &n, NULL)) {
		header = slice_of(octets, n);
		end = slice_starts(header, SLICE("\r\n"))
			      ? 0
			      : slice_find_slice(header, SLICE("\r\n\r\n"));
		utf8 = end == SIZE_MAX && n < h->content_length;
		for (size_t i = 0; i < n && i < end && !utf8; i++)
			utf8 = (unsigned char)octets[i] > 127;
	}
	free(octets);
	return utf8;
}
