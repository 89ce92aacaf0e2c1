#include "common/auth/dkim.h"

static size_t count(const struct fields *fields)
{
	size_t n = 0;

	for (size_t i = 0; i < fields->n && n < DKIM_SIGNATURES_SEEN_MAX; i++)
		n += slice_equal_nocase(fields->all[i].name, SLICE("DKIM-Signature"));
	return n;
}

bool dkim_begin(struct dkim *d, const struct fields *fields, uint64_t now_s,
		struct canon_bodies *bodies, struct answers *answers, struct arena *arena,
		struct fault *why)
{
	size_t n = count(fields);

	*d = (struct dkim){.fields = fields};
	if (n > 0 && (d->all = arena_alloc(arena, n * sizeof(*d->all), why)) == NULL)
		return false;
	for (size_t i = 0; d->n < n; i++) {
		struct signature *s = &d->all[d->n];

		if (!slice_equal_nocase(fields->all[i].name, SLICE("DKIM-Signature")))
			continue;
		signature_read(SIGNATURE_DKIM, &fields->all[i], now_s, bodies, s);
		if (d->n >= DKIM_SIGNATURES_MAX)
			signature_refuse(
				s, DKIM_LIMIT,
				"it stands beyond the number of signatures that are looked at");
		signature_want_key(s, answers);
		d->n++;
	}
	return true;
}

bool dkim_finish(struct dkim *d, const struct canon_bodies *bodies, struct answers *answers)
{
	bool all = true;

	for (size_t i = 0; i < d->n; i++)
		all &= signature_verify(&d->all[i], d->fields, bodies, answers);
	return all;
}

enum dkim_verdict dkim_verdict(const struct dkim *d, const struct signature **of)
{
	static const enum dkim_verdict order[] = {DKIM_VERDICT_PASS, DKIM_VERDICT_TEMPERROR,
						  DKIM_VERDICT_FAIL, DKIM_VERDICT_PERMERROR,
						  DKIM_VERDICT_POLICY};

	*of = NULL;
	for (size_t v = 0; v < ARRAY_LENGTH(order); v++) {
		for (size_t i = 0; i < d->n; i++) {
			if (d->all[i].verdict != order[v])
				continue;
			*of = &d->all[i];
			return order[v];
		}
	}
	return DKIM_VERDICT_NONE;
}
