#include "admin/json.h"

#include <string.h>

#include "common/base/clock.h"

void json_name(struct buf *out, const char *name)
{
	struct slice so_far = buf_slice(out);

	if (so_far.n > 0 && so_far.p[so_far.n - 1] != '{')
		buf_append_char(out, ',');
	json_string(out, slice_of_cstr(name));
	buf_append_char(out, ':');
}

/* Octets of the UTF-8 letter that s begins with (RFC 3629 4), or 0: it is none. */
static size_t utf8_letter(struct slice s)
{
	static const unsigned char lowest[] = {0, 0x80, 0xa0, 0x90}; /* the second octet, behind E0 and F0 */
	unsigned char c = (unsigned char)s.p[0], d = s.n > 1 ? (unsigned char)s.p[1] : 0;
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (n < 2 || n > s.n)
		return n == 1;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && d < lowest[2]) || (c == 0xf0 && d < lowest[3]) || (c == 0xed && d > 0x9f) || (c == 0xf4 && d > 0x8f))
		return 0;
	return n;
}

void json_string(struct buf *out, struct slice s)
{
	buf_append_char(out, '"');
	for (size_t n; s.n > 0; s = slice_tail(s, n)) {
		unsigned char c = (unsigned char)s.p[0];

		if ((n = utf8_letter(s)) == 0) {
			buf_append_cstr(out, "\xef\xbf\xbd");
			n = 1;
		} else if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < ' ' || c == 127)
			buf_printf(out, "\\u%04x", c);
		else
			buf_append(out, slice_head(s, n));
	}
	buf_append_char(out, '"');
}

void json_number(struct buf *out, uint64_t n)
{
	buf_printf(out, "%llu", (unsigned long long)n);
}

void json_time(struct buf *out, uint64_t wall_us)
{
	if (wall_us == 0) {
		buf_append_cstr(out, "null");
		return;
	}
	buf_append_char(out, '"');
	clock_append_rfc3339(out, wall_us);
	buf_append_char(out, '"');
}
