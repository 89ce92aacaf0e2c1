#include "common/auth/spf_record.h"

#include <string.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/base/number.h"

#define TERMS_MAX 1000

static bool refuse(struct fault *why, struct slice term, const char *what)
{
	fault_set(why, "5.7.24", "\"%.*s\" %s", SLICE_PRINTF(slice_head(term, 200)), what);
	return false;
}

bool spf_record_is(struct slice text)
{
	return slice_starts_nocase(text, SLICE("v=spf1")) && (text.n == 6 || text.p[6] == ' ');
}

/* ---- domain-spec, RFC 7208 7.1 ---- */

/* toplabel: letters and digits with at least one letter, or with hyphens inside. */
static bool is_toplabel(struct slice label)
{
	bool letter = false, hyphen = false;

	for (size_t i = 0; i < label.n; i++) {
		char c = label.p[i];

		if (!ascii_is_alnum(c) && c != '-')
			return false;
		letter = letter || ascii_is_alpha(c);
		hyphen = hyphen || c == '-';
	}
	return label.n > 0 && label.p[0] != '-' && label.p[label.n - 1] != '-' &&
	       (letter || hyphen);
}

/* s is sound. A '}' may also be a literal: then no "%{" stands before it. */
static bool ends_in_macro(struct slice s)
{
	size_t i = 0, length = 0;

	for (; i < s.n; i += length) {
		length = 1;
		if (s.p[i] == '%')
			length = s.p[i + 1] == '{' ? slice_find(slice_tail(s, i), '}') + 1 : 2;
	}
	return length > 1;
}

static bool is_domain_spec(struct slice s)
{
	struct slice rest = s;
	size_t dot;

	if (s.n == 0 || !spf_macro_string_is_sound(s, false))
		return false;
	if (ends_in_macro(s))
		return true;
	if (slice_ends(rest, SLICE(".")))
		rest.n--;
	dot = slice_find_last(rest, '.');
	return dot != SIZE_MAX && is_toplabel(slice_tail(rest, dot + 1));
}

/* ---- mechanisms, RFC 7208 5 ---- */

/* A number without leading zeros, at most max. */
static bool cidr_number(struct slice digits, unsigned max, unsigned *out)
{
	uint64_t n;

	if (digits.n == 0 || (digits.n > 1 && digits.p[0] == '0') || !number_u64(digits, max, &n))
		return false;
	*out = (unsigned)n;
	return true;
}

/* The run of digits at the end with the slash before it, cut off; false: there is none. */
static bool cut_digits(struct slice *s, struct slice *digits)
{
	size_t i = s->n;

	while (i > 0 && ascii_is_digit(s->p[i - 1]))
		i--;
	if (i == s->n || i == 0 || s->p[i - 1] != '/')
		return false;
	*digits = slice_tail(*s, i);
	s->n = i - 1;
	return true;
}

/* dual-cidr-length: "/24", "//64", "/24//64", cut off the end of *s. */
static bool cut_dual_cidr(struct slice *s, unsigned *bits4, unsigned *bits6)
{
	struct slice digits;

	*bits4 = 32;
	*bits6 = 128;
	if (!cut_digits(s, &digits))
		return true;
	if (slice_ends(*s, SLICE("/"))) {
		s->n--;
		if (!cidr_number(digits, 128, bits6))
			return false;
		if (!cut_digits(s, &digits))
			return true;
	}
	return cidr_number(digits, 32, bits4);
}

/* What stands behind the mechanism's name: nothing, or ':' and a domain-spec. */
static bool optional_domain(struct slice rest, struct slice *domain)
{
	if (rest.n == 0)
		return true;
	*domain = slice_tail(rest, 1);
	return rest.p[0] == ':' && is_domain_spec(*domain);
}

static bool network(struct slice rest, bool six, struct spf_term *t)
{
	struct slice address = slice_tail(rest, 1), digits;
	bool has_dots = slice_find(address, '.') != SIZE_MAX,
	     has_colons = slice_find(address, ':') != SIZE_MAX;
	size_t slash = slice_find(address, '/');

	t->bits4 = 32;
	t->bits6 = 128;
	if (rest.n == 0 || rest.p[0] != ':')
		return false;
	if (slash != SIZE_MAX) {
		digits = slice_tail(address, slash + 1);
		address = slice_head(address, slash);
		if (!cidr_number(digits, six ? 128 : 32, six ? &t->bits6 : &t->bits4))
			return false;
	}
	if (!ip_parse(address, &t->network) || (six ? !has_colons : has_colons || !has_dots))
		return false;
	if (six && t->network.family == 4)
		t->network.family = 0; /* IPv4-mapped: such a client is one of IPv4 (RFC 7208 5) */
	return true;
}

static const struct {
	struct slice name;
	enum spf_mechanism mechanism;
} mechanisms[] = {
	{{"all", 3}, SPF_ALL}, {{"include", 7}, SPF_INCLUDE}, {{"a", 1}, SPF_A},
	{{"mx", 2}, SPF_MX},   {{"ptr", 3}, SPF_PTR},	      {{"ip4", 3}, SPF_IP4},
	{{"ip6", 3}, SPF_IP6}, {{"exists", 6}, SPF_EXISTS},
};

/* The letters, digits and signs of a name at the beginning. */
static size_t name_length(struct slice s)
{
	size_t n = 0;

	while (n < s.n &&
	       (ascii_is_alnum(s.p[n]) || s.p[n] == '-' || s.p[n] == '_' || s.p[n] == '.'))
		n++;
	return n > 0 && ascii_is_alpha(s.p[0]) ? n : 0;
}

static bool mechanism_rest(struct spf_term *t, struct slice rest)
{
	switch (t->mechanism) {
	case SPF_ALL:
		return rest.n == 0;
	case SPF_INCLUDE:
	case SPF_EXISTS:
		return rest.n > 0 && optional_domain(rest, &t->domain);
	case SPF_A:
	case SPF_MX:
		return cut_dual_cidr(&rest, &t->bits4, &t->bits6) &&
		       optional_domain(rest, &t->domain);
	case SPF_PTR:
		return optional_domain(rest, &t->domain);
	case SPF_IP4:
	case SPF_IP6:
		return network(rest, t->mechanism == SPF_IP6, t);
	}
	return false;
}

static bool mechanism_parse(struct slice text, struct spf_term *t, struct fault *why)
{
	struct slice rest = text, name;
	size_t n = 0;

	*t = (struct spf_term){.text = text, .qualifier = '+'};
	if (memchr("+-~?", rest.p[0], 4) != NULL) {
		t->qualifier = rest.p[0];
		rest = slice_tail(rest, 1);
	}
	while (n < rest.n && rest.p[n] != ':' && rest.p[n] != '/')
		n++;
	name = slice_head(rest, n);
	for (size_t i = 0; i < ARRAY_LENGTH(mechanisms); i++) {
		if (!slice_equal_nocase(name, mechanisms[i].name))
			continue;
		t->mechanism = mechanisms[i].mechanism;
		return mechanism_rest(t, slice_tail(rest, n)) ||
		       refuse(why, text, "is not written as its mechanism is");
	}
	return refuse(why, text, "is no mechanism");
}

/* ---- modifiers, RFC 7208 6 ---- */

static bool modifier_parse(struct slice text, size_t n, struct spf_record *r, struct fault *why)
{
	struct slice name = slice_head(text, n), value = slice_tail(text, n + 1);
	struct slice *place = NULL;

	if (slice_equal_nocase(name, SLICE("redirect")))
		place = &r->redirect;
	else if (slice_equal_nocase(name, SLICE("exp")))
		place = &r->exp;
	if (place == NULL) /* unknown ones are ignored, but they are written as macro-strings */
		return spf_macro_string_is_sound(value, false) ||
		       refuse(why, text, "is not written as a modifier is");
	if (place->n > 0)
		return refuse(why, text, "stands there twice");
	*place = value;
	return is_domain_spec(value) || refuse(why, text, "names no domain");
}

bool spf_record_parse(struct slice text, struct arena *arena, struct spf_record *out,
		      struct fault *why)
{
	struct slice rest = slice_tail(text, 6), term;
	size_t n_max = 1, n;

	*out = (struct spf_record){0};
	for (size_t i = 0; i < rest.n; i++)
		n_max += rest.p[i] == ' ';
	if (n_max > TERMS_MAX) {
		fault_set(why, "5.7.24", "the record has more than %d terms", TERMS_MAX);
		return false;
	}
	if ((out->terms = arena_alloc(arena, n_max * sizeof(*out->terms), why)) == NULL)
		return false;
	while (slice_cut(&rest, ' ', &term)) {
		if (term.n == 0)
			continue;
		n = name_length(term);
		if (n > 0 && n < term.n && term.p[n] == '=') {
			if (!modifier_parse(term, n, out, why))
				return false;
			continue;
		}
		if (!mechanism_parse(term, &out->terms[out->n], why))
			return false;
		out->has_all = out->has_all || out->terms[out->n].mechanism == SPF_ALL;
		out->n++;
	}
	return true;
}
