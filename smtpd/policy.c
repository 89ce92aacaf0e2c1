#include "smtpd/policy.h"

static bool goes_elsewhere(const struct policy_facts *f)
{
	return f->recipient == RCPT_REMOTE;
}

/* Mail that was forwarded comes back with our own domain's reverse-path. */
static bool passes_as_local(const struct policy_facts *f, const struct settings *conf)
{
	return conf->local_sender == LOCAL_SENDER_SPF && f->spf_pass && !goes_elsewhere(f);
}

/* Without a login, what may this client send? NULL: this; else why not. */
static const char *stranger_refusal(const struct policy_facts *f, const struct settings *conf)
{
	switch (f->sender) {
	case SENDER_LOCAL:
		if (f->relay || passes_as_local(f, conf))
			return NULL;
		return "mail from this domain is not taken from your address";
	case SENDER_REMOTE:
		return goes_elsewhere(f) ? "mail from elsewhere to elsewhere is not taken here"
					 : NULL;
	case SENDER_NULL:
		if (f->relay)
			return NULL;
		if (goes_elsewhere(f))
			return "mail to elsewhere is not taken from your address";
		return conf->null_sender == NULL_SENDER_REJECT
			       ? "mail without a sender is not taken here"
			       : NULL;
	}
	return "the sender cannot be judged";
}

bool policy_sender(const struct policy_facts *f, const struct settings *conf, struct reply *no)
{
	const char *why;

	if (f->trusted)
		return true;
	if (f->authenticated) {
		if (f->sender == SENDER_NULL || f->sender_owned ||
		    conf->auth_sender == AUTH_SENDER_ANY)
			return true;
		reply_set(no, 550, "5.7.1", "the sender's address is not one of yours");
		return false;
	}
	if ((why = stranger_refusal(f, conf)) == NULL)
		return true;
	if (f->auth_would_help)
		reply_set(no, 530, "5.7.0", "%s; log in first", why);
	else
		reply_set(no, 550, "5.7.1", "%s", why);
	return false;
}

bool policy_recipient(const struct policy_facts *f, const struct settings *conf, struct reply *no)
{
	if (!policy_sender(f, conf, no))
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
