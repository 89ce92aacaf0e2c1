/* MAIL (RFC 5321 4.1.1.2): a transaction begins. Whether the sender may send is decided for each
 * recipient (policy.h): only then it is known whereto. */
#include "common/base/fault.h"
#include "common/log/log.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"
#include "smtpd/verbs.h"
#include "smtpd/verification.h"

static enum next refuse_sender(struct session *s, struct slice reverse_path, const struct reply *no)
{
	log_event(sender_refused, F_ID(session_id(s)), F_IP(client, &s->address),
		  F_SLICE(client_name, s->client_name), F_SLICE(helo, s->helo),
		  F_SLICE(user, s->user), F_SLICE(from, reverse_path), F_NUMBER(reply, no->code),
		  F_TEXT(status, no->status), F_TEXT(reason, no->text));
	return session_refuse(s, no);
}

/* Is it time for MAIL? */
static bool may_begin(const struct session *s, struct reply *no)
{
	if (s->helo.n == 0)
		reply_set(no, 503, "5.5.1", "say EHLO first");
	else if (s->transaction != NULL)
		reply_set(no, 503, "5.5.1", "a transaction is under way; RSET ends it");
	else if (s->smtpd->submission && s->user.n == 0 && !s->trusted &&
		 session_could_offer_auth(s))
		reply_set(no, 530, "5.7.0", "log in first");
	else if (s->smtpd->submission && s->user.n == 0 && !s->trusted)
		reply_set(no, 550, "5.7.1", "mail is taken of users here, and nobody can log in");
	else
		return true;
	return false;
}

/* The envelope's beginning, copied out of the line. */
static bool begin(struct session *s, const struct mail_argument *m, struct fault *why)
{
	struct transaction *t = transaction_create(s, why);
	struct buf path;
	bool ok = false;

	buf_init(&path, PATH_MAX_BYTES);
	if (t == NULL)
		goto out;
	t->eight_bit = m->eight_bit;
	t->announced_bytes = m->has_size ? m->size_bytes : 0;
	if (!path_append(&m->reverse_path, &path)) {
		fault_set(why, "5.1.7", "the sender's address cannot be passed on");
		goto out;
	}
	ok = arena_copy(&t->arena, buf_slice(&path), &t->reverse_path, why) &&
	     arena_copy(&t->arena, m->ret, &t->ret, why) &&
	     arena_copy(&t->arena, m->envid, &t->envid, why);
out:
	buf_fini(&path);
	if (ok)
		s->transaction = t;
	else
		transaction_destroy(t);
	return ok;
}

enum next verb_mail(struct session *s, struct slice argument)
{
	struct mail_argument m = {0};
	struct fault why = {0};
	struct reply r;

	if (!may_begin(s, &r) || !mail_argument_parse(argument, session_extensions(s), &m, &r))
		return refuse_sender(s, m.reverse_path.mailbox, &r);
	if (m.has_size &&
	    m.size_bytes > smtpd_settings(s->smtpd)->message_size_max) { /* RFC 1870 6.1 */
		reply_set(&r, 552, "5.3.4", "at most %llu octets are taken",
			  (unsigned long long)smtpd_settings(s->smtpd)->message_size_max);
		return refuse_sender(s, m.reverse_path.mailbox, &r);
	}
	if (!begin(s, &m, &why) || !verification_begin(s, &why)) {
		session_reset(s);
		reply_set_fault(&r, why.class == FAULT_PERMANENT ? 501 : 452, &why);
		return refuse_sender(s, m.reverse_path.mailbox, &r);
	}
	reply_set(&r, 250, "2.1.0", "sender noted");
	session_reply(s, &r);
	return session_command(s);
}
