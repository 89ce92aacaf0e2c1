/* `tassis route …`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/listing.h"
#include "admin/names.h"
#include "admin/objects.h"
#include "admin/secret.h"
#include "common/base/address.h"
#include "common/base/buf.h"
#include "common/base/fault.h"

struct route {
	char domain[NAMES_DOMAIN_MAX], sender_domain[NAMES_DOMAIN_MAX], host[NAMES_DOMAIN_MAX];
	char whole[2 * NAMES_DOMAIN_MAX + 16]; /* for people */
	char port_text[TASK_QUANTITY_MAX];
	const char *host_given, *port; /* NULL: not given, or none */
};

static bool read_key(const struct task *t, struct route *r, struct fault *why)
{
	const char *sender = arguments_value(&t->args, "--sender-domain");

	memset(r, 0, sizeof(*r));
	if (!names_domain_or_all(task_word(t, 0), r->domain, why) || !names_domain_or_all(sender != NULL ? sender : "*", r->sender_domain, why))
		return false;
	(void)snprintf(r->whole, sizeof(r->whole), "%s%s%s", r->domain, r->sender_domain[0] != '*' ? " from " : "",
		       r->sender_domain[0] != '*' ? r->sender_domain : "");
	return true;
}

/* An address, or a name as an A-label. */
static bool read_host(const struct task *t, struct route *r, struct fault *why)
{
	const char *text = arguments_value(&t->args, "--host");
	struct ip ip;

	if (text == NULL)
		return true;
	r->host_given = r->host;
	if (ip_parse(slice_of_cstr(text), &ip)) {
		(void)ip_text(&ip, r->host);
		return true;
	}
	if (names_domain(text, r->host, NULL))
		return true;
	fault_set(why, "5.5.4", "--host %s: right would be a name such as smtp.example.org, or an address such as 192.0.2.1; the port stands in --port", text);
	return false;
}

static bool read_route(const struct task *t, struct route *r, struct fault *why)
{
	return read_key(t, r, why) && read_host(t, r, why) && task_quantity(t, "--port", false, r->port_text, &r->port, why);
}

/* The password that goes with --user. Where there is no --user, none is wanted. */
static bool read_password(const struct task *t, struct buf *out, struct fault *why)
{
	const char *user = arguments_value(&t->args, "--user");
	bool from_input = arguments_has(&t->args, "--password-stdin");

	if (from_input)
		return secret_read(out, why);
	return user == NULL || secret_ask("Password at the next hop: ", out, why);
}

static void note_clear(struct task *t, const struct route *r)
{
	struct fault ignored;
	uint64_t n = 0;

	if (database_ask_number(&t->db, &n, &ignored,
				"SELECT count(*) FROM routes WHERE domain = $1 AND sender_domain = $2 AND username IS NOT NULL AND tls IN ('optional', 'none')",
				PARAMS(r->domain, r->sender_domain)) &&
	    n > 0)
		task_note("note: user and password may go to that host without encryption; --tls starttls or implicit forbids it");
}

static bool no_route(const struct task *t, const struct route *r, struct fault *why)
{
	return task_not_there(t, "route for", r->whole, why);
}

bool route_add(struct task *t, struct fault *why)
{
	const char *user = arguments_value(&t->args, "--user"), *tls = arguments_value(&t->args, "--tls");
	struct buf password;
	struct route r;
	uint64_t n = 0;
	bool ok;

	if (tls == NULL) /* a password is not sent in the clear unless somebody says so */
		tls = user != NULL ? "starttls" : "optional";
	if (!read_route(t, &r, why))
		return false;
	if (user == NULL && arguments_has(&t->args, "--password-stdin")) {
		fault_set(why, "5.5.4", "a password without a user; --user names it");
		return false;
	}
	buf_init_secret(&password, SECRET_MAX + 1);
	ok = read_password(t, &password, why) &&
	     database_change(&t->db, &n, why,
			     "INSERT INTO routes (domain, sender_domain, host, port, mx, tls, username, password) "
			     "VALUES ($1, $2, $3, $4::integer, $5::boolean, $6, $7, $8) ON CONFLICT DO NOTHING",
			     PARAMS(r.domain, r.sender_domain, r.host, r.port, arguments_has(&t->args, "--mx") ? "t" : "f", tls, user,
				    user != NULL ? buf_cstr(&password) : NULL));
	buf_fini(&password);
	if (!ok)
		return false;
	if (n == 0)
		return task_there(t, "route for", r.whole, why);
	task_say("added route for %s", r.whole);
	note_clear(t, &r);
	return true;
}

bool route_change(struct task *t, struct fault *why)
{
	const char *user = arguments_value(&t->args, "--user"), *mx = NULL, *port_given = arguments_has(&t->args, "--port") ? "t" : "f";
	bool no_user = arguments_has(&t->args, "--no-user");
	struct buf password;
	struct route r;
	uint64_t n = 0;
	bool ok;

	if (arguments_has(&t->args, "--mx") || arguments_has(&t->args, "--no-mx"))
		mx = arguments_has(&t->args, "--mx") ? "t" : "f";
	if (!read_route(t, &r, why))
		return false;
	buf_init_secret(&password, SECRET_MAX + 1);
	ok = read_password(t, &password, why) &&
	     database_change(&t->db, &n, why,
			     "UPDATE routes SET host = coalesce($3, host), port = CASE WHEN $4::boolean THEN $5::integer ELSE port END, "
			     "mx = coalesce($6::boolean, mx), tls = coalesce($7, tls), "
			     "username = CASE WHEN $8::boolean THEN NULL ELSE coalesce($9, username) END, "
			     "password = CASE WHEN $8::boolean THEN NULL ELSE coalesce($10, password) END WHERE domain = $1 AND sender_domain = $2",
			     PARAMS(r.domain, r.sender_domain, r.host_given, port_given, r.port, mx, arguments_value(&t->args, "--tls"),
				    no_user ? "t" : "f", user, buf_length(&password) > 0 ? buf_cstr(&password) : NULL));
	buf_fini(&password);
	if (!ok)
		return false;
	if (n == 0)
		return no_route(t, &r, why);
	task_say("changed route for %s", r.whole);
	note_clear(t, &r);
	return true;
}

bool route_delete(struct task *t, struct fault *why)
{
	struct route r;
	uint64_t n;

	if (!read_key(t, &r, why) ||
	    !database_change(&t->db, &n, why, "DELETE FROM routes WHERE domain = $1 AND sender_domain = $2", PARAMS(r.domain, r.sender_domain)))
		return false;
	if (n == 0)
		return no_route(t, &r, why);
	task_say("deleted route for %s", r.whole);
	return true;
}

bool route_list(struct task *t, struct fault *why)
{
	const char *which = task_word(t, 0), *domain = NULL;
	char name[NAMES_DOMAIN_MAX];

	if (which[0] != '\0') {
		if (!names_domain_or_all(which, name, why))
			return false;
		domain = name;
	}
	return listing_print(&t->db, arguments_has(&t->args, "--json"), why,
			     "SELECT domain, sender_domain, host, port, mx, tls, username FROM routes WHERE $1::text IS NULL OR domain = $1 "
			     "ORDER BY domain = '*', domain, sender_domain = '*', sender_domain",
			     PARAMS(domain));
}

bool route_show(struct task *t, struct fault *why)
{
	struct route r;
	bool found;

	if (!read_key(t, &r, why) ||
	    !listing_print_one(&t->db, arguments_has(&t->args, "--json"), &found, why,
			       "SELECT domain, sender_domain, id, host, port, mx, tls, username, password IS NOT NULL AS password FROM routes "
			       "WHERE domain = $1 AND sender_domain = $2",
			       PARAMS(r.domain, r.sender_domain)))
		return false;
	return found || no_route(t, &r, why);
}
