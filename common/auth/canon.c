#include "common/auth/canon.h"

#include <openssl/evp.h>
#include <string.h>

#include "common/base/ascii.h"

/* ---- fields, RFC 6376 3.4.1 and 3.4.2 ---- */

/* Runs of blanks and folds become one space, and none at the end. */
static bool append_relaxed(struct slice value, struct buf *out)
{
	bool ok = true, blank = false, any = false;

	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == '\r' || c == '\n')
			continue;
		if (ascii_is_space(c)) {
			blank = true;
			continue;
		}
		if (blank && any)
			ok &= buf_append_char(out, ' ');
		ok &= buf_append_char(out, c);
		blank = false;
		any = true;
	}
	return ok;
}

static bool append_name(struct slice raw, size_t colon, struct buf *out)
{
	struct slice name = slice_head(raw, colon);
	bool ok = true;

	while (name.n > 0 && ascii_is_space(name.p[name.n - 1]))
		name.n--;
	for (size_t i = 0; i < name.n; i++)
		ok &= buf_append_char(out, ascii_lower(name.p[i]));
	return ok && buf_append_char(out, ':');
}

bool canon_field(enum canon c, struct slice raw, struct buf *out)
{
	size_t colon = slice_find(raw, ':');

	if (c == CANON_SIMPLE || colon == SIZE_MAX)
		return buf_append(out, raw) && buf_append_cstr(out, "\r\n");
	return append_name(raw, colon, out) && append_relaxed(slice_tail(raw, colon + 1), out) &&
	       buf_append_cstr(out, "\r\n");
}

bool canon_signature(enum canon c, struct slice raw, struct slice b, struct buf *out)
{
	size_t before = buf_length(out);
	struct buf without;
	bool ok;

	buf_init(&without, raw.n + 1);
	ok = buf_append(&without, slice_of(raw.p, (size_t)(b.p - raw.p))) &&
	     buf_append(&without, slice_of(b.p + b.n, (size_t)(raw.p + raw.n - (b.p + b.n)))) &&
	     canon_field(c, buf_slice(&without), out);
	buf_fini(&without);
	if (ok && buf_length(out) >= before + 2)
		buf_truncate(out, buf_length(out) - 2);
	return ok;
}

/* ---- the body, RFC 6376 3.4.3 and 3.4.4 ---- */

void canon_bodies_init(struct canon_bodies *b)
{
	b->n = 0;
	b->failed = false;
}

void canon_bodies_fini(struct canon_bodies *b)
{
	for (size_t i = 0; i < b->n; i++)
		EVP_MD_CTX_free(b->all[i].digest);
	b->n = 0;
}

int canon_bodies_want(struct canon_bodies *b, enum canon form, uint64_t limit)
{
	struct canon_body *body;

	for (size_t i = 0; i < b->n; i++)
		if (b->all[i].form == form && b->all[i].limit == limit)
			return (int)i;
	if (b->n == CANON_BODIES_MAX)
		return -1;
	body = &b->all[b->n];
	*body = (struct canon_body){.form = form, .limit = limit, .digest = EVP_MD_CTX_new()};
	if (body->digest == NULL || EVP_DigestInit_ex(body->digest, EVP_sha256(), NULL) != 1)
		b->failed = true;
	return (int)b->n++;
}

/* Canonical octets; those past the limit are counted alone. */
static void put(struct canon_bodies *b, struct canon_body *body, const char *p, size_t n)
{
	uint64_t left = body->limit - body->hashed;
	size_t hash = n < left ? n : (size_t)left;

	body->n += n;
	body->hashed += hash;
	if (hash > 0 && !b->failed && EVP_DigestUpdate(body->digest, p, hash) != 1)
		b->failed = true;
}

/* What was held back counts: something comes behind it. */
static void release(struct canon_bodies *b, struct canon_body *body)
{
	for (; body->n_empty > 0; body->n_empty--)
		put(b, body, "\r\n", 2);
	if (body->blank)
		put(b, body, " ", 1);
	body->blank = false;
}

/* The octets up to one that needs a look. */
static size_t plain_run(const struct canon_body *body, struct slice s)
{
	size_t n = 0;

	if (body->form == CANON_SIMPLE) {
		const char *cr = s.n > 0 ? memchr(s.p, '\r', s.n) : NULL;

		return cr != NULL ? (size_t)(cr - s.p) : s.n;
	}
	while (n < s.n && s.p[n] != '\r' && s.p[n] != ' ' && s.p[n] != '\t')
		n++;
	return n;
}

static void feed(struct canon_bodies *b, struct canon_body *body, struct slice s)
{
	while (s.n > 0) {
		size_t n;

		body->any = true;
		if (body->cr) {
			body->cr = false;
			if (s.p[0] == '\n') { /* a line's end: it counts when something follows;
						 blanks before it never do */
				body->blank = false;
				body->n_empty++;
				s = slice_tail(s, 1);
				continue;
			}
			release(b, body);
			put(b, body, "\r", 1);
		}
		if ((n = plain_run(body, s)) > 0) {
			release(b, body);
			put(b, body, s.p, n);
			s = slice_tail(s, n);
			continue;
		}
		if (s.p[0] == '\r') {
			body->cr = true;
		} else {
			/* relaxed: a run of blanks is one space */
			body->blank = true;
		}
		s = slice_tail(s, 1);
	}
}

void canon_bodies_feed(struct canon_bodies *b, struct slice octets)
{
	for (size_t i = 0; i < b->n; i++)
		feed(b, &b->all[i], octets);
}

/* Empty lines at the end do not count, and the last line has an end: none is added to an empty
 * relaxed body alone. */
static void end(struct canon_bodies *b, struct canon_body *body)
{
	if (body->cr) {
		release(b, body);
		put(b, body, "\r", 1);
		body->cr = false;
	}
	body->blank = false;
	if (body->n > 0 || body->form == CANON_SIMPLE)
		put(b, body, "\r\n", 2);
}

void canon_bodies_end(struct canon_bodies *b)
{
	for (size_t i = 0; i < b->n; i++)
		end(b, &b->all[i]);
}

bool canon_bodies_digest(const struct canon_bodies *b, int place, uint8_t out[32])
{
	EVP_MD_CTX *copy;
	unsigned n = 0;
	bool ok;

	if (b->failed || place < 0 || (size_t)place >= b->n || (copy = EVP_MD_CTX_new()) == NULL)
		return false;
	ok = EVP_MD_CTX_copy_ex(copy, b->all[place].digest) == 1 &&
	     EVP_DigestFinal_ex(copy, out, &n) == 1 && n == 32;
	EVP_MD_CTX_free(copy);
	return ok;
}
