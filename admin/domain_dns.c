/* `tassis domain dns` and `domain check`: the records that a domain should have, and what DNS says
 * now.
 * Touches: PostgreSQL (the keys), DNS. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/json.h"
#include "admin/names.h"
#include "admin/objects.h"
#include "admin/records.h"
#include "admin/test.h"
#include "common/auth/dkim_pair.h"
#include "common/auth/dmarc_record.h"
#include "common/auth/spf.h"
#include "common/auth/spf_record.h"
#include "common/base/fault.h"
#include "common/conf/settings.h"
#include "common/dns/message.h"
#include "common/ipc/frame.h"

#define OUT_BYTES ((size_t)1 << 20)
#define ANSWERS_BYTES ((size_t)4 << 20)

/* ---- what it should have ---- */

static bool add_keys(struct task *t, struct records *r, const char *domain, struct fault *why)
{
	PGresult *rows = NULL;
	bool ok = database_run(&t->db, &rows, why,
			       "SELECT selector, private_key FROM dkim_keys WHERE domain = $1 AND "
			       "state <> 'retired' ORDER BY selector",
			       PARAMS(domain));

	for (int i = 0; ok && i < PQntuples(rows); i++) {
		struct buf name, text;

		buf_init(&name, 512);
		buf_init(&text, 8192);
		ok = buf_printf(&name, "%s._domainkey.%s", PQgetvalue(rows, i, 0), domain) &&
		     dkim_pair_record(slice_of_cstr(PQgetvalue(rows, i, 1)), &text, why) &&
		     records_add_key(r, buf_slice(&name), buf_slice(&text), why);
		buf_fini(&name);
		buf_fini(&text);
	}
	PQclear(rows);
	return ok;
}

static bool make(struct task *t, struct records *r, const char *domain, struct fault *why)
{
	return task_needs_domain(t, domain, why) && records_make(r, t->settings, why) &&
	       add_keys(t, r, domain, why);
}

static void append_json(const struct record *record, const char *state, const char *sentence,
			bool *first, struct buf *out)
{
	struct buf line;

	buf_init(&line, 8192);
	record_append(record, &line);
	buf_append_cstr(out, *first ? "{" : ",{");
	*first = false;
	test_json_text(out, "name", record->name);
	test_json_text(out, "type", record->type);
	test_json_text(out, "value", record->value);
	test_json_text(out, "note", record->note);
	json_name(out, "publish");
	buf_append_cstr(out, record->remark ? "false" : "true");
	if (state != NULL) {
		test_json_text(out, "state", slice_of_cstr(state));
		test_json_text(out, "sentence", slice_of_cstr(sentence));
	}
	buf_append_char(out, '}');
	buf_fini(&line);
}

bool domain_dns(struct task *t, struct fault *why)
{
	char domain[NAMES_DOMAIN_MAX], hostname[256];
	struct records records;
	bool ok, first = true;
	struct buf out;

	if (!names_domain(task_word(t, 0), domain, why) ||
	    !settings_hostname(t->settings, hostname, sizeof(hostname), why))
		return false;
	buf_init(&out, OUT_BYTES);
	records_init(&records, slice_of_cstr(hostname), slice_of_cstr(domain));
	ok = make(t, &records, domain, why);
	if (ok && arguments_has(&t->args, "--json")) {
		buf_append_char(&out, '[');
		for (const struct record *i = records.first; i != NULL; i = i->next)
			append_json(i, NULL, NULL, &first, &out);
		buf_append_cstr(&out, "]\n");
	} else if (ok) {
		records_append_zone(&records, &out);
	}
	if (ok)
		(void)fwrite(buf_slice(&out).p, 1, buf_length(&out), stdout);
	records_fini(&records);
	buf_fini(&out);
	return ok;
}

/* ---- what DNS says ---- */

enum state { STATE_OK, STATE_WARNING, STATE_WRONG, STATE_UNCHECKED };

struct checking {
	const struct records *records;
	struct answers *answers;
	struct buf *out;
	bool json, first, waits;
	unsigned n_wrong;
	char sentence[600];
};

PRINTF_LIKE(3, 4)
static enum state says(struct checking *c, enum state state, const char *template, ...)
{
	va_list args;

	va_start(args, template);
	(void)vsnprintf(c->sentence, sizeof(c->sentence), template, args);
	va_end(args);
	return state;
}

/* NULL: it is on its way. */
static const struct answer *get(struct checking *c, struct slice name, uint16_t type)
{
	const struct answer *a = answers_get(c->answers, name, type);

	c->waits = c->waits || a == NULL;
	return a;
}

static enum state unanswered(struct checking *c, struct slice name)
{
	return says(c, STATE_WRONG, "DNS does not answer for %.*s; see dns_servers in main.conf",
		    SLICE_PRINTF(name));
}

static bool next(struct slice *records, struct ipc_dns_record *record)
{
	bool broken = false;

	return ipc_next_dns_record(records, record, &broken) && !broken;
}

static bool is_name(struct slice a, struct slice b)
{
	if (slice_ends(a, SLICE(".")))
		a.n--;
	if (slice_ends(b, SLICE(".")))
		b.n--;
	return slice_equal_nocase(a, b);
}

static enum state check_mx(struct checking *c, const struct record *r)
{
	const struct answer *a = get(c, r->name, DNS_MX);
	struct ipc_dns_record record;
	struct slice records;
	unsigned n = 0;

	if (a == NULL || a->outcome == DNS_FAILED)
		return a == NULL ? STATE_OK : unanswered(c, r->name);
	for (records = a->records; next(&records, &record); n++)
		if (is_name(record.name, c->records->hostname))
			return says(c, STATE_OK, "the domain's mail comes here");
	if (n == 0)
		return says(c, STATE_WRONG,
			    "there is no MX: mail comes here only if the domain has this host's "
			    "address itself; publish this one");
	return says(c, STATE_WRONG,
		    "its mail goes to other hosts: none of its MX is %.*s; publish this one, or "
		    "give this host that name",
		    SLICE_PRINTF(c->records->hostname));
}

/* All addresses of our host, one after the other: false: no more. */
static bool next_address(struct checking *c, unsigned *at, struct ip *out)
{
	static const uint16_t types[] = {DNS_A, DNS_AAAA};
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
		const struct answer *a = get(c, c->records->hostname, types[i]);
		struct slice records = a != NULL ? a->records : SLICE_EMPTY;
		struct ipc_dns_record record;

		while (next(&records, &record)) {
			if (n++ != *at)
				continue;
			*out = record.address;
			++*at;
			return true;
		}
	}
	return false;
}

static enum state check_address(struct checking *c, const struct record *r)
{
	struct slice wanted = r->value;
	char text[IP_TEXT_MAX];
	unsigned at = 0;
	struct ip ip, first = {0};

	while (next_address(c, &at, &ip)) {
		if (first.family == 0)
			first = ip;
		if (slice_equal(slice_of_cstr(ip_text(&ip, text)), wanted))
			return says(c, STATE_OK, "the host is found there");
	}
	if (first.family == 0)
		return says(c, STATE_WRONG, "%.*s has no address: nobody can reach it; publish one",
			    SLICE_PRINTF(c->records->hostname));
	if (r->remark)
		return says(c, STATE_OK, "the host is found at %s", ip_text(&first, text));
	return says(c, STATE_WARNING,
		    "the host is found at %s and not at this address, which it has; publish it, or "
		    "send from the other alone",
		    ip_text(&first, text));
}

/* Does SPF pass for each address that our host has in DNS? */
static enum state check_spf(struct checking *c, const struct record *r)
{
	struct spf_ask ask = {.helo = c->records->hostname,
			      .receiver = c->records->hostname,
			      .now_s = (uint64_t)time(NULL)};
	enum state state = says(c, STATE_OK, "it passes for each address of this host");
	char text[IP_TEXT_MAX];
	struct spf_result result;
	struct spf spf;
	unsigned at = 0;

	ask.reverse_path = r->name;
	while (state == STATE_OK && next_address(c, &at, &ask.client)) {
		spf_init(&spf, &ask, NULL);
		if (!spf_check(&spf, c->answers, &result))
			c->waits = true;
		else if (result.code == SPF_TEMPERROR)
			state = unanswered(c, r->name);
		else if (result.code == SPF_NONE)
			state = says(c, STATE_WRONG,
				     "there is no SPF record: others cannot tell who may send for "
				     "it; publish this one");
		else if (result.code != SPF_PASS)
			state = says(c, STATE_WRONG,
				     "this host, %s, may not send for it: %s (%s); name it there",
				     ip_text(&ask.client, text), spf_code_name(result.code),
				     result.reason);
		spf_fini(&spf);
	}
	if (at == 0)
		return says(c, STATE_UNCHECKED,
			    "this host has no address in DNS for which it could be asked");
	return state;
}

static enum state check_key(struct checking *c, const struct record *r)
{
	const struct answer *a = get(c, r->name, DNS_TXT);
	struct ipc_dns_record record;
	struct slice records;
	unsigned n = 0;

	if (a == NULL || a->outcome == DNS_FAILED)
		return a == NULL ? STATE_OK : unanswered(c, r->name);
	for (records = a->records; next(&records, &record); n++)
		if (dkim_pair_is_published(record.data, r->text))
			return says(c, STATE_OK, "the key is there");
	return n == 0 ? says(c, STATE_WRONG,
			     "the key is not there, so its signatures verify nowhere; publish it")
		      : says(c, STATE_WRONG,
			     "another key is there, so our signatures verify nowhere; publish this "
			     "one");
}

static enum state check_dmarc(struct checking *c, const struct record *r)
{
	const struct answer *a = get(c, r->name, DNS_TXT);
	struct dmarc_record found = {0};
	struct ipc_dns_record record;
	struct slice records;
	unsigned n = 0;

	if (a == NULL || a->outcome == DNS_FAILED)
		return a == NULL ? STATE_OK : unanswered(c, r->name);
	for (records = a->records; next(&records, &record);) {
		if (!dmarc_record_is(record.data))
			continue;
		dmarc_record_read(record.data, &found);
		n++;
	}
	if (n != 1)
		return n == 0 ? says(c, STATE_WRONG,
				     "there is no policy: anybody can write as this domain; "
				     "publish this one")
			      : says(c, STATE_WRONG,
				     "there are %u policies, so none counts; leave one", n);
	if (!found.usable)
		return says(c, STATE_WRONG,
			    "the policy makes no sense: %.*s; right would be this one",
			    SLICE_PRINTF(slice_head(found.text, 200)));
	if (found.p == DMARC_POLICY_NONE)
		return says(c, STATE_WARNING,
			    "it asks for nothing (p=none): forged mail is delivered; p=quarantine "
			    "or p=reject, once its reports show that nothing of yours fails");
	return says(c, STATE_OK, "it asks for %s", dmarc_policy_word(found.p));
}

static enum state check_tlsrpt(struct checking *c, const struct record *r)
{
	const struct answer *a = get(c, r->name, DNS_TXT);
	struct ipc_dns_record record;
	struct slice records;

	if (a == NULL || a->outcome == DNS_FAILED)
		return a == NULL ? STATE_OK : unanswered(c, r->name);
	for (records = a->records; next(&records, &record);)
		if (slice_starts(record.data, SLICE("v=TLSRPTv1")))
			return says(c, STATE_OK, "others report there");
	return says(c, STATE_WARNING,
		    "nobody reports when TLS to this host fails; publish it to hear of that");
}

static enum state check_way_back(struct checking *c, const struct record *r)
{
	const struct answer *a = get(c, r->name, DNS_PTR);
	struct ipc_dns_record record;
	struct slice records;

	if (a == NULL || a->outcome == DNS_FAILED)
		return a == NULL ? STATE_OK : unanswered(c, r->name);
	for (records = a->records; next(&records, &record);)
		if (is_name(record.name, c->records->hostname))
			return says(c, STATE_OK, "the way back leads here");
	return says(c, STATE_WRONG,
		    "the address does not lead back to %.*s, and many hosts take no mail from such "
		    "a one; ask whoever gave you the address",
		    SLICE_PRINTF(c->records->hostname));
}

static enum state check_record(struct checking *c, const struct record *r)
{
	switch (r->kind) {
	case RECORD_MX:
		return check_mx(c, r);
	case RECORD_ADDRESS:
		return check_address(c, r);
	case RECORD_SPF:
	case RECORD_SPF_HOST:
		return check_spf(c, r);
	case RECORD_DKIM:
		return check_key(c, r);
	case RECORD_DMARC:
		return check_dmarc(c, r);
	case RECORD_TLSRPT:
		return check_tlsrpt(c, r);
	case RECORD_PTR:
		return check_way_back(c, r);
	case RECORD_SERVICE:
	case RECORD_TLSA:
		break;
	}
	return says(c, STATE_UNCHECKED, "not looked at");
}

static void tell(struct checking *c, const struct record *r, enum state state)
{
	static const char *const words[] = {[STATE_OK] = "ok",
					    [STATE_WARNING] = "warning",
					    [STATE_WRONG] = "wrong",
					    [STATE_UNCHECKED] = "unchecked"};

	c->n_wrong += state == STATE_WRONG;
	if (c->json) {
		append_json(r, words[state], c->sentence, &c->first, c->out);
		return;
	}
	buf_printf(c->out, "%-9s ", words[state]);
	record_append(r, c->out);
	buf_printf(c->out, "\n          %s\n", c->sentence);
}

/* Runs until all is known: what it says before does not count. */
static bool run(void *arg, struct answers *answers)
{
	struct checking *c = arg;

	c->answers = answers;
	c->waits = false;
	c->first = true;
	c->n_wrong = 0;
	buf_reset(c->out);
	if (c->json)
		buf_append_char(c->out, '[');
	for (const struct record *i = c->records->first; i != NULL; i = i->next)
		tell(c, i, check_record(c, i));
	if (c->json)
		buf_append_cstr(c->out, "]\n");
	return !c->waits;
}

bool domain_check(struct task *t, struct fault *why)
{
	char domain[NAMES_DOMAIN_MAX], hostname[256];
	struct test_options o = {0};
	struct records records;
	struct answers answers;
	struct buf out;
	struct checking c = {
		.records = &records, .out = &out, .json = arguments_has(&t->args, "--json")};
	bool ok;

	if (!names_domain(task_word(t, 0), domain, why) ||
	    !settings_hostname(t->settings, hostname, sizeof(hostname), why))
		return false;
	buf_init(&out, OUT_BYTES);
	records_init(&records, slice_of_cstr(hostname), slice_of_cstr(domain));
	answers_init(&answers, ANSWERS_BYTES);
	test_servers_of(&o, t->settings);
	ok = make(t, &records, domain, why) && test_run(&o, &answers, run, &c, why);
	if (ok)
		(void)fwrite(buf_slice(&out).p, 1, buf_length(&out), stdout);
	if (ok && c.n_wrong > 0)
		fault_set(why, "4.3.0", "%u record%s of %s wrong or missing", c.n_wrong,
			  c.n_wrong > 1 ? "s" : "", domain);
	answers_fini(&answers);
	records_fini(&records);
	buf_fini(&out);
	return ok && c.n_wrong == 0;
}
