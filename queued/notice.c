#include "queued/notice.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/spool/writer.h"
#include "queued/attempt.h"
#include "queued/bounce.h"
#include "queued/intake.h"
#include "queued/message.h"
#include "queued/queued.h"

#define HEADERS_MAX 65536u
#define NOTICE_MAX ((size_t)64 << 20)

/* reading (the message's header fields, in the pool) → writing → committing → told */
struct notice {
	struct file_job j;
	struct message *message; /* NULL: disowned */
	int spool;
	place place;
	char about[SPOOL_ID_LENGTH + 1], id[SPOOL_ID_LENGTH + 1];
	struct buf headers, text, envelope;
	uint64_t made_us, size_bytes;
	struct spool_writer *writer;
	bool committing;
};

static void notice_free(struct notice *n)
{
	buf_fini(&n->headers);
	buf_fini(&n->text);
	buf_fini(&n->envelope);
	free(n);
}

static void notice_told(struct notice *n, const struct fault *why)
{
	struct message *m = n->message;

	m->notice = NULL;
	notice_free(n);
	attempt_told(m, why);
}

/* ---- reading ---- */

/* The header fields, with the line end of the last; of a header that is too long, its first whole lines. A notice goes without them where they are not to be had. */
static void headers_read(struct notice *n, int fd)
{
	struct spool_header header;
	struct fault why;
	size_t got = 0, end;
	char *p = buf_reserve(&n->headers, HEADERS_MAX);

	if (p == NULL || !spool_header_read(fd, slice_of_cstr(n->about), &header, &why) ||
	    !spool_content_read(fd, &header, 0, p, HEADERS_MAX, &got, &why))
		return;
	if ((end = slice_find_slice(slice_of(p, got), SLICE("\r\n\r\n"))) != SIZE_MAX)
		got = end + 2;
	else
		got = (end = slice_find_last(slice_of(p, got), '\n')) == SIZE_MAX ? 0 : end + 1;
	buf_commit(&n->headers, got);
}

static void notice_read(struct file_job *j)
{
	struct notice *n = (struct notice *)j;
	int fd = place_open(n->spool, &n->place, slice_of_cstr(n->about), O_RDONLY);

	if (fd >= 0)
		headers_read(n, fd);
	fd_close(&fd);
}

/* ---- writing ---- */

static size_t failed_targets(const struct message *m, struct bounce_recipient *out)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_recipients; i++)
		for (const struct target *t = m->recipients[i].targets; t != NULL; t = t->next) {
			if (t->state != TARGET_FAILED)
				continue;
			if (out != NULL)
				out[n] = (struct bounce_recipient){.forward_path = t->forward_path,
								   .original_path = t->recipient->forward_path,
								   .orcpt = m->envelope.recipients[i].orcpt,
								   .status = t->status,
								   .reply = t->reply,
								   .host = t->by,
								   .at_us = t->at_us,
								   .expired = t->expired};
			n++;
		}
	return n;
}

static bool has_high_octet(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

static bool notice_compose(struct notice *n, struct fault *why)
{
	struct message *m = n->message;
	struct queued *q = m->queued;
	struct envelope_recipient to = {.forward_path = m->envelope.reverse_path};
	struct envelope envelope = {.recipients = &to, .n_recipients = 1, .utf8 = has_high_octet(to.forward_path)};
	struct bounce b = {.hostname = q->settings->hostname,
			   .postmaster = q->settings->postmaster,
			   .id = slice_of_cstr(n->id),
			   .made_us = n->made_us,
			   .about = message_id(m),
			   .received_us = m->received_us,
			   .reverse_path = m->envelope.reverse_path,
			   .envid = m->envelope.envid,
			   .headers = buf_slice(&n->headers)};
	struct bounce_recipient *recipients;
	bool ok = false;

	b.n_recipients = failed_targets(m, NULL);
	if ((recipients = memory_alloc(b.n_recipients, sizeof(*recipients), why)) == NULL)
		return false;
	(void)failed_targets(m, recipients);
	b.recipients = recipients;
	if (bounce_compose(&b, &n->text)) {
		envelope.eight_bit = has_high_octet(buf_slice(&n->text));
		ok = envelope_encode(&envelope, &n->envelope);
	}
	if (!ok)
		fault_set(why, "4.3.1", "no memory for the notice about %s", m->id);
	free(recipients);
	return ok;
}

static void notice_bounced_log(struct notice *n)
{
	const struct message *m = n->message;

	log_event(bounced, F_ID(message_id(m)), F_SLICE(id, slice_of_cstr(n->id)), F_SLICE(to, m->envelope.reverse_path),
		  F_NUMBER(recipients, failed_targets(m, NULL)));
}

/* The notice is a message like any other from here on; were there no memory to take it in, the scan would find it. */
static void notice_committed(void *arg, const struct fault *why)
{
	struct notice *n = arg;
	struct queued *q = n->message->queued;
	struct fault failed;

	n->writer = NULL;
	if (why != NULL) {
		failed = *why;
		fault_add(&failed, "the notice about %s", n->about);
		notice_told(n, &failed);
		return;
	}
	notice_bounced_log(n);
	if (!intake_take(q, PLACE_NOTICES, slice_of_cstr(n->id), buf_slice(&n->envelope), n->made_us, n->size_bytes, NULL, &failed))
		log_event(spool_failed, F_ID(slice_of_cstr(n->id)), F_FAULT(&failed));
	notice_told(n, NULL);
}

static void notice_write(void *arg)
{
	struct notice *n = arg;

	while (buf_length(&n->text) > 0) {
		struct slice part = slice_head(buf_slice(&n->text), SPOOL_CHUNK_BYTES);

		if (!spool_writer_append(n->writer, part))
			return; /* comes again when the writer can take more */
		buf_consume(&n->text, part.n);
	}
	n->size_bytes = spool_writer_length(n->writer);
	n->committing = true;
	spool_writer_commit(n->writer, SLICE_EMPTY, 0, notice_committed, n);
}

static void notice_have_read(struct file_job *j)
{
	struct notice *n = (struct notice *)j;
	struct message *m = n->message;
	struct spool_place where;
	struct fault why;

	if (m == NULL) {
		notice_free(n);
		return;
	}
	where = (struct spool_place){.pool = m->queued->pool,
				     .folder = m->queued->notices,
				     .sync_directory = m->queued->settings->spool_sync_directory};
	if (!notice_compose(n, &why) ||
	    !spool_writer_begin(&where, n->id, n->made_us, buf_slice(&n->envelope), notice_write, n, &n->writer, &why)) {
		notice_told(n, &why);
		return;
	}
	notice_write(n);
}

bool notice_begin(struct message *m, struct fault *why)
{
	struct queued *q = m->queued;
	struct notice *n = memory_alloc(1, sizeof(*n), why);

	if (n == NULL)
		return false;
	n->message = m;
	n->spool = q->spool;
	n->place = m->place;
	n->made_us = loop_wall_us(q->loop);
	memcpy(n->about, m->id, sizeof(n->about));
	spool_id_make(&q->ids, n->made_us, n->id);
	buf_init(&n->headers, HEADERS_MAX);
	buf_init(&n->text, NOTICE_MAX);
	buf_init(&n->envelope, SPOOL_ENVELOPE_MAX);
	m->notice = n;
	files_submit(&q->files, &n->j, notice_read, notice_have_read);
	return true;
}

void notice_disown(struct message *m)
{
	struct notice *n = m->notice;

	m->notice = NULL;
	if (n == NULL)
		return;
	n->message = NULL;
	if (n->writer == NULL)
		return; /* it is being read: it frees itself */
	if (n->committing)
		spool_writer_disown(n->writer);
	else
		spool_writer_abort(n->writer);
	notice_free(n);
}
