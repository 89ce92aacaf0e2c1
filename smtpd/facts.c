#include "smtpd/facts.h"

#include "smtpd/policy.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"

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
		buf_reset(&t->folder);
		(void)buf_append(&t->folder, t->answer.folder);
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

bool facts_ask(struct session *s, struct slice reverse_path, struct slice forward_path,
	       enum session_step step, struct fault *why)
{
	struct ipc_peer *lookupd = home_of_client(s);
	struct ipc_message m =
		IPC_MESSAGE(rcpt_ask, .client = s->address, .user = s->user,
			    .reverse_path = reverse_path, .forward_path = forward_path);

	s->transaction->answered = false;
	return lookupd != NULL &&
	       ipc_ask(lookupd, &s->ask, &m, -1, session_limit_ms(s, step), true, answered, s, why);
}

/* The small numbers are lookupd's; what is none of them is no answer. */
bool facts_of(const struct session *s, struct policy_facts *f)
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
