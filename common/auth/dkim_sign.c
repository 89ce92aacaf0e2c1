#include "common/auth/dkim_sign.h"

#include <openssl/sha.h>

#include "common/auth/canon.h"
#include "common/base/text_codec.h"

#define HEADER_BYTES_MAX ((size_t)1 << 20)
#define LINE_OCTETS 72 /* RFC 5322 2.1.1 asks for 78 at most */

/* Where the last line of out begins. */
static size_t column(const struct buf *out)
{
	struct slice s = buf_slice(out);
	size_t lf = slice_find_last(s, '\n');

	return lf == SIZE_MAX ? s.n : s.n - lf - 1;
}

/* Appends text in lines of at most LINE_OCTETS. */
static bool append_folded(struct slice text, struct buf *out)
{
	bool ok = true;

	while (text.n > 0) {
		size_t room = column(out) < LINE_OCTETS ? LINE_OCTETS - column(out) : 0;

		if (room == 0)
			ok &= buf_append_cstr(out, "\r\n\t");
		ok &= buf_append(out, slice_head(text, room));
		text = slice_tail(text, room);
		if (!ok)
			break;
	}
	return ok;
}

/* One name of h=, and its field in canonical form; f NULL: there is none, which signs that none may
 * come (RFC 6376 5.4.2). */
static bool append_name(struct slice name, const struct field *f, bool *first, struct buf *out,
			struct buf *header)
{
	bool ok = true;

	if (!*first)
		ok &= buf_append_char(out, ':');
	*first = false;
	if (column(out) + name.n > LINE_OCTETS)
		ok &= buf_append_cstr(out, "\r\n\t");
	ok &= buf_append(out, name);
	return ok && (f == NULL || canon_field(CANON_RELAXED, f->raw, header));
}

/* All fields of that name, the last one first. */
static bool append_fields(const struct dkim_sign *d, struct slice name, bool *first,
			  struct buf *out, struct buf *header)
{
	bool ok = true;

	for (size_t i = d->fields->n; i-- > 0;)
		if (slice_equal_nocase(d->fields->all[i].name, name))
			ok &= append_name(name, &d->fields->all[i], first, out, header);
	return ok;
}

static bool append_list(const struct dkim_sign *d, struct buf *out, struct buf *header)
{
	struct slice rest = d->names, name;
	bool ok, first = true;

	ok = append_fields(d, SLICE("From"), &first, out, header) &&
	     append_name(SLICE("From"), NULL, &first, out, header);
	while (slice_word(&rest, &name))
		if (!slice_equal_nocase(name, SLICE("From")))
			ok = ok && append_fields(d, name, &first, out, header);
	return ok;
}

bool dkim_sign_begin(const struct dkim_sign *d, struct buf *out, uint8_t digest[32])
{
	size_t before = buf_length(out);
	struct buf header, body;
	struct slice own;
	bool ok;

	buf_init(&header, HEADER_BYTES_MAX);
	buf_init(&body, 64);
	ok = base64_encode(&body, slice_of(d->body, 32)) &&
	     buf_printf(out,
			"DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n\td=%.*s; s=%.*s; "
			"t=%llu;\r\n\th=",
			d->ed25519 ? "ed25519-sha256" : "rsa-sha256", SLICE_PRINTF(d->domain),
			SLICE_PRINTF(d->selector), (unsigned long long)d->now_s) &&
	     append_list(d, out, &header) &&
	     buf_printf(out, ";\r\n\tbh=%.*s;\r\n\tb=", SLICE_PRINTF(buf_slice(&body)));
	own = slice_tail(buf_slice(out), before);
	/* what b= will hold stands at the end, and does not count */
	ok = ok && canon_signature(CANON_RELAXED, own, slice_tail(own, own.n), &header);
	if (ok)
		SHA256((const unsigned char *)buf_slice(&header).p, buf_length(&header), digest);
	buf_fini(&header);
	buf_fini(&body);
	return ok;
}

bool dkim_sign_end(struct slice signature, struct buf *out)
{
	struct buf text;
	bool ok;

	buf_init(&text, 4096);
	ok = base64_encode(&text, signature) && append_folded(buf_slice(&text), out) &&
	     buf_append_cstr(out, "\r\n");
	buf_fini(&text);
	return ok;
}
