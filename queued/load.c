#include "queued/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "queued/attempt.h"
#include "queued/corrupt.h"
#include "queued/due.h"
#include "queued/message.h"
#include "queued/queued.h"

struct load_job {
	struct file_job j;
	struct queued *queued;
	uint32_t entry;
	uint32_t line; /* the group whose line it has left */
	int spool;
	char id[SPOOL_ID_LENGTH + 1];
	place place;
	bool check; /* the content's CRC too */
	struct spool_header header;
	struct buf envelope, tail;
	uint64_t tail_end;
	bool failed, gone;
	struct fault why;
};

/* ---- in the pool ---- */

static bool load_read(struct load_job *job, int fd)
{
	return spool_header_read(fd, slice_of_cstr(job->id), &job->header, &job->why) &&
	       spool_envelope_read(fd, &job->header, &job->envelope, &job->why) &&
	       (!job->check || spool_content_check(fd, &job->header, &job->why)) &&
	       spool_tail_read(fd, &job->header, SPOOL_TAIL_MAX, &job->tail, &job->tail_end, &job->why);
}

static void load_work(struct file_job *j)
{
	struct load_job *job = (struct load_job *)j;
	int fd = place_open(job->spool, &job->place, slice_of_cstr(job->id), O_RDONLY);

	if (fd < 0) {
		job->gone = errno == ENOENT;
		job->failed = true;
		fault_errno(&job->why, "4.3.0", "cannot open message %s", job->id);
		return;
	}
	job->failed = !load_read(job, fd);
	fd_close(&fd);
}

/* ---- in the loop ---- */

static bool past_read(struct message *m, struct slice tail, struct fault *why)
{
	struct spool_recipient_state *states = arena_alloc(&m->arena, m->n_recipients * sizeof(*states), why);
	struct slice copy;

	if (states == NULL || !arena_copy(&m->arena, tail, &copy, why) ||
	    !spool_states_read(copy, &m->arena, states, m->n_recipients, why))
		return false;
	for (size_t i = 0; i < m->n_recipients; i++) {
		m->recipients[i].past = states[i];
		m->recipients[i].reported = states[i].reported;
		m->warned |= states[i].warned;
	}
	return true;
}

static bool load_begin_attempt(struct load_job *job, struct fault *why)
{
	struct queued *q = job->queued;
	struct message *m = message_create(q, slice_of_cstr(job->id), job->place, buf_slice(&job->envelope), why);

	if (m == NULL)
		return false;
	m->received_us = job->header.received_us;
	m->size_bytes = job->header.content_length;
	m->tail_end = job->tail_end;
	m->entry = job->entry;
	m->line = job->line;
	if (!past_read(m, buf_slice(&job->tail), why) || !queued_activate(q, m, why)) {
		message_destroy(m);
		return false;
	}
	m->returned = (schedule_flags(q->schedule, job->entry) & SCHEDULE_RETURNED) != 0;
	schedule_set_flags(q->schedule, job->entry, schedule_flags(q->schedule, job->entry) & SCHEDULE_HELD);
	attempt_begin(m);
	return true;
}

struct aside {
	struct queued *queued;
	uint32_t entry;
};

static void aside_done(void *arg)
{
	struct aside *a = arg;

	schedule_forget(a->queued->schedule, a->entry);
	free(a);
}

static void load_corrupt(struct load_job *job)
{
	struct fault full;
	struct aside *a = memory_alloc(1, sizeof(*a), &full);

	if (a == NULL) {
		schedule_wait(job->queued->schedule, job->entry, queued_now_s(job->queued) + 60);
		return;
	}
	*a = (struct aside){job->queued, job->entry};
	corrupt_set_aside(job->queued, slice_of_cstr(job->id), job->place, &job->why, aside_done, a);
}

static void load_failed(struct load_job *job)
{
	struct queued *q = job->queued;

	if (job->gone) {
		log_event(vanished, F_ID(slice_of_cstr(job->id)));
		schedule_forget(q->schedule, job->entry);
	} else if (job->why.class == FAULT_PERMANENT)
		load_corrupt(job);
	else {
		log_event(spool_failed, F_ID(slice_of_cstr(job->id)), F_FAULT(&job->why));
		schedule_wait(q->schedule, job->entry, queued_now_s(q) + (uint32_t)(q->settings->queue_retry_min / 1000) + 1);
	}
}

static void load_done(struct file_job *j)
{
	struct load_job *job = (struct load_job *)j;
	struct queued *q = job->queued;

	q->n_loading--;
	if (!job->failed)
		job->failed = !load_begin_attempt(job, &job->why);
	if (job->failed) {
		load_failed(job);
		due_returned(q, job->line);
	}
	buf_fini(&job->envelope);
	buf_fini(&job->tail);
	free(job);
	queued_set_timer(q);
}

void load_begin(struct queued *q, uint32_t n)
{
	struct fault why;
	struct load_job *job = memory_alloc(1, sizeof(*job), &why);

	if (job == NULL) {
		due_returned(q, schedule_group(q->schedule, n));
		schedule_wait(q->schedule, n, queued_now_s(q) + 1);
		return;
	}
	job->queued = q;
	job->entry = n;
	job->line = schedule_group(q->schedule, n);
	job->spool = q->spool;
	schedule_id(q->schedule, n, job->id);
	job->place = place_in_queue(slice_of_cstr(job->id));
	job->check = (schedule_flags(q->schedule, n) & SCHEDULE_UNCHECKED) != 0;
	buf_init(&job->envelope, SPOOL_ENVELOPE_MAX);
	buf_init(&job->tail, SPOOL_TAIL_MAX);
	q->n_loading++;
	files_submit(&q->files, &job->j, load_work, load_done);
}
