#include "admin/names.h"

#include <stdio.h>
#include <string.h>

#include "common/base/ascii.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/number.h"

/* What b holds, to out; ends b. */
static bool give(struct buf *b, char *out, size_t size, struct fault *why)
{
	bool ok = !b->failed && slice_cstr(buf_slice(b), out, size, why);

	if (b->failed)
		fault_set(why, "5.5.4", "it is too long");
	buf_fini(b);
	return ok;
}

bool names_domain(const char *text, char out[NAMES_DOMAIN_MAX], struct fault *why)
{
	struct buf b;

	buf_init(&b, NAMES_DOMAIN_MAX - 1);
	if (!domain_to_ascii(slice_of_cstr(text), &b, NULL)) {
		buf_fini(&b);
		fault_set(why, "5.5.4", "\"%s\" is no domain name; right would be one such as example.org", text);
		return false;
	}
	return give(&b, out, NAMES_DOMAIN_MAX, why);
}

bool names_domain_or_all(const char *text, char out[NAMES_DOMAIN_MAX], struct fault *why)
{
	if (strcmp(text, "*") != 0)
		return names_domain(text, out, why);
	(void)snprintf(out, NAMES_DOMAIN_MAX, "*");
	return true;
}

static bool no_address(const char *text, const char *reason, struct fault *why)
{
	fault_set(why, "5.5.4", "\"%s\" is no address%s%s; right would be one such as ann@example.org", text, reason[0] != '\0' ? ": " : "", reason);
	return false;
}

bool names_address(const char *text, unsigned flags, struct names_address *out, struct fault *why)
{
	struct fault reason = {0};
	struct path path;
	struct buf b;

	memset(out, 0, sizeof(*out));
	if ((flags & NAMES_CATCH_ALL) && text[0] == '@') {
		if (!names_domain(text + 1, out->domain, why))
			return false;
	} else {
		if (!mailbox_parse(slice_of_cstr(text), PATH_UTF8, &path, &reason))
			return no_address(text, reason.text, why);
		if (path.domain.n == 0 || path.literal.family != 0)
			return no_address(text, "it has no domain name", why);
		buf_init(&b, LOCAL_PART_MAX_BYTES);
		(void)!local_part_fold(path.local_part, &b);
		if (!give(&b, out->local_part, sizeof(out->local_part), why))
			return false;
		buf_init(&b, NAMES_DOMAIN_MAX - 1);
		if (!domain_to_ascii(path.domain, &b, &reason)) {
			buf_fini(&b);
			return no_address(text, reason.text, why);
		}
		if (!give(&b, out->domain, sizeof(out->domain), why))
			return false;
	}
	(void)snprintf(out->whole, sizeof(out->whole), "%s@%s", out->local_part, out->domain);
	return true;
}

/* ---- networks ---- */

static void mask(struct ip *ip, unsigned bits)
{
	for (unsigned i = 0; i < sizeof(ip->octets); i++) {
		unsigned keep = bits >= 8 * (i + 1) ? 8 : bits <= 8 * i ? 0 : bits - 8 * i;

		ip->octets[i] &= (uint8_t)(0xff00u >> keep);
	}
}

bool names_network(const char *text, char out[NAMES_NETWORK_MAX], struct fault *why)
{
	struct slice s = slice_of_cstr(text), address = slice_head(s, slice_find(s, '/'));
	uint64_t bits, most;
	struct ip ip, network;
	char written[IP_TEXT_MAX];

	if (!ip_parse(address, &ip)) {
		fault_set(why, "5.5.4", "\"%s\" is no network; right would be one such as 192.0.2.0/24, 192.0.2.1 or 2001:db8::/32", text);
		return false;
	}
	most = ip.family == 4 ? 32 : 128;
	bits = most;
	if (address.n < s.n && !number_u64(slice_tail(s, address.n + 1), most, &bits)) {
		fault_set(why, "5.5.4", "%s: behind the / stands how many bits all have in common, 1 to %u", text, (unsigned)most);
		return false;
	}
	network = ip;
	mask(&network, (unsigned)bits);
	ip_text(&network, written);
	if (!ip_equal(&ip, &network)) {
		fault_set(why, "5.5.4", "%s is an address in a network; the network is %s/%u, the address alone is %.*s", text, written, (unsigned)bits,
			  SLICE_PRINTF(address));
		return false;
	}
	if (bits == 0) {
		fault_set(why, "5.5.4", "%s is everybody, and everybody could send as anybody of ours", text);
		return false;
	}
	(void)snprintf(out, NAMES_NETWORK_MAX, "%s/%u", written, (unsigned)bits);
	return true;
}

/* ---- patterns ---- */

static bool write_pattern(const char *text, char out[NAMES_PATTERN_MAX], struct fault *why)
{
	struct buf b;

	buf_init(&b, NAMES_PATTERN_MAX - 1);
	for (; *text != '\0'; text++) {
		if (strchr("%_\\", *text) != NULL)
			buf_append_char(&b, '\\');
		buf_append_char(&b, *text == '*' ? '%' : *text == '?' ? '_' : ascii_lower(*text));
	}
	return give(&b, out, NAMES_PATTERN_MAX, why);
}

bool names_filter(const char *text, struct names_filter *out, struct fault *why)
{
	out->domain = out->pattern = NULL;
	if (strpbrk(text, "*?@") != NULL) {
		out->pattern = out->text;
		return write_pattern(text, out->text, why);
	}
	if (text[0] != '\0')
		out->domain = out->text;
	return text[0] == '\0' || names_domain(text, out->text, why);
}
