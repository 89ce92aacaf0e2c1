#include "queued/bounce.h"

#include "common/base/clock.h"
#include "common/mail/dsn.h"
#include "queued/bounce_text.h"
#include "queued/template.h"

#define WORDS_MAX ((size_t)32 << 20) /* the part for people, with a block for each recipient */

/* ---- which octets are in it ---- */

static bool has_utf8_address(const struct bounce *b)
{
	for (size_t i = 0; i < b->n_recipients; i++)
		if (!text_is_ascii(b->recipients[i].forward_path) || !text_is_ascii(b->recipients[i].original_path))
			return true;
	return false;
}

bool bounce_is_utf8(const struct bounce *b)
{
	return b->utf8 || !text_is_ascii(b->to) || has_utf8_address(b);
}

/* RFC 2045 6.4: what is 8bit within must be called so without. */
static const char *encoding_of(bool ascii)
{
	return ascii ? "7bit" : "8bit";
}

/* ---- for people ---- */

static struct slice variable(const struct bounce *b, const struct bounce_recipient *r, struct slice name, struct buf *date)
{
	if (slice_equal(name, SLICE("hostname")))
		return b->hostname;
	if (slice_equal(name, SLICE("postmaster")))
		return b->postmaster;
	if (slice_equal(name, SLICE("id")))
		return b->about;
	if (r != NULL && slice_equal(name, SLICE("host")))
		return r->host;
	if (r != NULL && slice_equal(name, SLICE("original")))
		return r->original_path;
	if (slice_equal(name, SLICE("date")) || (b->until_us != 0 && slice_equal(name, SLICE("until")))) {
		buf_reset(date);
		clock_append_rfc5322(date, slice_equal(name, SLICE("date")) ? b->received_us : b->until_us);
		return buf_slice(date);
	}
	return SLICE_EMPTY;
}

/* text with its variables; one that is not known stays as it is written. */
static void put_filled(const struct bounce *b, const struct bounce_recipient *r, struct slice text, struct buf *out)
{
	struct buf date;
	size_t at, end;

	buf_init(&date, 128);
	while ((at = slice_find_slice(text, SLICE("%{"))) != SIZE_MAX) {
		struct slice value = SLICE_EMPTY, rest = slice_tail(text, at + 2);

		buf_append(out, slice_head(text, at));
		if ((end = slice_find(rest, '}')) != SIZE_MAX)
			value = variable(b, r, slice_head(rest, end), &date);
		if (value.n > 0) {
			text_put_clean(out, value, true);
			text = slice_tail(rest, end + 1);
		} else {
			buf_append_cstr(out, "%{");
			text = rest;
		}
	}
	buf_append(out, text);
	buf_fini(&date);
}

/* RFC 3464 2.3.6: of the type smtp is only what begins with a reply code. */
static bool is_smtp_reply(const struct bounce_recipient *r)
{
	return r->host.n > 0 && r->reply.n >= 3 && r->reply.p[0] >= '2' && r->reply.p[0] <= '5' && r->reply.p[1] >= '0' && r->reply.p[1] <= '9' &&
	       r->reply.p[2] >= '0' && r->reply.p[2] <= '9';
}

/* One of the template's words for r, in a block. */
static void put_words(const struct bounce *b, const struct bounce_recipient *r, struct slice words, struct buf *out)
{
	struct buf filled;

	buf_init(&filled, 4096);
	put_filled(b, r, words, &filled);
	buf_append_cstr(out, "    ");
	text_put_folded(out, buf_slice(&filled), 4, "    ", true);
	buf_fini(&filled);
}

static struct slice words_for(const struct template *words, const struct bounce_recipient *r)
{
	switch (r->action) {
	case BOUNCE_DELIVERED:
		return words->delivered;
	case BOUNCE_RELAYED:
		return words->relayed;
	case BOUNCE_EXPANDED:
		return words->expanded;
	case BOUNCE_FAILED:
	case BOUNCE_DELAYED:
		break;
	}
	return r->expired ? words->expired : is_smtp_reply(r) ? words->refused : words->reason;
}

static void put_recipient(const struct bounce *b, const struct bounce_recipient *r, struct buf *out)
{
	text_put(out, "");
	buf_append_cstr(out, "  ");
	text_put_clean(out, r->forward_path, true);
	text_put(out, "");
	if (!slice_equal_nocase(r->forward_path, r->original_path))
		put_words(b, r, b->words->alias, out);
	put_words(b, r, words_for(b->words, r), out);
	if (r->action == BOUNCE_FAILED || r->action == BOUNCE_DELAYED) {
		buf_append_cstr(out, "    ");
		text_put_folded(out, r->reply, 4, "    ", false);
	}
}

static void put_body(const struct bounce *b, struct buf *out)
{
	struct slice rest = b->words->body, line;

	while (rest.n > 0 && slice_cut(&rest, '\n', &line)) {
		if (slice_ends(line, SLICE("\r")))
			line.n--;
		if (!slice_equal(slice_trim(line), SLICE("%{recipients}"))) {
			put_filled(b, NULL, line, out);
			text_put(out, "");
			continue;
		}
		for (size_t i = 0; i < b->n_recipients; i++)
			put_recipient(b, &b->recipients[i], out);
		text_put(out, "");
	}
}

/* ---- parts ---- */

static void put_boundary(const struct bounce *b, struct buf *out, bool last)
{
	buf_printf(out, "\r\n--notice-%.*s%s\r\n", SLICE_PRINTF(b->id), last ? "--" : "");
}

static void put_type(struct buf *out, const char *type, const char *encoding, const char *description)
{
	buf_printf(out, "Content-Type: %s\r\nContent-Transfer-Encoding: %s\r\nContent-Description: %s\r\n\r\n", type, encoding, description);
}

static void put_subject(const struct bounce *b, struct buf *out)
{
	struct buf subject;

	buf_init(&subject, 4096);
	put_filled(b, NULL, b->words->subject, &subject);
	text_put_header(out, "Subject", buf_slice(&subject));
	buf_fini(&subject);
}

static void put_header(const struct bounce *b, struct buf *out)
{
	bool has_domain = slice_find(b->postmaster, '@') != SIZE_MAX;

	buf_printf(out, "From: Mail delivery at %.*s <%.*s%s%.*s>\r\n", SLICE_PRINTF(b->hostname), SLICE_PRINTF(b->postmaster),
		   has_domain ? "" : "@", has_domain ? 0 : slice_int(b->hostname.n), b->hostname.p);
	buf_append_cstr(out, "To: <");
	text_put_clean(out, b->to, true);
	text_put(out, ">");
	put_subject(b, out);
	text_put_date(out, "Date: ", b->made_us);
	buf_printf(out, "Message-ID: <%.*s@%.*s>\r\n", SLICE_PRINTF(b->id), SLICE_PRINTF(b->hostname));
	text_put(out, "Auto-Submitted: auto-replied"); /* RFC 3834 5 */
	text_put(out, "MIME-Version: 1.0");
	text_put(out, "Content-Type: multipart/report; report-type=delivery-status;");
	buf_printf(out, "    boundary=\"notice-%.*s\"\r\n", SLICE_PRINTF(b->id));
	buf_printf(out, "Content-Transfer-Encoding: %s\r\n", encoding_of(text_is_ascii(b->content) && !has_utf8_address(b)));
}

static void put_for_people(const struct bounce *b, struct buf *out)
{
	struct buf body;
	struct slice text;

	buf_init(&body, WORDS_MAX);
	put_body(b, &body);
	text = buf_slice(&body);
	put_boundary(b, out, false);
	put_type(out, "text/plain; charset=utf-8", text_is_ascii(text) ? "7bit" : "quoted-printable", "What happened");
	if (text_is_ascii(text))
		buf_append(out, text);
	else
		text_put_quoted(out, text);
	out->failed |= body.failed;
	buf_fini(&body);
}

/* ---- for programs ---- */

static const char *action_text(enum bounce_action action)
{
	static const char *const texts[] = {
		[BOUNCE_FAILED] = "failed", [BOUNCE_DELAYED] = "delayed", [BOUNCE_DELIVERED] = "delivered",
		[BOUNCE_RELAYED] = "relayed", [BOUNCE_EXPANDED] = "expanded",
	};

	return texts[action];
}

/* RFC 6533 3: the type of an address that is not ASCII is utf-8. */
static void put_address_field(struct buf *out, const char *name, struct slice address)
{
	text_put_field(out, name, text_is_ascii(address) ? "rfc822; " : "utf-8; ", address, true);
}

/* RFC 3461 6.3: ORCPT without its xtext. */
static void put_original(const struct bounce_recipient *r, struct buf *out)
{
	size_t semicolon = slice_find(r->orcpt, ';');
	struct buf value;

	if (r->orcpt.n == 0 && !slice_equal_nocase(r->forward_path, r->original_path))
		put_address_field(out, "Original-Recipient", r->original_path);
	if (r->orcpt.n == 0 || semicolon == SIZE_MAX)
		return;
	buf_init(&value, 4096);
	buf_append(&value, slice_head(r->orcpt, semicolon));
	buf_append_cstr(&value, "; ");
	dsn_xtext_decode(slice_tail(r->orcpt, semicolon + 1), &value);
	text_put_field(out, "Original-Recipient", "", buf_slice(&value), false);
	buf_fini(&value);
}

static void put_status_of(const struct bounce *b, const struct bounce_recipient *r, struct buf *out)
{
	text_put(out, "");
	put_original(r, out);
	put_address_field(out, "Final-Recipient", r->forward_path);
	buf_printf(out, "Action: %s\r\n", action_text(r->action));
	text_put_field(out, "Status", "", r->expired ? SLICE("4.4.7") : r->status, false);
	if (r->host.n > 0)
		text_put_field(out, "Remote-MTA", "dns; ", r->host, false);
	if (r->reply.n > 0)
		text_put_field(out, "Diagnostic-Code", is_smtp_reply(r) ? "smtp; " : "x-tassis; ", r->reply, false);
	text_put_date(out, "Last-Attempt-Date: ", r->at_us);
	if (r->action == BOUNCE_DELAYED && b->until_us != 0)
		text_put_date(out, "Will-Retry-Until: ", b->until_us);
}

static void put_for_programs(const struct bounce *b, struct buf *out)
{
	bool global = has_utf8_address(b);
	struct buf envid;

	put_boundary(b, out, false);
	put_type(out, global ? "message/global-delivery-status" : "message/delivery-status", encoding_of(!global), "The same for programs");
	buf_init(&envid, 1024);
	dsn_xtext_decode(b->envid, &envid);
	if (b->envid.n > 0)
		text_put_field(out, "Original-Envelope-Id", "", buf_slice(&envid), false);
	buf_fini(&envid);
	text_put_field(out, "Reporting-MTA", "dns; ", b->hostname, false);
	text_put_field(out, "X-Tassis-Id", "", b->about, false);
	text_put_date(out, "Arrival-Date: ", b->received_us);
	for (size_t i = 0; i < b->n_recipients; i++)
		put_status_of(b, &b->recipients[i], out);
}

/* ---- what it is about ---- */

static void put_content(const struct bounce *b, struct buf *out)
{
	const char *type = b->utf8 ? "message/global-headers" : "text/rfc822-headers; charset=utf-8";

	if (b->whole)
		type = b->utf8 ? "message/global" : "message/rfc822";
	put_boundary(b, out, false);
	put_type(out, type, encoding_of(text_is_ascii(b->content)), b->whole ? "Your message" : "The beginning of your message");
	buf_append(out, b->content);
}

bool bounce_compose(const struct bounce *b, struct buf *out)
{
	put_header(b, out);
	put_for_people(b, out);
	put_for_programs(b, out);
	put_content(b, out);
	put_boundary(b, out, true);
	return !out->failed;
}
