#include "common/spool/filter.h"

#include <stddef.h>

#include "common/base/ascii.h"
#include "common/spool/id.h"
#include "common/spool/summary.h"

/* Each * first stands for nothing; where the rest does not fit, the last one takes one octet more. An earlier one never has to. */
bool spool_pattern_matches(struct slice pattern, struct slice text)
{
	size_t p = 0, t = 0, star = SIZE_MAX, taken = 0;

	while (t < text.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			taken = t;
		} else if (p < pattern.n && (pattern.p[p] == '?' || ascii_lower(pattern.p[p]) == ascii_lower(text.p[t]))) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++taken;
		} else
			return false;
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

static bool from_matches(struct slice pattern, struct slice reverse_path)
{
	if (slice_equal(pattern, SLICE("<>")))
		return reverse_path.n == 0;
	return spool_pattern_matches(pattern, reverse_path);
}

static bool to_matches(struct slice pattern, const struct spool_summary *s)
{
	for (size_t i = 0; i < s->envelope.n_recipients; i++)
		if (!s->states[i].done && spool_pattern_matches(pattern, s->envelope.recipients[i].forward_path))
			return true;
	return false;
}

bool spool_filter_may_match(const struct spool_filter *f, struct slice id)
{
	return f->before_us == 0 || spool_id_time_us(id) < f->before_us;
}

bool spool_filter_matches(const struct spool_filter *f, const struct spool_summary *s)
{
	return (f->before_us == 0 || s->header.received_us < f->before_us) &&
	       (f->from.n == 0 || from_matches(f->from, s->envelope.reverse_path)) && (f->to.n == 0 || to_matches(f->to, s)) &&
	       (f->domain.n == 0 || spool_summary_has_domain(s, f->domain));
}
