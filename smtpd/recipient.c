/* RCPT (RFC 5321 4.1.1.3): lookupd is asked for the facts, policy.h judges them; a mailbox with a
 * quota has its deliverd asked for room. */
#include <string.h>

#include "common/base/fault.h"
#include "common/log/log.h"
#include "smtpd/facts.h"
#include "smtpd/policy.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"
#include "smtpd/verbs.h"
#include "smtpd/verification.h"

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
	if (!facts_ask(s, s->transaction->reverse_path, s->transaction->asked->forward_path,
		       STEP_rcpt_answered, &why)) {
		reply_set(&no, 451, "4.3.0", "the recipient cannot be looked up now");
		return refuse_recipient(s, s->transaction->asked->forward_path, &no);
	}
	return session_wait(s, STEP_rcpt_answered);
}

/* ---- quota ---- */

/* Only a plain no is one; what happens to a message for a mailbox that is full is told at its
 * delivery, too. */
static void quota_answered(void *arg, const struct ipc_message *answer, int *fd,
			   const struct fault *why)
{
	struct session *s = session_of(arg);

	(void)fd;
	(void)why;
	s->transaction->quota_is_full =
		answer != NULL && answer->type == IPC_TYPE_done && answer->done.number == 0;
	session_note(s);
}

/* Asks the Maildir's home among the deliverd. False: there is no quota, or nobody to ask. */
static bool quota_ask(struct session *s)
{
	struct transaction *t = s->transaction;
	struct slice folder = buf_slice(&t->folder);
	struct ipc_message m = IPC_MESSAGE(
		quota_ask, .folder = folder, .quota_bytes = t->answer.quota_bytes,
		.quota_messages = t->answer.quota_messages, .size_bytes = t->announced_bytes);
	struct ipc_peer *local;

	t->quota_is_full = false;
	if (folder.n == 0 || (t->answer.quota_bytes == 0 && t->answer.quota_messages == 0))
		return false;
	local = service_peer_for(s->smtpd->service, IPC_ROLE_LOCAL, folder);
	return local != NULL &&
	       ipc_ask(local, &s->ask, &m, -1, session_limit_ms(s, STEP_quota_answered), false,
		       quota_answered, s, NULL);
}

/* ---- the verdict ---- */

static enum next take_recipient(struct session *s)
{
	struct transaction *t = s->transaction;
	struct reply r;

	if (t->first == NULL)
		t->first = t->asked;
	else
		t->last->next = t->asked;
	t->last = t->asked;
	t->asked = NULL;
	t->n_recipients++;
	t->from_relay |= t->answer.relay;
	t->goes_elsewhere |= t->answer.recipient == RCPT_REMOTE;
	reply_set(&r, 250, "2.1.5", "recipient noted");
	session_reply(s, &r);
	return session_command(s);
}

/* May SPF let a domain of ours in from elsewhere? Only then is it waited for. */
static bool spf_matters(const struct session *s, const struct policy_facts *f)
{
	return smtpd_settings(s->smtpd)->local_sender == LOCAL_SENDER_SPF && !f->trusted &&
	       !f->authenticated && !f->relay && f->sender == SENDER_LOCAL &&
	       f->recipient != RCPT_REMOTE;
}

enum next step_rcpt_answered(struct session *s)
{
	struct transaction *t = s->transaction;
	struct recipient *asked = t->asked;
	struct policy_facts facts;
	struct reply r;

	if (!facts_of(s, &facts)) {
		t->asked = NULL;
		reply_set(&r, 451, "4.3.0", "the recipient cannot be looked up now");
		return refuse_recipient(s, asked->forward_path, &r);
	}
	if (spf_matters(s, &facts) && !verification_spf(s, &facts.spf_pass))
		return session_wait(s, STEP_spf_answered);
	t->asked = NULL;
	if (!policy_recipient(&facts, smtpd_settings(s->smtpd), &r))
		return refuse_recipient(s, asked->forward_path, &r);
	t->asked = asked;
	if (quota_ask(s))
		return session_wait(s, STEP_quota_answered);
	return take_recipient(s);
}

/* The facts are there still; SPF is, too, now. */
enum next step_spf_answered(struct session *s)
{
	bool pass;

	if (!verification_spf(s, &pass))
		return session_wait_on(s);
	return step_rcpt_answered(s);
}

enum next step_quota_answered(struct session *s)
{
	struct recipient *asked = s->transaction->asked;
	struct reply no;

	if (!s->transaction->quota_is_full)
		return take_recipient(s);
	s->transaction->asked = NULL;
	if (smtpd_settings(s->smtpd)->quota_full == QUOTA_FULL_PERMANENT)
		reply_set(&no, 552, "5.2.2", "the mailbox is full");
	else
		reply_set(&no, 452, "4.2.2", "the mailbox is full; try again later");
	return refuse_recipient(s, asked->forward_path, &no);
}
