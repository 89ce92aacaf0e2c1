#include "smtpd/questions.h"

#include <stdlib.h>

#include "common/base/memory.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

enum {
	ANSWERS_BYTES = 1 << 20,
	GRACE_MS = 1000, /* resolvd's own limit comes first */
};

struct question {
	struct list node;
	struct ipc_ask ask;
	struct questions *questions;
	struct slice name; /* in answers */
	uint16_t type;
};

static const struct answer no_answer = {.outcome = DNS_FAILED};

void questions_init(struct questions *q, struct session *s)
{
	q->session = s;
	q->given_up = false;
	answers_init(&q->answers, ANSWERS_BYTES);
	list_init(&q->open);
}

static void question_end(struct question *one)
{
	list_remove(&one->node);
	ipc_ask_cancel(&one->ask);
	free(one);
}

void questions_fini(struct questions *q)
{
	LIST_EACH (node, &q->open)
		question_end(LIST_ENTRY(node, struct question, node));
	answers_fini(&q->answers);
}

bool questions_are_answered(const struct questions *q)
{
	return list_empty(&q->open);
}

static void answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct question *one = arg;
	struct questions *q = one->questions;
	struct answer a = no_answer;

	(void)fd;
	(void)why;
	if (answer != NULL && answer->type == IPC_TYPE_dns_answer &&
	    answer->dns_answer.outcome <= DNS_FAILED)
		a = (struct answer){.outcome = (enum dns_outcome)answer->dns_answer.outcome,
				    .authentic = answer->dns_answer.authentic,
				    .records = answer->dns_answer.records};
	answers_put(&q->answers, one->name, one->type, &a);
	question_end(one);
	if (list_empty(&q->open) && q->session->waiting &&
	    (q->session->step == STEP_spf_answered || q->session->step == STEP_verified))
		session_note(q->session);
}

static bool ask(struct questions *q, struct slice name, uint16_t type)
{
	struct smtpd *d = q->session->smtpd;
	struct ipc_peer *resolvd = service_peer(d->service, IPC_ROLE_RESOLVD, 0);
	struct ipc_message m = IPC_MESSAGE(dns_ask, .name = name, .type = type);
	struct question *one;

	if (resolvd == NULL || (one = memory_alloc(1, sizeof(*one), NULL)) == NULL)
		return false;
	*one = (struct question){.questions = q, .name = name, .type = type};
	list_append(&q->open, &one->node);
	if (ipc_ask(resolvd, &one->ask, &m, -1, smtpd_settings(d)->dns_timeout + GRACE_MS, true,
		    answered, one, NULL))
		return true;
	question_end(one);
	return false;
}

void questions_ask(struct questions *q)
{
	struct slice name;
	uint16_t type;

	while (answers_next(&q->answers, &name, &type))
		if (q->given_up || !ask(q, name, type))
			answers_put(&q->answers, name, type, &no_answer);
}

void questions_give_up(struct questions *q)
{
	q->given_up = true;
	LIST_EACH (node, &q->open) {
		struct question *one = LIST_ENTRY(node, struct question, node);

		answers_put(&q->answers, one->name, one->type, &no_answer);
		question_end(one);
	}
	questions_ask(q);
}
