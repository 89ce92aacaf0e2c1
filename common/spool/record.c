#include "common/spool/record.h"

#include "common/base/arena.h"
#include "common/base/ascii.h"
#include "common/base/fault.h"

static bool must_escape(char c, bool space_too)
{
	return ascii_is_control(c) || c == '%' || (space_too && c == ' ');
}

bool record_escape(struct buf *out, struct slice value, bool space_too)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t plain = 0;
	bool ok = true;

	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};

		if (!must_escape(value.p[i], space_too))
			continue;
		ok &= buf_append(out, slice_of(value.p + plain, i - plain)) && buf_append(out, slice_of(escaped, 3));
		plain = i + 1;
	}
	return ok & buf_append(out, slice_tail(value, plain));
}

bool record_unescape(struct slice text, struct arena *arena, struct slice *out, struct fault *why)
{
	size_t n = 0;
	char *p;

	if (slice_find(text, '%') >= text.n) {
		*out = text;
		return true;
	}
	if ((p = arena_alloc(arena, text.n, why)) == NULL)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		int high, low;

		if (text.p[i] != '%') {
			p[n++] = text.p[i];
			continue;
		}
		if (text.n - i < 3 || (high = ascii_hex(text.p[i + 1])) < 0 || (low = ascii_hex(text.p[i + 2])) < 0) {
			fault_set(why, "5.3.0", "a %% without two hexadecimal digits");
			return false;
		}
		p[n++] = (char)(high << 4 | low);
		i += 2;
	}
	*out = slice_of(p, n);
	return true;
}
