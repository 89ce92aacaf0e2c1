#include "smtpd/submission.h"

#include "common/mail/submission.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"

static bool is_submission(const struct session *s)
{
	return s->smtpd->submission && (s->user.n > 0 || s->trusted);
}

bool submission_keeps_header(const struct session *s)
{
	return is_submission(s);
}

bool submission_append(const struct session *s, struct buf *front, uint64_t *skip)
{
	struct transaction *t = s->transaction;
	struct slice kept = buf_slice(&t->kept_header);
	struct submission found;

	*skip = 0;
	if (!is_submission(s))
		return true;
	if (t->kept_header.failed)
		return false;
	found = submission_look(kept);
	if (!submission_append_missing(&found, transaction_id(t),
				       smtpd_settings(s->smtpd)->hostname, t->received_us, front))
		return false;
	if (!found.has_bcc)
		return true;
	*skip = found.header_bytes;
	return submission_append_shown(slice_head(kept, found.header_bytes), front);
}
