#include "lookupd/recipient.h"

#include <string.h>

#include "common/base/fault.h"

#define ALIAS_DEPTH_MAX 10

/* Is the client one of the relays: of domain, or where domain is empty of any? */
static bool relay_find(struct lookup *l, const struct recipient *r, struct slice domain)
{
	char client[IP_TEXT_MAX];
	const struct rows *relays;

	if (r->client.family == 0)
		return false;
	if (!lookup_get(l, &(struct query_key){QUERY_relay, {slice_of_cstr(ip_text(&r->client, client))}}, &relays))
		return false;
	for (size_t i = 0; i < relays->n_rows; i++) {
		struct slice of = rows_cell(relays, i, 0);

		if (domain.n == 0 || of.p == NULL || slice_equal(of, SLICE("*")) || slice_equal_nocase(of, domain))
			return true;
	}
	return false;
}

/* Is the sender one of the user's own addresses: itself, with +detail, or one of those that stand in its row? */
static bool sender_is_own(struct lookup *l, const struct recipient *r, const struct name *sender)
{
	struct slice whole = name_whole(sender), rest, line;
	const struct rows *rows;
	struct name user;

	if (!name_parse(r->user, r->names->hostname, &user))
		return false;
	if (slice_equal(sender->domain, user.domain) &&
	    (slice_equal(sender->local, user.local) || slice_equal(sender->base, user.local)))
		return true;
	if (!lookup_get(l, &(struct query_key){QUERY_user, {user.local, user.domain}}, &rows))
		return false;
	rest = rows_cell(rows, 0, USER_SENDERS);
	while (slice_cut(&rest, '\n', &line)) {
		if (slice_equal_nocase(line, whole) ||
		    (slice_starts(line, SLICE("@")) && slice_equal_nocase(slice_tail(line, 1), sender->domain)))
			return true;
	}
	return false;
}

static void evaluate_sender(struct lookup *l, struct recipient *r)
{
	const struct rows *domain;
	struct name sender;

	r->sender = SENDER_REMOTE;
	if (r->reverse_path.n == 0) {
		r->sender = SENDER_NULL;
		r->sender_owned = r->user.n > 0;
		r->relay = r->user.n == 0 && relay_find(l, r, SLICE_EMPTY);
		return;
	}
	if (!name_parse(r->reverse_path, r->names->hostname, &sender))
		return;
	if (r->user.n > 0)
		r->sender_owned = sender_is_own(l, r, &sender);
	if (name_is_literal(&sender) || !lookup_get(l, &(struct query_key){QUERY_domain, {sender.domain}}, &domain) || domain->n_rows == 0)
		return;
	r->relay = r->user.n == 0 && relay_find(l, r, sender.domain);
	if (!slice_equal(rows_cell(domain, 0, DOMAIN_KIND), SLICE("relay")) || r->relay)
		r->sender = SENDER_LOCAL;
}

/* The one mailbox, if it is one. */
static void answer_user(struct lookup *l, struct recipient *r, const struct resident *user)
{
	struct fault why = {0};

	r->recipient = RCPT_LOCAL;
	r->quota_bytes = rows_number(user->rows, 0, USER_QUOTA_BYTES, 0);
	r->quota_messages = rows_number(user->rows, 0, USER_QUOTA_MESSAGES, 0);
	if (!resident_folder(user, &r->name, r->folder_octets, &r->folder, &why))
		lookup_fail(l, &why);
}

/* RFC 5321 4.5.1: it cannot be refused for good; who runs us must say who gets it. */
static void answer_needed(struct lookup *l, struct recipient *r)
{
	struct fault why = {0};

	r->needed = true;
	fault_set(&why, "4.3.5", "nobody takes the mail for %.*s", SLICE_PRINTF(name_whole(&r->name)));
	lookup_fail(l, &why);
}

/* Follows aliases with one target to the mailbox; a list is not opened here: queued's ask does that. */
static void evaluate_recipient(struct lookup *l, struct recipient *r)
{
	bool past_alias = false;

	for (unsigned depth = 0; depth <= ALIAS_DEPTH_MAX; depth++) {
		struct resident found = resident_find(l, r->names, &r->name, past_alias);
		struct resident_target target;
		struct name name;

		switch (found.kind) {
		case RESIDENT_LATER:
			return;
		case RESIDENT_USER:
			answer_user(l, r, &found);
			return;
		case RESIDENT_NOBODY:
			r->recipient = RCPT_UNKNOWN;
			return;
		case RESIDENT_DISABLED:
			r->recipient = RCPT_DISABLED;
			return;
		case RESIDENT_RELAYED:
			r->recipient = depth == 0 ? RCPT_RELAY_DOMAIN : RCPT_LOCAL;
			return;
		case RESIDENT_ELSEWHERE:
			r->recipient = depth == 0 ? RCPT_REMOTE : RCPT_LOCAL;
			return;
		case RESIDENT_NEEDED:
			answer_needed(l, r);
			return;
		case RESIDENT_ALIAS:
			r->recipient = RCPT_LOCAL;
			if (found.rows->n_rows > 1 || !resident_target(&found, 0, r->names, &r->name, &target, &name))
				return;
			past_alias = target.past_alias;
			name_copy(&name, &r->name);
		}
	}
}

void recipient_evaluate(struct lookup *l, void *arg)
{
	struct recipient *r = arg;
	struct fault why = {0};

	r->relay = r->sender_owned = r->needed = false;
	r->folder = SLICE_EMPTY;
	r->quota_bytes = r->quota_messages = 0;
	r->recipient = RCPT_REMOTE;
	evaluate_sender(l, r);
	if (r->forward_path.n == 0)
		return;
	if (!resident_name(r->names, r->forward_path, &r->name)) {
		fault_set(&why, "5.1.3", "%.*s is no address", SLICE_PRINTF(r->forward_path));
		lookup_fail(l, &why);
		return;
	}
	evaluate_recipient(l, r);
}
