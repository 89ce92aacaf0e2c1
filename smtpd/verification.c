#include "smtpd/verification.h"

#include <stdlib.h>

#include "common/auth/arc.h"
#include "common/auth/canon.h"
#include "common/auth/dkim.h"
#include "common/auth/dmarc.h"
#include "common/auth/results.h"
#include "common/auth/spf.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/log/log.h"
#include "common/mail/fields.h"
#include "smtpd/questions.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"

enum { ARENA_BYTES = 4 << 20 };

struct verification {
	struct questions questions;
	struct arena arena;
	bool checks;	  /* the message itself is checked, not only its sender */
	bool header_read; /* signatures are known */
	bool failed;	  /* without memory: the message is not taken */
	bool spf_done, dmarc_begun;
	size_t header_bytes; /* with the empty line */
	struct spf spf;
	struct spf_result spf_result;
	struct fields fields;
	struct canon_bodies bodies;
	struct dkim dkim;
	struct arc arc;
	struct dmarc dmarc;
	struct dmarc_verdict verdict;
};

static struct verification *of(const struct session *s)
{
	return s->transaction->verification;
}

/* ---- whose mail ---- */

static bool is_exempt(const struct session *s)
{
	struct slice rest = smtpd_settings(s->smtpd)->check_exempt, word;
	struct ip network;
	unsigned bits;

	while (slice_word(&rest, &word))
		if (network_parse(word, &network, &bits, NULL) &&
		    ip_in_network(&s->address, &network, bits))
			return true;
	return false;
}

static bool by_list(const struct session *s)
{
	return smtpd_settings(s->smtpd)->dmarc_organization == DMARC_ORGANIZATION_PSL;
}

/* SPF's part of it, as far as DNS has answered. */
static void run_spf(struct verification *v)
{
	if (!v->spf_done)
		v->spf_done = spf_check(&v->spf, &v->questions.answers, &v->spf_result);
	questions_ask(&v->questions);
}

bool verification_begin(struct session *s, struct fault *why)
{
	const struct settings *conf = smtpd_settings(s->smtpd);
	struct transaction *t = s->transaction;
	bool checks = conf->check_sender && !is_exempt(s);
	struct spf_ask ask = {.client = s->address,
			      .helo = s->helo,
			      .reverse_path = t->reverse_path,
			      .receiver = conf->hostname,
			      .now_s = loop_wall_us(s->smtpd->loop) / 1000000};
	struct verification *v;

	if (s->trusted || s->user.n > 0 || s->smtpd->submission ||
	    (!checks && conf->local_sender != LOCAL_SENDER_SPF))
		return true;
	if ((v = memory_alloc(1, sizeof(*v), why)) == NULL)
		return false;
	v->checks = checks;
	questions_init(&v->questions, s);
	arena_init(&v->arena, ARENA_BYTES);
	canon_bodies_init(&v->bodies);
	spf_init(&v->spf, &ask, NULL);
	t->verification = v;
	run_spf(v);
	return true;
}

void verification_destroy(struct verification *v)
{
	if (v == NULL)
		return;
	questions_fini(&v->questions);
	canon_bodies_fini(&v->bodies);
	spf_fini(&v->spf);
	dmarc_fini(&v->dmarc);
	arena_reset(&v->arena);
	free(v);
}

bool verification_spf(struct session *s, bool *pass)
{
	struct verification *v = of(s);

	*pass = false;
	if (v == NULL)
		return true;
	if (s->limit_over)
		questions_give_up(&v->questions);
	run_spf(v);
	if (!v->spf_done && questions_are_answered(&v->questions))
		run_spf(v);
	*pass = v->spf_done && v->spf_result.code == SPF_PASS;
	return v->spf_done;
}

/* ---- the message ---- */

bool verification_keeps_header(const struct session *s)
{
	return of(s) != NULL && of(s)->checks && !s->transaction->from_relay;
}

/* The author's policy is on its way too while the body comes: what is found now is thrown away. */
static void ask_ahead(struct verification *v, const struct dmarc_ask *ask)
{
	struct dmarc_verdict nothing;
	struct dmarc dmarc;
	bool known;

	dmarc_init(&dmarc, ask, NULL);
	known = dmarc_check(&dmarc, &v->questions.answers, &nothing);
	(void)known;
	dmarc_fini(&dmarc);
}

/* The header is whole: its signatures are read, and their keys are on the way while the body comes.
 */
static void read_header(struct session *s, struct verification *v)
{
	struct slice kept = buf_slice(&s->transaction->kept_header);
	uint64_t now_s = loop_wall_us(s->smtpd->loop) / 1000000;

	v->header_read = true;
	v->failed = s->transaction->kept_header.failed ||
		    !fields_read(kept, &v->arena, &v->fields, NULL) ||
		    !dkim_begin(&v->dkim, &v->fields, now_s, &v->bodies, &v->questions.answers,
				&v->arena, NULL) ||
		    !arc_begin(&v->arc, &v->fields, now_s, &v->bodies, &v->questions.answers,
			       &v->arena, NULL);
	if (v->failed)
		return;
	v->header_bytes = v->fields.length;
	canon_bodies_feed(&v->bodies, slice_tail(kept, v->header_bytes));
	ask_ahead(v, &(struct dmarc_ask){.fields = &v->fields,
					 .by_list = by_list(s),
					 .list = s->smtpd->public_suffixes});
	questions_ask(&v->questions);
}

void verification_take(struct session *s, struct slice run)
{
	struct verification *v = of(s);

	if (!verification_keeps_header(s) || v->failed)
		return;
	if (v->header_read)
		canon_bodies_feed(&v->bodies, run);
	else if (s->transaction->header.ended)
		read_header(s, v);
}

bool verification_end(struct session *s)
{
	struct verification *v = of(s);

	if (!verification_keeps_header(s))
		return false;
	if (!v->header_read)
		read_header(s, v);
	if (!v->failed)
		canon_bodies_end(&v->bodies);
	return true;
}

/* All checks, as far as DNS has answered; true: they are done. */
static bool run(struct session *s, struct verification *v)
{
	struct dmarc_ask ask = {.fields = &v->fields,
				.spf = &v->spf_result,
				.dkim = &v->dkim,
				.chance = random_below(100),
				.by_list = by_list(s),
				.list = s->smtpd->public_suffixes};
	bool dkim_done = dkim_finish(&v->dkim, &v->bodies, &v->questions.answers);
	bool arc_done = arc_finish(&v->arc, &v->bodies, &v->questions.answers);

	run_spf(v);
	if (!dkim_done || !v->spf_done)
		return false;
	if (!v->dmarc_begun)
		dmarc_init(&v->dmarc, &ask, NULL);
	v->dmarc_begun = true;
	return dmarc_check(&v->dmarc, &v->questions.answers, &v->verdict) && arc_done;
}

static bool finish(struct session *s, struct verification *v)
{
	if (s->limit_over)
		questions_give_up(&v->questions);
	while (!run(s, v)) {
		questions_ask(&v->questions);
		if (!questions_are_answered(&v->questions))
			return false;
	}
	return true;
}

/* ---- what follows ---- */

static bool is_trusted(const struct session *s, struct slice sealer)
{
	const struct slices *trusted = &smtpd_settings(s->smtpd)->arc_trusted;

	for (size_t i = 0; i < trusted->n; i++)
		if (slice_equal_nocase(sealer, trusted->p[i]))
			return true;
	return false;
}

/* Has somebody who is believed found it good before it was changed on its way (RFC 8617 7.2)? All
 * who had it in hand since then must be believed, too: each may have changed it. */
static bool is_vouched_for(const struct session *s, const struct verification *v)
{
	for (size_t i = v->arc.result == ARC_PASS ? v->arc.n : 0; i > 0; i--) {
		const struct arc_set *set = &v->arc.sets[i - 1];

		if (!is_trusted(s, set->d))
			return false;
		if (results_say(set->aar->value, SLICE("dmarc"), SLICE("pass")))
			return true;
	}
	return false;
}

/* No domain can be asked about an author who cannot be told; but a reader's program may show one of
 * those that are named. (RFC 5322 3.6 has one From field.) */
static bool hides_its_author(const struct verification *v)
{
	unsigned n = 0;
	bool named = false;

	if (v->verdict.result != DMARC_PERMERROR)
		return false;
	for (size_t i = 0; i < v->fields.n; i++) {
		if (!slice_equal_nocase(v->fields.all[i].name, SLICE("From")))
			continue;
		n++;
		named |= slice_find(v->fields.all[i].value, '@') != SIZE_MAX;
	}
	return n > 1 || named;
}

static unsigned stricter(unsigned a, unsigned b)
{
	return a < b ? a : b; /* enum check_choice begins with the strictest */
}

static unsigned choose(const struct session *s, const struct verification *v, struct reply *no)
{
	const struct settings *conf = smtpd_settings(s->smtpd);
	unsigned spf = v->spf_result.code == SPF_FAIL ? conf->spf_fail : CHECK_TAG,
		 dmarc = CHECK_TAG;

	if (is_vouched_for(s, v))
		return CHECK_TAG;
	if (hides_its_author(v)) {
		reply_set(no, 550, "5.7.26", "%s", v->verdict.reason);
		return stricter(spf, conf->dmarc_reject);
	}
	if (v->verdict.result == DMARC_FAIL && v->verdict.disposition == DMARC_POLICY_REJECT)
		dmarc = conf->dmarc_reject;
	else if (v->verdict.result == DMARC_FAIL &&
		 v->verdict.disposition == DMARC_POLICY_QUARANTINE)
		dmarc = conf->dmarc_quarantine;
	if (dmarc <= spf) /* RFC 7372 3.3 */
		reply_set(no, 550, "5.7.26",
			  "%.*s does not stand behind this message and asks to refuse it (DMARC)",
			  SLICE_PRINTF(slice_head(v->verdict.author_domain, 200)));
	else /* RFC 7372 3.2 */
		reply_set(no, 550, "5.7.23", "%.*s says that you may not send for it (SPF)",
			  SLICE_PRINTF(slice_head(v->spf_result.domain, 200)));
	return stricter(spf, dmarc);
}

static bool dns_owes_the_verdict(const struct verification *v)
{
	return v->verdict.result == DMARC_TEMPERROR;
}

static void log_verdict(const struct session *s, const struct verification *v)
{
	const struct signature *signature;
	enum dkim_verdict dkim = dkim_verdict(&v->dkim, &signature);

	log_event(verified, F_ID(transaction_id(s->transaction)),
		  F_TEXT(spf, spf_code_name(v->spf_result.code)),
		  F_TEXT(dkim, dkim_verdict_word(dkim)),
		  F_TEXT(dmarc, dmarc_result_word(v->verdict.result)),
		  F_TEXT(arc, arc_result_word(v->arc.result)),
		  F_SLICE(author_domain, v->verdict.author_domain));
}

enum verification_outcome verification_judge(struct session *s, struct reply *no)
{
	struct verification *v = of(s);

	if (v->failed) {
		reply_set(no, 452, "4.3.1", "no memory to check who sent this; try again later");
		return VERIFICATION_REFUSES;
	}
	if (!finish(s, v))
		return VERIFICATION_WAITS;
	log_verdict(s, v);
	if (dns_owes_the_verdict(v) &&
	    smtpd_settings(s->smtpd)->check_dns_failed == CHECK_DNS_FAILED_DEFER) {
		reply_set(no, 451, "4.4.3",
			  "DNS does not answer, so it cannot be checked who sent this; try again "
			  "later");
		return VERIFICATION_REFUSES;
	}
	switch (choose(s, v, no)) {
	case CHECK_REJECT:
		return VERIFICATION_REFUSES;
	case CHECK_SPAM:
		s->transaction->spam = true;
		break;
	default:
		break;
	}
	return VERIFICATION_TAKES;
}

/* ---- what is said of it in the message ---- */

static struct slice our_name(const struct session *s)
{
	const struct settings *conf = smtpd_settings(s->smtpd);

	return conf->check_name.n > 0 ? conf->check_name : conf->hostname;
}

static bool is_forged(const struct session *s, const struct field *f)
{
	return slice_equal_nocase(f->name, SLICE("Authentication-Results")) &&
	       results_are_of(f->value, our_name(s));
}

/* Is the header ended by an empty line, as who reads the message will see it? */
static bool is_ended_plainly(const struct session *s, const struct verification *v)
{
	struct slice kept = buf_slice(&s->transaction->kept_header);

	return v->header_bytes == 0
		       ? kept.n == 0
		       : v->header_bytes == kept.n ||
				 slice_ends(slice_head(kept, v->header_bytes), SLICE("\r\n\r\n"));
}

/* RFC 8601 5: the fields of the message without those that claim to be ours. An empty line ends
 * them, also where what ended them was a line that is no field: some programs read on over such a
 * one, and find fields that nobody has checked. Nothing where all is well. */
static bool append_header(const struct session *s, const struct verification *v, struct buf *front,
			  uint64_t *skip)
{
	bool ok = true;
	size_t n = 0;

	for (size_t i = 0; i < v->fields.n; i++)
		n += is_forged(s, &v->fields.all[i]);
	if (n == 0 && is_ended_plainly(s, v))
		return true;
	for (size_t i = 0; i < v->fields.n; i++)
		if (!is_forged(s, &v->fields.all[i]))
			ok &= buf_append(front, v->fields.all[i].raw) &&
			      buf_append_cstr(front, "\r\n");
	ok &= buf_append_cstr(front, "\r\n");
	*skip = v->header_bytes;
	return ok;
}

bool verification_append(const struct session *s, struct buf *front, uint64_t *skip)
{
	const struct verification *v = of(s);
	struct results r = {.name = our_name(s),
			    .reverse_path = s->transaction->reverse_path,
			    .helo = s->helo,
			    .client = s->address,
			    .client_name = s->client_name};

	if (!verification_keeps_header(s))
		return true;
	r.spf = &v->spf_result;
	r.dkim = &v->dkim;
	r.arc = &v->arc;
	r.dmarc = &v->verdict;
	if ((smtpd_settings(s->smtpd)->check_received_spf &&
	     !results_append_received_spf(&r, front)) ||
	    !results_append(&r, front))
		return false;
	return append_header(s, v, front, skip);
}
