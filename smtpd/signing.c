#include "smtpd/signing.h"

#include <stdlib.h>

#include "common/auth/canon.h"
#include "common/auth/dkim_sign.h"
#include "common/base/arena.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/mail/address_list.h"
#include "common/mail/fields.h"
#include "common/mail/path.h"
#include "smtpd/facts.h"
#include "smtpd/policy.h"
#include "smtpd/smtpd.h"
#include "smtpd/submission.h"
#include "smtpd/transaction.h"

enum {
	ARENA_BYTES = 1 << 20,
	ADDRESS_BYTES = 1500,
	KEYS_BYTES = 65536,
	FIELD_BYTES = 16384,
};

/* What lookupd was asked last. */
enum asked { ASKED_NOTHING, ASKED_OWNER, ASKED_KEYS, ASKED_SIGNATURE };

struct signing {
	struct arena arena;
	struct canon_bodies bodies;
	int place;
	bool in_body;
	struct buf view;      /* the header as it will be */
	struct fields fields; /* of view */
	struct buf author;    /* the address in From; empty: it has none */
	struct buf domain;    /* that signs */
	struct buf keys;      /* dkim_selector records, those that are still to sign */
	struct buf made; /* whole DKIM-Signature fields, and the one that waits for its signature */
	uint8_t body[32];
	enum asked asked;
	bool answered, failed; /* of keys and signatures */
};

static struct signing *of(const struct session *s)
{
	return s->transaction->signing;
}

bool signing_begin(struct session *s, struct fault *why)
{
	struct signing *g;

	if (!submission_keeps_header(s) || !smtpd_settings(s->smtpd)->dkim_sign)
		return true;
	if ((g = memory_alloc(1, sizeof(*g), why)) == NULL)
		return false;
	arena_init(&g->arena, ARENA_BYTES);
	canon_bodies_init(&g->bodies);
	g->place = canon_bodies_want(&g->bodies, CANON_RELAXED, CANON_ALL);
	buf_init(&g->view, 2 * KEPT_HEADER_MAX);
	buf_init(&g->author, ADDRESS_BYTES);
	buf_init(&g->domain, DOMAIN_MAX_BYTES + 1);
	buf_init(&g->keys, KEYS_BYTES);
	buf_init(&g->made, FIELD_BYTES * 8);
	s->transaction->signing = g;
	return true;
}

void signing_destroy(struct signing *g)
{
	if (g == NULL)
		return;
	canon_bodies_fini(&g->bodies);
	buf_fini(&g->view);
	buf_fini(&g->author);
	buf_fini(&g->domain);
	buf_fini(&g->keys);
	buf_fini(&g->made);
	arena_reset(&g->arena);
	free(g);
}

/* How many octets of the kept header are the header. */
static size_t header_bytes(const struct session *s)
{
	struct slice kept = buf_slice(&s->transaction->kept_header), rest = kept, field, name;

	while (field_next(&rest, &field, &name))
		;
	return kept.n - rest.n;
}

void signing_take(struct session *s, struct slice run)
{
	struct signing *g = of(s);
	struct slice rest;

	if (g == NULL)
		return;
	if (g->in_body) {
		canon_bodies_feed(&g->bodies, run);
	} else if (s->transaction->header.ended) {
		g->in_body = true;
		rest = slice_tail(buf_slice(&s->transaction->kept_header), header_bytes(s));
		canon_bodies_feed(&g->bodies,
				  slice_starts(rest, SLICE("\r\n")) ? slice_tail(rest, 2) : rest);
	}
}

/* ---- what is signed, and for whom ---- */

static const struct field *from_of(const struct fields *fields)
{
	for (size_t i = 0; i < fields->n; i++)
		if (slice_equal_nocase(fields->all[i].name, SLICE("From")))
			return &fields->all[i];
	return NULL;
}

/* Appends the mailbox's domain in A-labels. False: it has none. */
static bool append_domain(struct slice mailbox, struct buf *out)
{
	size_t at = slice_find_last(mailbox, '@');

	return at != SIZE_MAX && domain_to_ascii(slice_tail(mailbox, at + 1), out, NULL);
}

static void find_author(struct signing *g)
{
	const struct field *from = from_of(&g->fields);
	struct slice list = from != NULL ? from->value : SLICE_EMPTY;

	if (address_list_next(&list, &g->author) != ADDRESS_ONE)
		buf_reset(&g->author);
}

/* A user's reverse-path is one of their own, so its domain may sign; an author of another domain
 * must be the user's own, too, else anybody here could have mail of all domains here signed. */
static bool is_in_question(const struct session *s, const struct signing *g)
{
	struct buf author, sender;
	bool same;

	if (s->trusted || buf_length(&g->author) == 0)
		return false;
	buf_init(&author, DOMAIN_MAX_BYTES + 1);
	buf_init(&sender, DOMAIN_MAX_BYTES + 1);
	same = append_domain(buf_slice(&g->author), &author) &&
	       append_domain(s->transaction->reverse_path, &sender) &&
	       slice_equal(buf_slice(&author), buf_slice(&sender));
	buf_fini(&author);
	buf_fini(&sender);
	return !same;
}

/* The header as it will stand in the message, without the trace fields. */
static bool make_view(const struct session *s, struct signing *g)
{
	uint64_t skip;

	if (!submission_append(s, &g->view, &skip))
		return false;
	if (skip == 0 && !buf_append(&g->view, slice_head(buf_slice(&s->transaction->kept_header),
							  header_bytes(s))))
		return false;
	return fields_read(buf_slice(&g->view), &g->arena, &g->fields, NULL);
}

/* ---- asking lookupd ---- */

static void answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct session *s = session_of(arg);
	struct signing *g = of(s);

	(void)fd;
	(void)why;
	g->answered = true;
	if (g->asked == ASKED_KEYS)
		g->failed = answer == NULL || answer->type != IPC_TYPE_dkim_keys_answer ||
			    !buf_append(&g->keys, answer->dkim_keys_answer.keys);
	else
		g->failed = answer == NULL || answer->type != IPC_TYPE_sign_answer ||
			    answer->sign_answer.signature.n == 0 ||
			    !dkim_sign_end(answer->sign_answer.signature, &g->made);
	session_note(s);
}

static enum signing_state ask(struct session *s, enum asked what, const struct ipc_message *m)
{
	struct signing *g = of(s);
	struct ipc_peer *lookupd =
		service_peer_for(s->smtpd->service, IPC_ROLE_LOOKUPD, buf_slice(&g->domain));

	g->asked = what;
	g->answered = false;
	if (lookupd == NULL || !ipc_ask(lookupd, &s->ask, m, -1, session_limit_ms(s, STEP_signed),
					true, answered, s, NULL))
		return SIGNING_FAILED;
	return SIGNING_WAITS;
}

/* Of the author's domain, or of the reverse-path's. */
static enum signing_state ask_keys(struct session *s, struct signing *g, bool of_author)
{
	struct slice mailbox = of_author ? buf_slice(&g->author) : s->transaction->reverse_path;

	if (!append_domain(mailbox, &g->domain))
		return SIGNING_DONE;
	return ask(s, ASKED_KEYS, &IPC_MESSAGE(dkim_keys_ask, .domain = buf_slice(&g->domain)));
}

static enum signing_state begin(struct session *s, struct signing *g)
{
	canon_bodies_end(&g->bodies);
	if (!canon_bodies_digest(&g->bodies, g->place, g->body) || !make_view(s, g))
		return SIGNING_FAILED;
	find_author(g);
	if (!is_in_question(s, g))
		return ask_keys(s, g, buf_length(&g->author) > 0);
	g->asked = ASKED_OWNER;
	return facts_ask(s, buf_slice(&g->author), SLICE_EMPTY, STEP_signed, NULL) ? SIGNING_WAITS
										   : SIGNING_FAILED;
}

static enum signing_state owner_answered(struct session *s, struct signing *g)
{
	struct policy_facts facts;

	return facts_of(s, &facts) ? ask_keys(s, g, facts.sender_owned) : SIGNING_FAILED;
}

static enum signing_state ask_signature(struct session *s, struct signing *g,
					const struct ipc_dkim_selector *key)
{
	struct dkim_sign sign = {.domain = buf_slice(&g->domain),
				 .selector = key->selector,
				 .ed25519 = key->ed25519,
				 .now_s = s->transaction->received_us / 1000000,
				 .names = smtpd_settings(s->smtpd)->dkim_fields,
				 .fields = &g->fields,
				 .body = g->body};
	uint8_t digest[32];

	if (!dkim_sign_begin(&sign, &g->made, digest))
		return SIGNING_FAILED;
	return ask(s, ASKED_SIGNATURE,
		   &IPC_MESSAGE(dkim_sign_ask, .domain = sign.domain, .selector = sign.selector,
				.digest = slice_of(digest, sizeof(digest))));
}

/* The next key's, until there is none. */
static enum signing_state next_signature(struct session *s, struct signing *g)
{
	struct slice rest = buf_slice(&g->keys);
	struct ipc_dkim_selector key;
	enum signing_state state;
	bool broken = false;

	if (!g->answered || g->failed)
		return SIGNING_FAILED;
	if (!ipc_next_dkim_selector(&rest, &key, &broken))
		return broken ? SIGNING_FAILED : SIGNING_DONE;
	state = ask_signature(s, g, &key);
	buf_consume(&g->keys, buf_length(&g->keys) - rest.n);
	return state;
}

enum signing_state signing_go_on(struct session *s)
{
	struct signing *g = of(s);

	if (g == NULL)
		return SIGNING_DONE;
	switch (g->asked) {
	case ASKED_NOTHING:
		return begin(s, g);
	case ASKED_OWNER:
		return owner_answered(s, g);
	case ASKED_KEYS:
	case ASKED_SIGNATURE:
		break;
	}
	return next_signature(s, g);
}

bool signing_append(const struct session *s, struct buf *front)
{
	return of(s) == NULL || buf_append(front, buf_slice(&of(s)->made));
}
