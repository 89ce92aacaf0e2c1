#include "queued/bounce_text.h"

#include "common/base/ascii.h"
#include "common/base/clock.h"
#include "common/base/text_codec.h"

#define LINE_SOFT 76    /* RFC 5322 2.1.1: should not be longer than 78; RFC 2045 6.7: must not be longer than 76 */
#define WORD_MAX 900    /* nor may any line be longer than 998 */
#define ENCODED_OCTETS 42 /* of an encoded word, so that it is no longer than 75 (RFC 2047 2) */

bool text_is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return false;
	return true;
}

void text_put(struct buf *out, const char *line)
{
	buf_append_cstr(out, line);
	buf_append_cstr(out, "\r\n");
}

void text_put_clean(struct buf *out, struct slice s, bool utf8)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (ascii_is_control(c))
			c = ' ';
		else if ((unsigned char)c > 126 && !utf8)
			c = '?';
		buf_append_char(out, c);
	}
}

void text_put_folded(struct buf *out, struct slice s, size_t used, const char *indent, bool utf8)
{
	size_t indent_n = slice_of_cstr(indent).n;
	struct slice word;
	bool first = true;

	while (slice_word(&s, &word)) {
		while (word.n > 0) {
			struct slice part = slice_head(word, WORD_MAX);

			if (!first && used + 1 + part.n > LINE_SOFT) {
				buf_append_cstr(out, "\r\n");
				buf_append_cstr(out, indent);
				used = indent_n;
			} else if (!first) {
				buf_append_char(out, ' ');
				used++;
			}
			text_put_clean(out, part, utf8);
			used += part.n;
			word = slice_tail(word, part.n);
			first = false;
		}
	}
	buf_append_cstr(out, "\r\n");
}

void text_put_field(struct buf *out, const char *name, const char *type, struct slice value, bool utf8)
{
	size_t before = buf_length(out);

	buf_printf(out, "%s: %s", name, type);
	text_put_folded(out, value, buf_length(out) - before, "    ", utf8);
}

void text_put_date(struct buf *out, const char *before, uint64_t at_us)
{
	buf_append_cstr(out, before);
	clock_append_rfc5322(out, at_us);
	buf_append_cstr(out, "\r\n");
}

/* As many octets as one encoded word holds, letters whole. */
static size_t encoded_length(struct slice s)
{
	size_t n = s.n < ENCODED_OCTETS ? s.n : ENCODED_OCTETS;

	while (n > 1 && n < s.n && ((unsigned char)s.p[n] & 0xc0u) == 0x80)
		n--;
	return n;
}

void text_put_header(struct buf *out, const char *name, struct slice words)
{
	bool first = true;

	if (text_is_ascii(words)) {
		text_put_field(out, name, "", words, false);
		return;
	}
	buf_printf(out, "%s: ", name);
	while (words.n > 0) {
		size_t n = encoded_length(words);

		buf_append_cstr(out, first ? "=?utf-8?B?" : "\r\n =?utf-8?B?");
		base64_encode(out, slice_head(words, n));
		buf_append_cstr(out, "?=");
		words = slice_tail(words, n);
		first = false;
	}
	buf_append_cstr(out, "\r\n");
}

static void put_quoted_line(struct buf *out, struct slice line)
{
	size_t used = 0;

	for (size_t i = 0; i < line.n; i++) {
		char c = line.p[i];
		bool plain = c != '=' && (ascii_is_print(c) || c == '\t') && !(ascii_is_space(c) && i + 1 == line.n);
		size_t n = plain ? 1 : 3;

		if (used + n > LINE_SOFT - 1) {
			buf_append_cstr(out, "=\r\n");
			used = 0;
		}
		if (plain)
			buf_append_char(out, c);
		else
			buf_printf(out, "=%02X", (unsigned)(unsigned char)c);
		used += n;
	}
	buf_append_cstr(out, "\r\n");
}

void text_put_quoted(struct buf *out, struct slice lines)
{
	struct slice line;

	while (lines.n > 0 && slice_cut(&lines, '\n', &line))
		put_quoted_line(out, slice_ends(line, SLICE("\r")) ? slice_head(line, line.n - 1) : line);
}
