#include "common/mail/dsn.h"

#include <stdint.h>

#include "common/base/ascii.h"

unsigned dsn_notify_read(struct slice value)
{
	struct slice word;
	unsigned notify = 0;

	if (value.n == 0)
		return DSN_FAILURE | DSN_DELAY;
	while (slice_cut(&value, ',', &word)) {
		if (slice_equal_nocase(word, SLICE("SUCCESS")))
			notify |= DSN_SUCCESS;
		else if (slice_equal_nocase(word, SLICE("FAILURE")))
			notify |= DSN_FAILURE;
		else if (slice_equal_nocase(word, SLICE("DELAY")))
			notify |= DSN_DELAY;
	}
	return notify;
}

const char *dsn_notify_text(unsigned notify)
{
	static const char *const texts[] = {
		"NEVER", "SUCCESS", "FAILURE", "SUCCESS,FAILURE", "DELAY", "SUCCESS,DELAY", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY",
	};

	return texts[notify & 7u];
}

bool dsn_xtext_decode(struct slice xtext, struct buf *out)
{
	bool ok = true;

	for (size_t i = 0; i < xtext.n; i++) {
		int high, low;

		if (xtext.p[i] == '+' && xtext.n - i > 2 && (high = ascii_hex(xtext.p[i + 1])) >= 0 &&
		    (low = ascii_hex(xtext.p[i + 2])) >= 0) {
			ok &= buf_append_char(out, (char)(high << 4 | low));
			i += 2;
		} else
			ok &= buf_append_char(out, xtext.p[i]);
	}
	return ok;
}

/* The letter that begins at s, which is UTF-8, and its octets; 0: it is none. */
static uint32_t letter_read(struct slice s, size_t *n)
{
	unsigned char first = (unsigned char)s.p[0];
	uint32_t letter = first >= 0xf0 ? first & 0x07u : first >= 0xe0 ? first & 0x0fu : first & 0x1fu;

	*n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0xc2 || first > 0xf4 || s.n < *n)
		return 0;
	for (size_t i = 1; i < *n; i++) {
		if (((unsigned char)s.p[i] & 0xc0u) != 0x80)
			return 0;
		letter = letter << 6 | ((unsigned char)s.p[i] & 0x3fu);
	}
	return letter;
}

static bool is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return false;
	return true;
}

/* RFC 3461 4: "+", "=" and what is not printable as +XX. RFC 6533 3: other letters, and the backslash that marks them, as \x{HEX}. */
static bool address_put(struct slice address, bool ascii, struct buf *out)
{
	bool ok = true;

	for (size_t i = 0, n = 1; i < address.n; i += n) {
		char c = address.p[i];
		uint32_t letter;

		n = 1;
		if ((unsigned char)c > 127) {
			if ((letter = letter_read(slice_tail(address, i), &n)) == 0)
				return false;
			ok &= buf_printf(out, "\\x{%lX}", (unsigned long)letter);
		} else if (c == '\\' && !ascii)
			ok &= buf_append_cstr(out, "\\x{5C}");
		else if (c == '+' || c == '=' || c < '!' || c > '~')
			ok &= buf_printf(out, "+%02X", (unsigned)(unsigned char)c);
		else
			ok &= buf_append_char(out, c);
	}
	return ok;
}

bool dsn_orcpt_make(struct slice address, struct buf *out)
{
	size_t before = buf_length(out);
	bool ascii = is_ascii(address);

	if (buf_append_cstr(out, ascii ? "rfc822;" : "utf-8;") && address_put(address, ascii, out) &&
	    buf_length(out) - before <= DSN_ORCPT_MAX)
		return true;
	buf_truncate(out, before);
	return false;
}
