/* SPF's macros (RFC 7208 7): "%{ir}.%{v}._spf.%{d2}". */
#include <string.h>

#include "common/auth/spf_record.h"
#include "common/base/ascii.h"

#define LABELS_MAX 128

struct macro {
	char letter; /* lower case */
	bool escape; /* it was written in upper case: the value is URL-escaped */
	bool reverse;
	unsigned n_parts;	 /* 0: all */
	struct slice delimiters; /* empty: "." */
};

/* What stands behind "%{" up to "}". */
static bool macro_parse(struct slice s, bool explanation, struct macro *m)
{
	size_t i = 1;

	if (s.n == 0)
		return false;
	*m = (struct macro){.letter = ascii_lower(s.p[0]), .escape = ascii_is_upper(s.p[0])};
	if (memchr(explanation ? "slodiphcrtv" : "slodiphv", m->letter, explanation ? 11 : 8) ==
	    NULL)
		return false;
	if (i < s.n && ascii_is_digit(s.p[i])) {
		while (i < s.n && ascii_is_digit(s.p[i])) {
			m->n_parts = m->n_parts * 10 + (unsigned)(s.p[i++] - '0');
			if (m->n_parts > LABELS_MAX)
				m->n_parts = LABELS_MAX;
		}
		if (m->n_parts == 0)
			return false;
	}
	if (i < s.n && ascii_lower(s.p[i]) == 'r') {
		m->reverse = true;
		i++;
	}
	m->delimiters = slice_tail(s, i);
	for (; i < s.n; i++)
		if (memchr(".-+,/_=", s.p[i], 7) == NULL)
			return false;
	return true;
}

/* What *literal says where it is no octet to be copied. */
enum { IS_MACRO = '\0', IS_ESCAPED_BLANK = '\1' };

/* One piece of a macro-string at the beginning of *rest: an octet as it is (*literal), or a macro.
 * False: neither. */
static bool piece_next(struct slice *rest, bool explanation, char *literal, struct macro *m)
{
	char c = rest->p[0];
	size_t end;

	*literal = c;
	if (c != '%') {
		*rest = slice_tail(*rest, 1);
		return c >= '!' &&
		       c <= '~'; /* macro-literal; an explanation's blanks are taken before */
	}
	if (rest->n < 2)
		return false;
	switch (rest->p[1]) {
	case '%':
		break;
	case '_':
		*literal = ' ';
		break;
	case '-':
		*literal = IS_ESCAPED_BLANK;
		break;
	case '{':
		if ((end = slice_find(*rest, '}')) == SIZE_MAX ||
		    !macro_parse(slice_head(slice_tail(*rest, 2), end - 2), explanation, m))
			return false;
		*literal = IS_MACRO;
		*rest = slice_tail(*rest, end + 1);
		return true;
	default:
		return false;
	}
	*rest = slice_tail(*rest, 2);
	return true;
}

bool spf_macro_string_is_sound(struct slice text, bool explanation)
{
	struct macro m;
	char literal;

	while (text.n > 0) {
		if (explanation && text.p[0] == ' ')
			text = slice_tail(text, 1);
		else if (!piece_next(&text, explanation, &literal, &m))
			return false;
	}
	return true;
}

bool spf_macro_needs_name(struct slice text)
{
	struct macro m;
	char literal;

	while (text.n > 0) {
		if (text.p[0] == ' ')
			text = slice_tail(text, 1);
		else if (!piece_next(&text, true, &literal, &m))
			return false;
		else if (literal == IS_MACRO && m.letter == 'p')
			return true;
	}
	return false;
}

/* ---- values ---- */

/* RFC 7208 7.3: IPv4 as ever, IPv6 as 32 nibbles with dots between. */
static bool append_address(const struct ip *ip, bool dotted, struct buf *out)
{
	char text[IP_TEXT_MAX];
	bool ok = true;

	if (!dotted || ip->family != 6)
		return buf_append_cstr(out, ip_text(ip, text));
	for (size_t i = 0; i < 16; i++)
		ok &= buf_printf(out, "%s%X.%X", i > 0 ? "." : "", ip->octets[i] >> 4,
				 ip->octets[i] & 15);
	return ok;
}

static bool append_value(const struct spf_macros *m, char letter, struct buf *out)
{
	switch (letter) {
	case 's':
		return buf_append(out, m->sender);
	case 'l':
		return buf_append(out, m->local_part);
	case 'o':
		return buf_append(out, m->sender_domain);
	case 'd':
		return buf_append(out, m->domain);
	case 'i':
		return append_address(&m->client, true, out);
	case 'p':
		return buf_append(out, m->validated);
	case 'v':
		return buf_append_cstr(out, m->client.family == 6 ? "ip6" : "in-addr");
	case 'h':
		return buf_append(out, m->helo);
	case 'c':
		return append_address(&m->client, false, out);
	case 'r':
		return buf_append(out, m->receiver);
	case 't':
		return buf_printf(out, "%llu", (unsigned long long)m->now_s);
	default:
		return true;
	}
}

/* Where the value is cut, the parts are joined with dots again (RFC 7208 7.3). */
static size_t split(struct slice value, struct slice delimiters, struct slice parts[LABELS_MAX])
{
	size_t n = 0, begin = 0;

	if (delimiters.n == 0)
		delimiters = SLICE(".");
	for (size_t i = 0; i <= value.n; i++) {
		if (i < value.n && slice_find(delimiters, value.p[i]) == SIZE_MAX)
			continue;
		if (n == LABELS_MAX) { /* only the rightmost count in the end */
			memmove(parts, parts + 1, (LABELS_MAX - 1) * sizeof(*parts));
			n--;
		}
		parts[n++] = slice_head(slice_tail(value, begin), i - begin);
		begin = i + 1;
	}
	return n;
}

/* RFC 3986 2.3: all but the unreserved ones. */
static bool append_escaped(struct buf *out, struct slice s)
{
	bool ok = true;

	for (size_t i = 0; i < s.n; i++) {
		if (ascii_is_alnum(s.p[i]) || memchr("-._~", s.p[i], 4) != NULL)
			ok &= buf_append_char(out, s.p[i]);
		else
			ok &= buf_printf(out, "%%%02X", (unsigned char)s.p[i]);
	}
	return ok;
}

static bool append_macro(const struct macro *m, const struct spf_macros *values, struct buf *out)
{
	struct slice parts[LABELS_MAX];
	struct buf value;
	size_t n, first;
	bool ok;

	buf_init(&value, 65536);
	ok = append_value(values, m->letter, &value);
	n = split(buf_slice(&value), m->delimiters, parts);
	first = m->n_parts > 0 && m->n_parts < n ? n - m->n_parts : 0;
	for (size_t i = first; ok && i < n; i++) {
		/* reversed first, and then the rightmost are kept */
		struct slice part = m->reverse ? parts[n - 1 - i] : parts[i];

		if (i > first)
			ok &= buf_append_char(out, '.');
		ok &= m->escape ? append_escaped(out, part) : buf_append(out, part);
	}
	buf_fini(&value);
	return ok;
}

bool spf_macro_expand(struct slice text, const struct spf_macros *values, struct buf *out)
{
	struct macro m;
	char literal;
	bool ok = true;

	while (ok && text.n > 0) {
		if (text.p[0] == ' ') {
			literal = ' ';
			text = slice_tail(text, 1);
		} else if (!piece_next(&text, true, &literal, &m)) {
			return false;
		}
		if (literal == IS_MACRO)
			ok = append_macro(&m, values, out);
		else if (literal == IS_ESCAPED_BLANK)
			ok = buf_append_cstr(out, "%20");
		else
			ok = buf_append_char(out, literal);
	}
	return ok;
}
