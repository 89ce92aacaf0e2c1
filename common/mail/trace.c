#include "common/mail/trace.h"

#include "common/base/ascii.h"
#include "common/base/clock.h"

/* A longer recipient would make a line that RFC 5322 2.1.1 forbids. */
#define FOR_MAX_BYTES 900

const char *received_protocol(const struct received *r)
{
	if (!r->extended && !r->encrypted && !r->authenticated)
		return "SMTP";
	if (r->encrypted)
		return r->authenticated ? "ESMTPSA" : "ESMTPS";
	return r->authenticated ? "ESMTPA" : "ESMTP";
}

static bool is_harmless(char c)
{
	return ascii_is_alnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '[' ||
	       c == ']';
}

static bool append_harmless(struct slice s, struct buf *out)
{
	char *p = buf_reserve(out, s.n);

	if (p == NULL)
		return false;
	for (size_t i = 0; i < s.n; i++)
		p[i] = is_harmless(s.p[i]) ? s.p[i] : '?';
	buf_commit(out, s.n);
	return true;
}

/* RFC 5321 4.1.3: an IPv6 address has its tag. */
static bool append_literal(const struct ip *ip, struct buf *out)
{
	char text[IP_TEXT_MAX];

	return buf_printf(out, "[%s%s]", ip->family == 6 ? "IPv6:" : "", ip_text(ip, text));
}

/* From-domain FWS "(" TCP-info ")": without a name from DNS, the address alone. */
static bool append_from(const struct received *r, struct buf *out)
{
	if (r->client.family == 0)
		return true;
	return buf_append_cstr(out, "from ") &&
	       (r->helo.n > 0 ? append_harmless(r->helo, out) : append_literal(&r->client, out)) &&
	       buf_append_cstr(out, " (") && append_harmless(r->client_name, out) &&
	       (r->client_name.n == 0 || buf_append_char(out, ' ')) &&
	       append_literal(&r->client, out) && buf_append_cstr(out, ")\r\n\t");
}

bool received_append(const struct received *r, struct buf *out)
{
	bool ok = buf_append_cstr(out, "Received: ") && append_from(r, out) &&
		  buf_append_cstr(out, "by ") && buf_append(out, r->by);

	if (r->local)
		ok = ok && buf_printf(out, " (from uid %lu)", (unsigned long)r->uid);
	if (!r->local || r->helo.n > 0)
		ok = ok && buf_printf(out, " with %s", received_protocol(r));
	if (r->tls.n > 0)
		ok = ok && buf_append_char(out, ' ') && buf_append(out, r->tls);
	ok = ok && buf_append_cstr(out, "\r\n\tid ") && buf_append(out, r->id);
	if (r->forward_path.n > 0 && r->forward_path.n <= FOR_MAX_BYTES)
		ok = ok && buf_append_cstr(out, " for <") && buf_append(out, r->forward_path) &&
		     buf_append_char(out, '>');
	return ok && buf_append_cstr(out, ";\r\n\t") && clock_append_rfc5322(out, r->at_us) &&
	       buf_append_cstr(out, "\r\n");
}

bool return_path_append(struct slice reverse_path, struct buf *out)
{
	return buf_append_cstr(out, "Return-Path: <") && buf_append(out, reverse_path) &&
	       buf_append_cstr(out, ">\r\n");
}
