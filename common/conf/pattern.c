#include "common/conf/pattern.h"

#include "common/base/address.h"
#include "common/base/ascii.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/number.h"

struct unit {
	struct slice name;
	uint64_t times;
};

/* The largest first. A bare number is one with the empty name's unit; a duration without a unit is none. */
static const struct unit sizes[] = {
	{{"G", 1}, 1u << 30}, {{"M", 1}, 1u << 20}, {{"k", 1}, 1u << 10}, {{"", 0}, 1},
};
static const struct unit durations[] = {
	{{"d", 1}, 86400000}, {{"h", 1}, 3600000}, {{"min", 3}, 60000}, {{"s", 1}, 1000}, {{"ms", 2}, 1},
};

static const struct unit *units_of(enum setting_type type, size_t *n)
{
	static const struct unit one[] = {{{"", 0}, 1}};

	if (type == SIZE) {
		*n = ARRAY_LENGTH(sizes);
		return sizes;
	}
	if (type == DURATION) {
		*n = ARRAY_LENGTH(durations);
		return durations;
	}
	*n = ARRAY_LENGTH(one);
	return one;
}

bool pattern_quantity(enum setting_type type, struct slice text, uint64_t *out)
{
	size_t n_units, digits = 0;
	const struct unit *units = units_of(type, &n_units);
	uint64_t n;

	while (digits < text.n && ascii_is_digit(text.p[digits]))
		digits++;
	for (size_t i = 0; i < n_units; i++)
		if (slice_equal(slice_trim(slice_tail(text, digits)), units[i].name)) {
			if (!number_u64(slice_head(text, digits), UINT64_MAX / units[i].times, &n))
				return false;
			*out = n * units[i].times;
			return true;
		}
	return false;
}

void pattern_print_quantity(enum setting_type type, uint64_t n, struct buf *out)
{
	size_t n_units;
	const struct unit *units = units_of(type, &n_units);

	for (size_t i = 0; i < n_units; i++)
		if (n ? n % units[i].times == 0 : i + 1 == n_units) {
			buf_printf(out, "%llu%.*s", (unsigned long long)(n / units[i].times), SLICE_PRINTF(units[i].name));
			return;
		}
}

/* RFC 1035 2.3.1, with A-labels for what is not ASCII: letters, digits and hyphens, labels of 1 to 63 octets, 253 in all. */
static bool is_domain(struct slice text)
{
	struct slice label;
	bool number = true;

	if (text.n == 0 || text.n > 253 || slice_ends(text, SLICE(".")))
		return false;
	while (slice_cut(&text, '.', &label)) {
		if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
			return false;
		number = true;
		for (size_t i = 0; i < label.n; i++) {
			if (!ascii_is_alnum(label.p[i]) && label.p[i] != '-')
				return false;
			number = number && ascii_is_digit(label.p[i]);
		}
	}
	return !number; /* RFC 3696 2: the last label is not all digits; so an address is no domain */
}

static bool dns_server_matches(struct slice text, struct fault *why)
{
	struct slice rest = text, address = SLICE_EMPTY, word = SLICE_EMPTY, more;
	struct ip ip;
	uint16_t port;

	if (slice_word(&rest, &address) && (ip_parse(address, &ip) || ip_port_parse(address, &ip, &port, NULL)) &&
	    (!slice_word(&rest, &word) || slice_equal(word, SLICE("trusted"))) && !slice_word(&rest, &more))
		return true;
	fault_set(why, "5.5.4", "\"%.*s\" is no name server; right would be 192.0.2.53, 192.0.2.53:53 or [2001:db8::53]:53, with trusted behind it or not",
		  SLICE_PRINTF(text));
	return false;
}

/* "192.0.2.1 192.0.2.0/24 2001:db8::/32". */
static bool networks_match(struct slice text, struct fault *why)
{
	struct ip network;
	struct slice word;
	unsigned bits;

	while (slice_word(&text, &word))
		if (!network_parse(word, &network, &bits, why))
			return false;
	return true;
}

/* "X-Spam-Flag: YES": a field's name (RFC 5322 2.2), a colon, the beginning of its value. */
static bool field_matches(struct slice text, struct fault *why)
{
	struct slice rest = text, name;
	bool ok = slice_cut(&rest, ':', &name) && name.n > 0 && rest.p != NULL;

	for (size_t i = 0; ok && i < name.n; i++)
		ok = name.p[i] > ' ' && name.p[i] < 127;
	if (!ok)
		fault_set(why, "5.5.4", "\"%.*s\" is no header field; right would be X-Spam-Flag: YES", SLICE_PRINTF(text));
	return ok;
}

bool pattern_matches(const char *pattern, struct slice text, struct fault *why)
{
	struct slice name = slice_of_cstr(pattern);
	struct listener listener;

	if (slice_equal(name, SLICE("listener")))
		return listener_parse(text, &listener, why);
	if (slice_equal(name, SLICE("dns_server")))
		return dns_server_matches(text, why);
	if (slice_equal(name, SLICE("networks")))
		return networks_match(text, why);
	if (slice_equal(name, SLICE("field")))
		return field_matches(text, why);
	if (slice_equal(name, SLICE("domain")) && !is_domain(text)) {
		fault_set(why, "5.5.4", "\"%.*s\" is no domain name; right would be mail.example.org", SLICE_PRINTF(text));
		return false;
	}
	if (slice_equal(name, SLICE("path")) && !slice_starts(text, SLICE("/"))) {
		fault_set(why, "5.5.4", "\"%.*s\" is no whole path; right would be one that begins with /", SLICE_PRINTF(text));
		return false;
	}
	return true;
}

/* The place of word among the words, or -1. */
static int place_of(struct slice word, struct slice words)
{
	struct slice one;

	for (int i = 0; slice_cut(&words, '|', &one); i++)
		if (slice_equal(one, word))
			return i;
	return -1;
}

bool listener_parse(struct slice line, struct listener *out, struct fault *why)
{
	struct slice rest = line, kind = SLICE_EMPTY, tls = SLICE_EMPTY, more;
	int kind_place, tls_place;
	uint16_t port;
	struct ip ip;

	out->text = line;
	if (!slice_word(&rest, &out->address) || !slice_word(&rest, &kind) || !slice_word(&rest, &tls) ||
	    slice_word(&rest, &more)) {
		fault_set(why, "5.5.4", "\"%.*s\" is no listener; right would be ADDRESS:PORT KIND TLS, as in 0.0.0.0:25 smtp starttls",
			  SLICE_PRINTF(line));
		return false;
	}
	if (!ip_port_parse(out->address, &ip, &port, why))
		return false;
	kind_place = place_of(kind, SLICE("smtp|submission"));
	tls_place = place_of(tls, SLICE("none|starttls|required|implicit"));
	if (kind_place < 0 || tls_place < 0) {
		fault_set(why, "5.5.4", "\"%.*s %.*s\": right would be smtp or submission, and none, starttls, required or implicit",
			  SLICE_PRINTF(kind), SLICE_PRINTF(tls));
		return false;
	}
	out->kind = (enum listener_kind)kind_place;
	out->tls = (enum listener_tls)tls_place;
	return true;
}
