#include "deliverd/local/mailbox.h"

#include <stdint.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"

#define NAME_MAX_OCTETS 255

static const struct slice inbox = {"INBOX", 5};

/* How many octets the character has that begins with c; 0: none does. */
static size_t sequence_length(uint8_t c)
{
	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* The next character of *rest, which goes on behind it. False: it is not UTF-8 (RFC 3629). */
static bool next_character(struct slice *rest, uint32_t *out)
{
	size_t n = sequence_length((uint8_t)rest->p[0]);
	uint32_t c;

	if (n == 0 || n > rest->n)
		return false;
	c = n == 1 ? (uint8_t)rest->p[0] : (uint8_t)rest->p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (((uint8_t)rest->p[i] & 0xc0) != 0x80)
			return false;
		c = c << 6 | ((uint8_t)rest->p[i] & 0x3f);
	}
	*rest = slice_tail(*rest, n);
	*out = c;
	/* longer than it need be; half of a surrogate pair; past the last */
	return !(n == 3 && c < 0x800) && !(n == 4 && c < 0x10000) && (c < 0xd800 || c > 0xdfff) &&
	       c <= 0x10ffff;
}

/* A run of characters that are not ASCII, in the base64 of RFC 3501 5.1.3. */
struct run {
	struct buf *out;
	uint32_t bits;
	unsigned n_bits; /* of bits, not given out yet */
	bool open;	 /* '&' stands, '-' does not */
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static void give_bits(struct run *r, uint32_t unit)
{
	r->bits = r->bits << 16 | unit;
	for (r->n_bits += 16; r->n_bits >= 6; r->n_bits -= 6)
		buf_append_char(r->out, alphabet[r->bits >> (r->n_bits - 6) & 63]);
	r->bits &= (1u << r->n_bits) - 1;
}

static void give_character(struct run *r, uint32_t c)
{
	if (!r->open)
		buf_append_char(r->out, '&');
	r->open = true;
	if (c < 0x10000) {
		give_bits(r, c);
		return;
	}
	give_bits(r, 0xd800 + ((c - 0x10000) >> 10));
	give_bits(r, 0xdc00 + ((c - 0x10000) & 0x3ff));
}

static void close_run(struct run *r)
{
	if (!r->open)
		return;
	if (r->n_bits > 0) /* zeros fill it up */
		buf_append_char(r->out, alphabet[r->bits << (6 - r->n_bits) & 63]);
	buf_append_char(r->out, '-');
	*r = (struct run){.out = r->out};
}

static bool give_part(struct run *r, struct slice part)
{
	uint32_t c;

	while (part.n) {
		if (!next_character(&part, &c) || c < 0x20 || (c >= 0x7f && c < 0xa0))
			return false;
		if (c >= 0x80) {
			give_character(r, c);
			continue;
		}
		close_run(r);
		buf_append_char(r->out, (char)c);
		if (c == '&')
			buf_append_char(r->out, '-');
	}
	close_run(r);
	return true;
}

/* The part up to the next '.' or '/'. */
static bool next_part(struct slice *rest, struct slice *part)
{
	size_t n = 0;

	if (rest->p == NULL)
		return false;
	while (n < rest->n && rest->p[n] != '.' && rest->p[n] != '/')
		n++;
	*part = slice_head(*rest, n);
	*rest = n < rest->n ? slice_tail(*rest, n + 1) : SLICE_EMPTY;
	return true;
}

static bool encode(struct slice mailbox, struct buf *out)
{
	size_t before = buf_length(out);
	struct run r = {.out = out};
	struct slice rest = mailbox, part;

	while (next_part(&rest, &part)) {
		bool first = buf_length(out) == before;

		buf_append_char(out, '.');
		if (part.n == 0 || (first && part.p[0] == '~'))
			return false;
		if (first && slice_equal_nocase(part, inbox))
			part = inbox;
		if (!give_part(&r, part))
			return false;
	}
	return !out->failed && buf_length(out) - before <= NAME_MAX_OCTETS;
}

bool mailbox_folder_name(struct slice mailbox, struct buf *out, struct fault *why)
{
	size_t before = buf_length(out);

	if (mailbox.n == 0 || slice_equal_nocase(mailbox, inbox) || encode(mailbox, out))
		return true;
	buf_truncate(out, before);
	fault_set(why, "4.3.5",
		  "\"%.*s\" cannot be a mailbox's name: tassis-deliverd(8) says which can",
		  SLICE_PRINTF(mailbox));
	return false;
}
