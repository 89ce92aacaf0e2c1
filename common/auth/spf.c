#include "common/auth/spf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/auth/spf_record.h"
#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/dns/message.h"
#include "common/ipc/frame.h"

#define RUN_BYTES ((size_t)1 << 20) /* of one run: records' terms and expanded names */
#define NAMES_MAX 10u		    /* of an MX or PTR answer, RFC 7208 4.6.4 */
#define NAME_BYTES 253u		    /* RFC 7208 7.3: longer ones lose labels at the left */
#define EXPANDED_BYTES 65536u

struct run {
	struct spf *spf;
	struct answers *answers;
	struct spf_result *out;
	struct spf_macros macros;
	bool waiting; /* an answer is missing: what is found now does not count */
	unsigned depth;
};

const char *spf_code_name(enum spf_code code)
{
	static const char *const names[] = {
		[SPF_NONE] = "none",	       [SPF_NEUTRAL] = "neutral",
		[SPF_PASS] = "pass",	       [SPF_FAIL] = "fail",
		[SPF_SOFTFAIL] = "softfail",   [SPF_TEMPERROR] = "temperror",
		[SPF_PERMERROR] = "permerror",
	};

	return names[code];
}

PRINTF_LIKE(3, 4)
static enum spf_code because(struct run *r, enum spf_code code, const char *template, ...)
{
	va_list args;

	va_start(args, template);
	vsnprintf(r->out->reason, sizeof(r->out->reason), template, args);
	va_end(args);
	return code;
}

PRINTF_LIKE(2, 3) static void step(struct run *r, const char *template, ...)
{
	va_list args;

	if (r->spf->steps == NULL)
		return;
	for (unsigned i = 0; i < r->depth; i++)
		buf_append_cstr(r->spf->steps, "  ");
	va_start(args, template);
	buf_vprintf(r->spf->steps, template, args);
	va_end(args);
	buf_append_char(r->spf->steps, '\n');
}

static bool is_void(const struct answer *a)
{
	return a->outcome == DNS_NO_NAME || a->outcome == DNS_NO_DATA;
}

static uint16_t address_type(const struct run *r)
{
	return r->spf->ask.client.family == 6 ? DNS_AAAA : DNS_A;
}

/* NULL: it is missing, and the run is to wait. */
static const struct answer *get(struct run *r, struct slice name, uint16_t type)
{
	const struct answer *a = answers_get(r->answers, name, type);

	if (a == NULL)
		r->waiting = true;
	return a;
}

static bool answer_next(struct slice *records, struct ipc_dns_record *record)
{
	bool broken = false;

	return ipc_next_dns_record(records, record, &broken) && !broken;
}

static bool has_client(const struct run *r, const struct answer *a, unsigned bits4, unsigned bits6)
{
	const struct ip *client = &r->spf->ask.client;
	struct slice records = a->records;
	struct ipc_dns_record record;

	while (answer_next(&records, &record))
		if (ip_in_network(client, &record.address, client->family == 6 ? bits6 : bits4))
			return true;
	return false;
}

/* ---- the client's validated name, RFC 7208 5.5 ---- */

static bool reverse_name(const struct ip *ip, char out[80])
{
	size_t n = 0;

	if (ip->family == 4)
		return snprintf(out, 80, "%u.%u.%u.%u.in-addr.arpa", ip->octets[3], ip->octets[2],
				ip->octets[1], ip->octets[0]) > 0;
	for (int i = 15; i >= 0; i--)
		n += (size_t)snprintf(out + n, 80 - n, "%x.%x.", ip->octets[i] & 15,
				      ip->octets[i] >> 4);
	return snprintf(out + n, 80 - n, "ip6.arpa") > 0;
}

static bool is_within(struct slice name, struct slice domain)
{
	return slice_equal_nocase(name, domain) ||
	       (name.n > domain.n && slice_ends_nocase(name, domain) &&
		name.p[name.n - domain.n - 1] == '.');
}

/* The best of the client's names that lead back to it: domain itself, one below it, any. Empty:
 * there is none. *reverse is the PTR's answer; NULL: it is missing. only_within: any other does not
 * count. */
static struct slice validated_name(struct run *r, struct slice domain, bool only_within,
				   const struct answer **reverse)
{
	struct slice best = SLICE_EMPTY, records;
	struct ipc_dns_record record;
	unsigned n = 0, rank = 0;
	char name[80];

	if (!reverse_name(&r->spf->ask.client, name) ||
	    (*reverse = get(r, slice_of_cstr(name), DNS_PTR)) == NULL)
		return best;
	records = (*reverse)->records;
	while (n++ < NAMES_MAX && answer_next(&records, &record)) {
		unsigned its = slice_equal_nocase(record.name, domain) ? 3
			       : is_within(record.name, domain)	       ? 2
			       : only_within			       ? 0
								       : 1;
		const struct answer *forward =
			its > rank ? get(r, record.name, address_type(r)) : NULL;

		if (forward == NULL || !has_client(r, forward, 32, 128))
			continue;
		best = record.name;
		rank = its;
	}
	return best;
}

/* ---- domain-specs ---- */

/* The target of a mechanism: the domain-spec expanded, or the domain itself. False: a name is
 * missing, or the arena is full (*full). */
static bool target_of(struct run *r, struct slice spec, struct slice domain, struct slice *out,
		      bool *full)
{
	const struct answer *reverse;
	struct buf expanded;
	struct slice name;
	bool ok;

	*out = domain;
	if (spec.n == 0)
		return true;
	r->macros.domain = domain;
	r->macros.validated = SLICE("unknown");
	if (spf_macro_needs_name(spec)) {
		name = validated_name(r, domain, false, &reverse);
		if (r->waiting)
			return false;
		if (name.n > 0)
			r->macros.validated = name;
	}
	buf_init(&expanded, EXPANDED_BYTES);
	ok = spf_macro_expand(spec, &r->macros, &expanded);
	name = buf_slice(&expanded);
	if (slice_ends(name, SLICE(".")))
		name.n--;
	while (name.n > NAME_BYTES && slice_find(name, '.') != SIZE_MAX)
		name = slice_tail(name, slice_find(name, '.') + 1);
	ok = ok && arena_copy(&r->spf->arena, name, out, NULL);
	buf_fini(&expanded);
	*full = !ok;
	return ok;
}

/* ---- mechanisms ---- */

enum match { NO_MATCH, MATCH, ENDS }; /* ENDS: the check ends with *code */

static enum match ends(enum spf_code *code, enum spf_code with)
{
	*code = with;
	return ENDS;
}

/* An answer that a mechanism needs: counted where it is void; its failure is temperror. */
static enum match weigh(struct run *r, const struct answer *a, struct slice name,
			enum spf_code *code)
{
	if (a->outcome == DNS_FAILED)
		return ends(code, because(r, SPF_TEMPERROR, "DNS did not answer for %.*s",
					  SLICE_PRINTF(name)));
	if (is_void(a) && ++r->out->void_lookups > SPF_VOID_LOOKUPS_MAX)
		return ends(code, because(r, SPF_PERMERROR,
					  "more than %u of the names it asks for do not exist (RFC "
					  "7208 4.6.4)",
					  SPF_VOID_LOOKUPS_MAX));
	return NO_MATCH;
}

static enum match match_address(struct run *r, const struct spf_term *t, struct slice name,
				enum spf_code *code)
{
	const struct answer *a = get(r, name, address_type(r));

	if (a == NULL || weigh(r, a, name, code) == ENDS)
		return ENDS;
	return has_client(r, a, t->bits4, t->bits6) ? MATCH : NO_MATCH;
}

static enum match match_mx(struct run *r, const struct spf_term *t, struct slice name,
			   enum spf_code *code)
{
	const struct answer *mx = get(r, name, DNS_MX), *a;
	struct ipc_dns_record record;
	struct slice records;
	unsigned n = 0;

	if (mx == NULL || weigh(r, mx, name, code) == ENDS)
		return ENDS;
	records = mx->records;
	while (answer_next(&records, &record))
		if (record.name.n > 0 && ++n > NAMES_MAX)
			return ends(code, because(r, SPF_PERMERROR,
						  "%.*s has more than %u MX (RFC 7208 4.6.4)",
						  SLICE_PRINTF(name), NAMES_MAX));
	records = mx->records;
	while (answer_next(&records, &record)) /* all at once */
		(void)get(r, record.name, address_type(r));
	records = mx->records;
	while (!r->waiting && answer_next(&records, &record)) {
		a = get(r, record.name, address_type(r));
		if (a->outcome == DNS_FAILED)
			return ends(code, because(r, SPF_TEMPERROR, "DNS did not answer for %.*s",
						  SLICE_PRINTF(record.name)));
		if (has_client(r, a, t->bits4, t->bits6))
			return MATCH;
	}
	return r->waiting ? ENDS : NO_MATCH;
}

static enum match match_exists(struct run *r, struct slice name, enum spf_code *code)
{
	const struct answer *a = get(r, name, DNS_A); /* of IPv6 clients too, RFC 7208 5.7 */

	if (a == NULL || weigh(r, a, name, code) == ENDS)
		return ENDS;
	return a->outcome == DNS_OK ? MATCH : NO_MATCH;
}

/* What fails here makes it not match, RFC 7208 5.5. */
static enum match match_ptr(struct run *r, struct slice name, enum spf_code *code)
{
	const struct answer *reverse = NULL;
	struct slice found = validated_name(r, name, true, &reverse);

	if (r->waiting || (reverse->outcome != DNS_FAILED && weigh(r, reverse, name, code) == ENDS))
		return ENDS;
	return found.n > 0 ? MATCH : NO_MATCH;
}

static enum spf_code check_host(struct run *r, struct slice domain, bool outermost);

static enum match match_include(struct run *r, struct slice name, enum spf_code *code)
{
	enum spf_code theirs;

	r->depth++;
	theirs = check_host(r, name, false);
	r->depth--;
	if (r->waiting)
		return ENDS;
	switch (theirs) {
	case SPF_PASS:
		return MATCH;
	case SPF_FAIL:
	case SPF_SOFTFAIL:
	case SPF_NEUTRAL:
		return NO_MATCH;
	case SPF_NONE:
		return ends(code,
			    because(r, SPF_PERMERROR, "%.*s is included and has no SPF record",
				    SLICE_PRINTF(name)));
	case SPF_TEMPERROR:
	case SPF_PERMERROR:
		break;
	}
	return ends(code, theirs);
}

static bool asks_dns(enum spf_mechanism m)
{
	return m != SPF_ALL && m != SPF_IP4 && m != SPF_IP6;
}

static bool count_lookup(struct run *r, enum spf_code *code)
{
	if (++r->out->lookups <= SPF_LOOKUPS_MAX)
		return true;
	*code = because(r, SPF_PERMERROR, "it asks DNS for more than %u terms (RFC 7208 4.6.4)",
			SPF_LOOKUPS_MAX);
	return false;
}

static enum match match_term(struct run *r, const struct spf_term *t, struct slice domain,
			     enum spf_code *code)
{
	const struct ip *client = &r->spf->ask.client;
	struct slice name;
	bool full = false;

	if (asks_dns(t->mechanism)) {
		if (!count_lookup(r, code))
			return ENDS;
		if (!target_of(r, t->domain, domain, &name, &full))
			return full ? ends(code,
					   because(r, SPF_TEMPERROR, "no memory for its names"))
				    : ENDS;
	}
	switch (t->mechanism) {
	case SPF_ALL:
		return MATCH;
	case SPF_IP4:
	case SPF_IP6:
		return ip_in_network(client, &t->network,
				     t->mechanism == SPF_IP6 ? t->bits6 : t->bits4)
			       ? MATCH
			       : NO_MATCH;
	case SPF_A:
		return match_address(r, t, name, code);
	case SPF_MX:
		return match_mx(r, t, name, code);
	case SPF_PTR:
		return match_ptr(r, name, code);
	case SPF_EXISTS:
		return match_exists(r, name, code);
	case SPF_INCLUDE:
		return match_include(r, name, code);
	}
	return NO_MATCH;
}

/* ---- records ---- */

/* Notes as wanted what the terms behind this one may ask for, as far as it is known now: so DNS is
 * asked for all of a record at once. */
static void ask_ahead(struct run *r, const struct spf_record *record, size_t i, struct slice domain)
{
	unsigned left = SPF_LOOKUPS_MAX > r->out->lookups ? SPF_LOOKUPS_MAX - r->out->lookups : 0;
	struct slice name;
	bool full;

	for (; i < record->n && left > 0; i++) {
		const struct spf_term *t = &record->terms[i];

		if (t->mechanism == SPF_ALL)
			return;
		if (!asks_dns(t->mechanism) || t->mechanism == SPF_PTR)
			continue;
		left--;
		if (spf_macro_needs_name(t->domain) ||
		    !target_of(r, t->domain, domain, &name, &full))
			continue;
		(void)answers_get(r->answers, name,
				  t->mechanism == SPF_MX	? DNS_MX
				  : t->mechanism == SPF_INCLUDE ? DNS_TXT
				  : t->mechanism == SPF_EXISTS	? DNS_A
								: address_type(r));
	}
}

/* The domain's one SPF record. False: *code says what there is instead. */
static bool find_record(struct run *r, struct slice domain, struct slice *text, enum spf_code *code)
{
	const struct answer *a = get(r, domain, DNS_TXT);
	struct ipc_dns_record record;
	struct slice records;
	unsigned n = 0;

	*code = SPF_NONE;
	if (a == NULL)
		return false;
	if (a->outcome == DNS_FAILED) {
		*code = because(r, SPF_TEMPERROR, "DNS did not answer for %.*s",
				SLICE_PRINTF(domain));
		return false;
	}
	records = a->records;
	while (answer_next(&records, &record)) {
		if (!spf_record_is(record.data))
			continue;
		*text = record.data;
		n++;
	}
	if (n == 0)
		*code = because(r, SPF_NONE, "%.*s has no SPF record", SLICE_PRINTF(domain));
	else if (n > 1)
		*code = because(r, SPF_PERMERROR, "%.*s has more than one SPF record",
				SLICE_PRINTF(domain));
	return n == 1;
}

static enum spf_code of_qualifier(char qualifier)
{
	switch (qualifier) {
	case '-':
		return SPF_FAIL;
	case '~':
		return SPF_SOFTFAIL;
	case '?':
		return SPF_NEUTRAL;
	default:
		return SPF_PASS;
	}
}

/* RFC 7208 6.2: one TXT record of US-ASCII; whatever goes wrong, there is no explanation. */
static void explain(struct run *r, const struct spf_record *record, struct slice domain)
{
	const struct answer *a, *reverse;
	struct ipc_dns_record txt, more;
	struct slice records, name;
	struct buf text;
	bool full;

	if (record->exp.n == 0 || !target_of(r, record->exp, domain, &name, &full) ||
	    (a = get(r, name, DNS_TXT)) == NULL)
		return;
	records = a->records;
	if (!answer_next(&records, &txt) || answer_next(&records, &more) ||
	    !spf_macro_string_is_sound(txt.data, true))
		return;
	r->macros.domain = domain;
	if (spf_macro_needs_name(txt.data)) {
		name = validated_name(r, domain, false, &reverse);
		r->macros.validated = name.n > 0 ? name : SLICE("unknown");
	}
	buf_init(&text, EXPANDED_BYTES);
	if (!spf_macro_expand(txt.data, &r->macros, &text) ||
	    !arena_copy(&r->spf->arena, buf_slice(&text), &r->out->explanation, NULL))
		r->out->explanation = SLICE_EMPTY;
	buf_fini(&text);
}

static enum spf_code redirected(struct run *r, const struct spf_record *record, struct slice domain,
				bool outermost)
{
	enum spf_code code;
	struct slice name;
	bool full = false;

	if (!count_lookup(r, &code))
		return code;
	if (!target_of(r, record->redirect, domain, &name, &full))
		return full ? because(r, SPF_TEMPERROR, "no memory for its names") : SPF_NONE;
	step(r, "redirect to %.*s", SLICE_PRINTF(name));
	code = check_host(r, name, outermost);
	if (!r->waiting && code == SPF_NONE)
		return because(r, SPF_PERMERROR, "%.*s redirects to %.*s, which has no SPF record",
			       SLICE_PRINTF(domain), SLICE_PRINTF(name));
	return code;
}

static enum spf_code matched(struct run *r, const struct spf_record *record,
			     const struct spf_term *t, struct slice domain, bool outermost)
{
	enum spf_code code = of_qualifier(t->qualifier);
	char client[IP_TEXT_MAX];

	step(r, "%.*s matches: %s", SLICE_PRINTF(t->text), spf_code_name(code));
	because(r, code, "%.*s in the record of %.*s matches %s",
		SLICE_PRINTF(slice_head(t->text, 120)), SLICE_PRINTF(domain),
		ip_text(&r->spf->ask.client, client));
	if (outermost) {
		r->out->mechanism = t->text;
		if (code == SPF_FAIL)
			explain(r, record, domain);
	}
	return code;
}

static enum spf_code evaluate(struct run *r, const struct spf_record *record, struct slice domain,
			      bool outermost)
{
	enum spf_code code = SPF_NONE;

	ask_ahead(r, record, 0, domain);
	for (size_t i = 0; i < record->n; i++) {
		const struct spf_term *t = &record->terms[i];
		enum match m = match_term(r, t, domain, &code);

		if (m == ENDS || r->waiting)
			return code;
		if (m == MATCH)
			return matched(r, record, t, domain, outermost);
		step(r, "%.*s does not match", SLICE_PRINTF(t->text));
	}
	if (record->redirect.n > 0)
		return redirected(r, record, domain, outermost);
	return because(r, SPF_NEUTRAL, "nothing in the record of %.*s matches",
		       SLICE_PRINTF(domain));
}

/* RFC 7208 4.3: labels of 1 to 63 octets, at least two of them; no address. */
static bool is_checkable(struct slice domain)
{
	struct slice rest = domain, label;
	unsigned n = 0;

	if (slice_ends(rest, SLICE(".")))
		rest.n--;
	if (rest.n == 0 || rest.n > NAME_BYTES || slice_find(rest, '[') != SIZE_MAX)
		return false;
	while (slice_cut(&rest, '.', &label)) {
		if (label.n == 0 || label.n > 63)
			return false;
		n++;
	}
	return n >= 2;
}

/* RFC 7208 4: the code; with waiting set it means nothing. */
static enum spf_code check_host(struct run *r, struct slice domain, bool outermost)
{
	struct spf_record record;
	struct fault why = {0};
	struct slice text;
	enum spf_code code;

	if (!is_checkable(domain))
		return because(r, SPF_NONE, "%.*s is no domain that can have an SPF record",
			       SLICE_PRINTF(slice_head(domain, 100)));
	if (!find_record(r, domain, &text, &code))
		return code;
	step(r, "%.*s: %.*s", SLICE_PRINTF(domain), SLICE_PRINTF(text));
	if (spf_record_parse(text, &r->spf->arena, &record, &why))
		return evaluate(r, &record, domain, outermost);
	return because(r, why.class == FAULT_PERMANENT ? SPF_PERMERROR : SPF_TEMPERROR,
		       "the record of %.*s: %s", SLICE_PRINTF(domain), why.text);
}

/* ---- the check ---- */

void spf_init(struct spf *s, const struct spf_ask *ask, struct buf *steps)
{
	*s = (struct spf){.ask = *ask, .steps = steps};
	arena_init(&s->arena, RUN_BYTES);
}

void spf_fini(struct spf *s)
{
	arena_reset(&s->arena);
}

/* Whose domain is checked, and what the macros say of the sender (RFC 7208 2.4, 4.3). */
static void identity(struct run *r)
{
	const struct spf_ask *ask = &r->spf->ask;
	size_t at = slice_find_last(ask->reverse_path, '@');
	struct buf sender;

	r->out->of_helo = ask->reverse_path.n == 0;
	r->macros.local_part = SLICE("postmaster");
	if (r->out->of_helo)
		r->out->domain = ask->helo;
	else if (at == SIZE_MAX)
		r->out->domain = ask->reverse_path;
	else {
		r->out->domain = slice_tail(ask->reverse_path, at + 1);
		if (at > 0)
			r->macros.local_part = slice_head(ask->reverse_path, at);
	}
	if (slice_ends(r->out->domain, SLICE(".")))
		r->out->domain.n--;
	r->macros.sender_domain = r->out->domain;
	buf_init(&sender, EXPANDED_BYTES);
	buf_append(&sender, r->macros.local_part);
	buf_append_char(&sender, '@');
	buf_append(&sender, r->out->domain);
	if (!arena_copy(&r->spf->arena, buf_slice(&sender), &r->macros.sender, NULL))
		r->macros.sender = r->out->domain;
	buf_fini(&sender);
}

bool spf_check(struct spf *s, struct answers *answers, struct spf_result *out)
{
	struct run r = {.spf = s, .answers = answers, .out = out};

	*out = (struct spf_result){0};
	arena_reset(&s->arena);
	if (s->steps != NULL)
		buf_reset(s->steps);
	r.macros.helo = s->ask.helo;
	r.macros.client = s->ask.client;
	r.macros.receiver = s->ask.receiver;
	r.macros.now_s = s->ask.now_s;
	identity(&r);
	out->code = check_host(&r, out->domain, true);
	if (out->code == SPF_TEMPERROR || out->code == SPF_PERMERROR || out->code == SPF_NONE)
		out->mechanism = SLICE_EMPTY;
	return !r.waiting;
}
