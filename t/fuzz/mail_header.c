/* t/fuzz/mail_header.c: a header in pieces gives the fields that it gives whole. The first octet is
 * the size of the pieces. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n);

static void note(void *arg, struct slice name, struct slice value, bool cut)
{
	struct buf *seen = arg;

	assert(name.n > 0);
	buf_append(seen, name);
	buf_append_char(seen, cut ? '~' : '=');
	buf_append(seen, value);
}

static uint32_t read_in_pieces(struct slice message, size_t size, struct buf *seen)
{
	struct header h;

	header_init(&h, 100, note, seen);
	for (size_t at = 0; at < message.n; at += size)
		header_feed(&h, slice_head(slice_tail(message, at), size));
	header_end(&h);
	assert(h.n_received <= h.n_fields);
	header_fini(&h);
	return h.n_received;
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n)
{
	struct slice message = slice_tail(slice_of(octets, n), 1);
	struct buf whole, pieces;

	if (n < 2)
		return 0;
	buf_init(&whole, 1 << 20);
	buf_init(&pieces, 1 << 20);
	assert(read_in_pieces(message, message.n, &whole) ==
	       read_in_pieces(message, octets[0] % 40 + 1u, &pieces));
	assert(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
