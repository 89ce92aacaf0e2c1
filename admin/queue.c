/* `tassis queue list|show|flush`: what waits, why, and until when; asked of queued, page by page, or read from the spool's files
 * when queued does not run.
 * Touches: the socket control/queued.0; the spool, reading. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/commands.h"
#include "admin/json.h"
#include "admin/queue_files.h"
#include "common/base/ascii.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/conf/settings.h"
#include "common/ipc/link.h"
#include "common/service/layout.h"
#include "common/spool/summary.h"

#define PAGE 1000u
#define SORTED_MAX 10000u /* so many messages are shown the oldest first; more come as queued has them */
#define WITHIN_MS 10000u
#define LINE_MAX_BYTES (64u << 20)

struct queue {
	const struct settings *settings;
	bool json;
	char socket[LAYOUT_SOCKET_PATH_MAX];
	struct buf out;      /* a message's lines */
	struct buf held;     /* entry records kept to be sorted */
	size_t n_held, n_shown;
	bool streams;        /* no longer sorted */
};

/* ---- text ---- */

/* What others wrote goes to a terminal: no control characters. */
static void put_clean(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_append_char(out, ascii_is_control(s.p[i]) ? '?' : s.p[i]);
}

static void put_path(struct buf *out, struct slice path)
{
	if (path.n == 0)
		buf_append_cstr(out, "<>");
	else
		put_clean(out, path);
}

/* "2026-11-25 16:00:15", in the host's time zone. */
static void put_time(struct buf *out, uint64_t wall_us)
{
	time_t s = (time_t)(wall_us / 1000000);
	char text[32];
	struct tm tm;

	if (localtime_r(&s, &tm) != NULL && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) > 0)
		buf_append_cstr(out, text);
}

static void put_next(struct buf *out, uint64_t at_us)
{
	uint64_t now_us = clock_wall_us(), s = at_us > now_us ? (at_us - now_us + 999999) / 1000000 : 0;

	if (at_us == 0)
		buf_append_cstr(out, "being delivered");
	else if (s == 0)
		buf_append_cstr(out, "due now");
	else if (s < 120)
		buf_printf(out, "next attempt in %" PRIu64 " s", s);
	else if (s < 7200)
		buf_printf(out, "next attempt in %" PRIu64 " min", s / 60);
	else
		buf_printf(out, "next attempt in %" PRIu64 " h", s / 3600);
}

static void out_write(struct queue *q)
{
	struct slice s = buf_slice(&q->out);

	(void)fwrite(s.p, 1, s.n, stdout);
	buf_reset(&q->out);
}

/* ---- list ---- */

static void entry_show(struct queue *q, const struct ipc_queue_entry *e)
{
	put_clean(&q->out, e->id);
	buf_printf(&q->out, "  %10" PRIu64 "  ", e->size_bytes);
	put_time(&q->out, e->received_us);
	buf_append_cstr(&q->out, "  ");
	put_next(&q->out, e->next_attempt_us);
	buf_append_cstr(&q->out, "\n    ");
	put_path(&q->out, e->reverse_path);
	buf_append_cstr(&q->out, " to ");
	put_path(&q->out, e->first_recipient);
	if (e->n_recipients > 1)
		buf_printf(&q->out, " and %u more", e->n_recipients - 1);
	if (e->reason.n > 0) {
		buf_append_cstr(&q->out, "\n    ");
		put_clean(&q->out, e->reason);
	}
	buf_append_char(&q->out, '\n');
}

static void entry_show_json(struct queue *q, const struct ipc_queue_entry *e)
{
	buf_append_char(&q->out, '{');
	json_name(&q->out, "id");
	json_string(&q->out, e->id);
	json_name(&q->out, "received");
	json_time(&q->out, e->received_us);
	json_name(&q->out, "next_attempt");
	json_time(&q->out, e->next_attempt_us);
	json_name(&q->out, "size");
	json_number(&q->out, e->size_bytes);
	json_name(&q->out, "from");
	json_string(&q->out, e->reverse_path);
	json_name(&q->out, "recipients");
	json_number(&q->out, e->n_recipients);
	json_name(&q->out, "first_recipient");
	json_string(&q->out, e->first_recipient);
	json_name(&q->out, "reason");
	json_string(&q->out, e->reason);
	buf_append_cstr(&q->out, "}\n");
}

static void entry_print(struct queue *q, const struct ipc_queue_entry *e)
{
	if (q->json)
		entry_show_json(q, e);
	else
		entry_show(q, e);
	q->n_shown++;
	out_write(q);
}

static int entry_compare(const void *a, const void *b)
{
	return slice_compare(((const struct ipc_queue_entry *)a)->id, ((const struct ipc_queue_entry *)b)->id);
}

/* Prints what was kept, the oldest first. */
static bool held_print(struct queue *q, struct fault *why)
{
	struct ipc_queue_entry *entries = memory_alloc(q->n_held + 1, sizeof(*entries), why);
	struct slice rest = buf_slice(&q->held);
	bool broken = false;
	size_t n = 0;

	if (entries == NULL)
		return false;
	while (n < q->n_held && ipc_next_queue_entry(&rest, &entries[n], &broken))
		n++;
	qsort(entries, n, sizeof(*entries), entry_compare);
	for (size_t i = 0; i < n; i++)
		entry_print(q, &entries[i]);
	free(entries);
	buf_reset(&q->held);
	q->n_held = 0;
	return true;
}

/* A page: kept as long as all of it may still be sorted. after is the last id, for the next one. */
static bool page_take(struct queue *q, struct slice entries, char after[SPOOL_ID_LENGTH + 1], struct fault *why)
{
	struct ipc_queue_entry e;
	bool broken = false;

	while (ipc_next_queue_entry(&entries, &e, &broken)) {
		if (!slice_cstr(e.id, after, SPOOL_ID_LENGTH + 1, why))
			return false;
		if (q->streams)
			entry_print(q, &e);
		else if (!ipc_put_queue_entry(&q->held, &e)) {
			fault_set(why, "4.3.1", "out of memory");
			return false;
		} else
			q->n_held++;
	}
	if (broken)
		fault_set(why, "5.5.0", "queued sent a list that is broken");
	if (!q->streams && q->n_held >= SORTED_MAX) {
		q->streams = true;
		return held_print(q, why) && !broken;
	}
	return !broken;
}

static bool list_pages(struct queue *q, bool *asked, struct fault *why)
{
	char after[SPOOL_ID_LENGTH + 1] = "";
	bool last = false;

	while (!last) {
		struct ipc_message answer, ask = IPC_MESSAGE(queue_list_ask, .after = slice_of_cstr(after), .max = PAGE);
		struct buf frame = {0};
		bool ok = ipc_ask_once(q->socket, &ask, WITHIN_MS, &frame, &answer, why);

		if (ok && answer.type != IPC_TYPE_queue_list_answer) {
			fault_set(why, "5.5.0", "queued gave another answer than was asked for");
			ok = false;
		}
		if (ok) {
			*asked = true;
			ok = page_take(q, answer.queue_list_answer.entries, after, why);
			last = answer.queue_list_answer.last;
		}
		buf_fini(&frame);
		if (!ok)
			return false;
	}
	return held_print(q, why);
}

static void say_from_files(const struct fault *why)
{
	(void)fprintf(stderr, "tassis queue: queued does not answer (%s); this is what the spool's files say\n", why->text);
}

static void list_file(void *arg, const struct spool_summary *s, uint64_t next_attempt_us)
{
	struct queue *q = arg;
	struct ipc_queue_entry e;
	struct slice rest;
	bool broken = false;

	buf_reset(&q->held);
	if (!spool_summary_put_entry(s, next_attempt_us, &q->held))
		return;
	rest = buf_slice(&q->held);
	if (ipc_next_queue_entry(&rest, &e, &broken))
		entry_print(q, &e);
}

static bool list(struct queue *q, struct fault *why)
{
	bool asked = false, ok = list_pages(q, &asked, why);

	if (!ok && !asked && why->class == FAULT_TEMPORARY) {
		say_from_files(why);
		ok = queue_files_each(q->settings, SLICE_EMPTY, list_file, q, why);
	}
	if (ok && !q->json && q->n_shown == 0)
		(void)puts("The queue is empty.");
	else if (ok && !q->json)
		(void)printf("%zu %s.\n", q->n_shown, q->n_shown == 1 ? "message waits" : "messages wait");
	return ok;
}

/* ---- show ---- */

static const char *const state_words[] = {"waits", "delivered", "deferred", "failed"};

static const char *state_word(uint8_t state)
{
	return state < ARRAY_LENGTH(state_words) ? state_words[state] : "?";
}

static void recipient_show(struct queue *q, const struct ipc_queue_recipient *r)
{
	buf_append_cstr(&q->out, "to             ");
	put_path(&q->out, r->forward_path);
	buf_printf(&q->out, ": %s", state_word(r->state));
	if (r->n_attempts > 0) {
		buf_printf(&q->out, ", %u attempt%s, the last at ", r->n_attempts, r->n_attempts == 1 ? "" : "s");
		put_time(&q->out, r->last_attempt_us);
	}
	if (r->reply.n > 0) {
		buf_append_cstr(&q->out, "\n               ");
		if (r->host.n > 0) {
			put_clean(&q->out, r->host);
			buf_append_cstr(&q->out, " said: ");
		}
		put_clean(&q->out, r->reply);
	}
	buf_append_char(&q->out, '\n');
}

static void recipient_show_json(struct queue *q, const struct ipc_queue_recipient *r)
{
	buf_append_char(&q->out, '{');
	json_name(&q->out, "to");
	json_string(&q->out, r->forward_path);
	json_name(&q->out, "state");
	json_string(&q->out, slice_of_cstr(state_word(r->state)));
	json_name(&q->out, "attempts");
	json_number(&q->out, r->n_attempts);
	json_name(&q->out, "last_attempt");
	json_time(&q->out, r->last_attempt_us);
	json_name(&q->out, "status");
	json_string(&q->out, r->status);
	json_name(&q->out, "host");
	json_string(&q->out, r->host);
	json_name(&q->out, "reply");
	json_string(&q->out, r->reply);
	buf_append_char(&q->out, '}');
}

static void message_show(struct queue *q, struct slice id, const struct ipc_queue_show_answer *m)
{
	struct slice rest = m->recipients;
	struct ipc_queue_recipient r;
	bool broken = false;

	buf_append_cstr(&q->out, "id             ");
	put_clean(&q->out, id);
	buf_append_cstr(&q->out, "\nreceived       ");
	put_time(&q->out, m->received_us);
	buf_printf(&q->out, "\nsize           %" PRIu64 " octets\nstate          ", m->size_bytes);
	put_next(&q->out, m->next_attempt_us);
	buf_append_cstr(&q->out, "\nfrom           ");
	put_path(&q->out, m->reverse_path);
	buf_append_char(&q->out, '\n');
	while (ipc_next_queue_recipient(&rest, &r, &broken))
		recipient_show(q, &r);
}

static void message_show_json(struct queue *q, struct slice id, const struct ipc_queue_show_answer *m)
{
	struct slice rest = m->recipients;
	struct ipc_queue_recipient r;
	bool broken = false, first = true;

	buf_append_char(&q->out, '{');
	json_name(&q->out, "id");
	json_string(&q->out, id);
	json_name(&q->out, "received");
	json_time(&q->out, m->received_us);
	json_name(&q->out, "next_attempt");
	json_time(&q->out, m->next_attempt_us);
	json_name(&q->out, "size");
	json_number(&q->out, m->size_bytes);
	json_name(&q->out, "from");
	json_string(&q->out, m->reverse_path);
	json_name(&q->out, "recipients");
	for (buf_append_char(&q->out, '['); ipc_next_queue_recipient(&rest, &r, &broken); first = false) {
		if (!first)
			buf_append_char(&q->out, ',');
		recipient_show_json(q, &r);
	}
	buf_append_cstr(&q->out, "]}\n");
}

static void message_print(struct queue *q, struct slice id, const struct ipc_queue_show_answer *m)
{
	if (q->json)
		message_show_json(q, id, m);
	else
		message_show(q, id, m);
	out_write(q);
}

static void show_file(void *arg, const struct spool_summary *s, uint64_t next_attempt_us)
{
	struct queue *q = arg;
	struct ipc_queue_show_answer m = {.received_us = s->header.received_us,
					  .next_attempt_us = next_attempt_us,
					  .size_bytes = s->header.content_length,
					  .reverse_path = s->envelope.reverse_path};

	if (!spool_summary_put_recipients(s, &q->held))
		return;
	m.recipients = buf_slice(&q->held);
	message_print(q, slice_of_cstr(s->header.id), &m);
}

static bool show(struct queue *q, const char *id, struct fault *why)
{
	struct ipc_message answer, ask = IPC_MESSAGE(queue_show_ask, .id = slice_of_cstr(id));
	struct buf frame = {0};
	bool ok;

	if (!spool_id_is_valid(ask.queue_show_ask.id)) {
		fault_set(why, "5.3.0", "%s is no id of a message", id);
		return false;
	}
	ok = ipc_ask_once(q->socket, &ask, WITHIN_MS, &frame, &answer, why);
	if (ok && answer.type == IPC_TYPE_queue_show_answer)
		message_print(q, ask.queue_show_ask.id, &answer.queue_show_answer);
	else if (!ok && why->class == FAULT_TEMPORARY) {
		say_from_files(why);
		ok = queue_files_each(q->settings, ask.queue_show_ask.id, show_file, q, why);
	}
	buf_fini(&frame);
	return ok;
}

/* ---- flush ---- */

static bool flush(struct queue *q, const char *domain, struct fault *why)
{
	struct ipc_message answer, ask = IPC_MESSAGE(queue_flush_ask, .domain = slice_of_cstr(domain));
	struct buf frame = {0};
	/* Of one domain, every waiting message's file is looked at. */
	bool ok = ipc_ask_once(q->socket, &ask, domain[0] == '\0' ? WITHIN_MS : 600000, &frame, &answer, why);

	if (ok && answer.type == IPC_TYPE_done)
		(void)printf("%" PRIu64 " %s due now.\n", answer.done.number, answer.done.number == 1 ? "message is" : "messages are");
	buf_fini(&frame);
	return ok;
}

/* ---- the command line ---- */

static bool is_json(const char *arg)
{
	return strcmp(arg, "--json") == 0;
}

/* NULL: the command line is wrong. One operand at most, and --json where it means something. */
static bool arguments(struct queue *q, int argc, char **argv, const char **operand)
{
	*operand = "";
	for (int i = 2; i < argc; i++) {
		if (is_json(argv[i]) && strcmp(argv[1], "flush") != 0)
			q->json = true;
		else if (argv[i][0] == '-' || **operand != '\0')
			return false;
		else
			*operand = argv[i];
	}
	return true;
}

int command_queue(const struct admin *a, int argc, char **argv)
{
	struct queue q = {.settings = a->settings};
	struct fault why = {0};
	const char *operand;
	bool ok;

	if (argc < 2 || !arguments(&q, argc, argv, &operand))
		return admin_usage("queue");
	if (!layout_socket_path(a->settings, "control", "queued.0", q.socket, &why)) {
		(void)fprintf(stderr, "tassis queue: %s\n", why.text);
		return ADMIN_FAILED;
	}
	buf_init(&q.out, LINE_MAX_BYTES);
	buf_init(&q.held, LINE_MAX_BYTES);
	if (strcmp(argv[1], "list") == 0 && operand[0] == '\0')
		ok = list(&q, &why);
	else if (strcmp(argv[1], "show") == 0 && operand[0] != '\0')
		ok = show(&q, operand, &why);
	else if (strcmp(argv[1], "flush") == 0)
		ok = flush(&q, operand, &why);
	else
		return admin_usage("queue");
	buf_fini(&q.out);
	buf_fini(&q.held);
	if (!ok)
		(void)fprintf(stderr, "tassis queue: %s\n", why.text);
	if (fflush(stdout) != 0)
		return ADMIN_FAILED;
	return ok ? ADMIN_DONE : why.class == FAULT_TEMPORARY && strcmp(argv[1], "flush") == 0 ? ADMIN_NOT_RUNNING : ADMIN_FAILED;
}
