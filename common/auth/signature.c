#include "common/auth/signature.h"

#include <stdio.h>
#include <string.h>

#include "common/base/ascii.h"
#include "common/dns/message.h"

#define HEADER_BYTES_MAX ((size_t)8 << 20)
#define SIGNATURE_BYTES_MAX 4096
#define NAME_BYTES_MAX 512
#define HEADERS_MAX 250 /* names in h= */
/* A header with more fields bears no good signature: looking for each name among all of them would
 * take too long. */
#define FIELDS_MAX 2000

const char *dkim_verdict_word(enum dkim_verdict v)
{
	static const char *const words[] = {
		[DKIM_VERDICT_NONE] = "none",		[DKIM_VERDICT_PASS] = "pass",
		[DKIM_VERDICT_FAIL] = "fail",		[DKIM_VERDICT_TEMPERROR] = "temperror",
		[DKIM_VERDICT_PERMERROR] = "permerror", [DKIM_VERDICT_POLICY] = "policy",
	};

	return words[v];
}

static enum dkim_verdict verdict_of(enum dkim_code code)
{
	if (code == DKIM_OK)
		return DKIM_VERDICT_PASS;
	if (code == DKIM_BODY_HASH || code == DKIM_SIGNATURE)
		return DKIM_VERDICT_FAIL;
	if (code == DKIM_DNS)
		return DKIM_VERDICT_TEMPERROR;
	return code == DKIM_LIMIT || code == DKIM_POLICY ? DKIM_VERDICT_POLICY
							 : DKIM_VERDICT_PERMERROR;
}

void signature_refuse(struct signature *s, enum dkim_code code, const char *reason)
{
	s->code = code;
	s->verdict = verdict_of(code);
	if (reason != s->reason)
		snprintf(s->reason, sizeof(s->reason), "%s", reason);
}

/* ---- reading, RFC 6376 3.5 and 6.1.1 ---- */

bool signature_domain_within(struct slice sub, struct slice domain)
{
	return slice_equal_nocase(sub, domain) ||
	       (sub.n > domain.n && slice_ends_nocase(sub, domain) &&
		sub.p[sub.n - domain.n - 1] == '.');
}

/* Letters, digits, hyphens, underscores and UTF-8 (RFC 8616 4) in labels of 1 to 63 octets. */
static bool is_domain(struct slice s)
{
	size_t label = 0;

	if (s.n == 0 || s.n > 253)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '.' ? label == 0
			     : label == 63 || !(ascii_is_alnum(c) || c == '-' || c == '_' ||
						(unsigned char)c >= 0x80))
			return false;
		label = c == '.' ? 0 : label + 1;
	}
	return label > 0;
}

static bool is_base64(struct slice value)
{
	struct buf out;
	bool ok;

	buf_init(&out, SIGNATURE_BYTES_MAX);
	ok = tags_base64(value, &out);
	buf_fini(&out);
	return ok;
}

/* Names of fields with colons between. */
static bool is_header_list(struct slice list)
{
	struct slice name;
	unsigned n = 0;

	while (tags_item(&list, &name)) {
		if (name.n == 0 || ++n > HEADERS_MAX)
			return false;
		for (size_t i = 0; i < name.n; i++)
			if (name.p[i] <= ' ' || name.p[i] == ':' || name.p[i] == 127)
				return false;
	}
	return true;
}

/* "k-h": letters and digits on both sides. */
static bool is_algorithm(struct slice s)
{
	size_t hyphen = slice_find(s, '-');

	if (hyphen == SIZE_MAX || hyphen == 0 || hyphen + 1 == s.n || !ascii_is_alpha(s.p[0]) ||
	    !ascii_is_alpha(s.p[hyphen + 1]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (i != hyphen && !ascii_is_alnum(s.p[i]))
			return false;
	return true;
}

static bool number_tag(const struct tags *t, const char *name, unsigned digits, bool *has,
		       uint64_t *out)
{
	const struct tag *tag = tags_find(t, name);

	*has = tag != NULL && tags_number(tag->value, digits, out);
	return tag == NULL || *has;
}

/* Takes the values that are as RFC 6376 3.5 wants them; false: one is not. */
static bool take_values(struct signature *s, enum signature_kind kind)
{
	static const struct {
		const char *name;
		bool (*is)(struct slice);
		size_t offset;
	} texts[] = {
		{"d", is_domain, offsetof(struct signature, d)},
		{"s", is_domain, offsetof(struct signature, s)},
		{"a", is_algorithm, offsetof(struct signature, a)},
		{"h", is_header_list, offsetof(struct signature, h)},
		{"b", is_base64, offsetof(struct signature, b)},
	};
	const struct tag *tag;
	bool ok = true;

	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		if ((tag = tags_find(&s->tags, texts[i].name)) == NULL)
			continue;
		if (texts[i].is(tag->value))
			*(struct slice *)(void *)((char *)s + texts[i].offset) = tag->value;
		else
			ok = false;
	}
	ok &= number_tag(&s->tags, "l", 76, &s->has_l, &s->l);
	ok &= number_tag(&s->tags, "t", 12, &s->has_t, &s->t);
	ok &= number_tag(&s->tags, "x", 12, &s->has_x, &s->x);
	if ((tag = tags_find(&s->tags, "bh")) != NULL)
		ok &= is_base64(tag->value);
	if (kind == SIGNATURE_DKIM && (tag = tags_find(&s->tags, "i")) != NULL) {
		size_t at = slice_find_last(tag->value, '@');

		if (at != SIZE_MAX && is_domain(slice_tail(tag->value, at + 1)))
			s->i = tag->value;
		else
			ok = false;
	}
	return ok;
}

static bool canon_word(struct slice word, enum canon *out)
{
	*out = slice_equal(word, SLICE("relaxed")) ? CANON_RELAXED : CANON_SIMPLE;
	return *out == CANON_RELAXED || slice_equal(word, SLICE("simple"));
}

/* "relaxed/simple"; the second may be missing: simple. */
static bool canonicalization(struct signature *s)
{
	const struct tag *c = tags_find(&s->tags, "c");
	struct slice rest, head;

	if (c == NULL)
		return true;
	rest = c->value;
	if (!slice_cut(&rest, '/', &head) || !canon_word(head, &s->head))
		return false;
	return rest.p == NULL || canon_word(rest, &s->body);
}

static bool algorithm(struct signature *s)
{
	if (slice_equal(s->a, SLICE("ed25519-sha256")))
		s->algorithm = DKIM_ED25519_SHA256;
	else if (!slice_equal(s->a, SLICE("rsa-sha256")))
		return false;
	return true;
}

/* Is one of the required tags missing? */
static const char *missing(const struct signature *s, enum signature_kind kind)
{
	static const char *const dkim[] = {"v", "a", "b", "bh", "d", "h", "s"};
	static const char *const arc[] = {"i", "a", "b", "bh", "d", "h", "s"};
	const char *const *names = kind == SIGNATURE_DKIM ? dkim : arc;

	for (size_t i = 0; i < ARRAY_LENGTH(dkim); i++)
		if (tags_find(&s->tags, names[i]) == NULL)
			return names[i];
	return NULL;
}

/* What RFC 6376 6.1.1 asks of the values, in its order. */
static void judge(struct signature *s, enum signature_kind kind, uint64_t now_s)
{
	const struct tag *v = tags_find(&s->tags, "v"), *q = tags_find(&s->tags, "q");
	const char *name;
	char text[60];

	if (kind == SIGNATURE_DKIM && v != NULL && !slice_equal(v->value, SLICE("1"))) {
		signature_refuse(s, DKIM_VERSION, "its version is not 1");
	} else if ((name = missing(s, kind)) != NULL) {
		snprintf(text, sizeof(text), "it has no %s=", name);
		signature_refuse(s, DKIM_MISSING_TAG, text);
	} else if (!algorithm(s)) {
		signature_refuse(
			s, DKIM_ALGORITHM,
			"its algorithm is neither rsa-sha256 nor ed25519-sha256 (RFC 8301)");
	} else if (!canonicalization(s)) {
		signature_refuse(s, DKIM_CANONICALIZATION,
				 "its canonicalization is neither simple nor relaxed");
	} else if (q != NULL && !tags_has(q->value, SLICE("dns/txt"))) {
		signature_refuse(s, DKIM_QUERY, "it names no way to its key that is known");
	} else if (s->i.p != NULL &&
		   !signature_domain_within(slice_tail(s->i, slice_find_last(s->i, '@') + 1),
					    s->d)) {
		signature_refuse(s, DKIM_DOMAIN, "the domain of its i= is not within its d=");
	} else if (!tags_has(s->h, SLICE("from"))) {
		signature_refuse(s, DKIM_FROM, "it does not cover the From field");
	} else if (s->has_x && (s->x < now_s || (s->has_t && s->x <= s->t))) {
		signature_refuse(s, DKIM_EXPIRED,
				 s->x < now_s ? "it has expired" : "it expires before it was made");
	}
}

void signature_read(enum signature_kind kind, const struct field *field, uint64_t now_s,
		    struct canon_bodies *bodies, struct signature *out)
{
	bool readable, sound;

	memset(out, 0, sizeof(*out));
	out->field = field;
	out->place = -1;
	readable = tags_read(field->value, &out->tags);
	if (!readable) {
		signature_refuse(out, DKIM_SYNTAX, "it is no tag list");
		return;
	}
	sound = take_values(out, kind);
	(void)canonicalization(out);
	if (out->tags.twice)
		signature_refuse(out, DKIM_DUPLICATE_TAG, "a tag stands in it twice");
	else if (!sound)
		signature_refuse(out, DKIM_SYNTAX, "one of its tags does not hold what it should");
	else
		judge(out, kind, now_s);
	if (out->code != DKIM_OK)
		return;
	out->place = canon_bodies_want(bodies, out->body, out->has_l ? out->l : CANON_ALL);
	if (out->place < 0)
		signature_refuse(out, DKIM_LIMIT,
				 "too many signatures want a digest of the body of their own");
}

/* ---- the key ---- */

bool signature_key_name(const struct signature *s, struct buf *out)
{
	return buf_append(out, s->s) && buf_append_cstr(out, "._domainkey.") &&
	       buf_append(out, s->d);
}

static const struct answer *key_answer(const struct signature *s, struct answers *answers)
{
	const struct answer *a;
	struct buf name;

	buf_init(&name, NAME_BYTES_MAX * 2);
	(void)signature_key_name(s, &name);
	a = answers_get(answers, buf_slice(&name), DNS_TXT);
	buf_fini(&name);
	return a;
}

void signature_want_key(const struct signature *s, struct answers *answers)
{
	if (s->verdict == DKIM_VERDICT_NONE)
		(void)key_answer(s, answers);
}

/* ---- verifying, RFC 6376 6.1.3 ---- */

/* The fields of h= from the bottom up; one that is named more often than it stands there is
 * nothing. */
static bool append_fields(const struct signature *s, const struct fields *fields, struct buf *out)
{
	struct slice list = s->h, name;
	uint8_t used[FIELDS_MAX] = {0};
	bool ok = true;

	if (fields->n > sizeof(used))
		return false;
	while (tags_item(&list, &name)) {
		for (size_t i = fields->n; i-- > 0;) {
			const struct field *f = &fields->all[i];

			if (used[i] != 0 || f == s->field || !slice_equal_nocase(f->name, name))
				continue;
			used[i] = 1;
			ok &= canon_field(s->head, f->raw, out);
			break;
		}
	}
	return ok;
}

static bool body_is_signed(const struct signature *s, const struct canon_bodies *bodies)
{
	const struct tag *bh = tags_find(&s->tags, "bh");
	uint8_t digest[32];
	struct buf wanted;
	bool ok;

	buf_init(&wanted, SIGNATURE_BYTES_MAX);
	ok = tags_base64(bh->value, &wanted) && canon_bodies_digest(bodies, s->place, digest) &&
	     slice_equal(buf_slice(&wanted), slice_of(digest, sizeof(digest)));
	buf_fini(&wanted);
	return ok;
}

static bool header_is_signed(const struct signature *s, const struct fields *fields,
			     const struct dkim_key *key)
{
	const struct tag *b = tags_find(&s->tags, "b");
	struct buf data, signature;
	bool ok;

	buf_init(&data, HEADER_BYTES_MAX);
	buf_init(&signature, SIGNATURE_BYTES_MAX);
	ok = append_fields(s, fields, &data) &&
	     canon_signature(s->head, s->field->raw, b->whole, &data) &&
	     tags_base64(b->value, &signature) &&
	     dkim_key_verifies(key, s->algorithm, buf_slice(&data), buf_slice(&signature));
	buf_fini(&data);
	buf_fini(&signature);
	return ok;
}

static void verify_with(struct signature *s, const struct fields *fields,
			const struct canon_bodies *bodies, const struct dkim_key *key)
{
	const struct canon_body *body = &bodies->all[s->place];
	size_t at = s->i.p != NULL ? slice_find_last(s->i, '@') + 1 : 0;
	char text[100];

	if (key->strict && s->i.p != NULL && !slice_equal_nocase(slice_tail(s->i, at), s->d)) {
		signature_refuse(s, DKIM_KEY_DOMAIN,
				 "the key is not for subdomains (t=s), and i= is of one");
	} else if (s->algorithm == DKIM_RSA_SHA256 && key->bits < DKIM_RSA_BITS_MIN) {
		snprintf(text, sizeof(text), "the key has %u bits, fewer than %u (RFC 8301 3.2)",
			 key->bits, DKIM_RSA_BITS_MIN);
		signature_refuse(s, DKIM_KEY_SIZE, text);
	} else if (body->limit != CANON_ALL && body->n < body->limit) {
		signature_refuse(s, DKIM_BODY_HASH,
				 "the body is shorter than what was signed (l=)");
	} else if (!body_is_signed(s, bodies)) {
		signature_refuse(s, DKIM_BODY_HASH, "the body is not the one that was signed");
	} else if (!header_is_signed(s, fields, key)) {
		signature_refuse(
			s, DKIM_SIGNATURE,
			"the header is not the one that was signed, or the key is another");
	} else {
		signature_refuse(s, DKIM_OK,
				 s->unsigned_octets > 0
					 ? "it verifies, but not all of the body is signed (l=)"
					 : "it verifies");
	}
}

bool signature_verify(struct signature *s, const struct fields *fields,
		      const struct canon_bodies *bodies, struct answers *answers)
{
	const struct answer *answer;
	struct dkim_key key;
	enum dkim_code code;

	if (s->verdict != DKIM_VERDICT_NONE)
		return true;
	if ((answer = key_answer(s, answers)) == NULL)
		return false;
	if (bodies->all[s->place].n > bodies->all[s->place].limit)
		s->unsigned_octets = bodies->all[s->place].n - bodies->all[s->place].limit;
	code = dkim_key_read(answer, s->algorithm, &key, s->reason, sizeof(s->reason));
	s->bits = key.bits;
	s->testing = key.testing;
	if (code != DKIM_OK)
		signature_refuse(s, code, s->reason);
	else
		verify_with(s, fields, bodies, &key);
	dkim_key_fini(&key);
	return true;
}
