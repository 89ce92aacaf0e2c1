#include "common/mail/command.h"

#include <string.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/base/number.h"
#include "common/mail/dsn.h"

static const struct {
	const char *name;
	unsigned flags;
	const char *form;
} verbs[] = {
#define V(name, flags, form) [SMTP_##name] = {#name, flags, form},
	SMTP_VERBS(V)
#undef V
};

const char *smtp_verb_name(enum smtp_verb verb)
{
	return verbs[verb].name;
}

const char *smtp_verb_form(enum smtp_verb verb)
{
	return verbs[verb].form;
}

unsigned smtp_verb_flags(enum smtp_verb verb)
{
	return verbs[verb].flags;
}

/* A line of a command is text: octets over 127 are left to the parser of the argument. */
static bool is_text(struct slice line)
{
	for (size_t i = 0; i < line.n; i++)
		if (ascii_is_control(line.p[i]) && line.p[i] != '\t')
			return false;
	return true;
}

bool smtp_command_parse(struct slice line, struct smtp_command *out, struct reply *no)
{
	struct slice word;
	size_t verb = 0;

	if (!is_text(line)) {
		reply_set(no, 500, "5.5.2", "a command is a line of text that ends in CR LF");
		return false;
	}
	if (!slice_word(&line, &word))
		word = SLICE_EMPTY;
	while (verb < SMTP_N_VERBS && !slice_equal_nocase(word, slice_of_cstr(verbs[verb].name)))
		verb++;
	if (verb == SMTP_N_VERBS) {
		reply_set(no, 500, "5.5.1", "no such command; HELP lists them");
		return false;
	}
	if (verbs[verb].flags & VERB_KNOWN_ONLY) {
		reply_set(no, 502, "5.5.1", "%s is not done here", verbs[verb].name);
		return false;
	}
	*out = (struct smtp_command){.verb = (enum smtp_verb)verb, .argument = slice_trim(line)};
	if (verbs[verb].flags & VERB_ALONE && out->argument.n > 0) {
		reply_set(no, 501, "5.5.4", "%s takes no argument", verbs[verb].name);
		return false;
	}
	return true;
}

bool smtp_client_says_name(struct slice s)
{
	if (s.n == 0 || s.n > DOMAIN_MAX_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (ascii_is_control(s.p[i]) || ascii_is_space(s.p[i]))
			return false;
	return true;
}

/* ---- parameters: esmtp-keyword ["=" esmtp-value], RFC 5321 4.1.2 ---- */

struct parameter {
	struct slice keyword, value;
	bool has_value;
};

static bool refuse(struct reply *no, const char *what, struct slice keyword)
{
	reply_set(no, 501, "5.5.4", "%s %.*s", what, SLICE_PRINTF(slice_head(keyword, 64)));
	return false;
}

static bool unknown(struct reply *no, struct slice keyword)
{
	reply_set(no, 555, "5.5.4", "unknown parameter %.*s",
		  SLICE_PRINTF(slice_head(keyword, 64)));
	return false;
}

static bool parameter_split(struct slice word, struct parameter *out, struct reply *no)
{
	size_t equals = slice_find(word, '=');

	*out = (struct parameter){.keyword = slice_head(word, equals),
				  .has_value = equals != SIZE_MAX};
	if (out->has_value)
		out->value = slice_tail(word, equals + 1);
	if (out->keyword.n == 0 || !ascii_is_alnum(out->keyword.p[0]))
		return refuse(no, "this is no parameter:", word);
	for (size_t i = 0; i < out->keyword.n; i++)
		if (!ascii_is_alnum(out->keyword.p[i]) && out->keyword.p[i] != '-')
			return refuse(no, "this is no parameter:", word);
	return true;
}

/* RFC 3461 4: xtext. */
static bool is_xtext(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '+') {
			if (s.n - i < 3 || ascii_hex(s.p[i + 1]) < 0 || ascii_hex(s.p[i + 2]) < 0)
				return false;
			i += 2;
		} else if (s.p[i] < '!' || s.p[i] > '~' || s.p[i] == '=') {
			return false;
		}
	}
	return s.n > 0;
}

/* A value kept as it is, once. */
static bool keep_once(struct slice *kept, const struct parameter *p, bool good, struct reply *no)
{
	if (kept->n > 0)
		return refuse(no, "given twice:", p->keyword);
	if (!p->has_value || !good)
		return refuse(no, "bad value of", p->keyword);
	*kept = p->value;
	return true;
}

/* The same, where a wrong value is answered by what would be a right one. */
static bool keep_known(struct slice *kept, const struct parameter *p, bool good, const char *form,
		       struct reply *no)
{
	if (good || kept->n > 0)
		return keep_once(kept, p, good, no);
	reply_set(no, 501, "5.5.4", "%s", form);
	return false;
}

static bool is_keyword(const struct parameter *p, const char *keyword)
{
	return slice_equal_nocase(p->keyword, slice_of_cstr(keyword));
}

static bool mail_size(const struct parameter *p, struct mail_argument *out, struct reply *no)
{
	if (out->has_size)
		return refuse(no, "given twice:", p->keyword);
	/* RFC 1870 6: at most 20 digits. */
	if (p->value.n == 0 || p->value.n > 20)
		return refuse(no, "bad value of", p->keyword);
	for (size_t i = 0; i < p->value.n; i++)
		if (!ascii_is_digit(p->value.p[i]))
			return refuse(no, "bad value of", p->keyword);
	out->has_size = true;
	/* A number that no counter of ours holds is too much in any case. */
	if (!number_u64(p->value, UINT64_MAX, &out->size_bytes))
		out->size_bytes = UINT64_MAX;
	return true;
}

static bool mail_parameter(const struct parameter *p, unsigned extensions,
			   struct mail_argument *out, struct reply *no)
{
	if (extensions & EXTENSION_SIZE && is_keyword(p, "SIZE"))
		return mail_size(p, out, no);
	if (extensions & EXTENSION_8BITMIME && is_keyword(p, "BODY")) {
		out->eight_bit = slice_equal_nocase(p->value, SLICE("8BITMIME"));
		return out->eight_bit || slice_equal_nocase(p->value, SLICE("7BIT")) ||
		       refuse(no, "bad value of", p->keyword);
	}
	if (extensions & EXTENSION_SMTPUTF8 && is_keyword(p, "SMTPUTF8")) {
		out->smtputf8 = true;
		return !p->has_value || refuse(no, "bad value of", p->keyword);
	}
	if (extensions & EXTENSION_AUTH && is_keyword(p, "AUTH"))
		return keep_once(&out->auth, p,
				 slice_equal(p->value, SLICE("<>")) || is_xtext(p->value), no);
	if (extensions & EXTENSION_DSN && is_keyword(p, "RET"))
		return keep_known(&out->ret, p,
				  slice_equal_nocase(p->value, SLICE("FULL")) ||
					  slice_equal_nocase(p->value, SLICE("HDRS")),
				  "RET is FULL or HDRS", no);
	if (extensions & EXTENSION_DSN && is_keyword(p, "ENVID"))
		return keep_known(&out->envid, p, p->value.n <= DSN_ENVID_MAX && is_xtext(p->value),
				  "ENVID is at most 100 octets of xtext", no);
	return unknown(no, p->keyword);
}

/* RFC 3461 4.1: NEVER, or a list of the others. */
static bool is_notify(struct slice value)
{
	struct slice rest = value, word;

	if (slice_equal_nocase(value, SLICE("NEVER")))
		return true;
	while (slice_cut(&rest, ',', &word))
		if (!slice_equal_nocase(word, SLICE("SUCCESS")) &&
		    !slice_equal_nocase(word, SLICE("FAILURE")) &&
		    !slice_equal_nocase(word, SLICE("DELAY")))
			return false;
	return value.n > 0;
}

/* RFC 3464 2.1.2: an address-type is an atom. */
static bool is_type(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	return s.n > 0;
}

/* RFC 3461 4.2: addr-type ";" xtext. */
static bool is_orcpt(struct slice value)
{
	size_t semicolon = slice_find(value, ';');

	return value.n <= DSN_ORCPT_MAX && semicolon != SIZE_MAX &&
	       is_type(slice_head(value, semicolon)) && is_xtext(slice_tail(value, semicolon + 1));
}

static bool rcpt_parameter(const struct parameter *p, unsigned extensions,
			   struct rcpt_argument *out, struct reply *no)
{
	if (extensions & EXTENSION_DSN && is_keyword(p, "NOTIFY"))
		return keep_known(&out->notify, p, is_notify(p->value),
				  "NOTIFY is NEVER, or a list of SUCCESS, FAILURE, DELAY", no);
	if (extensions & EXTENSION_DSN && is_keyword(p, "ORCPT"))
		return keep_known(&out->orcpt, p, is_orcpt(p->value),
				  "ORCPT is rfc822;ADDRESS, the address as xtext", no);
	return unknown(no, p->keyword);
}

/* ---- arguments ---- */

/* "FROM:" and the path behind it; *rest goes on at the parameters. */
static bool path_argument(struct slice *rest, struct slice keyword, enum smtp_verb verb,
			  unsigned flags, const char *status, struct path *out, struct reply *no)
{
	struct fault why = {0};

	if (!slice_starts_nocase(*rest, keyword)) {
		reply_set(no, 501, "5.5.4", "the form is %s", verbs[verb].form);
		return false;
	}
	*rest = slice_trim(slice_tail(*rest, keyword.n));
	if (!path_parse(rest, flags, out, &why)) {
		reply_set(no, 501, status, "%s", why.text);
		return false;
	}
	if (rest->n > 0 && !ascii_is_space(rest->p[0])) {
		reply_set(no, 501, "5.5.4",
			  "a blank must stand between the address and what follows");
		return false;
	}
	return true;
}

bool mail_argument_parse(struct slice argument, unsigned extensions, struct mail_argument *out,
			 struct reply *no)
{
	unsigned flags = PATH_NULL | (extensions & EXTENSION_SMTPUTF8 ? PATH_UTF8 : 0u);
	struct slice word;
	struct parameter p;

	memset(out, 0, sizeof(*out));
	if (!path_argument(&argument, SLICE("FROM:"), SMTP_MAIL, flags, "5.1.7", &out->reverse_path,
			   no))
		return false;
	while (slice_word(&argument, &word))
		if (!parameter_split(word, &p, no) || !mail_parameter(&p, extensions, out, no))
			return false;
	if (out->reverse_path.utf8 && !out->smtputf8) {
		reply_set(no, 553, "5.6.7", "this address needs SMTPUTF8");
		return false;
	}
	return true;
}

bool rcpt_argument_parse(struct slice argument, unsigned extensions, struct rcpt_argument *out,
			 struct reply *no)
{
	unsigned flags = PATH_POSTMASTER | (extensions & EXTENSION_SMTPUTF8 ? PATH_UTF8 : 0u);
	struct slice word;
	struct parameter p;

	memset(out, 0, sizeof(*out));
	if (!path_argument(&argument, SLICE("TO:"), SMTP_RCPT, flags, "5.1.3", &out->forward_path,
			   no))
		return false;
	while (slice_word(&argument, &word))
		if (!parameter_split(word, &p, no) || !rcpt_parameter(&p, extensions, out, no))
			return false;
	return true;
}
