#include "queued/bounce.h"

#include "common/base/ascii.h"
#include "common/base/clock.h"

#define LINE_SOFT 76 /* RFC 5322 2.1.1: should not be longer than 78 */
#define WORD_MAX 900 /* nor may any line be longer than 998 */

/* ---- lines ---- */

static void put(struct buf *out, const char *line)
{
	buf_append_cstr(out, line);
	buf_append_cstr(out, "\r\n");
}

/* Octets of others: what is no printable ASCII becomes a space, or '?' where it is not ours to say which letters it is. An address may be UTF-8 (RFC 6531). */
static void put_clean(struct buf *out, struct slice s, bool utf8)
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

/* The words of s, folded; every line but the first, on which `used` octets stand already, begins with indent. */
static void put_folded(struct buf *out, struct slice s, size_t used, const char *indent)
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
			put_clean(out, part, false);
			used += part.n;
			word = slice_tail(word, part.n);
			first = false;
		}
	}
	buf_append_cstr(out, "\r\n");
}

static void put_date(struct buf *out, const char *before, uint64_t at_us)
{
	buf_append_cstr(out, before);
	clock_append_rfc5322(out, at_us);
	buf_append_cstr(out, "\r\n");
}

static void put_address(struct buf *out, const char *before, struct slice address, const char *after)
{
	buf_append_cstr(out, before);
	put_clean(out, address, true);
	put(out, after);
}

/* A line that begins with a name and goes on with others' words. */
static void put_field(struct buf *out, const char *name, const char *type, struct slice value)
{
	size_t used = buf_length(out);

	buf_printf(out, "%s: %s", name, type);
	put_folded(out, value, buf_length(out) - used, "    ");
}

/* ---- parts ---- */

static void put_boundary(const struct bounce *b, struct buf *out, bool last)
{
	buf_printf(out, "\r\n--notice-%.*s%s\r\n", SLICE_PRINTF(b->id), last ? "--" : "");
}

static bool is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 126)
			return false;
	return true;
}

/* RFC 2045 6.4: what is 8bit within must be called so without. */
static const char *transfer_encoding(const struct bounce *b)
{
	bool ascii = is_ascii(b->headers) && is_ascii(b->reverse_path);

	for (size_t i = 0; i < b->n_recipients && ascii; i++)
		ascii = is_ascii(b->recipients[i].forward_path) && is_ascii(b->recipients[i].original_path);
	return ascii ? "7bit" : "8bit";
}

static void put_header(const struct bounce *b, struct buf *out, const char *encoding)
{
	bool whole = slice_find(b->postmaster, '@') != SIZE_MAX;

	buf_printf(out, "From: Mail delivery at %.*s <%.*s%s%.*s>\r\n", SLICE_PRINTF(b->hostname), SLICE_PRINTF(b->postmaster),
		   whole ? "" : "@", whole ? 0 : slice_int(b->hostname.n), b->hostname.p);
	put_address(out, "To: <", b->reverse_path, ">");
	put(out, "Subject: Your message could not be delivered");
	put_date(out, "Date: ", b->made_us);
	buf_printf(out, "Message-ID: <%.*s@%.*s>\r\n", SLICE_PRINTF(b->id), SLICE_PRINTF(b->hostname));
	put(out, "Auto-Submitted: auto-replied"); /* RFC 3834 5 */
	put(out, "MIME-Version: 1.0");
	put(out, "Content-Type: multipart/report; report-type=delivery-status;");
	buf_printf(out, "    boundary=\"notice-%.*s\"\r\n", SLICE_PRINTF(b->id));
	buf_printf(out, "Content-Transfer-Encoding: %s\r\n", encoding);
}

static void put_words_about(const struct bounce_recipient *r, struct buf *out)
{
	put(out, "");
	put_address(out, "  ", r->forward_path, "");
	if (!slice_equal_nocase(r->forward_path, r->original_path))
		put_address(out, "    (you wrote to ", r->original_path, ")");
	buf_append_cstr(out, "    ");
	if (r->expired)
		put_folded(out, SLICE("It could not be reached for too long; we have given up. The last attempt met this:"), 4, "    ");
	else if (r->host.n > 0) {
		struct buf line;

		buf_init(&line, 1024);
		buf_printf(&line, "The other mail server, %.*s, refused it and said:", SLICE_PRINTF(r->host));
		put_folded(out, buf_slice(&line), 4, "    ");
		buf_fini(&line);
	} else
		put_folded(out, SLICE("The reason is:"), 4, "    ");
	buf_append_cstr(out, "    ");
	put_folded(out, r->reply, 4, "    ");
}

static void put_words(const struct bounce *b, struct buf *out, const char *encoding)
{
	put_boundary(b, out, false);
	put(out, "Content-Type: text/plain; charset=utf-8");
	buf_printf(out, "Content-Transfer-Encoding: %s\r\n", encoding);
	put(out, "Content-Description: What happened");
	put(out, "");
	buf_printf(out, "This is the mail server %.*s.\r\n", SLICE_PRINTF(b->hostname));
	put(out, "");
	put_date(out, "Your message of ", b->received_us);
	put(out, b->n_recipients == 1 ? "could not be delivered to this address:" : "could not be delivered to these addresses:");
	for (size_t i = 0; i < b->n_recipients; i++)
		put_words_about(&b->recipients[i], out);
	put(out, "");
	put(out, "What you can do: look whether the address is written correctly, and send the");
	put(out, "message again if it was not. If it is correct, the words above tell those who");
	put(out, "look after the other mail server, or yours, what is wrong. Recipients that are");
	put(out, "not named here are not concerned.");
	put(out, "");
	put(out, "A program wrote this. The beginning of your message is attached below.");
}

static void put_status_of(const struct bounce_recipient *r, struct buf *out)
{
	put(out, "");
	if (r->orcpt.n > 0)
		put_field(out, "Original-Recipient", "", r->orcpt);
	else if (!slice_equal_nocase(r->forward_path, r->original_path))
		put_field(out, "Original-Recipient", "rfc822; ", r->original_path);
	put_field(out, "Final-Recipient", "rfc822; ", r->forward_path);
	put(out, "Action: failed");
	put_field(out, "Status", "", r->expired ? SLICE("4.4.7") : r->status);
	if (r->host.n > 0)
		put_field(out, "Remote-MTA", "dns; ", r->host);
	put_field(out, "Diagnostic-Code", r->host.n > 0 ? "smtp; " : "x-tassis; ", r->reply);
	put_date(out, "Last-Attempt-Date: ", r->at_us);
}

static void put_status(const struct bounce *b, struct buf *out)
{
	put_boundary(b, out, false);
	put(out, "Content-Type: message/delivery-status");
	put(out, "Content-Description: The same for programs");
	put(out, "");
	if (b->envid.n > 0)
		put_field(out, "Original-Envelope-Id", "", b->envid);
	put_field(out, "Reporting-MTA", "dns; ", b->hostname);
	put_field(out, "X-Tassis-Id", "", b->about);
	put_date(out, "Arrival-Date: ", b->received_us);
	for (size_t i = 0; i < b->n_recipients; i++)
		put_status_of(&b->recipients[i], out);
}

bool bounce_compose(const struct bounce *b, struct buf *out)
{
	const char *encoding = transfer_encoding(b);

	put_header(b, out, encoding);
	put_words(b, out, encoding);
	put_status(b, out);
	put_boundary(b, out, false);
	put(out, "Content-Type: text/rfc822-headers; charset=utf-8");
	buf_printf(out, "Content-Transfer-Encoding: %s\r\n", encoding);
	put(out, "Content-Description: The beginning of your message");
	put(out, "");
	buf_append(out, b->headers);
	put_boundary(b, out, true);
	return !out->failed;
}
