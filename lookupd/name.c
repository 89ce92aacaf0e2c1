#include "lookupd/name.h"

#include <idn2.h>
#include <stdint.h>
#include <string.h>

#include "common/base/ascii.h"

/* Well-formed UTF-8 (RFC 3629 4): PostgreSQL refuses all else. */
static bool is_utf8(struct slice s)
{
	const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n;

	while (p < end) {
		uint32_t c = *p++, least = 0x80;
		unsigned more = 0;

		if (c < 0x80)
			continue;
		if (c >= 0xc2 && c < 0xe0)
			c &= 0x1f, more = 1;
		else if (c >= 0xe0 && c < 0xf0)
			c &= 0x0f, more = 2, least = 0x800;
		else if (c >= 0xf0 && c < 0xf5)
			c &= 0x07, more = 3, least = 0x10000;
		else
			return false;
		for (; more > 0; more--) {
			if (p == end || (*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p++ & 0x3f);
		}
		if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
	}
	return true;
}

static bool has_control(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (ascii_is_control(s.p[i]))
			return true;
	}
	return false;
}

/* Lower-case into out, quotes of a quoted string taken off (RFC 5321 4.1.2: they mean nothing). The length, 0: it does not fit or the quotes are wrong. */
static size_t local_write(struct slice s, char out[NAME_LOCAL_MAX])
{
	bool quoted = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';
	size_t n = 0;

	if (quoted)
		s = slice_of(s.p + 1, s.n - 2);
	for (size_t i = 0; i < s.n; i++) {
		if (quoted && s.p[i] == '\\' && ++i == s.n)
			return 0;
		if (n == NAME_LOCAL_MAX)
			return 0;
		out[n++] = ascii_lower(s.p[i]);
	}
	return n;
}

static size_t domain_write(struct slice s, char out[NAME_DOMAIN_MAX])
{
	char text[1025], *a_labels = NULL;
	bool ascii = true;
	size_t n = 0;

	if (s.n > 1 && s.p[s.n - 1] == '.')
		s.n--;
	for (size_t i = 0; i < s.n; i++)
		ascii = ascii && (unsigned char)s.p[i] < 0x80;
	if (!ascii) {
		if (!slice_cstr(s, text, sizeof(text), NULL) ||
		    idn2_lookup_u8((const uint8_t *)text, (uint8_t **)&a_labels, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
			return 0;
		s = slice_of_cstr(a_labels);
	}
	if (s.n <= NAME_DOMAIN_MAX) {
		for (; n < s.n; n++)
			out[n] = ascii_lower(s.p[n]);
	}
	idn2_free(a_labels);
	return n;
}

bool name_parse(struct slice path, struct slice otherwise, struct name *out)
{
	size_t at = slice_find_last(path, '@');
	struct slice local = at == SIZE_MAX ? path : slice_head(path, at);
	struct slice domain = at == SIZE_MAX ? otherwise : slice_tail(path, at + 1);
	size_t n_local, n_domain, plus = SIZE_MAX;

	if (local.n == 0 || domain.n == 0 || has_control(path) || !is_utf8(path))
		return false;
	n_local = local_write(local, out->octets);
	if (n_local == 0)
		return false;
	out->octets[n_local] = '@';
	n_domain = domain_write(domain, out->octets + n_local + 1);
	if (n_domain == 0)
		return false;
	out->n = n_local + 1 + n_domain;
	out->bare = at == SIZE_MAX;
	out->local = slice_of(out->octets, n_local);
	out->domain = slice_of(out->octets + n_local + 1, n_domain);
	plus = slice_find(slice_tail(out->local, 1), '+');
	out->base = plus == SIZE_MAX ? out->local : slice_head(out->local, plus + 1);
	return true;
}

void name_copy(const struct name *from, struct name *to)
{
	memcpy(to->octets, from->octets, from->n);
	to->n = from->n;
	to->bare = from->bare;
	to->local = slice_of(to->octets, from->local.n);
	to->base = slice_of(to->octets, from->base.n);
	to->domain = slice_of(to->octets + from->local.n + 1, from->domain.n);
}

struct slice name_whole(const struct name *n)
{
	return slice_of(n->octets, n->n);
}

bool name_is_literal(const struct name *n)
{
	return n->domain.p[0] == '[';
}

bool folder_is_sound(struct slice folder)
{
	struct slice rest = folder, step;

	if (!slice_ends(folder, SLICE("/")) || has_control(folder))
		return false;
	rest.n--;
	while (slice_cut(&rest, '/', &step)) {
		if (step.n == 0 || slice_equal(step, SLICE(".")) || slice_equal(step, SLICE("..")))
			return false;
	}
	return true;
}
