/* `tassis queue list`: page by page, so that a million messages begin to show at once. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/json.h"
#include "admin/queue.h"
#include "admin/queue_files.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/spool/summary.h"

/* So many messages are shown the oldest first, if they are there so soon; more come as queued has them. */
#define SORTED_MAX 10000u
#define SORTED_WITHIN_MS 500u

struct list_state {
	struct queue *q;
	struct buf kept; /* entry records to be sorted */
	size_t n_kept, n_shown;
	bool streams; /* no longer sorted */
	uint64_t began_ms;
};

static void entry_show(struct buf *out, const struct ipc_queue_entry *e)
{
	queue_put_clean(out, e->id);
	buf_printf(out, "  %10" PRIu64 "  ", e->size_bytes);
	queue_put_time(out, e->received_us);
	buf_append_cstr(out, "  ");
	queue_put_next(out, e->next_attempt_us, e->held);
	buf_append_cstr(out, "\n    ");
	queue_put_path(out, e->reverse_path);
	buf_append_cstr(out, " to ");
	queue_put_path(out, e->first_recipient);
	if (e->n_recipients > 1)
		buf_printf(out, " and %u more", e->n_recipients - 1);
	if (e->reason.n > 0) {
		buf_append_cstr(out, "\n    ");
		queue_put_clean(out, e->reason);
	}
	buf_append_char(out, '\n');
}

static void entry_show_json(struct buf *out, const struct ipc_queue_entry *e)
{
	buf_append_char(out, '{');
	json_name(out, "id");
	json_string(out, e->id);
	json_name(out, "received");
	json_time(out, e->received_us);
	json_name(out, "next_attempt");
	json_time(out, e->next_attempt_us);
	json_name(out, "held");
	buf_append_cstr(out, e->held ? "true" : "false");
	json_name(out, "size");
	json_number(out, e->size_bytes);
	json_name(out, "from");
	json_string(out, e->reverse_path);
	json_name(out, "recipients");
	json_number(out, e->n_recipients);
	json_name(out, "first_recipient");
	json_string(out, e->first_recipient);
	json_name(out, "reason");
	json_string(out, e->reason);
	buf_append_cstr(out, "}\n");
}

static void entry_print(struct list_state *l, const struct ipc_queue_entry *e)
{
	if (l->q->json)
		entry_show_json(&l->q->out, e);
	else
		entry_show(&l->q->out, e);
	l->n_shown++;
	queue_write(l->q);
}

static int entry_compare(const void *a, const void *b)
{
	return slice_compare(((const struct ipc_queue_entry *)a)->id, ((const struct ipc_queue_entry *)b)->id);
}

/* Prints what was kept, the oldest first. */
static bool kept_print(struct list_state *l, struct fault *why)
{
	struct ipc_queue_entry *entries = memory_alloc(l->n_kept + 1, sizeof(*entries), why);
	struct slice rest = buf_slice(&l->kept);
	bool broken = false;
	size_t n = 0;

	if (entries == NULL)
		return false;
	while (n < l->n_kept && ipc_next_queue_entry(&rest, &entries[n], &broken))
		n++;
	qsort(entries, n, sizeof(*entries), entry_compare);
	for (size_t i = 0; i < n; i++)
		entry_print(l, &entries[i]);
	free(entries);
	buf_reset(&l->kept);
	l->n_kept = 0;
	return true;
}

static bool page_take(void *arg, struct slice entries, struct fault *why)
{
	struct list_state *l = arg;
	struct ipc_queue_entry e;
	bool broken = false;

	while (ipc_next_queue_entry(&entries, &e, &broken)) {
		if (l->streams)
			entry_print(l, &e);
		else if (!ipc_put_queue_entry(&l->kept, &e)) {
			fault_set(why, "4.3.1", "out of memory");
			return false;
		} else
			l->n_kept++;
	}
	if (broken) {
		fault_set(why, "5.5.0", "queued sent a list that is broken");
		return false;
	}
	if (!l->streams && (l->n_kept >= SORTED_MAX || clock_monotonic_ms() - l->began_ms >= SORTED_WITHIN_MS)) {
		l->streams = true;
		if (!kept_print(l, why))
			return false;
	}
	if (l->streams)
		(void)fflush(stdout);
	return true;
}

static void file_take(void *arg, struct spool_summary *s, uint64_t next_attempt_us, bool held)
{
	struct list_state *l = arg;
	struct ipc_queue_entry e;
	struct slice rest;
	bool broken = false;

	buf_reset(&l->kept);
	if ((l->q->held == QUEUE_HELD && !held) || !spool_filter_matches(&l->q->filter, s) ||
	    !spool_summary_put_entry(s, next_attempt_us, held, &l->kept))
		return;
	rest = buf_slice(&l->kept);
	if (ipc_next_queue_entry(&rest, &e, &broken))
		entry_print(l, &e);
}

bool queue_list(struct queue *q, struct fault *why)
{
	struct list_state l = {.q = q, .began_ms = clock_monotonic_ms()};
	bool asked = false, ok;

	buf_init(&l.kept, QUEUE_LINE_MAX);
	ok = queue_pages(q, page_take, &l, &asked, why) && kept_print(&l, why);
	if (!ok && !asked && why->class == FAULT_TEMPORARY) {
		queue_say_from_files(why);
		ok = queue_files_each(q->settings, SLICE_EMPTY, file_take, &l, why);
	}
	buf_fini(&l.kept);
	if (ok && !q->json && l.n_shown > 0)
		(void)printf("%zu %s.\n", l.n_shown, l.n_shown == 1 ? "message waits" : "messages wait");
	else if (ok && !q->json)
		(void)puts(q->args.argc > 1 ? "No message is like that." : "The queue is empty.");
	return ok;
}
