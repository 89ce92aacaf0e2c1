#include "common/auth/results.h"

#include <string.h>

#include "common/auth/tags.h"
#include "common/base/ascii.h"

#define SIGNATURES_SAID_MAX 10
#define B_OCTETS 8 /* of b=, RFC 6008 4 */

/* ---- writing ---- */

/* RFC 2045 5.1: octets that need no quotes; '@', '+' and '=' are met in addresses and are safe in a
 * pvalue's mailbox. */
static bool is_plain(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && memchr(".-_+=@!#$&'*/^`{|}~", s.p[i], 19) == NULL)
			return false;
	return s.n > 0;
}

/* What a peer sent goes into a field only where it is harmless there; else the part that is not is
 * left out. */
static bool append_value(struct buf *out, struct slice s)
{
	bool ok = true;

	if (is_plain(s))
		return buf_append(out, s);
	ok &= buf_append_char(out, '"');
	for (size_t i = 0; i < s.n && i < 320; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			ok &= buf_append_char(out, '\\');
		ok &= buf_append_char(out, ascii_is_control(s.p[i]) ? '?' : s.p[i]);
	}
	return ok && buf_append_char(out, '"');
}

static bool append_property(struct buf *out, const char *name, struct slice value)
{
	return value.n == 0 || (buf_append_char(out, ' ') && buf_append_cstr(out, name) &&
				buf_append_char(out, '=') && append_value(out, value));
}

static bool append_method(struct buf *out, const char *method, const char *result)
{
	return buf_printf(out, ";\r\n\t%s=%s", method, result);
}

static bool append_spf(const struct results *r, struct buf *out)
{
	return append_method(out, "spf", spf_code_name(r->spf->code)) &&
	       append_property(out, r->spf->of_helo ? "smtp.helo" : "smtp.mailfrom",
			       r->spf->of_helo ? r->helo : r->reverse_path);
}

static bool append_signature(const struct signature *s, struct buf *out)
{
	char octets[B_OCTETS];
	struct slice b = {octets, 0};

	for (size_t i = 0; i < s->b.n && b.n < B_OCTETS; i++)
		if (s->b.p[i] > ' ')
			octets[b.n++] = s->b.p[i];

	return append_method(out, "dkim", dkim_verdict_word(s->verdict)) &&
	       append_property(out, "header.d", s->d) && append_property(out, "header.s", s->s) &&
	       append_property(out, "header.a", s->a) && append_property(out, "header.b", b) &&
	       (s->unsigned_octets == 0 ||
		buf_append_cstr(out, " (not all of the body is signed)"));
}

static bool append_dkim(const struct dkim *d, struct buf *out)
{
	bool ok = true;

	if (d->n == 0)
		return append_method(out, "dkim", "none");
	for (size_t i = 0; i < d->n && i < SIGNATURES_SAID_MAX; i++)
		ok &= append_signature(&d->all[i], out);
	return ok;
}

static bool append_dmarc(const struct dmarc_verdict *v, struct buf *out)
{
	bool ok = append_method(out, "dmarc", dmarc_result_word(v->result));

	if (v->applies)
		ok &= buf_printf(out, " (p=%s)", dmarc_policy_word(v->policy));
	return ok && append_property(out, "header.from", v->author_domain);
}

bool results_append(const struct results *r, struct buf *out)
{
	bool ok = buf_printf(out, "Authentication-Results: %.*s", SLICE_PRINTF(r->name));
	char client[IP_TEXT_MAX];

	if (r->spf != NULL)
		ok &= append_spf(r, out);
	if (r->dkim != NULL)
		ok &= append_dkim(r->dkim, out);
	if (r->dmarc != NULL)
		ok &= append_dmarc(r->dmarc, out);
	if (r->arc != NULL && r->arc->result != ARC_NONE)
		ok &= append_method(out, "arc", arc_result_word(r->arc->result));
	if (r->client.family != 0)
		ok &= append_method(out, "iprev", r->client_name.n > 0 ? "pass" : "fail") &&
		      append_property(out, "policy.iprev",
				      slice_of_cstr(ip_text(&r->client, client)));
	return ok && buf_append_cstr(out, "\r\n");
}

bool results_append_received_spf(const struct results *r, struct buf *out)
{
	char client[IP_TEXT_MAX];
	bool ok = buf_printf(out, "Received-SPF: %s (%.*s) client-ip=%s;\r\n\tenvelope-from=",
			     spf_code_name(r->spf->code), SLICE_PRINTF(r->name),
			     ip_text(&r->client, client));

	ok &= r->reverse_path.n > 0 ? append_value(out, r->reverse_path)
				    : buf_append_cstr(out, "\"\"");
	ok &= buf_append_cstr(out, "; helo=") && append_value(out, r->helo);
	return ok && buf_printf(out, "; identity=%s\r\n", r->spf->of_helo ? "helo" : "mailfrom");
}

/* ---- reading ---- */

/* Without the blanks, folds and comments (RFC 5322 3.2.2) at the beginning. */
static struct slice skip_comments(struct slice s)
{
	for (;;) {
		unsigned depth = 0;
		size_t i = 0;

		s = tags_trim(s);
		if (s.n == 0 || s.p[0] != '(')
			return s;
		for (; i < s.n; i++) {
			if (s.p[i] == '\\')
				i++;
			else if (s.p[i] == '(')
				depth++;
			else if (s.p[i] == ')' && --depth == 0)
				break;
		}
		s = slice_tail(s, i + 1);
	}
}

bool results_are_of(struct slice value, struct slice name)
{
	struct slice s = skip_comments(value);

	if (s.n > 0 && s.p[0] == '"')
		s = slice_tail(s, 1);
	return slice_starts_nocase(s, name) &&
	       (s.n == name.n ||
		!(ascii_is_alnum(s.p[name.n]) || s.p[name.n] == '-' || s.p[name.n] == '.'));
}

bool results_say(struct slice value, struct slice method, struct slice result)
{
	struct slice rest = value, part, name, word;

	while (slice_cut(&rest, ';', &part)) {
		part = skip_comments(part);
		if (!slice_cut(&part, '=', &name) || part.p == NULL ||
		    !slice_equal_nocase(tags_trim(name), method))
			continue;
		part = skip_comments(part);
		for (word = part, word.n = 0; word.n < part.n && ascii_is_alnum(part.p[word.n]);
		     word.n++)
			;
		return slice_equal_nocase(word, result);
	}
	return false;
}
