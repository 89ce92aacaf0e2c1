#include "common/auth/arc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/dns/message.h"

#define CHAIN_BYTES_MAX ((size_t)16 << 20)
#define SIGNATURE_BYTES_MAX 4096

const char *arc_code_word(enum arc_code code)
{
	static const char *const words[] = {
#define C(name, word) word,
		ARC_CODES(C)
#undef C
	};

	return words[code];
}

const char *arc_result_word(enum arc_result r)
{
	static const char *const words[] = {
		[ARC_NONE] = "none", [ARC_PASS] = "pass", [ARC_FAIL] = "fail"};

	return words[r];
}

PRINTF_LIKE(3, 4) static bool settle(struct arc *a, enum arc_code code, const char *template, ...)
{
	va_list args;

	a->result = code == ARC_CODE_OK ? ARC_PASS : code == ARC_CODE_ABSENT ? ARC_NONE : ARC_FAIL;
	a->code = code;
	a->done = true;
	va_start(args, template);
	vsnprintf(a->reason, sizeof(a->reason), template, args);
	va_end(args);
	return true;
}

/* ---- the sets, RFC 8617 4.2 and 5.2 ---- */

enum part { PART_AAR, PART_AMS, PART_SEAL, N_PARTS };

static enum part part_of(const struct field *f)
{
	static const char *const names[N_PARTS] = {"ARC-Authentication-Results",
						   "ARC-Message-Signature", "ARC-Seal"};
	enum part p = PART_AAR;

	while (p < N_PARTS && !slice_equal_nocase(f->name, slice_of_cstr(names[p])))
		p++;
	return p;
}

/* 1 to 50, without leading zeros; 0: none. */
static unsigned instance_number(struct slice digits)
{
	uint64_t n;

	if (digits.n == 0 || digits.p[0] == '0' || !tags_number(digits, 9, &n))
		return 0;
	return (unsigned)n;
}

/* "i=1; …" at the beginning of ARC-Authentication-Results (RFC 8617 4.1.1). */
static unsigned instance_of_results(struct slice value)
{
	struct slice rest = value, item, name;

	if (!slice_cut(&rest, ';', &item) || rest.p == NULL || !slice_cut(&item, '=', &name) ||
	    item.p == NULL || !slice_equal(tags_trim(name), SLICE("i")))
		return 0;
	return instance_number(tags_trim(item));
}

static unsigned instance_of(const struct field *f, enum part part)
{
	const struct tag *i;
	struct tags tags;

	if (part == PART_AAR)
		return instance_of_results(f->value);
	if (!tags_read(f->value, &tags) || tags.twice || (i = tags_find(&tags, "i")) == NULL)
		return 0;
	return instance_number(i->value);
}

static const struct field **place_of(struct arc_set *set, enum part part)
{
	return part == PART_AAR ? &set->aar : part == PART_AMS ? &set->ams_field : &set->seal_field;
}

/* How many fields of each part there are, and the highest instance; false: one cannot be read, or
 * there are too many. */
static bool survey(struct arc *a, unsigned *highest, size_t *n_fields)
{
	*highest = 0;
	*n_fields = 0;
	for (size_t i = 0; i < a->fields->n; i++) {
		enum part part = part_of(&a->fields->all[i]);
		unsigned instance;

		if (part == N_PARTS)
			continue;
		++*n_fields;
		if ((instance = instance_of(&a->fields->all[i], part)) == 0)
			return !settle(a, ARC_CODE_STRUCTURE,
				       "an ARC field has no instance number that can be read");
		if (instance > *highest)
			*highest = instance;
	}
	if (*highest > ARC_SETS_MAX)
		return !settle(a, ARC_CODE_COUNT, "the chain has more than %u sets", ARC_SETS_MAX);
	return true;
}

/* Puts each field in its set; false: one is there twice, or is missing. */
static bool collect(struct arc *a)
{
	for (size_t i = 0; i < a->fields->n; i++) {
		const struct field *f = &a->fields->all[i], **place;
		enum part part = part_of(f);

		if (part == N_PARTS)
			continue;
		place = place_of(&a->sets[instance_of(f, part) - 1], part);
		if (*place != NULL)
			return !settle(a, ARC_CODE_STRUCTURE, "set %u has a field twice",
				       instance_of(f, part));
		*place = f;
	}
	for (size_t i = 0; i < a->n; i++)
		for (enum part part = PART_AAR; part < N_PARTS; part++)
			if (*place_of(&a->sets[i], part) == NULL)
				return !settle(a, ARC_CODE_STRUCTURE, "set %zu is not whole",
					       i + 1);
	return true;
}

static void seal_verdict(struct arc_set *set, enum dkim_verdict verdict, const char *reason)
{
	set->seal_verdict = verdict;
	if (reason != set->reason)
		snprintf(set->reason, sizeof(set->reason), "%s", reason);
}

static struct slice tag_value(const struct tags *t, const char *name)
{
	const struct tag *tag = tags_find(t, name);

	return tag != NULL ? tag->value : SLICE_EMPTY;
}

/* RFC 8617 4.1.3. */
static void seal_read(struct arc_set *set)
{
	if (!tags_read(set->seal_field->value,
		       &set->seal)) { /* it could be: its instance was read */
		seal_verdict(set, DKIM_VERDICT_PERMERROR, "the seal is no tag list");
		return;
	}
	set->cv = tag_value(&set->seal, "cv");
	set->d = tag_value(&set->seal, "d");
	set->s = tag_value(&set->seal, "s");
	set->a = tag_value(&set->seal, "a");
	if (set->cv.n == 0 || set->d.n == 0 || set->s.n == 0 || set->a.n == 0 ||
	    tag_value(&set->seal, "b").n == 0)
		seal_verdict(set, DKIM_VERDICT_PERMERROR, "the seal lacks a tag");
	else if (tags_find(&set->seal, "h") != NULL || tags_find(&set->seal, "bh") != NULL)
		seal_verdict(set, DKIM_VERDICT_PERMERROR,
			     "the seal names fields or a body, which it does not cover by its own "
			     "choice");
	else if (slice_equal(set->a, SLICE("ed25519-sha256")))
		set->algorithm = DKIM_ED25519_SHA256;
	else if (!slice_equal(set->a, SLICE("rsa-sha256")))
		seal_verdict(set, DKIM_VERDICT_PERMERROR,
			     "the seal's algorithm is neither rsa-sha256 nor ed25519-sha256");
}

static void key_name(const struct arc_set *set, struct buf *out)
{
	buf_append(out, set->s);
	buf_append_cstr(out, "._domainkey.");
	buf_append(out, set->d);
}

static const struct answer *seal_key(const struct arc_set *set, struct answers *answers)
{
	const struct answer *a;
	struct buf name;

	buf_init(&name, 1024);
	key_name(set, &name);
	a = answers_get(answers, buf_slice(&name), DNS_TXT);
	buf_fini(&name);
	return a;
}

/* RFC 8617 5.2, steps 2 and 3: what stands in the seals of their chain. */
static bool chain_is_told(struct arc *a)
{
	const struct arc_set *last = &a->sets[a->n - 1];

	if (slice_equal_nocase(last->cv, SLICE("fail")))
		return !settle(a, ARC_CODE_CV, "the last who sealed it had found the chain broken");
	for (size_t i = 0; i < a->n; i++)
		if (!slice_equal_nocase(a->sets[i].cv, i == 0 ? SLICE("none") : SLICE("pass")))
			return !settle(a, ARC_CODE_CV,
				       "the seal of set %zu says cv=%.*s; right would be %s", i + 1,
				       SLICE_PRINTF(slice_head(a->sets[i].cv, 40)),
				       i == 0 ? "none" : "pass");
	return true;
}

bool arc_begin(struct arc *a, const struct fields *fields, uint64_t now_s,
	       struct canon_bodies *bodies, struct answers *answers, struct arena *arena,
	       struct fault *why)
{
	unsigned highest;
	size_t n_fields;

	*a = (struct arc){.fields = fields};
	if (!survey(a, &highest, &n_fields))
		return true;
	if (n_fields == 0)
		return settle(a, ARC_CODE_ABSENT, "the message has no ARC set");
	if ((a->sets = arena_alloc(arena, highest * sizeof(*a->sets), why)) == NULL)
		return false;
	a->n = highest;
	if (!collect(a)) {
		a->n = 0;
		return true;
	}
	for (size_t i = 0; i < a->n; i++)
		seal_read(&a->sets[i]);
	if (!chain_is_told(a))
		return true;
	for (size_t i = 0; i < a->n; i++) {
		struct arc_set *set = &a->sets[i];

		signature_read(SIGNATURE_ARC_MESSAGE, set->ams_field, now_s, bodies, &set->ams);
		if (set->ams.code == DKIM_OK && tags_has(set->ams.h, SLICE("arc-seal")))
			signature_refuse(&set->ams, DKIM_SYNTAX,
					 "it covers a seal (RFC 8617 4.1.2)");
		signature_want_key(&set->ams, answers);
		if (set->seal_verdict == DKIM_VERDICT_NONE)
			(void)seal_key(set, answers);
	}
	return true;
}

/* ---- the verdict, RFC 8617 5.2 ---- */

/* All ARC fields up to the seal of set n, which is the last and whose b= is left out (RFC
 * 8617 5.1.1). */
static bool append_chain(const struct arc *a, size_t n, struct buf *out)
{
	bool ok = true;

	for (size_t i = 0; i <= n; i++) {
		const struct arc_set *set = &a->sets[i];

		ok &= canon_field(CANON_RELAXED, set->aar->raw, out) &&
		      canon_field(CANON_RELAXED, set->ams_field->raw, out);
		if (i < n)
			ok &= canon_field(CANON_RELAXED, set->seal_field->raw, out);
		else
			ok &= canon_signature(CANON_RELAXED, set->seal_field->raw,
					      tags_find(&set->seal, "b")->whole, out);
	}
	return ok;
}

static bool seal_holds(const struct arc *a, size_t n, const struct dkim_key *key)
{
	const struct arc_set *set = &a->sets[n];
	struct buf chain, signature;
	bool ok;

	buf_init(&chain, CHAIN_BYTES_MAX);
	buf_init(&signature, SIGNATURE_BYTES_MAX);
	ok = append_chain(a, n, &chain) && tags_base64(tag_value(&set->seal, "b"), &signature) &&
	     dkim_key_verifies(key, set->algorithm, buf_slice(&chain), buf_slice(&signature));
	buf_fini(&chain);
	buf_fini(&signature);
	return ok;
}

/* False: its key is not there yet. */
static bool seal_verify(struct arc *a, size_t n, struct answers *answers)
{
	struct arc_set *set = &a->sets[n];
	const struct answer *answer;
	struct dkim_key key;
	enum dkim_code code;

	if (set->seal_verdict != DKIM_VERDICT_NONE)
		return true;
	if ((answer = seal_key(set, answers)) == NULL)
		return false;
	code = dkim_key_read(answer, set->algorithm, &key, set->reason, sizeof(set->reason));
	if (code != DKIM_OK)
		seal_verdict(set,
			     code == DKIM_DNS ? DKIM_VERDICT_TEMPERROR : DKIM_VERDICT_PERMERROR,
			     set->reason);
	else if (set->algorithm == DKIM_RSA_SHA256 && key.bits < DKIM_RSA_BITS_MIN)
		seal_verdict(set, DKIM_VERDICT_PERMERROR,
			     "the sealer's key is too small (RFC 8301 3.2)");
	else if (!seal_holds(a, n, &key))
		seal_verdict(set, DKIM_VERDICT_FAIL, "the seal does not verify");
	else
		seal_verdict(set, DKIM_VERDICT_PASS, "it verifies");
	dkim_key_fini(&key);
	return true;
}

static bool verify_all(struct arc *a, const struct canon_bodies *bodies, struct answers *answers)
{
	bool all = true;

	for (size_t i = 0; i < a->n; i++) {
		a->sets[i].ams_checked = true;
		all &= signature_verify(&a->sets[i].ams, a->fields, bodies, answers);
		all &= seal_verify(a, i, answers);
	}
	return all;
}

/* The lowest instance from which on all message signatures verify; 0: all do. */
static unsigned oldest_pass(const struct arc *a)
{
	size_t i = a->n;

	while (i > 0 && a->sets[i - 1].ams.verdict == DKIM_VERDICT_PASS)
		i--;
	return i == 0 ? 0 : (unsigned)i + 1;
}

bool arc_finish(struct arc *a, const struct canon_bodies *bodies, struct answers *answers)
{
	const struct arc_set *last = a->n > 0 ? &a->sets[a->n - 1] : NULL;
	size_t broken = 0;

	if (a->done)
		return true;
	if (!verify_all(a, bodies, answers))
		return false;
	for (size_t i = a->n; i > 0 && broken == 0; i--)
		if (a->sets[i - 1].seal_verdict != DKIM_VERDICT_PASS &&
		    a->sets[i - 1].seal_verdict != DKIM_VERDICT_TEMPERROR)
			broken = i;
	if (last->ams.verdict != DKIM_VERDICT_PASS && last->ams.verdict != DKIM_VERDICT_TEMPERROR)
		return settle(a, ARC_CODE_AMS, "the message signature of set %zu: %s", a->n,
			      last->ams.reason);
	if (broken > 0)
		return settle(a, ARC_CODE_SEAL, "the seal of set %zu: %s", broken,
			      a->sets[broken - 1].reason);
	a->temporary = last->ams.verdict == DKIM_VERDICT_TEMPERROR;
	for (size_t i = 0; i < a->n; i++)
		a->temporary = a->temporary || a->sets[i].seal_verdict == DKIM_VERDICT_TEMPERROR;
	if (a->temporary)
		return settle(a, ARC_CODE_DNS, "DNS did not answer for a sealer's key");
	a->oldest_pass = oldest_pass(a);
	return settle(
		a, ARC_CODE_OK,
		"%zu set%s, each seal verifies, and the message is as the last of them left it",
		a->n, a->n > 1 ? "s" : "");
}
