#include "common/mail/path.h"

#include <idn2.h>
#include <string.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"

static bool is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return false;
	return true;
}

/* RFC 3629 4, without overlong forms and surrogates. */
static bool is_utf8(struct slice s)
{
	const unsigned char *p = (const unsigned char *)s.p;

	for (size_t i = 0; i < s.n;) {
		size_t n = p[i] < 0x80			  ? 1
			   : p[i] >= 0xc2 && p[i] <= 0xdf ? 2
			   : (p[i] & 0xf0) == 0xe0	  ? 3
			   : p[i] >= 0xf0 && p[i] <= 0xf4 ? 4
							  : 0;

		if (n == 0 || n > s.n - i)
			return false;
		for (size_t k = 1; k < n; k++)
			if ((p[i + k] & 0xc0) != 0x80)
				return false;
		if (n > 2 &&
		    ((p[i] == 0xe0 && p[i + 1] < 0xa0) || (p[i] == 0xed && p[i + 1] > 0x9f) ||
		     (p[i] == 0xf0 && p[i + 1] < 0x90) || (p[i] == 0xf4 && p[i + 1] > 0x8f)))
			return false;
		i += n;
	}
	return true;
}

/* ---- domains ---- */

static bool label_is_valid(struct slice label, bool utf8)
{
	if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++) {
		char c = label.p[i];

		if (!ascii_is_alnum(c) && c != '-' && c != '_' && !(utf8 && (unsigned char)c > 127))
			return false;
	}
	return true;
}

bool domain_is_valid(struct slice domain, bool utf8)
{
	struct slice rest = domain, label;

	if (domain.n == 0 || domain.n > DOMAIN_MAX_BYTES)
		return false;
	while (slice_cut(&rest, '.', &label))
		if (!label_is_valid(label, utf8))
			return false;
	return !utf8 || is_utf8(domain);
}

bool domain_is_full(struct slice domain)
{
	size_t dot = slice_find_last(domain, '.');
	struct slice last;

	if (dot == SIZE_MAX)
		return false;
	last = slice_tail(domain, dot + 1);
	for (size_t i = 0; i < last.n; i++)
		if (!ascii_is_digit(last.p[i]))
			return true;
	return false;
}

bool address_literal_parse(struct slice s, struct ip *out)
{
	bool six;

	if (s.n < 3 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return false;
	s = slice_tail(slice_head(s, s.n - 1), 1);
	six = slice_starts_nocase(s, SLICE("IPv6:"));
	if (six)
		s = slice_tail(s, 5);
	/* An IPv4-mapped IPv6 address becomes IPv4, so the notation tells, not the family. */
	return ip_parse(s, out) && six == (slice_find(s, ':') != SIZE_MAX);
}

static bool append_lower(struct slice s, struct buf *out)
{
	char *p = buf_reserve(out, s.n);

	if (p == NULL)
		return false;
	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(s.p[i]);
	buf_commit(out, s.n);
	return true;
}

static bool not_a_domain(struct slice domain, struct fault *why)
{
	fault_set(why, "5.1.2", "%.*s is not a domain name", SLICE_PRINTF(slice_head(domain, 255)));
	return false;
}

bool domain_to_ascii(struct slice domain, struct buf *out, struct fault *why)
{
	char text[4 * DOMAIN_MAX_BYTES + 1];
	char *ascii = NULL;
	bool ok = false;

	if (domain.n > 1 && domain.p[domain.n - 1] == '.')
		domain.n--;
	if (domain.n >= sizeof(text) || domain.n == 0)
		return not_a_domain(domain, why);
	if (is_ascii(domain)) {
		if (!domain_is_valid(domain, false))
			return not_a_domain(domain, why);
		if (append_lower(domain, out))
			return true;
		fault_set(why, "4.3.1", "no room for a domain name");
		return false;
	}
	if (!slice_cstr(domain, text, sizeof(text), why) || !is_utf8(domain) ||
	    idn2_to_ascii_8z(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK ||
	    !domain_is_valid(slice_of_cstr(ascii), false)) {
		not_a_domain(domain, why);
	} else if (!append_lower(slice_of_cstr(ascii), out)) {
		fault_set(why, "4.3.1", "no room for a domain name");
	} else {
		ok = true;
	}
	idn2_free(ascii);
	return ok;
}

/* ---- local parts ---- */

/* RFC 5322 3.2.3 atext. */
static bool is_atext(char c, bool utf8)
{
	return ascii_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL) ||
	       (utf8 && (unsigned char)c > 127);
}

/* A dot-string's length at the front of s; 0: there is none, or a dot stands where none may. Also
 * what has a dot in front, at the end, or two together, is refused: RFC 5321 4.1.2. */
static size_t dot_string(struct slice s, bool utf8)
{
	size_t i = 0;

	while (i < s.n && (is_atext(s.p[i], utf8) || (s.p[i] == '.' && i > 0 && s.p[i - 1] != '.')))
		i++;
	return i > 0 && s.p[i - 1] == '.' ? 0 : i;
}

/* A quoted string's length at the front of s, quotes included; 0: it is none. */
static size_t quoted_string(struct slice s, bool utf8)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '"')
			return i + 1;
		if (s.p[i] == '\\') {
			if (++i == s.n || !ascii_is_print(s.p[i]))
				return 0;
		} else if (!ascii_is_print(s.p[i]) && !(utf8 && (unsigned char)s.p[i] > 127)) {
			return 0;
		}
	}
	return 0;
}

/* Appends a quoted string's octets without quotes and backslashes. */
static bool append_unquoted(struct slice quoted, struct buf *out)
{
	bool ok = true;

	for (size_t i = 1; ok && i + 1 < quoted.n; i++) {
		if (quoted.p[i] == '\\' && i + 2 < quoted.n)
			i++;
		ok = buf_append_char(out, quoted.p[i]);
	}
	return ok;
}

bool local_part_fold(struct slice local_part, struct buf *out)
{
	size_t start = buf_length(out);

	if (local_part.n == 0)
		return true;
	if (!(local_part.p[0] == '"' ? append_unquoted(local_part, out)
				     : buf_append(out, local_part)))
		return false;
	for (size_t i = out->start + start; i < out->n; i++)
		out->p[i] = ascii_lower(out->p[i]);
	return true;
}

/* RFC 5321 4.1.2: "a quoted string … where it can be written otherwise … SHOULD be". */
static bool append_local_part(const struct path *p, struct buf *out)
{
	size_t start = buf_length(out);
	struct slice plain;

	if (!p->quoted)
		return buf_append(out, p->local_part);
	if (!append_unquoted(p->local_part, out))
		return false;
	plain = slice_tail(buf_slice(out), start);
	if (plain.n > 0 && dot_string(plain, true) == plain.n)
		return true;
	buf_truncate(out, start);
	return buf_append(out, p->local_part);
}

/* ---- mailboxes and paths ---- */

static bool wrong(struct fault *why, const char *what)
{
	fault_set(why, "5.1.3", "%s", what);
	return false;
}

static bool parse_domain(struct slice *rest, unsigned flags, struct path *out, struct fault *why)
{
	bool utf8 = flags & PATH_UTF8;
	size_t n = 0;

	if (rest->n > 0 && rest->p[0] == '[') {
		n = slice_find(*rest, ']');
		if (n == SIZE_MAX ||
		    !address_literal_parse(slice_head(*rest, n + 1), &out->literal))
			return wrong(why, "the address literal is not one: [192.0.2.1] or "
					  "[IPv6:2001:db8::1]");
		n++;
	} else {
		while (n < rest->n && rest->p[n] != '>' && rest->p[n] != ' ')
			n++;
		if (!domain_is_valid(slice_head(*rest, n), utf8))
			return wrong(why, "the domain of the address is not a domain name");
	}
	out->domain = slice_head(*rest, n);
	*rest = slice_tail(*rest, n);
	return true;
}

/* Takes a mailbox off the front of *rest. */
static bool parse_mailbox(struct slice *rest, unsigned flags, struct path *out, struct fault *why)
{
	bool utf8 = flags & PATH_UTF8;
	struct slice all = *rest;
	size_t n;

	out->quoted = all.n > 0 && all.p[0] == '"';
	n = out->quoted ? quoted_string(all, utf8) : dot_string(all, utf8);
	if (n == 0)
		return wrong(why, "the local part of the address is not one");
	if (n > LOCAL_PART_MAX_BYTES)
		return wrong(why, "the local part of the address is too long");
	out->local_part = slice_head(all, n);
	*rest = slice_tail(all, n);
	if (rest->n > 0 && rest->p[0] == '@') {
		*rest = slice_tail(*rest, 1);
		if (!parse_domain(rest, flags, out, why))
			return false;
	} else if (!(flags & PATH_POSTMASTER) ||
		   !slice_equal_nocase(out->local_part, SLICE("postmaster"))) {
		return wrong(why, "the address has no domain");
	}
	out->mailbox = slice_head(all, all.n - rest->n);
	if (out->mailbox.n > PATH_MAX_BYTES)
		return wrong(why, "the address is too long");
	out->utf8 = !is_ascii(out->mailbox);
	return !out->utf8 || is_utf8(out->mailbox) || wrong(why, "the address is not UTF-8");
}

/* RFC 5321 4.1.2: A-d-l = At-domain *( "," At-domain ), then ":"; appendix C: "SHOULD be ignored".
 */
static bool skip_source_route(struct slice *rest, unsigned flags, struct fault *why)
{
	size_t colon;
	struct slice route, hop;

	if (rest->n == 0 || rest->p[0] != '@')
		return true;
	/* A quoted local part may hold a colon, a route's domain may not. */
	for (colon = 0; colon < rest->n && rest->p[colon] != ':' && rest->p[colon] != '>'; colon++)
		;
	if (colon == rest->n || rest->p[colon] != ':' || colon > PATH_MAX_BYTES)
		return wrong(why, "the source route has no end");
	route = slice_head(*rest, colon);
	while (slice_cut(&route, ',', &hop))
		if (hop.n < 2 || hop.p[0] != '@' ||
		    !domain_is_valid(slice_tail(hop, 1), flags & PATH_UTF8))
			return wrong(why, "the source route is not one");
	*rest = slice_tail(*rest, colon + 1);
	return true;
}

bool path_parse(struct slice *rest, unsigned flags, struct path *out, struct fault *why)
{
	struct slice at = *rest;

	memset(out, 0, sizeof(*out));
	if (at.n == 0 || at.p[0] != '<')
		return wrong(why, "the address does not stand in <>");
	at = slice_tail(at, 1);
	if (at.n > 0 && at.p[0] == '>') {
		if (!(flags & PATH_NULL))
			return wrong(why, "the address is empty");
		*rest = slice_tail(at, 1);
		return true;
	}
	if (!skip_source_route(&at, flags, why) || !parse_mailbox(&at, flags, out, why))
		return false;
	if (at.n == 0 || at.p[0] != '>')
		return wrong(why, "the address does not end in >");
	*rest = slice_tail(at, 1);
	return true;
}

bool mailbox_parse(struct slice s, unsigned flags, struct path *out, struct fault *why)
{
	struct slice rest = s;

	memset(out, 0, sizeof(*out));
	if (s.n == 0 && flags & PATH_NULL)
		return true;
	if (!parse_mailbox(&rest, flags, out, why))
		return false;
	return rest.n == 0 || wrong(why, "something stands behind the address");
}

bool path_append(const struct path *p, struct buf *out)
{
	size_t start = buf_length(out);
	bool ok;

	if (p->mailbox.n == 0)
		return true;
	ok = append_local_part(p, out);
	if (ok && p->domain.n > 0) {
		ok = buf_append_char(out, '@');
		if (p->literal.family != 0)
			ok = ok && buf_append(out, p->domain);
		else
			ok = ok && domain_to_ascii(p->domain, out, NULL);
	}
	if (!ok)
		buf_truncate(out, start);
	return ok;
}
