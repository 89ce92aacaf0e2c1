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
#include "common/spool/summary.h"
#include "queued/message.h"
#include "queued/queued.h"

/* One message on a page. */
struct listed {
	char id[SPOOL_ID_LENGTH + 1];
	place place;
	uint64_t next_attempt_us;
	bool matches; /* flush: it is of the domain */
};

struct control_job {
	struct file_job j;
	struct queued *queued;
	struct ipc_request *request;
	int spool;
	size_t n;
	bool last;
	struct buf records;
	/* flush */
	char domain[IPC_HOST_MAX + 1];
	uint64_t n_flushed;
	/* show */
	uint64_t received_us, size_bytes;
	struct buf reverse_path;
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
	buf_init(&job->records, IPC_LIST_MAX);
	buf_init(&job->reverse_path, IPC_PATH_MAX);
	return job;
}

static void job_destroy(struct control_job *job)
{
	buf_fini(&job->records);
	buf_fini(&job->reverse_path);
	free(job);
}

static void listed_set(struct queued *q, struct listed *l, uint32_t n)
{
	struct message *active;

	schedule_id(q->schedule, n, l->id);
	active = queued_find_active(q, slice_of_cstr(l->id));
	l->place = active != NULL ? active->place : place_in_queue(slice_of_cstr(l->id));
	l->next_attempt_us = (uint64_t)schedule_due_s(q->schedule, n) * 1000000;
	l->matches = false;
}

/* The next page, behind after. */
static void job_page(struct control_job *job, struct slice after, size_t max)
{
	struct queued *q = job->queued;
	uint32_t numbers[CONTROL_PAGE_MAX];

	job->n = schedule_list(q->schedule, after, numbers, max);
	job->last = job->n < max;
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

/* ---- list ---- */

static void list_work(struct file_job *j)
{
	struct control_job *job = (struct control_job *)j;

	for (size_t i = 0; i < job->n && !job->failed; i++) {
		struct spool_summary s;
		struct fault why;

		if (listed_read(job, &job->page[i], &s, &why) &&
		    !spool_summary_put_entry(&s, job->page[i].next_attempt_us, &job->records)) {
			fault_set(&job->why, "4.3.1", "the page has no room");
			job->failed = true;
		}
		spool_summary_fini(&s);
	}
}

/* A page whose messages have all gone meanwhile would look like the end; then the next one is read. */
static void list_done(struct file_job *j)
{
	struct control_job *job = (struct control_job *)j;

	if (!job->failed && !job->last && buf_length(&job->records) == 0) {
		char after[SPOOL_ID_LENGTH + 1];

		memcpy(after, job->page[job->n - 1].id, sizeof(after));
		job_page(job, slice_of_cstr(after), job->n);
		files_submit(&job->queued->files, &job->j, list_work, list_done);
		return;
	}
	if (job->failed)
		ipc_answer_fault(job->request, &job->why);
	else {
		struct ipc_message answer =
			IPC_MESSAGE(queue_list_answer, .entries = buf_slice(&job->records), .last = job->last);

		ipc_answer(job->request, &answer, -1);
	}
	job_destroy(job);
}

static bool after_is_sound(struct slice after)
{
	return after.n == 0 || spool_id_is_valid(after);
}

void control_list(struct queued *q, struct ipc_request *request, const struct ipc_message *m)
{
	const struct ipc_queue_list_ask *ask = &m->queue_list_ask;
	struct fault why;
	struct control_job *job;

	if (!after_is_sound(ask->after) || ask->max == 0) {
		fault_set(&why, "5.3.0", "that is no place in the queue");
		ipc_answer_fault(request, &why);
		return;
	}
	if ((job = job_create(q, request)) == NULL)
		return;
	job_page(job, ask->after, ask->max < CONTROL_PAGE_MAX ? ask->max : CONTROL_PAGE_MAX);
	files_submit(&q->files, &job->j, list_work, list_done);
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
							.recipients = buf_slice(&job->records));

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
	files_submit(&q->files, &job->j, show_work, show_done);
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

	for (size_t i = 0; i < job->n; i++) {
		struct spool_summary s;
		struct fault why;

		job->page[i].matches = job->page[i].next_attempt_us != 0 && listed_read(job, &job->page[i], &s, &why) &&
				       spool_summary_has_domain(&s, slice_of_cstr(job->domain));
		if (job->page[i].next_attempt_us != 0)
			spool_summary_fini(&s);
	}
}

static void flush_done(struct file_job *j)
{
	struct control_job *job = (struct control_job *)j;
	struct queued *q = job->queued;
	char after[SPOOL_ID_LENGTH + 1];

	for (size_t i = 0; i < job->n; i++) {
		uint32_t n = schedule_find(q->schedule, slice_of_cstr(job->page[i].id));

		if (!job->page[i].matches || n == SCHEDULE_NONE || !schedule_is_waiting(q->schedule, n))
			continue;
		schedule_wait(q->schedule, n, queued_now_s(q));
		job->n_flushed++;
	}
	queued_set_timer(q);
	if (job->last || q->stopping) {
		flush_answer(job);
		return;
	}
	memcpy(after, job->page[job->n - 1].id, sizeof(after));
	job_page(job, slice_of_cstr(after), CONTROL_PAGE_MAX);
	files_submit(&q->files, &job->j, flush_work, flush_done);
}

void control_flush(struct queued *q, struct ipc_request *request, const struct ipc_message *m)
{
	struct slice domain = m->queue_flush_ask.domain;
	struct control_job *job = job_create(q, request);
	struct fault why;

	if (job == NULL)
		return;
	if (domain.n == 0) {
		job->n_flushed = schedule_flush(q->schedule, queued_now_s(q));
		queued_set_timer(q);
		flush_answer(job);
	} else if (!slice_cstr(domain, job->domain, sizeof(job->domain), &why)) {
		ipc_answer_fault(request, &why);
		job_destroy(job);
	} else {
		job_page(job, SLICE_EMPTY, CONTROL_PAGE_MAX);
		files_submit(&q->files, &job->j, flush_work, flush_done);
	}
}

/* ---- status ---- */

void control_status(struct queued *q, struct ipc_request *request, const struct ipc_message *m)
{
	struct ipc_message answer = IPC_MESSAGE(control_answer, .text = SLICE_EMPTY);
	struct fault why;
	struct buf text;

	if (!slice_equal(m->control_ask.verb, SLICE("status"))) {
		fault_set(&why, "5.3.0", "queued does not know %.*s", SLICE_PRINTF(m->control_ask.verb));
		ipc_answer_fault(request, &why);
		return;
	}
	buf_init(&text, 4096);
	buf_printf(&text, "waiting %zu\nactive %zu\nlocal_deliveries %zu\nremote_deliveries %zu\n", schedule_n_waiting(q->schedule),
		   q->n_active + q->n_loading, q->dispatch.local.n_under_way, q->dispatch.remote.n_under_way);
	answer.control_answer.text = buf_slice(&text);
	ipc_answer(request, &answer, -1);
	buf_fini(&text);
}
