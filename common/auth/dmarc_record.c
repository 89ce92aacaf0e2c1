#include "common/auth/dmarc_record.h"

#include "common/auth/tags.h"
#include "common/base/ascii.h"
#include "common/base/number.h"

const char *dmarc_policy_word(enum dmarc_policy p)
{
	static const char *const words[] = {[DMARC_POLICY_NONE] = "none",
					    [DMARC_POLICY_QUARANTINE] = "quarantine",
					    [DMARC_POLICY_REJECT] = "reject"};

	return words[p];
}

/* The next "name=value"; parts without '=' are passed over. */
static bool tag_next(struct slice *rest, struct slice *name, struct slice *value)
{
	struct slice part;

	while (slice_cut(rest, ';', &part)) {
		if (!slice_cut(&part, '=', name) || part.p == NULL)
			continue;
		*name = tags_trim(*name);
		*value = tags_trim(part);
		return true;
	}
	return false;
}

bool dmarc_record_is(struct slice text)
{
	struct slice rest = text, first, name;

	return slice_cut(&rest, ';', &first) && slice_cut(&first, '=', &name) && first.p != NULL &&
	       slice_equal(tags_trim(name), SLICE("v")) && name.n > 0 && name.p[0] == 'v' &&
	       slice_equal(tags_trim(first), SLICE("DMARC1"));
}

/* False: no such word. */
static bool policy_of(struct slice value, enum dmarc_policy *out)
{
	for (enum dmarc_policy p = DMARC_POLICY_NONE; p <= DMARC_POLICY_REJECT; p++) {
		if (!slice_equal_nocase(value, slice_of_cstr(dmarc_policy_word(p))))
			continue;
		*out = p;
		return true;
	}
	return false;
}

/* Is there a URI (RFC 3986 3) among those that commas separate? "!10m" behind one is no part of it.
 */
static bool has_uri(struct slice list)
{
	struct slice uri, scheme;

	while (slice_cut(&list, ',', &uri)) {
		bool ok;

		uri = tags_trim(uri);
		ok = slice_cut(&uri, ':', &scheme) && uri.n > 0 && scheme.n > 0 &&
		     ascii_is_alpha(scheme.p[0]);
		for (size_t i = 0; ok && i < scheme.n; i++)
			ok = ascii_is_alnum(scheme.p[i]) || scheme.p[i] == '+' ||
			     scheme.p[i] == '-' || scheme.p[i] == '.';
		for (size_t i = 0; ok && i < uri.n; i++)
			ok = uri.p[i] > ' ' && uri.p[i] < 127;
		if (ok && slice_equal_nocase(scheme, SLICE("mailto"))) {
			size_t at = slice_find(uri, '@');

			ok = at != SIZE_MAX && at > 0 && at + 1 < uri.n && uri.p[at + 1] != '!';
		}
		if (ok)
			return true;
	}
	return false;
}

struct seen {
	bool p, bad, rua;
};

/* A name that stands there twice: the first counts. */
static void take(struct dmarc_record *r, struct slice name, struct slice value, struct seen *seen)
{
	uint64_t n;

	if (slice_equal_nocase(name, SLICE("p"))) {
		seen->p = policy_of(value, &r->p);
		seen->bad = seen->bad || !seen->p;
	} else if (slice_equal_nocase(name, SLICE("sp"))) {
		r->has_sp = policy_of(value, &r->sp);
		seen->bad = seen->bad || !r->has_sp;
	} else if (slice_equal_nocase(name, SLICE("np"))) {
		r->has_np = policy_of(value, &r->np);
		seen->bad = seen->bad || !r->has_np;
	} else if (slice_equal_nocase(name, SLICE("rua"))) {
		seen->rua = has_uri(value);
	} else if (slice_equal_nocase(name, SLICE("adkim"))) {
		r->strict_dkim = slice_equal_nocase(value, SLICE("s"));
	} else if (slice_equal_nocase(name, SLICE("aspf"))) {
		r->strict_spf = slice_equal_nocase(value, SLICE("s"));
	} else if (slice_equal_nocase(name, SLICE("t"))) {
		r->testing = slice_equal_nocase(value, SLICE("y"));
	} else if (slice_equal_nocase(name, SLICE("pct"))) {
		r->percent = number_u64(value, 100, &n) ? (unsigned)n : 100;
	} else if (slice_equal_nocase(name, SLICE("psd"))) {
		r->psd = slice_equal_nocase(value, SLICE("y"))	 ? DMARC_PSD_YES
			 : slice_equal_nocase(value, SLICE("n")) ? DMARC_PSD_NO
								 : DMARC_PSD_UNKNOWN;
	}
}

/* Has name stood before value's place in text? */
static bool stood_before(struct slice text, struct slice name)
{
	struct slice rest = text, other, value;

	while (tag_next(&rest, &other, &value) && other.p != name.p)
		if (slice_equal_nocase(other, name))
			return true;
	return false;
}

void dmarc_record_read(struct slice text, struct dmarc_record *out)
{
	struct slice rest = text, name, value;
	struct seen seen = {false, false, false};

	*out = (struct dmarc_record){.text = text, .percent = 100};
	while (tag_next(&rest, &name, &value))
		if (!stood_before(text, name))
			take(out, name, value, &seen);
	out->usable = seen.p && !seen.bad;
	if (out->usable || !seen.rua)
		return;
	out->usable = true;
	out->p = DMARC_POLICY_NONE;
	out->has_sp = out->has_np = false;
}
