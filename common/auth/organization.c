#include "common/auth/organization.h"

#include <libpsl.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/dns/message.h"
#include "common/ipc/frame.h"

#define LIST_FILE                                                                                  \
	"/usr/share/publicsuffix/public_suffix_list.dafsa" /* of Debian's package publicsuffix */

static const struct answer *ask(struct slice domain, struct answers *answers)
{
	const struct answer *a;
	struct buf name;

	buf_init(&name, 512);
	buf_append_cstr(&name, "_dmarc.");
	buf_append(&name, domain);
	a = answers_get(answers, buf_slice(&name), DNS_TXT);
	buf_fini(&name);
	return a;
}

/* The one policy record there; several are none (RFC 9989 4.10). *n: how many there were. */
static bool record_in(const struct answer *a, struct dmarc_record *out, unsigned *n)
{
	struct slice records = a->records, text = SLICE_EMPTY;
	struct ipc_dns_record record;
	bool broken = false;

	*n = 0;
	while (ipc_next_dns_record(&records, &record, &broken) && !broken) {
		if (!dmarc_record_is(record.data))
			continue;
		text = record.data;
		++*n;
	}
	if (*n == 1)
		dmarc_record_read(text, out);
	return *n == 1;
}

static unsigned count_labels(struct slice domain)
{
	unsigned n = 1;

	for (size_t i = 0; i < domain.n; i++)
		n += domain.p[i] == '.';
	return n;
}

/* The domain with its rightmost n labels. */
static struct slice rightmost(struct slice domain, unsigned n)
{
	for (unsigned labels = count_labels(domain); labels > n; labels--)
		domain = slice_tail(domain, slice_find(domain, '.') + 1);
	return domain;
}

/* ---- the walk, RFC 9989 4.10 ---- */

struct walk {
	struct slice targets[WALK_MAX];
	struct dmarc_record records[WALK_MAX];
	bool found[WALK_MAX];
	unsigned n;
};

/* The domain itself, then its parents; of a long name only those with at most seven labels. */
static void plan(struct slice domain, struct walk *w)
{
	unsigned labels = count_labels(domain);

	w->targets[w->n++] = domain;
	for (labels = labels > WALK_MAX ? WALK_MAX - 1 : labels - 1; labels > 0 && w->n < WALK_MAX;
	     labels--)
		w->targets[w->n++] = rightmost(domain, labels);
}

/* Asks for all of them at once and reads up to where the walk ends. */
static enum organization_known walk(struct walk *w, struct answers *answers)
{
	unsigned n_records;
	bool waits = false;

	for (unsigned i = 0; i < w->n; i++)
		waits |= ask(w->targets[i], answers) == NULL;
	if (waits)
		return ORGANIZATION_WAITS;
	for (unsigned i = 0; i < w->n; i++) {
		const struct answer *a = ask(w->targets[i], answers);

		if (a->outcome == DNS_FAILED)
			return ORGANIZATION_FAILED;
		w->found[i] = record_in(a, &w->records[i], &n_records);
		if (w->found[i] && w->records[i].psd != DMARC_PSD_UNKNOWN)
			w->n = i + 1;
	}
	return ORGANIZATION_KNOWN;
}

/* RFC 9989 4.10.2. */
static struct slice choose(const struct walk *w, struct slice domain)
{
	struct slice chosen = domain;

	for (unsigned i = 0; i < w->n; i++) {
		if (!w->found[i])
			continue;
		if (w->records[i].psd == DMARC_PSD_NO)
			return w->targets[i];
		if (w->records[i].psd == DMARC_PSD_YES && i > 0)
			return rightmost(domain, count_labels(w->targets[i]) + 1);
		chosen = w->targets[i];
	}
	return chosen;
}

/* RFC 9989 4.10.1: the domain's own record, else the organization's, else that of its public
 * suffix. */
static void take_policy(const struct walk *w, struct organization *out)
{
	for (unsigned pass = 0; pass < 3 && out->policy_domain.n == 0; pass++) {
		for (unsigned i = 0; i < w->n; i++) {
			bool wanted = pass == 0	  ? i == 0
				      : pass == 1 ? slice_equal(w->targets[i], out->domain)
						  : w->records[i].psd == DMARC_PSD_YES;

			if (!w->found[i] || !wanted || out->policy_domain.n > 0)
				continue;
			out->policy_domain = w->targets[i];
			out->record = w->records[i];
		}
	}
}

enum organization_known organization_by_walk(struct slice domain, struct answers *answers,
					     struct organization *out)
{
	struct walk w = {.n = 0};
	enum organization_known known;

	*out = (struct organization){.domain = domain};
	plan(domain, &w);
	if ((known = walk(&w, answers)) != ORGANIZATION_KNOWN)
		return known;
	out->domain = choose(&w, domain);
	take_policy(&w, out);
	return ORGANIZATION_KNOWN;
}

/* ---- the list, RFC 7489 3.2 and 6.6.3 ---- */

struct psl_ctx_st *organization_list_open(void)
{
	return psl_latest(LIST_FILE);
}

void organization_list_close(struct psl_ctx_st *list)
{
	psl_free(list);
}

static struct slice registrable(const struct psl_ctx_st *list, struct slice domain)
{
	char name[256];
	const char *found;

	if (list == NULL || !slice_cstr(domain, name, sizeof(name), NULL) ||
	    (found = psl_registrable_domain(list, name)) == NULL)
		return domain; /* a public suffix itself */
	return slice_tail(domain, domain.n - strlen(found));
}

enum organization_known organization_by_list(const struct psl_ctx_st *list, struct slice domain,
					     struct answers *answers, struct organization *out)
{
	struct slice places[2];
	unsigned n;

	*out = (struct organization){.domain = registrable(list, domain)};
	places[0] = domain;
	places[1] = out->domain;
	for (unsigned i = 0; i < (slice_equal(domain, out->domain) ? 1 : 2); i++) {
		const struct answer *a = ask(places[i], answers);

		if (a == NULL) {
			(void)ask(places[1], answers);
			return ORGANIZATION_WAITS;
		}
		if (a->outcome == DNS_FAILED)
			return ORGANIZATION_FAILED;
		if (record_in(a, &out->record, &n)) {
			out->policy_domain = places[i];
			return ORGANIZATION_KNOWN;
		}
		if (n > 1) /* RFC 7489 6.6.3: the search ends */
			return ORGANIZATION_KNOWN;
	}
	return ORGANIZATION_KNOWN;
}
