/* RCPT (RFC 5321 4.1.1.3): lookupd is asked for the facts, policy.h judges them. */
#include <string.h>

#include "common/base/fault.h"
#include "common/log/log.h"
#include "smtpd/policy.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"
#include "smtpd/verbs.h"

static enum next refuse_recipient(struct session *s, struct slice forward_path,
				  const struct reply *no)
{
	const struct transaction *t = s->transaction;

	log_event(recipient_refused, F_ID(t ? transaction_id(t) : session_id(s)),
		  F_SLICE(session, session_id(s)), F_IP(client, &s->address),
		  F_SLICE(client_name, s->client_name), F_SLICE(helo, s->helo),
		  F_SLICE(user, s->user), F_SLICE(from, t ? t->reverse_path : SLICE_EMPTY),
		  F_SLICE(to, forward_path), F_NUMBER(reply, no->code), F_TEXT(status, no->status),
		  F_TEXT(reason, no->text));
	if (t != NULL)
		s->transaction->n_refused++;
	return session_refuse(s, no);
}

/* Appends the path as it is passed on. RFC 5321 4.1.1.3: <Postmaster> is this host's own. */
static bool append_path(const struct session *s, const struct path *p, struct buf *out)
{
	if (!path_append(p, out))
		return false;
	return p->domain.n > 0 ||
	       (buf_append_char(out, '@') && buf_append(out, smtpd_settings(s->smtpd)->hostname));
}

static struct recipient *recipient_make(struct session *s, const struct rcpt_argument *r,
					struct fault *why)
{
	struct arena *arena = &s->transaction->arena;
	struct recipient *made = arena_alloc(arena, sizeof(*made), why);
	struct buf path;
	bool ok = made != NULL;

	buf_init(&path, PATH_MAX_BYTES + DOMAIN_MAX_BYTES);
	if (ok && !append_path(s, &r->forward_path, &path)) {
		fault_set(why, "5.1.3", "the recipient's address cannot be passed on");
		ok = false;
	}
	ok = ok && arena_copy(arena, buf_slice(&path), &made->forward_path, why) &&
	     arena_copy(arena, r->notify, &made->notify, why) &&
	     arena_copy(arena, r->orcpt, &made->orcpt, why);
	buf_fini(&path);
	return ok ? made : NULL;
}

/* Notes what lookupd says; the step judges it. */
static void answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct session *s = session_of(arg);
	struct transaction *t = s->transaction;

	(void)fd;
	(void)why;
	t->answered = answer != NULL && answer->type == IPC_TYPE_rcpt_answer;
	if (t->answered) {
		t->answer = answer->rcpt_answer;
		t->answer.folder = SLICE_EMPTY; /* it lived in the frame */
	}
	session_note(s);
}

/* The client's home among the lookupd: its limits and its answers are there. */
static struct ipc_peer *home_of_client(const struct session *s)
{
	return service_peer_for(s->smtpd->service, IPC_ROLE_LOOKUPD,
				slice_of(s->address.octets, s->address.family == 4 ? 4 : 16));
}

static bool ask(struct session *s, struct fault *why)
{
	struct transaction *t = s->transaction;
	struct ipc_peer *lookupd = home_of_client(s);
	struct ipc_message m = IPC_MESSAGE(rcpt_ask, .client = s->address, .user = s->user,
					   .reverse_path = t->reverse_path,
					   .forward_path = t->asked->forward_path);

	return lookupd != NULL &&
	       ipc_ask(lookupd, &s->ask, &m, -1, session_limit_ms(s, STEP_rcpt_answered), true,
		       answered, s, why);
}

static bool may_follow(const struct session *s, struct reply *no)
{
	if (s->transaction == NULL)
		reply_set(no, 503, "5.5.1", "say MAIL first");
	else if (s->transaction->n_recipients >= smtpd_settings(s->smtpd)->smtp_max_recipients)
		reply_set(no, 452, "4.5.3", "too many recipients for one message");
	else
		return true;
	return false;
}

enum next verb_rcpt(struct session *s, struct slice argument)
{
	struct rcpt_argument r = {0};
	struct fault why = {0};
	struct reply no;

	if (!may_follow(s, &no) || !rcpt_argument_parse(argument, session_extensions(s), &r, &no))
		return refuse_recipient(s, r.forward_path.mailbox, &no);
	if ((s->transaction->asked = recipient_make(s, &r, &why)) == NULL) {
		reply_set_fault(&no, why.class == FAULT_PERMANENT ? 501 : 452, &why);
		return refuse_recipient(s, r.forward_path.mailbox, &no);
	}
	if (!ask(s, &why)) {
		reply_set(&no, 451, "4.3.0", "the recipient cannot be looked up now");
		return refuse_recipient(s, s->transaction->asked->forward_path, &no);
	}
	return session_wait(s, STEP_rcpt_answered);
}

/* The small numbers are lookupd's; what is none of them is no answer. */
static bool facts_of(const struct session *s, struct policy_facts *f)
{
	const struct ipc_rcpt_answer *a = &s->transaction->answer;

	if (!s->transaction->answered || a->recipient > RCPT_DISABLED || a->sender > SENDER_LOCAL)
		return false;
	*f = (struct policy_facts){
		.trusted = s->trusted,
		.authenticated = s->user.n > 0,
		.auth_would_help = s->user.n == 0 && session_could_offer_auth(s),
		.sender = s->transaction->reverse_path.n == 0 ? SENDER_NULL
							      : (enum sender_kind)a->sender,
		.recipient = (enum rcpt_kind)a->recipient,
		.relay = a->relay,
		.sender_owned = a->sender_owned,
	};
	return true;
}

enum next step_rcpt_answered(struct session *s)
{
	struct transaction *t = s->transaction;
	struct recipient *asked = t->asked;
	struct policy_facts facts;
	struct reply r;

	t->asked = NULL;
	if (!facts_of(s, &facts)) {
		reply_set(&r, 451, "4.3.0", "the recipient cannot be looked up now");
		return refuse_recipient(s, asked->forward_path, &r);
	}
	if (!policy_recipient(&facts, &r))
		return refuse_recipient(s, asked->forward_path, &r);
	if (t->first == NULL)
		t->first = asked;
	else
		t->last->next = asked;
	t->last = asked;
	t->n_recipients++;
	reply_set(&r, 250, "2.1.5", "recipient noted");
	session_reply(s, &r);
	return session_command(s);
}
