/* t/fuzz/mail_lines.c: the line rules of DATA against a reading of them octet by octet, in pieces.
 * The first octet is the size of the pieces. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/mail/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n);

/* The rules as one would say them: each line is ended by CR LF, holds neither by itself; a dot
 * alone ends, a dot in front goes. *used: octets up to the end of data. */
static enum lines_found by_the_rules(struct slice s, struct buf *content, size_t *used)
{
	size_t start = 0;

	for (size_t i = 0; i < s.n; i++) {
		bool first = i == start, ends = s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n';

		if (s.p[i] == '\n' || (s.p[i] == '\r' && i + 1 < s.n && !ends))
			return LINES_BARE;
		if (s.p[i] == '\r' && i + 1 == s.n) {
			/* Not told yet; a dot before it is held back with it. */
			if (!(i == start + 1 && s.p[start] == '.'))
				buf_append_char(content, '\r');
			return LINES_MORE;
		}
		if (ends) {
			if (i == start + 1 && s.p[start] == '.') {
				*used = i + 2;
				return LINES_END;
			}
			buf_append_cstr(content, "\r\n");
			start = ++i + 1;
		} else if (!first || s.p[i] != '.') {
			buf_append_char(content, s.p[i]);
		}
	}
	return LINES_MORE;
}

static enum lines_found in_pieces(struct slice s, size_t size, struct buf *content, size_t *used)
{
	enum lines_found found = LINES_MORE;
	struct lines l;

	lines_init(&l);
	*used = 0;
	while (found == LINES_MORE && *used < s.n) {
		struct slice piece = slice_head(slice_tail(s, *used), size), left = piece, run;

		while ((found = lines_next(&l, &left, &run)) == LINES_CONTENT)
			buf_append(content, run);
		*used += piece.n - left.n;
	}
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n)
{
	struct slice s = slice_tail(slice_of(octets, n), 1);
	size_t used = s.n, wanted = s.n;
	struct buf rules, pieces;
	enum lines_found found;

	if (n < 2)
		return 0;
	buf_init(&rules, 1 << 20);
	buf_init(&pieces, 1 << 20);
	found = in_pieces(s, octets[0] % 32 + 1u, &pieces, &used);
	assert(found == by_the_rules(s, &rules, &wanted));
	if (found != LINES_BARE)
		assert(slice_equal(buf_slice(&rules), buf_slice(&pieces)));
	if (found == LINES_END)
		assert(used == wanted);
	buf_fini(&rules);
	buf_fini(&pieces);
	return 0;
}
