#include "common/auth/dmarc.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/auth/organization.h"
#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/dns/message.h"
#include "common/mail/address_list.h"
#include "common/mail/path.h"

#define RUN_BYTES ((size_t)256 << 10)
#define ADDRESS_BYTES 4096

struct run {
	struct dmarc *dmarc;
	struct answers *answers;
	bool waiting;
};

const char *dmarc_result_word(enum dmarc_result r)
{
	static const char *const words[] = {[DMARC_NONE] = "none",
					    [DMARC_PASS] = "pass",
					    [DMARC_FAIL] = "fail",
					    [DMARC_TEMPERROR] = "temperror",
					    [DMARC_PERMERROR] = "permerror"};

	return words[r];
}

bool dmarc_is_dkim_aligned(const struct dmarc_verdict *v, size_t i)
{
	return i < 128 && (v->dkim_aligned[i / 64] >> (i % 64) & 1) != 0;
}

PRINTF_LIKE(3, 4)
static void because(struct dmarc_verdict *v, enum dmarc_result result, const char *template, ...)
{
	va_list args;

	v->result = result;
	va_start(args, template);
	vsnprintf(v->reason, sizeof(v->reason), template, args);
	va_end(args);
}

PRINTF_LIKE(2, 3) static void step(struct run *r, const char *template, ...)
{
	va_list args;

	if (r->dmarc->steps == NULL)
		return;
	va_start(args, template);
	buf_vprintf(r->dmarc->steps, template, args);
	va_end(args);
	buf_append_char(r->dmarc->steps, '\n');
}

/* ---- the authors' domains, RFC 9989 4.4 ---- */

/* The domain of an address in lower-case A-labels, in the arena; false: it has none. */
static bool domain_of(struct run *r, struct slice address, struct slice *out)
{
	size_t at = slice_find_last(address, '@');
	struct slice domain = at == SIZE_MAX ? SLICE_EMPTY : slice_tail(address, at + 1);
	struct buf ascii;
	bool ok;

	buf_init(&ascii, 512);
	ok = at != 0 && domain_is_valid(domain, true) && domain_to_ascii(domain, &ascii, NULL) &&
	     arena_copy(&r->dmarc->arena, buf_slice(&ascii), out, NULL);
	buf_fini(&ascii);
	return ok;
}

static bool is_known(const struct slice *domains, size_t n, struct slice domain)
{
	for (size_t i = 0; i < n; i++)
		if (slice_equal(domains[i], domain))
			return true;
	return false;
}

/* The different domains of the one From field; NULL: all is well, else what is not. */
static const char *authors(struct run *r, struct slice domains[DMARC_AUTHORS_MAX], size_t *n)
{
	const struct fields *fields = r->dmarc->ask.fields;
	const struct field *from = NULL;
	enum address_found found;
	const char *wrong = NULL;
	struct slice list, domain;
	struct buf address;

	*n = 0;
	for (size_t i = 0; i < fields->n; i++) {
		if (!slice_equal_nocase(fields->all[i].name, SLICE("From")))
			continue;
		if (from != NULL)
			return "the message has several From fields";
		from = &fields->all[i];
	}
	if (from == NULL)
		return "the message has no From field";
	list = from->value;
	buf_init(&address, ADDRESS_BYTES);
	while (wrong == NULL && (found = address_list_next(&list, &address)) != ADDRESS_NONE) {
		if (found == ADDRESS_BAD || !domain_of(r, buf_slice(&address), &domain))
			wrong = "the From field names an address that has no domain";
		else if (!is_known(domains, *n, domain) && *n == DMARC_AUTHORS_MAX)
			wrong = "the From field names too many domains";
		else if (!is_known(domains, *n, domain))
			domains[(*n)++] = domain;
	}
	buf_fini(&address);
	return wrong != NULL || *n > 0 ? wrong : "the From field names no address";
}

/* ---- alignment, RFC 9989 4.4 ---- */

static enum organization_known organization(struct run *r, struct slice domain,
					    struct organization *out)
{
	const struct dmarc_ask *ask = &r->dmarc->ask;
	enum organization_known known =
		ask->by_list ? organization_by_list(ask->list, domain, r->answers, out)
			     : organization_by_walk(domain, r->answers, out);

	r->waiting = r->waiting || known == ORGANIZATION_WAITS;
	return known;
}

/* Does domain, for which something passed, stand for the author's? */
static bool is_aligned(struct run *r, const struct dmarc_verdict *v, struct slice domain,
		       bool strict)
{
	struct organization theirs;
	struct slice ascii;
	struct buf lower;
	bool ok;

	buf_init(&lower, 512);
	ok = domain_is_valid(domain, true) && domain_to_ascii(domain, &lower, NULL) &&
	     arena_copy(&r->dmarc->arena, buf_slice(&lower), &ascii, NULL);
	buf_fini(&lower);
	if (!ok)
		return false;
	if (slice_equal(ascii, v->author_domain))
		return true;
	/* the same organization: then it is within the author's, and a walk of its own ends there
	 */
	if (strict || !signature_domain_within(ascii, v->org_domain))
		return false;
	return organization(r, ascii, &theirs) == ORGANIZATION_KNOWN &&
	       slice_equal(theirs.domain, v->org_domain);
}

/* What SPF and DKIM say for the author's domain. */
static void align(struct run *r, struct dmarc_verdict *v, bool *passed, bool *temporary)
{
	const struct dmarc_ask *ask = &r->dmarc->ask;

	*passed = *temporary = false;
	if (ask->spf != NULL && ask->spf->domain.n > 0) {
		v->spf_aligned = is_aligned(r, v, ask->spf->domain, v->record.strict_spf);
		*passed = v->spf_aligned && ask->spf->code == SPF_PASS;
		*temporary = ask->spf->code == SPF_TEMPERROR;
		step(r, "SPF: %s for %.*s, %saligned", spf_code_name(ask->spf->code),
		     SLICE_PRINTF(ask->spf->domain), v->spf_aligned ? "" : "not ");
	}
	for (size_t i = 0; ask->dkim != NULL && i < ask->dkim->n && i < 128; i++) {
		const struct signature *s = &ask->dkim->all[i];
		bool aligned = s->d.n > 0 && is_aligned(r, v, s->d, v->record.strict_dkim);

		if (aligned)
			v->dkim_aligned[i / 64] |= (uint64_t)1 << (i % 64);
		*passed = *passed || (aligned && s->verdict == DKIM_VERDICT_PASS);
		*temporary = *temporary || s->verdict == DKIM_VERDICT_TEMPERROR;
		step(r, "DKIM: %s for %.*s, %saligned", dkim_verdict_word(s->verdict),
		     SLICE_PRINTF(s->d), aligned ? "" : "not ");
	}
}

/* ---- what the record asks, RFC 9989 4.7 ---- */

/* Do A, AAAA and MX say that the name or its data do not exist (RFC 9989 3.2.13)? */
static bool is_missing(struct run *r, struct slice domain)
{
	static const uint16_t types[] = {DNS_A, DNS_AAAA, DNS_MX};
	bool missing = true;

	for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
		const struct answer *a = answers_get(r->answers, domain, types[i]);

		if (a == NULL)
			r->waiting = true;
		else
			missing =
				missing && (a->outcome == DNS_NO_NAME || a->outcome == DNS_NO_DATA);
	}
	return missing;
}

static enum dmarc_policy policy_for(struct run *r, const struct dmarc_verdict *v)
{
	const struct dmarc_record *record = &v->record;

	if (slice_equal(v->policy_domain, v->author_domain))
		return record->p;
	if (record->has_np && is_missing(r, v->author_domain))
		return record->np;
	return record->has_sp ? record->sp : record->p;
}

/* t=y, or what pct leaves out: one step milder (RFC 9989 4.7, RFC 7489 6.6.4). */
static enum dmarc_policy milder(enum dmarc_policy p)
{
	return p == DMARC_POLICY_REJECT ? DMARC_POLICY_QUARANTINE : DMARC_POLICY_NONE;
}

static void dispose(const struct run *r, struct dmarc_verdict *v)
{
	const struct dmarc_ask *ask = &r->dmarc->ask;
	bool spared = !ask->by_list && v->record.testing;

	v->disposition = v->policy;
	if (v->result != DMARC_FAIL) {
		v->disposition = DMARC_POLICY_NONE;
		return;
	}
	if (ask->by_list && v->record.percent < 100 && v->policy != DMARC_POLICY_NONE) {
		v->sampled = v->record.percent > 0;
		spared = ask->chance >= v->record.percent;
	}
	if (spared)
		v->disposition = milder(v->policy);
}

/* ---- one author's domain ---- */

static void check_author(struct run *r, struct slice domain, struct dmarc_verdict *v)
{
	struct organization org;
	enum organization_known known = organization(r, domain, &org);
	bool passed, temporary;

	*v = (struct dmarc_verdict){.author_domain = domain};
	if (known == ORGANIZATION_WAITS)
		return;
	if (known == ORGANIZATION_FAILED) {
		because(v, DMARC_TEMPERROR, "DNS did not answer for the policy of %.*s",
			SLICE_PRINTF(domain));
		return;
	}
	v->org_domain = org.domain;
	v->policy_domain = org.policy_domain;
	v->record = org.record;
	if (v->policy_domain.n == 0) {
		because(v, DMARC_NONE, "%.*s has no policy", SLICE_PRINTF(domain));
		return;
	}
	step(r, "%.*s, organization %.*s: the policy at %.*s is %.*s", SLICE_PRINTF(domain),
	     SLICE_PRINTF(v->org_domain), SLICE_PRINTF(v->policy_domain),
	     SLICE_PRINTF(v->record.text));
	align(r, v, &passed, &temporary);
	if (!v->record.usable) {
		because(v, DMARC_NONE, "the policy at %.*s makes no sense",
			SLICE_PRINTF(v->policy_domain));
		return;
	}
	v->policy = policy_for(r, v);
	v->applies = true;
	if (passed) {
		because(v, DMARC_PASS, "%.*s stands behind the message", SLICE_PRINTF(domain));
	} else if (temporary) {
		because(v, DMARC_TEMPERROR,
			"DNS did not answer, and nothing that passed stands for %.*s",
			SLICE_PRINTF(domain));
		v->applies = false;
	} else {
		because(v, DMARC_FAIL, "nothing that passed stands for %.*s, which asks for %s",
			SLICE_PRINTF(domain), dmarc_policy_word(v->policy));
	}
	dispose(r, v);
}

/* How much a verdict says, where a From field has several domains: the strictest policy that does
 * not pass. */
static unsigned weight(const struct dmarc_verdict *v)
{
	switch (v->result) {
	case DMARC_FAIL:
		return 3 + (unsigned)v->policy;
	case DMARC_TEMPERROR:
		return 2;
	case DMARC_NONE:
	case DMARC_PERMERROR:
		return 1;
	case DMARC_PASS:
		break;
	}
	return 0;
}

void dmarc_init(struct dmarc *d, const struct dmarc_ask *ask, struct buf *steps)
{
	*d = (struct dmarc){.ask = *ask, .steps = steps};
	arena_init(&d->arena, RUN_BYTES);
}

void dmarc_fini(struct dmarc *d)
{
	arena_reset(&d->arena);
}

bool dmarc_check(struct dmarc *d, struct answers *answers, struct dmarc_verdict *out)
{
	struct run r = {.dmarc = d, .answers = answers};
	struct slice domains[DMARC_AUTHORS_MAX];
	struct dmarc_verdict one;
	const char *wrong;
	size_t n;

	*out = (struct dmarc_verdict){.result = DMARC_NONE};
	arena_reset(&d->arena);
	if (d->steps != NULL)
		buf_reset(d->steps);
	if ((wrong = authors(&r, domains, &n)) != NULL) {
		because(out, DMARC_PERMERROR, "%s", wrong);
		return true;
	}
	for (size_t i = 0; i < n; i++) {
		check_author(&r, domains[i], &one);
		if (i == 0 || weight(&one) > weight(out))
			*out = one;
	}
	return !r.waiting;
}
