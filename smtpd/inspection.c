#include "smtpd/inspection.h"

#include "common/mail/from_field.h"
#include "common/mail/header.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"

/* Of a field that is looked at; of others the name alone is. */
enum { FIELD_BYTES = 8192, FIELD_NAME_BYTES = 80 };

static bool is_user(const struct session *s)
{
	return s->user.n > 0 || s->trusted;
}

static bool asks_spam(const struct session *s)
{
	return smtpd_settings(s->smtpd)->spam_header.n > 0 && !is_user(s);
}

/* A notice's null reverse-path stays null, whoever it says it is from. */
static bool asks_from(const struct session *s)
{
	const struct transaction *t = s->transaction;

	return smtpd_settings(s->smtpd)->envelope_from == ENVELOPE_FROM_HEADER &&
	       t->reverse_path.n > 0 && (is_user(s) || t->from_relay);
}

static void look(void *arg, struct slice name, struct slice value, bool cut)
{
	struct session *s = session_of(arg);
	const struct slices *rules = &smtpd_settings(s->smtpd)->spam_header;
	struct transaction *t = s->transaction;

	if (asks_from(s))
		from_field_take(&t->from, name, value, cut);
	if (!asks_spam(s))
		return;
	for (size_t i = 0; i < rules->n && !t->spam; i++)
		t->spam = header_field_begins(rules->p[i], name, value);
}

void inspection_begin(struct session *s)
{
	struct transaction *t = s->transaction;

	if (asks_from(s) || asks_spam(s))
		header_init(&t->header, FIELD_BYTES, look, s);
	else
		header_init(&t->header, FIELD_NAME_BYTES, NULL, NULL);
	from_field_init(&t->from);
}

struct slice inspection_reverse_path(const struct session *s)
{
	struct slice mailbox = from_field_mailbox(&s->transaction->from);

	return slice_equal_nocase(mailbox, s->transaction->reverse_path) ? SLICE_EMPTY : mailbox;
}
