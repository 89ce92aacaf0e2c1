#include "lookupd/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/conf/settings.h"
#include "common/ipc/frame.h"

#define OUT_MAX (900u << 10) /* of a control_answer's text */
#define LINE_MAX_BYTES 4096
#define LISTED_MAX 100

/* The settings that decide something about an address. */
static const char *const settings_that_decide[] = {
	"hostname",	    "mail_dir",	       "aliases_file",	"postmaster",
	"detail_mailbox",   "spam_header",     "quota_full",	"delivered_to",
	"null_sender",	    "local_sender",    "smtp_auth",	"auth_sender",
	"auth_authzid",	    "auth_rehash",     "save_sent",	"envelope_from",
	"message_size_max", "delivery_secure", "delivery_port", "delivery_tls_trust",
	"queue_lifetime",   "query_domain",    "query_user",	"query_alias",
	"query_relay",	    "query_route",
};

void explain_init(struct explain *e)
{
	buf_init(&e->out, OUT_MAX);
	routing_init(&e->routing);
}

void explain_fini(struct explain *e)
{
	buf_fini(&e->out);
	routing_fini(&e->routing);
}

/* A line; what stands in rows cannot break it. */
static PRINTF_LIKE(4, 5) void put(struct explain *e, const char *part, const char *what,
				  const char *template, ...)
{
	struct buf line;
	struct slice text;
	va_list args;

	buf_init(&line, LINE_MAX_BYTES);
	va_start(args, template);
	(void)buf_vprintf(&line, template, args);
	va_end(args);
	text = buf_slice(&line);
	buf_printf(&e->out, "%s\t%s\t", part, what);
	for (size_t i = 0; i < text.n; i++)
		buf_append_char(&e->out, ascii_is_control(text.p[i]) ? '?' : text.p[i]);
	buf_append_char(&e->out, '\n');
	buf_fini(&line);
}

void explain_end(struct explain *e, const struct fault *why)
{
	put(e, "to", "reaches", "later");
	put(e, "to", "fault", "%s %s", fault_status(why), why->text);
}

/* ---- by it ---- */

/* The scheme, never what stands behind it. */
static struct slice scheme_of(struct slice kept)
{
	size_t end = slice_find(kept, '}');

	if (slice_starts(kept, SLICE("{")) && end != SIZE_MAX)
		return slice_head(kept, end + 1);
	return kept.n == 64 ? SLICE("{SHA256.HEX}") : SLICE("a form that is not known");
}

static const char *why_no_login(const struct rows *domain, const struct rows *user)
{
	if (domain->n_rows == 0)
		return "its domain is none of ours";
	if (!rows_flag(domain, 0, DOMAIN_ENABLED, true))
		return "its domain is switched off";
	if (slice_equal(rows_cell(domain, 0, DOMAIN_KIND), SLICE("relay")))
		return "its domain is one that we relay for";
	if (user->n_rows == 0)
		return "there is no such row in users";
	if (!rows_flag(user, 0, USER_ENABLED, true))
		return "the user is switched off";
	return "the user has no password";
}

static void put_limit(struct explain *e, const char *unit, uint64_t limit)
{
	if (limit > 0)
		put(e, "by", "quota", "%llu %s", (unsigned long long)limit, unit);
	else
		put(e, "by", "quota", "no limit of %s", unit);
}

static void explain_user(struct explain *e, const struct rows *user)
{
	struct slice lines = rows_cell(user, 0, USER_SENDERS), line;

	put(e, "by", "sender", "%.*s, also with +detail, is their own address",
	    SLICE_PRINTF(name_whole(&e->name)));
	while (slice_cut(&lines, '\n', &line))
		put(e, "by", "sender", "%.*s is theirs too (a row of sender_addresses)",
		    SLICE_PRINTF(line));
	if (rows_flag(user, 0, USER_PASSWORD_FIXED, false))
		put(e, "by", "password", "it is never written anew (password_fixed)");
	put_limit(e, "octets", rows_number(user, 0, USER_QUOTA_BYTES, 0));
	put_limit(e, "messages", rows_number(user, 0, USER_QUOTA_MESSAGES, 0));
	lines = rows_cell(user, 0, USER_MAILBOXES);
	while (slice_cut(&lines, '\n', &line))
		put(e, "by", "mailbox", "%.*s", SLICE_PRINTF(line));
}

static void explain_login(struct lookup *l, struct explain *e)
{
	const struct rows *domain, *user;
	bool known = lookup_get(l, &(struct query_key){QUERY_domain, {e->name.domain}}, &domain);

	e->login.names = *e->names;
	e->login.user = name_whole(&e->name);
	login_evaluate(l, &e->login);
	if (!lookup_get(l, &(struct query_key){QUERY_user, {e->name.local, e->name.domain}},
			&user) ||
	    !known)
		return;
	if (e->login.permitted) {
		struct slice scheme = scheme_of(e->login.kept);

		put(e, "by", "login", "the user can log in; the password is kept as %.*s",
		    SLICE_PRINTF(scheme));
	} else {
		put(e, "by", "login", "nobody can log in as it: %s", why_no_login(domain, user));
	}
	if (user->n_rows > 0)
		explain_user(e, user);
}

/* ---- from it ---- */

static void explain_relays(struct lookup *l, struct explain *e)
{
	const struct rows *relays;

	if ((*e->settings)->query_relay.n > 0) {
		put(e, "from", "relay",
		    "which clients may send as it without a login says query_relay, client by "
		    "client");
		return;
	}
	if (!lookup_get(l, &(struct query_key){QUERY_relays_of, {e->name.domain}}, &relays))
		return;
	for (size_t i = 0; i < relays->n_rows && i < LISTED_MAX; i++) {
		struct slice network = rows_cell(relays, i, RELAYS_OF_NETWORK),
			     of = rows_cell(relays, i, RELAYS_OF_DOMAIN);

		if (slice_equal(of, SLICE("*")))
			of = SLICE("every domain of ours");
		put(e, "from", "relay", "%.*s may send as %.*s without a login (a row of relays)",
		    SLICE_PRINTF(network), SLICE_PRINTF(of));
	}
	if (relays->n_rows == 0)
		put(e, "from", "relay",
		    "no client may send as it without a login (no row of relays)");
	else if (relays->n_rows > LISTED_MAX)
		put(e, "from", "relay", "and more");
}

static void explain_senders(struct lookup *l, struct explain *e)
{
	char at_domain[1 + NAME_DOMAIN_MAX];
	const struct rows *senders;

	at_domain[0] = '@';
	memcpy(at_domain + 1, e->name.domain.p, e->name.domain.n);
	if (!lookup_get(l,
			&(struct query_key){
				QUERY_senders_of,
				{name_whole(&e->name), slice_of(at_domain, 1 + e->name.domain.n)}},
			&senders))
		return;
	if (e->login.permitted)
		put(e, "from", "sender", "%.*s may send as it after a login",
		    SLICE_PRINTF(name_whole(&e->name)));
	for (size_t i = 0; i < senders->n_rows && i < LISTED_MAX; i++) {
		struct slice user = rows_cell(senders, i, 0);

		put(e, "from", "sender",
		    "%.*s may send as it after a login (a row of sender_addresses)",
		    SLICE_PRINTF(user));
	}
	if (senders->n_rows > LISTED_MAX)
		put(e, "from", "sender", "and more");
}

static void explain_from(struct lookup *l, struct explain *e)
{
	const struct rows *domain;

	if (name_is_literal(&e->name) ||
	    !lookup_get(l, &(struct query_key){QUERY_domain, {e->name.domain}}, &domain))
		return;
	if (domain->n_rows == 0)
		put(e, "from", "domain",
		    "%.*s is no domain of ours: any client may bring its mail for ours",
		    SLICE_PRINTF(e->name.domain));
	else
		put(e, "from", "domain",
		    "%.*s is a domain of ours: who sends as it without a login must be one of "
		    "relays%s",
		    SLICE_PRINTF(e->name.domain),
		    (*e->settings)->local_sender == 1 ? ", or pass its SPF" : "");
	if (domain->n_rows > 0)
		explain_relays(l, e);
	explain_senders(l, e);
}

/* ---- routes, for it and from it ---- */

static const char *tls_words(struct slice tls)
{
	if (slice_equal_nocase(tls, SLICE("starttls")))
		return "STARTTLS";
	if (slice_equal_nocase(tls, SLICE("implicit")))
		return "TLS from the start";
	if (slice_equal_nocase(tls, SLICE("none")))
		return "without TLS";
	return "STARTTLS where it is offered";
}

static void put_route(struct explain *e, const struct rows *routes, size_t row)
{
	struct slice domain = rows_cell(routes, row, ROUTES_OF_DOMAIN),
		     sender = rows_cell(routes, row, ROUTES_OF_SENDER_DOMAIN);
	struct slice host = rows_cell(routes, row, ROUTES_OF_HOST),
		     username = rows_cell(routes, row, ROUTES_OF_USERNAME);
	bool from = slice_equal(sender, e->name.domain);

	put(e, from ? "from" : "to", "route",
	    "mail for %.*s from %.*s goes to %s%.*s%s%.*s, %s%s%.*s%s (a row of routes)",
	    SLICE_PRINTF(domain), SLICE_PRINTF(sender),
	    rows_flag(routes, row, ROUTES_OF_MX, false) ? "the MX of " : "", SLICE_PRINTF(host),
	    rows_cell(routes, row, ROUTES_OF_PORT).n > 0 ? " port " : "",
	    SLICE_PRINTF(rows_cell(routes, row, ROUTES_OF_PORT)),
	    tls_words(rows_cell(routes, row, ROUTES_OF_TLS)), username.n > 0 ? ", as user " : "",
	    SLICE_PRINTF(username), username.n > 0 ? " with a password" : "");
}

static void explain_routes(struct lookup *l, struct explain *e)
{
	const struct rows *routes, *domain;
	bool known = lookup_get(l, &(struct query_key){QUERY_domain, {e->name.domain}}, &domain),
	     ours;

	if (!lookup_get(l, &(struct query_key){QUERY_routes_of, {e->name.domain}}, &routes) ||
	    !known)
		return;
	ours = domain->n_rows > 0 &&
	       !slice_equal(rows_cell(domain, 0, DOMAIN_KIND), SLICE("relay"));
	for (size_t i = 0; i < routes->n_rows && i < LISTED_MAX; i++) {
		bool from =
			slice_equal(rows_cell(routes, i, ROUTES_OF_SENDER_DOMAIN), e->name.domain);

		if (from || !ours)
			put_route(e, routes, i);
	}
}

/* ---- for it ---- */

static const char *source_words(const struct resident *found)
{
	switch (found->source) {
	case RESIDENT_ROW:
		return "the row of that name";
	case RESIDENT_ROW_BASE:
		return "the row of that name without +detail";
	case RESIDENT_CATCH_ALL:
		return "the domain's catch-all";
	case RESIDENT_FILE:
		return "a line of aliases_file";
	case RESIDENT_POSTMASTER:
		return "the setting postmaster";
	}
	return "";
}

static void put_alias(struct explain *e, unsigned depth, const struct name *n,
		      const struct resident *found)
{
	struct buf targets;

	buf_init(&targets, 1024);
	for (size_t i = 0; i < found->rows->n_rows && buf_length(&targets) < 700; i++)
		buf_printf(&targets, "%s%.*s", i > 0 ? ", " : "",
			   SLICE_PRINTF(slice_head(rows_cell(found->rows, i, 0), 300)));
	put(e, "to", "alias", "%*s%.*s is an alias (%s) of %zu: %.*s", (int)(2 * depth), "",
	    SLICE_PRINTF(name_whole(n)), source_words(found), found->rows->n_rows,
	    SLICE_PRINTF(buf_slice(&targets)));
	buf_fini(&targets);
}

/* Each address on the way, as the routing finds it. */
static void explain_look(void *arg, unsigned depth, const struct name *n,
			 const struct resident *found)
{
	static const char *const words[] = {
		[RESIDENT_LATER] = "is not known yet",
		[RESIDENT_ELSEWHERE] = "is at a domain that is none of ours",
		[RESIDENT_RELAYED] = "is at a domain that we relay for, and taken",
		[RESIDENT_USER] = "is a user",
		[RESIDENT_NOBODY] = "is nobody",
		[RESIDENT_DISABLED] = "is switched off, or its domain is",
		[RESIDENT_NEEDED] = "is nobody, and must be somebody (RFC 5321 4.5.1): an alias, a "
				    "user, a catch-all, the setting postmaster or "
				    "aliases_file can take it",
	};
	struct explain *e = arg;

	if (found->kind == RESIDENT_ALIAS)
		put_alias(e, depth, n, found);
	else if (found->kind == RESIDENT_USER)
		put(e, "to", "user", "%*s%.*s %s (%s)", (int)(2 * depth), "",
		    SLICE_PRINTF(name_whole(n)), words[found->kind], source_words(found));
	else
		put(e, "to", "address", "%*s%.*s %s", (int)(2 * depth), "",
		    SLICE_PRINTF(name_whole(n)), words[found->kind]);
}

static void put_target(struct explain *e, const struct ipc_route_target *t)
{
	static const char *const tls[] = {"", "STARTTLS", "TLS from the start", "without TLS"};
	char port[16] = "";

	switch ((enum route_kind)t->kind) {
	case ROUTE_LOCAL:
		put(e, "to", "delivery",
		    "%.*s: the mailbox %.*s of the Maildir %.*s below mail_dir",
		    SLICE_PRINTF(t->forward_path),
		    SLICE_PRINTF(t->mailbox.n > 0 ? t->mailbox : SLICE("inbox")),
		    SLICE_PRINTF(t->folder));
		return;
	case ROUTE_REMOTE:
		if (t->port > 0)
			(void)snprintf(port, sizeof(port), " port %u", t->port);
		put(e, "to", "delivery", "%.*s: %s%.*s%s%s%s%s%.*s", SLICE_PRINTF(t->forward_path),
		    t->mx ? "the MX of " : "the host ", SLICE_PRINTF(t->host), port,
		    t->tls > 0 ? ", " : "", tls[t->tls & 3], t->username.n > 0 ? ", as user " : "",
		    SLICE_PRINTF(t->username));
		return;
	case ROUTE_REFUSED:
		put(e, "to", "refused", "%s %s", fault_status(&t->why), t->why.text);
		return;
	}
}

static void explain_targets(struct explain *e)
{
	struct slice list = buf_slice(&e->routing.targets);
	struct ipc_route_target t;
	bool broken = false, reaches = false;
	size_t n = 0;

	while (ipc_next_route_target(&list, &t, &broken)) {
		reaches |= t.kind != ROUTE_REFUSED;
		if (n++ < LISTED_MAX)
			put_target(e, &t);
	}
	if (n > LISTED_MAX)
		put(e, "to", "delivery", "and %zu more", n - LISTED_MAX);
	put(e, "to", "reaches", reaches ? "yes" : "no");
}

static void put_domain(struct lookup *l, struct explain *e)
{
	const struct rows *domain;
	bool relay;

	if (name_is_literal(&e->name) ||
	    !lookup_get(l, &(struct query_key){QUERY_domain, {e->name.domain}}, &domain))
		return;
	relay = slice_equal(rows_cell(domain, 0, DOMAIN_KIND), SLICE("relay"));
	if (domain->n_rows == 0)
		put(e, "to", "domain", "%.*s is no domain of ours (no row of domains)",
		    SLICE_PRINTF(e->name.domain));
	else
		put(e, "to", "domain", "%.*s is a domain of ours (%s)%s",
		    SLICE_PRINTF(e->name.domain),
		    !relay ? "local"
		    : slice_equal(rows_cell(domain, 0, DOMAIN_RECIPIENTS), SLICE("any"))
			    ? "relay, any recipient"
			    : "relay, by its list",
		    rows_flag(domain, 0, DOMAIN_ENABLED, true) ? "" : ", switched off");
	if (slice_equal_nocase(e->name.domain, e->names->hostname))
		put(e, "to", "domain",
		    "it is this host's name: aliases_file counts where no row does");
}

static void explain_to(struct lookup *l, struct explain *e)
{
	static const char *const words[] = {
		[RCPT_REMOTE] =
			"only from who may send to other hosts: after a login, or as one of relays",
		[RCPT_LOCAL] = "it is taken",
		[RCPT_RELAY_DOMAIN] = "it is taken, for another host",
		[RCPT_UNKNOWN] = "it is refused: 550 5.1.1",
		[RCPT_DISABLED] = "it is refused: 550 5.2.1",
	};

	put_domain(l, e);
	e->routing.names = e->recipient.names = e->names;
	e->routing.detail_mailbox = (*e->settings)->detail_mailbox;
	e->routing.forward_path = e->recipient.forward_path = e->address;
	e->routing.look = explain_look;
	e->routing.look_arg = e;
	routing_evaluate(l, &e->routing);
	if (!l->failed)
		recipient_evaluate(l, &e->recipient);
	if (l->failed || l->n_missing > 0)
		return;
	put(e, "to", "rcpt", "%s", words[e->recipient.recipient]);
	explain_targets(e);
}

static void explain_settings(struct explain *e)
{
	struct buf text;

	buf_init(&text, LINE_MAX_BYTES);
	for (size_t i = 0; i < ARRAY_LENGTH(settings_that_decide); i++) {
		const char *name = settings_that_decide[i];
		struct slice rest, line;

		buf_reset(&text);
		if (!settings_print_one(*e->settings, slice_of_cstr(name), &text))
			continue;
		rest = slice_trim(buf_slice(&text));
		if (rest.n == 0 && slice_starts(slice_of_cstr(name), SLICE("query_")))
			continue; /* not replaced */
		if (rest.n == 0)
			put(e, "setting", name, "%s", "");
		while (slice_cut(&rest, '\n', &line))
			put(e, "setting", name, "%.*s", SLICE_PRINTF(line));
	}
	buf_fini(&text);
}

void explain_evaluate(struct lookup *l, void *arg)
{
	struct explain *e = arg;
	struct fault why = {0};

	buf_reset(&e->out);
	if (!name_parse(e->address, e->names->hostname, &e->name)) {
		fault_set(&why, "5.1.3", "%.*s is no address", SLICE_PRINTF(e->address));
		lookup_fail(l, &why);
		return;
	}
	put(e, "address", "address", "%.*s", SLICE_PRINTF(name_whole(&e->name)));
	explain_settings(e);
	explain_login(l, e);
	explain_from(l, e);
	explain_routes(l, e);
	explain_to(l, e);
}
