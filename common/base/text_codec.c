#include "common/base/text_codec.h"

#include <string.h>

#include "common/base/ascii.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_encode(struct buf *out, struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t length = (s.n + 2) / 3 * 4;
	char *to = buf_reserve(out, length);

	if (to == NULL)
		return false;
	for (size_t i = 0; i < s.n; i += 3) {
		uint32_t bits = (uint32_t)p[i] << 16 | (i + 1 < s.n ? (uint32_t)p[i + 1] << 8 : 0) |
				(i + 2 < s.n ? p[i + 2] : 0);

		*to++ = alphabet[bits >> 18];
		*to++ = alphabet[bits >> 12 & 63];
		*to++ = i + 1 < s.n ? alphabet[bits >> 6 & 63] : '=';
		*to++ = i + 2 < s.n ? alphabet[bits & 63] : '=';
	}
	buf_commit(out, length);
	return true;
}

static int base64_value(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

bool base64_decode(struct buf *out, struct slice s)
{
	size_t padding = slice_ends(s, SLICE("==")) ? 2 : slice_ends(s, SLICE("=")) ? 1 : 0;
	size_t length = s.n / 4 * 3 - padding;
	unsigned char *to;
	uint32_t bits = 0;

	if (s.n % 4 != 0)
		return false;
	if (s.n == 0)
		return true;
	if ((to = (unsigned char *)buf_reserve(out, length)) == NULL)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		int value = i < s.n - padding ? base64_value(s.p[i]) : 0;

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 != 3)
			continue;
		for (int shift = 16; shift >= 0; shift -= 8)
			if (length > 0) {
				*to++ = (unsigned char)(bits >> shift);
				length--;
			} else if (bits >> shift & 0xff) {
				return false; /* bits left over */
			}
		bits = 0;
	}
	buf_commit(out, s.n / 4 * 3 - padding);
	return true;
}

bool hex_encode(struct buf *out, struct slice s)
{
	static const char digits[] = "0123456789abcdef";
	char *to = buf_reserve(out, s.n * 2);

	if (to == NULL)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		*to++ = digits[(unsigned char)s.p[i] >> 4];
		*to++ = digits[(unsigned char)s.p[i] & 15];
	}
	buf_commit(out, s.n * 2);
	return true;
}

bool hex_decode(struct buf *out, struct slice s)
{
	char *to;

	if (s.n % 2 != 0 || (to = buf_reserve(out, s.n / 2)) == NULL)
		return false;
	for (size_t i = 0; i < s.n; i += 2) {
		int high = ascii_hex(s.p[i]), low = ascii_hex(s.p[i + 1]);

		if (high < 0 || low < 0)
			return false;
		*to++ = (char)(high << 4 | low);
	}
	buf_commit(out, s.n / 2);
	return true;
}
