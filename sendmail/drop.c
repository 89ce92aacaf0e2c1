#include "sendmail/drop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/event/loop.h"
#include "common/event/pool.h"
#include "common/spool/envelope.h"
#include "common/spool/id.h"
#include "common/spool/writer.h"
#include "sendmail/client.h"
#include "sendmail/message.h"
#include "sendmail/recipients.h"
#include "sendmail/sendmail.h"
#include "sendmail/where.h"

/* Of the ids; smtpd's workers count from 0, queued's own have 255 and 254. */
#define ID_WORKER 253

struct drop {
	const struct where *where;
	const struct submission_request *request;
	struct loop *loop;
	struct spool_place place;
	struct spool_id_source ids;
	bool done, failed;
	struct fault why;
};

static void committed(void *arg, const struct fault *why)
{
	struct drop *d = arg;

	d->done = true;
	d->failed = why != NULL;
	if (why != NULL)
		d->why = *why;
}

/* The recipients that wait, at most so many, in an envelope; they are noted. */
static bool encode_envelope(struct drop *d, struct buf *out)
{
	const struct submission_request *q = d->request;
	size_t max = d->where->max_recipients < q->recipients->n ? (size_t)d->where->max_recipients
								 : q->recipients->n;
	struct envelope_recipient *all = memory_alloc(max, sizeof(*all), &d->why);
	struct envelope e = {.reverse_path = q->reverse_path,
			     .eight_bit = q->message->eight_bit,
			     .ret = q->ret,
			     .envid = q->envid,
			     .recipients = all};
	struct recipient *to = NULL;
	bool ok;

	if (all == NULL)
		return false;
	while (e.n_recipients < max &&
	       (to = recipients_next(q->recipients, to, RECIPIENT_LATER)) != NULL) {
		all[e.n_recipients++] = (struct envelope_recipient){.forward_path = to->mailbox,
								    .notify = q->notify};
		to->state = RECIPIENT_NOTED;
	}
	ok = envelope_encode(&e, out);
	if (!ok)
		fault_set(&d->why, "4.3.1", "out of memory");
	free(all);
	return ok;
}

static void append(struct drop *d, struct spool_writer *w, struct slice octets)
{
	while (octets.n > 0) {
		struct slice part = slice_head(octets, SPOOL_CHUNK_BYTES);

		if (spool_writer_append(w, part))
			octets = slice_tail(octets, part.n);
		else
			loop_turn(d->loop, true);
	}
}

static bool write_one(struct drop *d, struct slice envelope)
{
	const struct message *m = d->request->message;
	uint64_t now_us = clock_wall_us();
	char id[SPOOL_ID_LENGTH + 1];
	struct spool_writer *w;

	spool_id_make(&d->ids, now_us, id);
	if (!spool_writer_begin(&d->place, id, now_us, envelope, NULL, NULL, &w, &d->why))
		return false;
	append(d, w, buf_slice(&m->header));
	append(d, w, SLICE("\r\n"));
	append(d, w, buf_slice(&m->body));
	d->done = false;
	spool_writer_commit(w, SLICE_EMPTY, 0, committed, d);
	while (!d->done)
		loop_turn(d->loop, true);
	return !d->failed;
}

static bool write_all(struct drop *d)
{
	struct recipients *all = d->request->recipients;
	bool ok = true;

	while (ok && recipients_next(all, NULL, RECIPIENT_LATER) != NULL) {
		struct buf envelope;

		buf_init(&envelope, SPOOL_ENVELOPE_MAX);
		ok = encode_envelope(d, &envelope) && write_one(d, buf_slice(&envelope));
		buf_fini(&envelope);
		recipients_move(all, RECIPIENT_NOTED, ok ? RECIPIENT_SENT : RECIPIENT_LATER);
	}
	return ok;
}

/* O_PATH: we may write there, and not read. */
static int open_folder(const struct where *where, struct fault *why)
{
	char path[PATH_MAX + 16];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/maildrop", where->spool);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fault_errno(why, "4.3.0",
			    "no smtpd answers at %s, and %s cannot be used (where spool_dir is "
			    "another, " TASSIS_SYSCONFDIR "/sendmail.conf must say so)",
			    where->submit, path);
	return fd;
}

int drop_message(const struct where *where, const struct submission_request *r)
{
	struct drop d = {.where = where, .request = r};
	int status = EX_OSERR;

	spool_id_source_init(&d.ids, slice_of_cstr(where->hostname), ID_WORKER);
	/* Ours to write, queued's to read by the folder's group, nobody's else. */
	(void)umask(0137);
	if ((d.place.folder = open_folder(where, &d.why)) < 0)
		status = EX_CANTCREAT;
	else if ((d.loop = loop_create(&d.why)) != NULL &&
		 (d.place.pool = pool_create(d.loop, 1, 2, &d.why)) != NULL)
		status = write_all(&d) ? EX_OK : EX_TEMPFAIL;
	if (status != EX_OK)
		(void)say(status, "not sent: %s", d.why.text);
	pool_destroy(d.place.pool);
	loop_destroy(d.loop);
	fd_close(&d.place.folder);
	return status;
}
