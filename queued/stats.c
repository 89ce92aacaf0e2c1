#include "queued/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/ipc/link.h"
#include "queued/destination.h"
#include "queued/queued.h"
#include "queued/schedule.h"

#define GROUPS_MAX 65536u

/* Of one group of the schedule; 0: those bound to none. */
struct counted {
	uint64_t waiting, oldest_us;
};

struct stats_job {
	struct list node;
	struct queued *queued;
	struct ipc_request *request;
	struct loop_timer next;
	uint32_t max;
	char after[SPOOL_ID_LENGTH + 1];
	uint64_t held;
	struct counted groups[GROUPS_MAX];
};

struct row {
	const struct destination *to; /* NULL: not known */
	struct counted counted;
};

static void job_free(struct stats_job *job)
{
	list_remove(&job->node);
	loop_timer_cancel(&job->next);
	free(job);
}

static void count_one(struct stats_job *job, uint32_t n)
{
	const struct schedule *s = job->queued->schedule;
	uint32_t group = schedule_group(s, n);
	const struct destination *to = schedule_group_owner(s, group);
	struct counted *c = &job->groups[to == NULL || to->lane == NULL ? 0 : group % GROUPS_MAX];
	char id[SPOOL_ID_LENGTH + 1];
	uint64_t made_us;

	if ((schedule_flags(s, n) & SCHEDULE_HELD) != 0) {
		job->held++;
		return;
	}
	if (!schedule_is_waiting(s, n))
		return;
	schedule_id(s, n, id);
	made_us = spool_id_time_us(slice_of_cstr(id));
	c->waiting++;
	if (c->oldest_us == 0 || made_us < c->oldest_us)
		c->oldest_us = made_us;
}

/* ---- the answer ---- */

struct rows {
	const struct stats_job *job;
	struct row *p;
	size_t n, capacity;
};

static void row_add(struct rows *rows, const struct destination *to, struct counted counted)
{
	struct row *p;

	if (rows->n == rows->capacity) {
		size_t capacity = rows->capacity == 0 ? 64 : 2 * rows->capacity;

		if ((p = reallocarray(rows->p, capacity, sizeof(*p))) == NULL)
			return;
		rows->p = p;
		rows->capacity = capacity;
	}
	rows->p[rows->n++] = (struct row){to, counted};
}

static void row_of(struct table_node *node, void *arg)
{
	struct rows *rows = arg;
	const struct destination *to = LIST_ENTRY(node, struct destination, node);
	struct counted c = {0};

	if (to->group != 0)
		c = rows->job->groups[to->group % GROUPS_MAX];
	if (c.waiting > 0 || to->n_under_way > 0 || to->failing)
		row_add(rows, to, c);
}

static int row_compare(const void *a, const void *b)
{
	const struct row *l = a, *r = b;

	if (l->counted.waiting != r->counted.waiting)
		return l->counted.waiting > r->counted.waiting ? -1 : 1;
	return l->counted.oldest_us < r->counted.oldest_us ? -1 : l->counted.oldest_us > r->counted.oldest_us;
}

/* "mx.example.com", with ":PORT" where that is not the usual one (0, or 25); of destination.h's key. */
static struct slice name_of(const struct destination *to, char out[DESTINATION_KEY_SIZE])
{
	struct slice rest = slice_of_cstr(to->key), host, port;

	if (!slice_cut(&rest, ' ', &host) || !slice_cut(&rest, ' ', &port) || slice_equal(port, SLICE("25")) ||
	    slice_equal(port, SLICE("0")))
		return host;
	(void)snprintf(out, DESTINATION_KEY_SIZE, "%.*s:%.*s", SLICE_PRINTF(host), SLICE_PRINTF(port));
	return slice_of_cstr(out);
}

static bool row_put(const struct row *row, struct buf *out)
{
	struct ipc_queue_destination d = {.waiting = row->counted.waiting, .oldest_us = row->counted.oldest_us};
	const struct destination *to = row->to;
	char name[DESTINATION_KEY_SIZE];

	if (to != NULL) {
		d.name = slice_head(name_of(to, name), IPC_HOST_MAX);
		d.under_way = (uint32_t)to->n_under_way;
		d.failing = to->failing;
		d.next_us = to->failing ? (uint64_t)to->probe_s * 1000000 : 0;
		d.reply = slice_of_cstr(to->why.text);
		d.by = slice_of_cstr(to->by);
	}
	return ipc_put_queue_destination(out, &d);
}

static void answer(struct stats_job *job)
{
	struct queued *q = job->queued;
	struct rows rows = {.job = job};
	struct ipc_message m = IPC_MESSAGE(queue_stats_answer, .waiting = schedule_n_waiting(q->schedule), .held = job->held,
					   .active = q->n_active + q->n_loading);
	struct buf out;
	size_t n = 0;

	buf_init(&out, IPC_LIST_MAX);
	if (job->groups[0].waiting > 0)
		row_add(&rows, NULL, job->groups[0]);
	table_each(&q->dispatch.destinations.table, row_of, &rows);
	if (rows.n > 0)
		qsort(rows.p, rows.n, sizeof(*rows.p), row_compare);
	while (n < rows.n && n < job->max && row_put(&rows.p[n], &out))
		n++;
	m.queue_stats_answer.more = n < rows.n;
	m.queue_stats_answer.destinations = buf_slice(&out);
	ipc_answer(job->request, &m, -1);
	buf_fini(&out);
	free(rows.p);
	job_free(job);
}

static void count_page(void *arg)
{
	struct stats_job *job = arg;
	uint32_t numbers[STATS_PAGE];
	size_t n = schedule_list(job->queued->schedule, slice_of_cstr(job->after), numbers, STATS_PAGE);

	for (size_t i = 0; i < n; i++)
		count_one(job, numbers[i]);
	if (n < STATS_PAGE) {
		answer(job);
		return;
	}
	schedule_id(job->queued->schedule, numbers[n - 1], job->after);
	loop_timer_set(&job->next, 0);
}

void stats_ask(struct queued *q, struct ipc_request *request, const struct ipc_message *m)
{
	struct fault why;
	struct stats_job *job = memory_alloc(1, sizeof(*job), &why);

	if (job == NULL) {
		ipc_answer_fault(request, &why);
		return;
	}
	job->queued = q;
	job->request = request;
	job->max = m->queue_stats_ask.max;
	loop_timer_init(&job->next, q->loop, count_page, job);
	list_init(&job->node);
	list_append(&q->control.counting, &job->node);
	count_page(job);
}

void stats_fini(struct list *counting)
{
	struct fault why;
	struct list *first;

	fault_set(&why, "4.3.2", "queued ends");
	while ((first = list_first(counting)) != NULL) {
		struct stats_job *job = LIST_ENTRY(first, struct stats_job, node);

		ipc_answer_fault(job->request, &why);
		job_free(job);
	}
}
