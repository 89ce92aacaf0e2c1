#include "smtpd/submission.h"

#include "common/mail/submission.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"

static bool is_submission(const struct session *s)
{
	return s->smtpd->submission && (s->user.n > 0 || s->trusted);
}

/* What comes with the header's end in one run is kept too, and then nothing more. Without memory
 * the kept octets say so at the end. */
bool submission_keep(const struct session *s, struct slice run)
{
	struct transaction *t = s->transaction;

	if (!is_submission(s) || t->header.ended)
		return true;
	if (buf_length(&t->submitted) > SUBMISSION_HEADER_MAX)
		return false;
	(void)buf_append(&t->submitted, run);
	return true;
}

bool submission_append(const struct session *s, struct buf *front, uint64_t *skip)
{
	struct transaction *t = s->transaction;
	struct slice kept = buf_slice(&t->submitted);
	struct submission found;

	*skip = 0;
	if (!is_submission(s))
		return true;
	if (t->submitted.failed)
		return false;
	found = submission_look(kept);
	if (!submission_append_missing(&found, transaction_id(t), smtpd_settings(s->smtpd)->hostname,
				       t->received_us, front))
		return false;
	if (!found.has_bcc)
		return true;
	*skip = found.header_bytes;
	return submission_append_shown(slice_head(kept, found.header_bytes), front);
}
