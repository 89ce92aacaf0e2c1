#include "queued/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/ipc/link.h"
#include "common/log/log.h"
#include "common/spool/filter.h"
#include "common/spool/summary.h"
#include "queued/message.h"
#include "queued/queued.h"
#include "queued/stats.h"

/* One message on a page. */
struct listed {
	char id[SPOOL_ID_LENGTH + 1];
	place place;
	uint64_t next_attempt_us;
	bool held;
	bool matches; /* flush: it is of the domain */
};

struct control_job {
	struct file_job j;
	struct list node; /* waiting for its turn */
	struct queued *queued;
	struct ipc_request *request;
	file_job_fn *work, *done;
	int spool;
	size_t n, at;      /* on the page; at is the next to be read */
	bool last;
	struct buf records;
	/* list, flush: the octets are the job's own */
	struct spool_filter filter;
	struct buf filter_octets;
	uint64_t n_flushed;
	/* show */
	uint64_t received_us, size_bytes;
	struct buf reverse_path, attempts;
	bool failed;
	struct fault why;
	struct listed page[CONTROL_PAGE_MAX];
};

static struct control_job *job_create(struct queued *q, struct ipc_request *request)
{
	struct fault why;
	struct control_job *job = memory_alloc(1, sizeof(*job), &why);

	if (job == NULL) {
		ipc_answer_fault(request, &why);
		return NULL;
	}
	job->queued = q;
	job->request = request;
	job->spool = q->spool;
	list_init(&job->node);
	buf_init(&job->records, IPC_LIST_MAX);
	buf_init(&job->filter_octets, (size_t)4 * IPC_PATH_MAX);
	buf_init(&job->reverse_path, IPC_PATH_MAX);
	buf_init(&job->attempts, 1u << 20);
	return job;
}

static void job_destroy(struct control_job *job)
{
	buf_fini(&job->records);
	buf_fini(&job->filter_octets);
	buf_fini(&job->reverse_path);
	buf_fini(&job->attempts);
	free(job);
}

/* ---- turns in the pool ---- */

void control_init(struct control *c)
{
	list_init(&c->waiting);
	list_init(&c->counting);
}

void control_fini(struct control *c)
{
	struct fault why;
	struct list *first;

	if (c->waiting.next == NULL)
		return;
	stats_fini(&c->counting);
	fault_set(&why, "4.3.2", "queued ends");
	while ((first = list_first(&c->waiting)) != NULL) {
		struct control_job *job = LIST_ENTRY(first, struct control_job, node);

		list_remove(first);
		ipc_answer_fault(job->request, &why);
		job_destroy(job);
	}
}

static void turn_work(struct file_job *j)
{
	struct control_job *job = (struct control_job *)j;

	job->work(j);
}

static void turns_give(struct control *c);

static void turn_done(struct file_job *j)
{
	struct control_job *job = (struct control_job *)j;
	struct control *c = &job->queued->control;

	c->n_reading--;
	job->done(j);
	turns_give(c);
}

static void turns_give(struct control *c)
{
	struct list *first;

	while (c->n_reading < CONTROL_READERS && (first = list_first(&c->waiting)) != NULL) {
		struct control_job *job = LIST_ENTRY(first, struct control_job, node);

		list_remove(first);
		c->n_reading++;
		files_submit(&job->queued->files, &job->j, turn_work, turn_done);
	}
}

static void job_submit(struct control_job *job, file_job_fn *work, file_job_fn *done)
{
	job->work = work;
	job->done = done;
	list_append(&job->queued->control.waiting, &job->node);
	turns_give(&job->queued->control);
}

/* ---- pages ---- */

/* One in a line is due when that moves: at the probe of a destination that fails, else as soon as its turn comes. 0: it is not waiting. */
static uint64_t next_attempt_us(const struct queued *q, uint32_t n)
{
	const struct destination *to = schedule_group_owner(q->schedule, schedule_group(q->schedule, n));
	uint32_t due_s = schedule_due_s(q->schedule, n);

	if (due_s == 0 && schedule_is_waiting(q->schedule, n))
		due_s = to != NULL && to->failing ? to->probe_s : queued_now_s(q);
	return (uint64_t)due_s * 1000000;
}

static void listed_set(struct queued *q, struct listed *l, uint32_t n)
{
	struct message *active;

	schedule_id(q->schedule, n, l->id);
	active = queued_find_active(q, slice_of_cstr(l->id));
	l->place = active != NULL ? active->place : place_in_queue(slice_of_cstr(l->id));
	l->next_attempt_us = next_attempt_us(q, n);
	l->held = (schedule_flags(q->schedule, n) & SCHEDULE_HELD) != 0;
	l->matches = false;
}

/* The next page, behind after. */
static void job_page(struct control_job *job, struct slice after, size_t max)
{
	struct queued *q = job->queued;
	uint32_t numbers[CONTROL_PAGE_MAX];

	job->n = schedule_list(q->schedule, after, numbers, max);
	job->last = job->n < max;
	job->at = 0;
	for (size_t i = 0; i < job->n; i++)
		listed_set(q, &job->page[i], numbers[i]);
}

static bool listed_read(struct control_job *job, struct listed *l, struct spool_summary *s, struct fault *why)
{
	struct slice id = slice_of_cstr(l->id);
	int fd = place_open(job->spool, &l->place, id, O_RDONLY);
	bool ok;

	*s = (struct spool_summary){0};
	if (fd < 0) {
		fault_errno(why, errno == ENOENT ? "5.3.0" : "4.3.0", "message %s", l->id);
		return false;
	}
	ok = spool_summary_read(fd, id, s, why);
	fd_close(&fd);
	return ok;
}

/* The end of the part of the page that one job of the pool reads. */
static size_t step_end(const struct control_job *job)
{
	return job->n - job->at < CONTROL_STEP ? job->n : job->at + CONTROL_STEP;
}

static bool filter_part(struct control_job *job, struct slice from, struct slice *to)
{
	size_t before = buf_length(&job->filter_octets);

	*to = slice_of(NULL, from.n);
	return before + from.n <= job->filter_octets.max && buf_append(&job->filter_octets, from);
}

/* What came with the ask is gone when the job is read. */
static bool filter_set(struct control_job *job, struct slice to, struct slice from, struct slice domain, uint64_t before_us)
{
	struct spool_filter *f = &job->filter;
	const char *p;

	if (!filter_part(job, to, &f->to) || !filter_part(job, from, &f->from) || !filter_part(job, domain, &f->domain)) {
		fault_set(&job->why, "4.3.1", "no memory for the patterns");
		return false;
	}
	p = buf_slice(&job->filter_octets).p;
	f->to.p = p;
	f->from.p = to.n == 0 ? p : p + to.n;
	f->domain.p = to.n + from.n == 0 ? p : p + to.n + from.n;
	f->before_us = before_us;
	return true;
}

/* ---- list ---- */

static void list_work(struct file_job *j)
{
	struct control_job *job = (struct control_job *)j;
	size_t end = step_end(job);

	for (; job->at < end && !job->failed; job->at++) {
		struct listed *l = &job->page[job->at];
		struct spool_summary s;
		struct fault why;

		if (!l->matches)
			continue;
		if (listed_read(job, l, &s, &why) && spool_filter_matches(&job->filter, &s) &&
		    !spool_summary_put_entry(&s, l->next_attempt_us, l->held, &job->records)) {
			fault_set(&job->why, "4.3.1", "the page has no room");
			job->failed = true;
		}
		spool_summary_fini(&s);
	}
}

static void list_done(struct file_job *j)
{
	struct control_job *job = (struct control_job *)j;

	if (!job->failed && job->at < job->n) {
		job_submit(job, list_work, list_done);
		return;
	}
	if (job->failed)
		ipc_answer_fault(job->request, &job->why);
	else {
		struct ipc_message answer =
			IPC_MESSAGE(queue_list_answer, .entries = buf_slice(&job->records), .last = job->last);

		if (job->n > 0)
			answer.queue_list_answer.next = slice_of_cstr(job->page[job->n - 1].id);
		ipc_answer(job->request, &answer, -1);
	}
	job_destroy(job);
}

static bool after_is_sound(struct slice after)
{
	return after.n == 0 || spool_id_is_valid(after);
}

/* What needs no file is looked at here. */
static void list_choose(struct control_job *job, enum queue_held held)
{
	for (size_t i = 0; i < job->n; i++) {
		struct listed *l = &job->page[i];

		l->matches = (held == QUEUE_HELD_OR_NOT || l->held == (held == QUEUE_HELD)) &&
			     spool_filter_may_match(&job->filter, slice_of_cstr(l->id));
	}
}

void control_list(struct queued *q, struct ipc_request *request, const struct ipc_message *m)
{
	const struct ipc_queue_list_ask *ask = &m->queue_list_ask;
	struct fault why;
	struct control_job *job;

	if (!after_is_sound(ask->after) || ask->max == 0 || ask->held > QUEUE_NOT_HELD) {
		fault_set(&why, "5.3.0", "that is no place in the queue");
		ipc_answer_fault(request, &why);
		return;
	}
	if ((job = job_create(q, request)) == NULL)
		return;
	if (!filter_set(job, ask->to, ask->from, ask->domain, ask->before_us)) {
		ipc_answer_fault(request, &job->why);
		job_destroy(job);
		return;
	}
	job_page(job, ask->after, ask->max < CONTROL_PAGE_MAX ? ask->max : CONTROL_PAGE_MAX);
	list_choose(job, (enum queue_held)ask->held);
	job_submit(job, list_work, list_done);
}

/* ---- show ---- */

static void show_work(struct file_job *j)
{
	struct control_job *job = (struct control_job *)j;
	struct spool_summary s;

	if (!listed_read(job, &job->page[0], &s, &job->why))
		job->failed = true;
	else if (!spool_summary_put_recipients(&s, &job->records) || !buf_append(&job->reverse_path, s.envelope.reverse_path)) {
		fault_set(&job->why, "4.3.1", "message %s has too many recipients to show", job->page[0].id);
		job->failed = true;
	} else {
		job->received_us = s.header.received_us;
		job->size_bytes = s.header.content_length;
		spool_summary_put_attempts(&s, &job->attempts);
	}
	spool_summary_fini(&s);
}

static void show_done(struct file_job *j)
{
	struct control_job *job = (struct control_job *)j;

	if (job->failed)
		ipc_answer_fault(job->request, &job->why);
	else {
		struct ipc_message answer = IPC_MESSAGE(queue_show_answer, .received_us = job->received_us,
							.next_attempt_us = job->page[0].next_attempt_us,
							.size_bytes = job->size_bytes,
							.reverse_path = buf_slice(&job->reverse_path),
							.recipients = buf_slice(&job->records),
							.held = job->page[0].held,
							.attempts = buf_slice(&job->attempts));

		ipc_answer(job->request, &answer, -1);
	}
	job_destroy(job);
}

void control_show(struct queued *q, struct ipc_request *request, const struct ipc_message *m)
{
	struct slice id = m->queue_show_ask.id;
	struct fault why;
	struct control_job *job;
	uint32_t n = spool_id_is_valid(id) ? schedule_find(q->schedule, id) : SCHEDULE_NONE;

	if (n == SCHEDULE_NONE) {
		fault_set(&why, "5.3.0", "there is no message %.*s", SLICE_PRINTF(id));
		ipc_answer_fault(request, &why);
		return;
	}
	if ((job = job_create(q, request)) == NULL)
		return;
	listed_set(q, &job->page[0], n);
	job_submit(job, show_work, show_done);
}

/* ---- flush ---- */

static void flush_answer(struct control_job *job)
{
	struct ipc_message answer = IPC_MESSAGE(done, .number = job->n_flushed);

	log_event(flushed, F_NUMBER(messages, job->n_flushed));
	ipc_answer(job->request, &answer, -1);
	job_destroy(job);
}

static void flush_work(struct file_job *j)
{
	struct control_job *job = (struct control_job *)j;
	size_t end = step_end(job);

	for (; job->at < end; job->at++) {
		struct listed *l = &job->page[job->at];
		struct spool_summary s;
		struct fault why;

		if (l->next_attempt_us == 0)
			continue;
		l->matches = listed_read(job, l, &s, &why) && spool_filter_matches(&job->filter, &s);
		spool_summary_fini(&s);
	}
}

static void flush_page(struct control_job *job)
{
	struct queued *q = job->queued;

	for (size_t i = 0; i < job->n; i++) {
		uint32_t n = schedule_find(q->schedule, slice_of_cstr(job->page[i].id));

		if (!job->page[i].matches || n == SCHEDULE_NONE || !schedule_is_waiting(q->schedule, n))
			continue;
		schedule_wait(q->schedule, n, queued_now_s(q));
		job->n_flushed++;
	}
	queued_set_timer(q);
}

static void flush_done(struct file_job *j)
{
	struct control_job *job = (struct control_job *)j;
	char after[SPOOL_ID_LENGTH + 1];

	if (job->at == job->n) {
		flush_page(job);
		if (job->last || job->queued->stopping) {
			flush_answer(job);
			return;
		}
		memcpy(after, job->page[job->n - 1].id, sizeof(after));
		job_page(job, slice_of_cstr(after), CONTROL_PAGE_MAX);
	}
	job_submit(job, flush_work, flush_done);
}

void control_flush(struct queued *q, struct ipc_request *request, const struct ipc_message *m)
{
	struct slice domain = m->queue_flush_ask.domain;
	struct control_job *job = job_create(q, request);

	if (job == NULL)
		return;
	if (domain.n == 0) {
		job->n_flushed = schedule_flush(q->schedule, queued_now_s(q));
		queued_set_timer(q);
		flush_answer(job);
	} else if (!filter_set(job, SLICE_EMPTY, SLICE_EMPTY, domain, 0)) {
		ipc_answer_fault(request, &job->why);
		job_destroy(job);
	} else {
		job_page(job, SLICE_EMPTY, CONTROL_PAGE_MAX);
		job_submit(job, flush_work, flush_done);
	}
}

/* ---- status ---- */

static void status(struct queued *q, struct ipc_request *request)
{
	struct ipc_message answer = IPC_MESSAGE(control_answer, .text = SLICE_EMPTY);
	struct buf text;

	buf_init(&text, 4096);
	buf_printf(&text, "waiting %zu\nactive %zu\nlocal_deliveries %zu\nremote_deliveries %zu\n", schedule_n_waiting(q->schedule),
		   q->n_active + q->n_loading, q->dispatch.local.n_under_way, q->dispatch.remote.n_under_way);
	answer.control_answer.text = buf_slice(&text);
	ipc_answer(request, &answer, -1);
	buf_fini(&text);
}

void control_verb(struct queued *q, struct ipc_request *request, const struct ipc_message *m)
{
	struct slice verb = m->control_ask.verb;
	struct fault why;

	if (slice_equal(verb, SLICE("status")))
		status(q, request);
	else if (slice_equal(verb, SLICE("adopted"))) {
		scan_adopted(&q->scan);
		ipc_answer(request, &IPC_MESSAGE(control_answer, .text = SLICE_EMPTY), -1);
	} else {
		fault_set(&why, "5.3.0", "queued does not know %.*s", SLICE_PRINTF(verb));
		ipc_answer_fault(request, &why);
	}
}
