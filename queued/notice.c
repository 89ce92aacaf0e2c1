#include "queued/notice.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/mail/fields.h"
#include "common/spool/writer.h"
#include "queued/bounce.h"
#include "queued/intake.h"
#include "queued/message.h"
#include "queued/queued.h"
#include "queued/telling.h"

#define HEADERS_MAX 65536u
#define NOTICE_MAX ((size_t)128 << 20) /* the message may be in it, and words for each recipient */

/* reading (the message, or its header fields, in the pool) → writing → committing → told */
struct notice {
	struct file_job j;
	struct message *message; /* NULL: disowned */
	enum notice_kind kind;
	uint64_t whole_max; /* octets of a message that is returned whole; 0: its header fields alone */
	int spool;
	place place;
	char about[SPOOL_ID_LENGTH + 1], id[SPOOL_ID_LENGTH + 1];
	struct buf content, text, envelope, to;
	bool whole;
	uint64_t made_us, size_bytes;
	struct spool_writer *writer;
	bool committing;
};

static void notice_free(struct notice *n)
{
	buf_fini(&n->content);
	buf_fini(&n->to);
	buf_fini(&n->text);
	buf_fini(&n->envelope);
	free(n);
}

static void notice_told(struct notice *n, const struct fault *why)
{
	struct message *m = n->message;
	enum notice_kind kind = n->kind;

	m->notice = NULL;
	notice_free(n);
	telling_noticed(m, kind, why);
}

/* ---- reading ---- */

static bool whole_read(struct notice *n, int fd, const struct spool_header *header)
{
	struct fault why;
	size_t got = 0, size = (size_t)header->content_length;
	char *p = buf_reserve(&n->content, size);

	if (p == NULL || !spool_content_read(fd, header, 0, p, size, &got, &why))
		return false;
	buf_commit(&n->content, got);
	return true;
}

/* The header fields, with the line end of the last; of a header that is too long, its first whole lines. */
static void headers_read(struct notice *n, int fd, const struct spool_header *header)
{
	struct fault why;
	size_t got = 0, end;
	char *p = buf_reserve(&n->content, HEADERS_MAX);

	if (p == NULL || !spool_content_read(fd, header, 0, p, HEADERS_MAX, &got, &why))
		return;
	if ((end = slice_find_slice(slice_of(p, got), SLICE("\r\n\r\n"))) != SIZE_MAX)
		got = end + 2;
	else
		got = (end = slice_find_last(slice_of(p, got), '\n')) == SIZE_MAX ? 0 : end + 1;
	buf_commit(&n->content, got);
}

/* A notice goes without the message where it is not to be had. */
static void notice_read(struct file_job *j)
{
	struct notice *n = (struct notice *)j;
	int fd = place_open(n->spool, &n->place, slice_of_cstr(n->about), O_RDONLY);
	struct spool_header header;
	struct fault why;

	if (fd >= 0 && spool_header_read(fd, slice_of_cstr(n->about), &header, &why)) {
		n->whole = header.content_length <= n->whole_max && whole_read(n, fd, &header);
		if (!n->whole)
			headers_read(n, fd, &header);
	}
	fd_close(&fd);
}

/* Nobody waits for what went to a list, so nobody is told that it is late (RFC 3834 2). */
static bool is_to_list(struct slice headers)
{
	struct slice field, name;

	while (field_next(&headers, &field, &name))
		if (slice_equal_nocase(name, SLICE("Precedence"))) {
			struct slice value = field_value(field);

			return slice_equal_nocase(value, SLICE("bulk")) || slice_equal_nocase(value, SLICE("list")) ||
			       slice_equal_nocase(value, SLICE("junk"));
		}
	return false;
}

/* ---- writing ---- */

static bool has_high_octet(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 127)
			return true;
	return false;
}

static struct slice kind_text(enum notice_kind kind)
{
	static const struct slice texts[NOTICE_KINDS] = {
		[NOTICE_FAILURE] = {NOTICE_OF_FAILURE, sizeof(NOTICE_OF_FAILURE) - 1}, [NOTICE_DELAY] = {"delay", 5},
		[NOTICE_SUCCESS] = {"success", 7}, [NOTICE_DOUBLE] = {"double", 6},
	};

	return texts[kind];
}

/* Its envelope's forward-path; what the To field says has a domain in any case. */
static struct slice notice_to(const struct notice *n)
{
	return n->kind == NOTICE_DOUBLE ? n->message->queued->settings->double_bounce : n->message->envelope.reverse_path;
}

static bool to_make(struct notice *n)
{
	struct slice to = notice_to(n);

	return buf_append(&n->to, to) && (slice_find(to, '@') != SIZE_MAX ||
					  (buf_append_char(&n->to, '@') && buf_append(&n->to, n->message->queued->settings->hostname)));
}

static bool notice_encode(struct notice *n, const struct bounce *b)
{
	struct envelope_recipient to = {.forward_path = notice_to(n), .notify = SLICE("NEVER")};
	struct envelope envelope = {.recipients = &to, .n_recipients = 1, .utf8 = bounce_is_utf8(b), .notice = kind_text(n->kind)};

	if (!bounce_compose(b, &n->text))
		return false;
	envelope.eight_bit = has_high_octet(buf_slice(&n->text));
	return envelope_encode(&envelope, &n->envelope);
}

static bool notice_compose(struct notice *n, struct fault *why)
{
	struct message *m = n->message;
	struct queued *q = m->queued;
	const struct settings *settings = q->settings;
	struct bounce b = {.words = templates_find(&q->templates, settings->notice_language, n->kind),
			   .hostname = settings->hostname,
			   .postmaster = settings->postmaster,
			   .id = slice_of_cstr(n->id),
			   .made_us = n->made_us,
			   .about = message_id(m),
			   .received_us = m->received_us,
			   .envid = m->envelope.envid,
			   .content = buf_slice(&n->content),
			   .whole = n->whole,
			   .utf8 = m->envelope.utf8};
	struct bounce_recipient *recipients;
	bool ok;

	if (n->kind == NOTICE_DELAY)
		b.until_us = m->received_us + settings->queue_lifetime * 1000;
	b.n_recipients = telling_recipients(m, n->kind, NULL);
	if ((recipients = memory_alloc(b.n_recipients, sizeof(*recipients), why)) == NULL)
		return false;
	(void)telling_recipients(m, n->kind, recipients);
	b.recipients = recipients;
	ok = to_make(n);
	b.to = buf_slice(&n->to);
	ok = ok && notice_encode(n, &b);
	if (!ok)
		fault_set(why, "4.3.1", "no memory for the notice about %s", m->id);
	free(recipients);
	return ok;
}

static void notice_log(struct notice *n)
{
	static const enum log_name names[NOTICE_KINDS] = {
		[NOTICE_FAILURE] = LOG_EVENT_bounced, [NOTICE_DELAY] = LOG_EVENT_warned, [NOTICE_SUCCESS] = LOG_EVENT_reported,
		[NOTICE_DOUBLE] = LOG_EVENT_double_bounced,
	};
	const struct message *m = n->message;
	struct log_field fields[] = {F_ID(message_id(m)), F_SLICE(id, slice_of_cstr(n->id)), F_SLICE(to, notice_to(n)),
				     F_NUMBER(recipients, telling_recipients(m, n->kind, NULL))};

	log_write(names[n->kind], fields, ARRAY_LENGTH(fields));
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
	notice_log(n);
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
	if (n->kind == NOTICE_DELAY && is_to_list(buf_slice(&n->content))) {
		notice_told(n, NULL);
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

/* RFC 3461 4.3: the whole message is returned to who asked for it, if it failed; and to who looks after this host. */
static uint64_t whole_max(const struct message *m, enum notice_kind kind)
{
	if (kind == NOTICE_DOUBLE || (kind == NOTICE_FAILURE && slice_equal_nocase(m->envelope.ret, SLICE("FULL"))))
		return m->queued->settings->bounce_size_max;
	return 0;
}

bool notice_begin(struct message *m, enum notice_kind kind, struct fault *why)
{
	struct queued *q = m->queued;
	struct notice *n = memory_alloc(1, sizeof(*n), why);

	if (n == NULL)
		return false;
	n->message = m;
	n->kind = kind;
	n->whole_max = whole_max(m, kind);
	n->spool = q->spool;
	n->place = m->place;
	n->made_us = loop_wall_us(q->loop);
	memcpy(n->about, m->id, sizeof(n->about));
	spool_id_make(&q->ids, n->made_us, n->id);
	buf_init(&n->content, n->whole_max > HEADERS_MAX ? (size_t)n->whole_max : HEADERS_MAX);
	buf_init(&n->to, 2 * ENVELOPE_PATH_MAX);
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
