#include "smtpd/transaction.h"

#include <stdlib.h>

#include "common/base/memory.h"
#include "common/spool/writer.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/signing.h"
#include "smtpd/submission.h"
#include "smtpd/verification.h"

enum {
	RECIPIENT_BYTES = 1500, /* a recipient with a long path, and its parameters */
	ARENA_BYTES = 16384,
	RUN_BYTES = 65536, /* content that comes in one piece, at most */
};

struct transaction *transaction_create(struct session *s, struct fault *why)
{
	struct transaction *t = memory_alloc(1, sizeof(*t), why);

	if (t == NULL)
		return NULL;
	arena_init(&t->arena,
		   ARENA_BYTES + smtpd_settings(s->smtpd)->smtp_max_recipients * RECIPIENT_BYTES);
	spool_id_make(&s->smtpd->ids, loop_wall_us(s->smtpd->loop), t->id);
	lines_init(&t->lines);
	buf_init(&t->folder, IPC_FOLDER_MAX);
	buf_init(&t->envelope, IPC_ENVELOPE_MAX);
	buf_init(&t->kept_header, KEPT_HEADER_MAX + RUN_BYTES);
	return t;
}

void transaction_destroy(struct transaction *t)
{
	if (t == NULL)
		return;
	spool_writer_abort(t->writer);
	signing_destroy(t->signing);
	verification_destroy(t->verification);
	header_fini(&t->header);
	from_field_fini(&t->from);
	buf_fini(&t->folder);
	buf_fini(&t->envelope);
	buf_fini(&t->kept_header);
	arena_reset(&t->arena);
	free(t);
}

struct slice transaction_id(const struct transaction *t)
{
	return slice_of(t->id, SPOOL_ID_LENGTH);
}
