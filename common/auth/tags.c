#include "common/auth/tags.h"

#include <string.h>

#include "common/base/ascii.h"
#include "common/base/text_codec.h"

static bool is_fws(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice tags_trim(struct slice s)
{
	while (s.n > 0 && is_fws(s.p[0]))
		s = slice_tail(s, 1);
	while (s.n > 0 && is_fws(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* RFC 6376 3.2: ALPHA, then letters, digits, '_'. */
static bool is_name(struct slice s)
{
	if (s.n == 0 || !ascii_is_alpha(s.p[0]))
		return false;
	for (size_t i = 1; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && s.p[i] != '_')
			return false;
	return true;
}

/* Printable, or UTF-8 (RFC 8616 3); a fold is CR LF with a blank behind it. */
static bool is_value(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\r' && i + 2 < s.n && s.p[i + 1] == '\n' &&
		    ascii_is_space(s.p[i + 2]))
			i += 2;
		else if (ascii_is_control(s.p[i]) && s.p[i] != '\t')
			return false;
	}
	return true;
}

static bool tag_read(struct slice part, struct tags *out)
{
	struct tag *t = &out->all[out->n];

	if (out->n == TAGS_MAX || !slice_cut(&part, '=', &t->name) || part.p == NULL)
		return false;
	t->name = tags_trim(t->name);
	t->whole = part;
	t->value = tags_trim(part);
	if (!is_name(t->name) || !is_value(t->value))
		return false;
	for (size_t i = 0; i < out->n; i++)
		out->twice = out->twice || slice_equal(out->all[i].name, t->name);
	out->n++;
	return true;
}

bool tags_read(struct slice s, struct tags *out)
{
	struct slice rest = s, part;

	out->n = 0;
	out->twice = false;
	while (slice_cut(&rest, ';', &part)) {
		if (rest.p == NULL && tags_trim(part).n == 0 && out->n > 0)
			break; /* one ';' may stand at the end */
		if (!tag_read(part, out))
			return false;
	}
	return out->n > 0;
}

const struct tag *tags_find(const struct tags *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (slice_equal(t->all[i].name, slice_of_cstr(name)))
			return &t->all[i];
	return NULL;
}

bool tags_item(struct slice *rest, struct slice *item)
{
	if (!slice_cut(rest, ':', item))
		return false;
	*item = tags_trim(*item);
	return true;
}

bool tags_has(struct slice list, struct slice word)
{
	struct slice item;

	while (tags_item(&list, &item))
		if (slice_equal_nocase(item, word))
			return true;
	return false;
}

bool tags_base64(struct slice value, struct buf *out)
{
	struct buf dense;
	bool ok = true;

	buf_init(&dense, value.n + 1);
	for (size_t i = 0; i < value.n; i++)
		if (!is_fws(value.p[i]))
			ok &= buf_append_char(&dense, value.p[i]);
	ok = ok && buf_length(&dense) > 0 && base64_decode(out, buf_slice(&dense));
	buf_fini(&dense);
	return ok;
}

bool tags_number(struct slice value, unsigned digits, uint64_t *out)
{
	uint64_t n = 0;

	if (value.n == 0 || value.n > digits)
		return false;
	for (size_t i = 0; i < value.n; i++) {
		if (!ascii_is_digit(value.p[i]))
			return false;
		n = n > (UINT64_MAX - 9) / 10 ? UINT64_MAX - 9
					      : n * 10 + (uint64_t)(value.p[i] - '0');
	}
	*out = n;
	return true;
}
