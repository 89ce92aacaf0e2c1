/* `tassis queue show` and `tassis queue cat`: one message. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/json.h"
#include "admin/queue.h"
#include "admin/queue_files.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/spool/file.h"
#include "common/spool/summary.h"

#define COPY_BYTES 65536u

static const char *const state_words[] = {"waits", "delivered", "deferred", "failed"};

static const char *state_word(uint8_t state)
{
	return state < ARRAY_LENGTH(state_words) ? state_words[state] : "?";
}

/* ---- for people ---- */

static void put_words(struct buf *out, struct slice host, struct slice reply)
{
	if (reply.n == 0)
		return;
	buf_append_cstr(out, "\n               ");
	if (host.n > 0) {
		queue_put_clean(out, host);
		buf_append_cstr(out, " said: ");
	}
	queue_put_clean(out, reply);
}

static void recipient_show(struct buf *out, const struct ipc_queue_recipient *r)
{
	buf_append_cstr(out, "to             ");
	queue_put_path(out, r->forward_path);
	buf_printf(out, ": %s", state_word(r->state));
	if (r->n_attempts > 0) {
		buf_printf(out, ", %u attempt%s, the last at ", r->n_attempts, r->n_attempts == 1 ? "" : "s");
		queue_put_time(out, r->last_attempt_us);
	}
	put_words(out, r->host, r->reply);
	buf_append_char(out, '\n');
}

static void attempt_show(struct buf *out, const struct ipc_queue_attempt *a)
{
	buf_append_cstr(out, "attempt        ");
	queue_put_time(out, a->at_us);
	buf_append_cstr(out, "  ");
	queue_put_path(out, a->forward_path);
	buf_printf(out, ": %s", state_word(a->outcome));
	put_words(out, a->host, a->reply);
	buf_append_char(out, '\n');
}

static void message_show(struct buf *out, struct slice id, const struct ipc_queue_show_answer *m)
{
	struct slice rest = m->recipients;
	struct ipc_queue_recipient r;
	struct ipc_queue_attempt a;
	bool broken = false;

	buf_append_cstr(out, "id             ");
	queue_put_clean(out, id);
	buf_append_cstr(out, "\nreceived       ");
	queue_put_time(out, m->received_us);
	buf_printf(out, "\nsize           %" PRIu64 " octets\nstate          ", m->size_bytes);
	queue_put_next(out, m->next_attempt_us, m->held);
	buf_append_cstr(out, "\nfrom           ");
	queue_put_path(out, m->reverse_path);
	buf_append_char(out, '\n');
	while (ipc_next_queue_recipient(&rest, &r, &broken))
		recipient_show(out, &r);
	rest = m->attempts;
	while (ipc_next_queue_attempt(&rest, &a, &broken))
		attempt_show(out, &a);
}

/* ---- for programs ---- */

static void put_said(struct buf *out, struct slice status, struct slice host, struct slice reply)
{
	json_name(out, "status");
	json_string(out, status);
	json_name(out, "host");
	json_string(out, host);
	json_name(out, "reply");
	json_string(out, reply);
	buf_append_char(out, '}');
}

static void recipient_show_json(struct buf *out, const struct ipc_queue_recipient *r)
{
	buf_append_char(out, '{');
	json_name(out, "to");
	json_string(out, r->forward_path);
	json_name(out, "state");
	json_string(out, slice_of_cstr(state_word(r->state)));
	json_name(out, "attempts");
	json_number(out, r->n_attempts);
	json_name(out, "last_attempt");
	json_time(out, r->last_attempt_us);
	put_said(out, r->status, r->host, r->reply);
}

static void attempt_show_json(struct buf *out, const struct ipc_queue_attempt *a)
{
	buf_append_char(out, '{');
	json_name(out, "to");
	json_string(out, a->forward_path);
	json_name(out, "at");
	json_time(out, a->at_us);
	json_name(out, "outcome");
	json_string(out, slice_of_cstr(state_word(a->outcome)));
	put_said(out, a->status, a->host, a->reply);
}

static void message_show_json(struct buf *out, struct slice id, const struct ipc_queue_show_answer *m)
{
	struct slice rest = m->recipients;
	struct ipc_queue_recipient r;
	struct ipc_queue_attempt a;
	bool broken = false, first = true;

	buf_append_char(out, '{');
	json_name(out, "id");
	json_string(out, id);
	json_name(out, "received");
	json_time(out, m->received_us);
	json_name(out, "next_attempt");
	json_time(out, m->next_attempt_us);
	json_name(out, "held");
	buf_append_cstr(out, m->held ? "true" : "false");
	json_name(out, "size");
	json_number(out, m->size_bytes);
	json_name(out, "from");
	json_string(out, m->reverse_path);
	json_name(out, "recipients");
	for (buf_append_char(out, '['); ipc_next_queue_recipient(&rest, &r, &broken); first = false) {
		if (!first)
			buf_append_char(out, ',');
		recipient_show_json(out, &r);
	}
	buf_append_char(out, ']');
	rest = m->attempts;
	first = true;
	json_name(out, "attempts");
	for (buf_append_char(out, '['); ipc_next_queue_attempt(&rest, &a, &broken); first = false) {
		if (!first)
			buf_append_char(out, ',');
		attempt_show_json(out, &a);
	}
	buf_append_cstr(out, "]}\n");
}

/* ---- the verbs ---- */

static void message_print(struct queue *q, struct slice id, const struct ipc_queue_show_answer *m)
{
	if (q->json)
		message_show_json(&q->out, id, m);
	else
		message_show(&q->out, id, m);
	queue_write(q);
}

static void file_print(void *arg, struct spool_summary *s, uint64_t next_attempt_us, bool held)
{
	struct queue *q = arg;
	struct ipc_queue_show_answer m = {.received_us = s->header.received_us,
					  .next_attempt_us = next_attempt_us,
					  .size_bytes = s->header.content_length,
					  .reverse_path = s->envelope.reverse_path,
					  .held = held};
	struct buf recipients, attempts;

	buf_init(&recipients, QUEUE_LINE_MAX);
	buf_init(&attempts, QUEUE_LINE_MAX);
	if (spool_summary_put_recipients(s, &recipients)) {
		spool_summary_put_attempts(s, &attempts);
		m.recipients = buf_slice(&recipients);
		m.attempts = buf_slice(&attempts);
		message_print(q, slice_of_cstr(s->header.id), &m);
	}
	buf_fini(&recipients);
	buf_fini(&attempts);
}

static bool id_read(const struct queue *q, struct slice *id, struct fault *why)
{
	*id = slice_of_cstr(arguments_word(&q->args, 0));
	if (spool_id_is_valid(*id))
		return true;
	fault_set(why, "5.3.0", "%.*s is no id of a message", SLICE_PRINTF(*id));
	return false;
}

bool queue_show(struct queue *q, struct fault *why)
{
	struct ipc_message answer, ask = IPC_MESSAGE(queue_show_ask, .id = SLICE_EMPTY);
	struct buf frame = {0};
	struct slice id;
	bool ok;

	if (!id_read(q, &id, why))
		return false;
	ask.queue_show_ask.id = id;
	ok = queue_ask(q, &ask, QUEUE_WITHIN_MS, IPC_TYPE_queue_show_answer, &frame, &answer, why);
	if (ok)
		message_print(q, id, &answer.queue_show_answer);
	else if (why->class == FAULT_TEMPORARY) {
		queue_say_from_files(why);
		ok = queue_files_each(q->settings, id, file_print, q, why);
	}
	buf_fini(&frame);
	return ok;
}

/* CR LF becomes LF, as programs of this host have it; *cr: the octets before ended with a CR that is not written yet. */
static void lines_write(const char *p, size_t n, bool *cr)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (*cr && p[i] != '\n')
			(void)putchar('\r');
		*cr = p[i] == '\r';
		if (*cr) {
			(void)fwrite(p + from, 1, i - from, stdout);
			from = i + 1;
		}
	}
	(void)fwrite(p + from, 1, n - from, stdout);
}

static bool content_write(int fd, struct slice id, struct fault *why)
{
	static const size_t size = COPY_BYTES;
	struct spool_header header;
	char octets[COPY_BYTES];
	size_t n = size;
	bool cr = false;

	if (!spool_header_read(fd, id, &header, why))
		return false;
	for (uint64_t at = 0; n == size; at += n) {
		if (!spool_content_read(fd, &header, at, octets, size, &n, why))
			return false;
		lines_write(octets, n, &cr);
	}
	if (cr)
		(void)putchar('\r');
	return true;
}

bool queue_cat(struct queue *q, struct fault *why)
{
	struct slice id;
	int fd;
	bool ok;

	if (!id_read(q, &id, why) || (fd = queue_file_open(q->settings, id, why)) < 0)
		return false;
	ok = content_write(fd, id, why);
	fd_close(&fd);
	return ok;
}
