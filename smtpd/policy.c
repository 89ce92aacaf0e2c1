#include "smtpd/policy.h"

static bool goes_elsewhere(const struct policy_facts *f)
{
	return f->recipient == RCPT_REMOTE;
}

/* Without a login, what may this client send? NULL: this; else why not. */
static const char *stranger_refusal(const struct policy_facts *f)
{
	switch (f->sender) {
	case SENDER_LOCAL:
		return f->relay ? NULL : "mail from this domain is not taken from your address";
	case SENDER_REMOTE:
		return goes_elsewhere(f) ? "mail from elsewhere to elsewhere is not taken here"
					 : NULL;
	case SENDER_NULL:
		return goes_elsewhere(f) && !f->relay
			       ? "mail to elsewhere is not taken from your address"
			       : NULL;
	}
	return "the sender cannot be judged";
}

static bool sender_may(const struct policy_facts *f, struct reply *no)
{
	const char *why;

	if (f->trusted)
		return true;
	if (f->authenticated) {
		if (f->sender == SENDER_NULL || f->sender_owned)
			return true;
		reply_set(no, 550, "5.7.1", "the sender's address is not one of yours");
		return false;
	}
	if ((why = stranger_refusal(f)) == NULL)
		return true;
	if (f->auth_would_help)
		reply_set(no, 530, "5.7.0", "%s; log in first", why);
	else
		reply_set(no, 550, "5.7.1", "%s", why);
	return false;
}

bool policy_recipient(const struct policy_facts *f, struct reply *no)
{
	if (!sender_may(f, no))
		return false;
	switch (f->recipient) {
	case RCPT_UNKNOWN:
		reply_set(no, 550, "5.1.1", "there is no such mailbox here");
		return false;
	case RCPT_DISABLED:
		reply_set(no, 550, "5.2.1", "this mailbox is switched off");
		return false;
	case RCPT_REMOTE:
	case RCPT_LOCAL:
	case RCPT_RELAY_DOMAIN:
		return true;
	}
	reply_set(no, 451, "4.3.0", "the recipient cannot be judged");
	return false;
}
