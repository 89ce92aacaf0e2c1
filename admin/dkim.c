/* `tassis dkim …`: the keys that sign a domain's mail. A key is made, published (its record is in
 * DNS, or on the way there), active (it signs) and retired (it signs no more; its record stays
 * until what it signed has been read).
 * Touches: PostgreSQL; DNS, before a key begins to sign. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/json.h"
#include "admin/listing.h"
#include "admin/names.h"
#include "admin/objects.h"
#include "admin/test.h"
#include "common/auth/dkim_pair.h"
#include "common/base/fault.h"
#include "common/base/number.h"
#include "common/dns/message.h"
#include "common/ipc/frame.h"

#define PEM_BYTES 65536
#define RECORD_BYTES 8192
#define OUT_BYTES ((size_t)4 << 20)
#define ANSWERS_BYTES ((size_t)1 << 20)
#define STRING_OCTETS 255u /* of one string of a TXT record, RFC 1035 3.3 */
#define RSA_BITS_DEFAULT "2048"
#define SELECTOR_MAX 64

/* ---- one key ---- */

struct key {
	const char *domain, *selector, *algorithm, *state; /* in the result */
	struct buf name, record;			   /* as DNS has them */
};

static bool key_read(struct key *k, const PGresult *rows, int row, struct fault *why)
{
	buf_init(&k->name, 512);
	buf_init(&k->record, RECORD_BYTES);
	k->domain = PQgetvalue(rows, row, 0);
	k->selector = PQgetvalue(rows, row, 1);
	k->algorithm = PQgetvalue(rows, row, 2);
	k->state = PQgetvalue(rows, row, 3);
	if (!buf_printf(&k->name, "%s._domainkey.%s", k->selector, k->domain) ||
	    !dkim_pair_record(slice_of_cstr(PQgetvalue(rows, row, 4)), &k->record, why)) {
		fault_add(why, "key %s of %s", k->selector, k->domain);
		return false;
	}
	return true;
}

static void key_fini(struct key *k)
{
	buf_fini(&k->name);
	buf_fini(&k->record);
}

#define KEYS_SQL                                                                                   \
	"SELECT domain, selector, algorithm, state, private_key FROM dkim_keys WHERE domain = $1 "

/* The keys of a domain that sql's end chooses. */
static bool keys_find(struct task *t, const char *domain, PGresult **rows, struct fault *why,
		      const char *sql, const char *selector)
{
	if (!task_needs_domain(t, domain, why))
		return false;
	return selector != NULL ? database_run(&t->db, rows, why, sql, PARAMS(domain, selector))
				: database_run(&t->db, rows, why, sql, PARAMS(domain));
}

static bool set_state(struct task *t, const char *domain, const char *selector, const char *state,
		      struct fault *why)
{
	uint64_t n;

	return database_change(
		&t->db, &n, why,
		"UPDATE dkim_keys SET state = $3 WHERE domain = $1 AND selector = $2",
		PARAMS(domain, selector, state));
}

/* ---- what is to be published ---- */

/* name. IN TXT ( "…" "…" ) as a zone file has it; a key's text needs no escapes. */
static void append_zone_line(const struct key *k, struct buf *out)
{
	struct slice rest = buf_slice(&k->record);

	buf_printf(out, "%.*s. IN TXT (", SLICE_PRINTF(buf_slice(&k->name)));
	for (; rest.n > 0; rest = slice_tail(rest, STRING_OCTETS))
		buf_printf(out, " \"%.*s\"", SLICE_PRINTF(slice_head(rest, STRING_OCTETS)));
	buf_append_cstr(out, " )\n");
}

static void append_json(const struct key *k, struct buf *out)
{
	struct buf line;

	buf_init(&line, 2 * RECORD_BYTES);
	append_zone_line(k, &line);
	buf_append_char(out, '{');
	test_json_text(out, "domain", slice_of_cstr(k->domain));
	test_json_text(out, "selector", slice_of_cstr(k->selector));
	test_json_text(out, "algorithm", slice_of_cstr(k->algorithm));
	test_json_text(out, "state", slice_of_cstr(k->state));
	test_json_text(out, "name", buf_slice(&k->name));
	test_json_text(out, "record", buf_slice(&k->record));
	test_json_text(out, "zone", slice_trim(buf_slice(&line)));
	buf_append_char(out, '}');
	buf_fini(&line);
}

/* Both forms, of all rows. */
static bool print_records(const PGresult *rows, bool json, struct fault *why)
{
	struct buf out;
	struct key k;
	bool ok = true;

	buf_init(&out, OUT_BYTES);
	if (json)
		buf_append_char(&out, '[');
	for (int i = 0; ok && i < PQntuples(rows); i++) {
		ok = key_read(&k, rows, i, why);
		if (ok && json) {
			if (i > 0)
				buf_append_char(&out, ',');
			append_json(&k, &out);
		} else if (ok) {
			buf_printf(&out, "; %s, %s: in a zone file, and as one string\n",
				   k.algorithm, k.state);
			append_zone_line(&k, &out);
			buf_printf(&out, "%.*s\n", SLICE_PRINTF(buf_slice(&k.record)));
		}
		key_fini(&k);
	}
	if (json)
		buf_append_cstr(&out, "]\n");
	if (ok)
		(void)fwrite(buf_slice(&out).p, 1, buf_length(&out), stdout);
	buf_fini(&out);
	return ok;
}

/* ---- making ---- */

/* The day, and what tells the algorithms apart: r20261125, e20261125. */
static void selector_of_today(char out[SELECTOR_MAX], bool ed25519)
{
	time_t now = time(NULL);
	struct tm tm;
	char day[16] = "";

	if (gmtime_r(&now, &tm) != NULL)
		(void)strftime(day, sizeof(day), "%Y%m%d", &tm);
	(void)snprintf(out, SELECTOR_MAX, "%c%s", ed25519 ? 'e' : 'r', day);
}

static bool make_key(struct task *t, const char *domain, const char *selector, unsigned bits,
		     struct fault *why)
{
	char algorithm[20], number[24];
	struct buf pem;
	uint64_t n = 0;
	bool ok;

	(void)snprintf(algorithm, sizeof(algorithm), "%s",
		       bits > 0 ? "rsa-sha256" : "ed25519-sha256");
	(void)snprintf(number, sizeof(number), "%u", bits);
	buf_init_secret(&pem, PEM_BYTES);
	ok = dkim_pair_make(bits, &pem, why) && buf_cstr(&pem) != NULL &&
	     database_change(&t->db, &n, why,
			     "INSERT INTO dkim_keys (domain, selector, algorithm, private_key) "
			     "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
			     PARAMS(domain, selector, algorithm, buf_cstr(&pem)));
	buf_fini(&pem);
	if (ok && n == 0)
		return task_there(t, "key", selector, why);
	if (ok && !arguments_has(&t->args, "--json"))
		task_say("made key %s of %s (%s%s%s)", selector, domain, algorithm,
			 bits > 0 ? ", bits: " : "", bits > 0 ? number : "");
	return ok;
}

/* The one that was given, or one of today that the domain has not had yet. */
static bool choose_selector(struct task *t, const char *domain, const char *given, bool ed25519,
			    char out[SELECTOR_MAX], struct fault *why)
{
	char today[SELECTOR_MAX];
	uint64_t n = 0;

	selector_of_today(today, ed25519);
	(void)snprintf(out, SELECTOR_MAX, "%s", given != NULL ? given : today);
	for (char letter = 'b'; given == NULL && letter <= 'z'; letter++) {
		if (!database_ask_number(
			    &t->db, &n, why,
			    "SELECT count(*) FROM dkim_keys WHERE domain = $1 AND selector = $2",
			    PARAMS(domain, out)))
			return false;
		if (n == 0)
			break;
		(void)snprintf(out, SELECTOR_MAX, "%.*s%c", SELECTOR_MAX - 2, today, letter);
	}
	return true;
}

/* The keys that the options ask for: RSA and Ed25519, or one of them. */
static bool make_keys(struct task *t, const char *domain, struct fault *why)
{
	const char *algorithm = arguments_value(&t->args, "--algorithm"),
		   *given = arguments_value(&t->args, "--selector"),
		   *text = arguments_value(&t->args, "--bits");
	bool rsa = algorithm == NULL || strcmp(algorithm, "ed25519") != 0,
	     ed25519 = algorithm == NULL || strcmp(algorithm, "rsa") != 0;
	char selector[SELECTOR_MAX];
	uint64_t bits;

	if (!number_u64(slice_of_cstr(text != NULL ? text : RSA_BITS_DEFAULT), 4096, &bits) ||
	    bits < 1024) {
		fault_set(why, "5.5.4", "--bits %s: right would be 1024 to 4096 (RFC 8301 3.2)",
			  text);
		return false;
	}
	if (given != NULL && rsa && ed25519) {
		fault_set(why, "5.5.4", "--selector names one key: --algorithm says which");
		return false;
	}
	if (rsa && (!choose_selector(t, domain, given, false, selector, why) ||
		    !make_key(t, domain, selector, (unsigned)bits, why)))
		return false;
	return !ed25519 || (choose_selector(t, domain, given, true, selector, why) &&
			    make_key(t, domain, selector, 0, why));
}

/* ---- DNS ---- */

struct published {
	const PGresult *rows;
	bool *there;
	struct fault *why;
	bool ok;
};

/* Notes for each row whether DNS has its record; false: answers wants more. */
static bool look(void *arg, struct answers *answers)
{
	struct published *p = arg;
	bool all = true;

	for (int i = 0; p->ok && i < PQntuples(p->rows); i++) {
		const struct answer *a = NULL;
		struct ipc_dns_record record;
		struct slice records;
		bool broken = false;
		struct key k;

		p->ok = key_read(&k, p->rows, i, p->why);
		if (p->ok && (a = answers_get(answers, buf_slice(&k.name), DNS_TXT)) == NULL) {
			all = false;
		} else if (p->ok) {
			records = a->records;
			p->there[i] = false;
			while (ipc_next_dns_record(&records, &record, &broken) && !broken)
				p->there[i] |=
					dkim_pair_is_published(record.data, buf_slice(&k.record));
		}
		key_fini(&k);
	}
	return all || !p->ok;
}

/* there: for each row; the caller frees it. */
static bool look_up(struct task *t, const PGresult *rows, bool **there, struct fault *why)
{
	struct published p = {.rows = rows,
			      .there = calloc((size_t)PQntuples(rows) + 1, sizeof(bool)),
			      .why = why,
			      .ok = true};
	struct test_options o = {0};
	struct answers answers;
	bool ok;

	*there = p.there;
	if (p.there == NULL) {
		fault_set(why, "4.3.1", "out of memory");
		return false;
	}
	test_servers_of(&o, t->settings);
	answers_init(&answers, ANSWERS_BYTES);
	ok = test_run(&o, &answers, look, &p, why) && p.ok;
	answers_fini(&answers);
	return ok;
}

/* Activates each row whose record is in DNS; the others are named in a sentence. *n_missing counts
 * them. */
static bool activate_rows(struct task *t, const PGresult *rows, bool unchecked, unsigned *n_missing,
			  struct fault *why)
{
	bool *there = NULL, ok = unchecked || look_up(t, rows, &there, why);

	*n_missing = 0;
	for (int i = 0; ok && i < PQntuples(rows); i++) {
		const char *domain = PQgetvalue(rows, i, 0), *selector = PQgetvalue(rows, i, 1);

		if (!unchecked && !there[i]) {
			task_note("key %s of %s stays as it is: DNS has no record of it at "
				  "%s._domainkey.%s; tassis dkim publish %s prints it",
				  selector, domain, selector, domain, domain);
			++*n_missing;
			continue;
		}
		ok = set_state(t, domain, selector, "active", why);
		if (ok)
			task_say("key %s of %s is active", selector, domain);
	}
	free(there);
	return ok;
}

/* ---- the verbs ---- */

bool dkim_create(struct task *t, struct fault *why)
{
	char domain[NAMES_DOMAIN_MAX];
	PGresult *rows = NULL;
	bool ok;

	if (!names_domain(task_word(t, 0), domain, why) || !task_needs_domain(t, domain, why) ||
	    !make_keys(t, domain, why))
		return false;
	if (!arguments_has(&t->args, "--json")) {
		task_say("tassis dkim publish %s prints what DNS must have; then: tassis dkim "
			 "activate %s",
			 domain, domain);
		return true;
	}
	ok = keys_find(t, domain, &rows, why, KEYS_SQL "AND state = 'made' ORDER BY selector",
		       NULL) &&
	     print_records(rows, true, why);
	PQclear(rows);
	return ok;
}

bool dkim_list(struct task *t, struct fault *why)
{
	const char *which = task_word(t, 0);
	char domain[NAMES_DOMAIN_MAX];

	if (which[0] != '\0' && !names_domain(which, domain, why))
		return false;
	return listing_print(&t->db, arguments_has(&t->args, "--json"), why,
			     "SELECT domain, selector, algorithm, state, to_char(created_at AT "
			     "TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created "
			     "FROM dkim_keys WHERE $1::text IS NULL OR domain = $1 ORDER BY "
			     "dkim_keys.domain, dkim_keys.created_at, dkim_keys.selector",
			     PARAMS(which[0] != '\0' ? domain : NULL));
}

bool dkim_publish(struct task *t, struct fault *why)
{
	char domain[NAMES_DOMAIN_MAX];
	PGresult *rows = NULL;
	uint64_t n;
	bool ok;

	if (!names_domain(task_word(t, 0), domain, why) ||
	    !database_change(
		    &t->db, &n, why,
		    "UPDATE dkim_keys SET state = 'published' WHERE domain = $1 AND state = 'made'",
		    PARAMS(domain)))
		return false;
	ok = keys_find(t, domain, &rows, why,
		       KEYS_SQL "AND state <> 'retired' ORDER BY created_at, selector", NULL);
	if (ok && PQntuples(rows) == 0) {
		fault_set(why, "4.3.0", "%s has no key; make one first: tassis dkim create %s",
			  domain, domain);
		ok = false;
	}
	ok = ok && print_records(rows, arguments_has(&t->args, "--json"), why);
	PQclear(rows);
	return ok;
}

bool dkim_activate(struct task *t, struct fault *why)
{
	const char *selector = task_word(t, 1)[0] != '\0' ? task_word(t, 1) : NULL;
	char domain[NAMES_DOMAIN_MAX];
	PGresult *rows = NULL;
	unsigned n_missing = 0;
	bool ok;

	if (!names_domain(task_word(t, 0), domain, why))
		return false;
	ok = keys_find(t, domain, &rows, why,
		       selector != NULL ? KEYS_SQL "AND selector = $2"
					: KEYS_SQL
			       "AND state IN ('made', 'published') ORDER BY selector",
		       selector);
	if (ok && PQntuples(rows) == 0) {
		fault_set(why, "4.3.0",
			  "%s has no such key that is not active; tassis dkim list %s shows them",
			  domain, domain);
		ok = false;
	}
	ok = ok && activate_rows(t, rows, arguments_has(&t->args, "--unchecked"), &n_missing, why);
	PQclear(rows);
	if (ok && n_missing > 0)
		fault_set(why, "4.3.0", "DNS does not have %u of the keys yet", n_missing);
	return ok && n_missing == 0;
}

bool dkim_retire(struct task *t, struct fault *why)
{
	const char *selector = task_word(t, 1);
	char domain[NAMES_DOMAIN_MAX];
	uint64_t n;

	if (!names_domain(task_word(t, 0), domain, why) ||
	    !database_change(
		    &t->db, &n, why,
		    "UPDATE dkim_keys SET state = 'retired' WHERE domain = $1 AND selector = $2",
		    PARAMS(domain, selector)))
		return false;
	if (n == 0)
		return task_not_there(t, "key", selector, why);
	task_say("key %s of %s signs no more; leave its record in DNS for a week, for mail that is "
		 "on its way",
		 selector, domain);
	return true;
}

bool dkim_delete(struct task *t, struct fault *why)
{
	const char *selector = task_word(t, 1);
	char domain[NAMES_DOMAIN_MAX];
	uint64_t n;

	if (!names_domain(task_word(t, 0), domain, why) ||
	    !database_change(&t->db, &n, why,
			     "DELETE FROM dkim_keys WHERE domain = $1 AND selector = $2 AND state "
			     "<> 'active'",
			     PARAMS(domain, selector)))
		return false;
	if (n > 0) {
		task_say("deleted key %s of %s", selector, domain);
		return true;
	}
	if (!database_ask_number(
		    &t->db, &n, why,
		    "SELECT count(*) FROM dkim_keys WHERE domain = $1 AND selector = $2",
		    PARAMS(domain, selector)))
		return false;
	if (n == 0)
		return task_not_there(t, "key", selector, why);
	fault_set(why, "4.3.0", "key %s of %s signs; retire it first: tassis dkim retire %s %s",
		  selector, domain, domain, selector);
	return false;
}

/* Of each algorithm that now has a newer active key, the older ones. */
#define RETIRE_OLD_SQL                                                                             \
	"UPDATE dkim_keys k SET state = 'retired' WHERE k.domain = $1 AND k.state = 'active' AND " \
	"EXISTS (SELECT FROM dkim_keys newer "                                                     \
	"WHERE newer.domain = k.domain AND newer.algorithm = k.algorithm AND newer.state = "       \
	"'active' AND newer.created_at > k.created_at)"

/* One step of the change at a time, whichever is due: said as often as it takes, by hand or by
 * cron. */
bool dkim_rotate(struct task *t, struct fault *why)
{
	char domain[NAMES_DOMAIN_MAX];
	PGresult *rows = NULL;
	unsigned n_missing = 0;
	uint64_t n = 0;
	bool ok;

	if (!names_domain(task_word(t, 0), domain, why) ||
	    !keys_find(t, domain, &rows, why,
		       KEYS_SQL "AND state IN ('made', 'published') ORDER BY selector", NULL))
		return false;
	if (PQntuples(rows) == 0) {
		PQclear(rows);
		return make_keys(t, domain, why) && dkim_publish(t, why);
	}
	ok = activate_rows(t, rows, false, &n_missing, why) &&
	     (n_missing > 0 || database_change(&t->db, &n, why, RETIRE_OLD_SQL, PARAMS(domain)));
	PQclear(rows);
	if (ok && n > 0)
		task_say("%llu older key%s of %s sign%s no more; leave their records in DNS for a "
			 "week",
			 (unsigned long long)n, n > 1 ? "s" : "", domain, n > 1 ? "" : "s");
	if (ok && n_missing > 0)
		fault_set(why, "4.3.0",
			  "DNS does not have the new keys yet; the old ones go on signing");
	return ok && n_missing == 0;
}
