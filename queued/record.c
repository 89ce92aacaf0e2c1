#include "queued/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/mail/dsn.h"
#include "queued/attempt.h"
#include "queued/message.h"
#include "queued/queued.h"

/* Past this size of the tail, attempts are not recorded any more, only what is final: with 50,000 recipients that wait for days it would grow without end. */
#define TAIL_ATTEMPTS_MAX ((size_t)8 << 20)
#define AGAIN_MIN_MS 1000u
#define AGAIN_MAX_MS 60000u

struct record_job {
	struct file_job j;
	struct message *message;
	int spool;
	char id[SPOOL_ID_LENGTH + 1];
	place place;
	struct buf lines;
	uint64_t tail_end;
	bool move, end, written;
	uint32_t due_s;
	int fd; /* to be synced */
	bool failed, gone;
	struct fault why;
};

static enum spool_result_kind target_kind(const struct message *m, const struct target *t)
{
	if (t->state == TARGET_DELIVERED)
		return SPOOL_RESULT_DELIVERED;
	if (t->state == TARGET_FAILED)
		return SPOOL_RESULT_FAILED;
	if (m->envelope.reverse_path.n == 0 || (t->recipient->notify & DSN_FAILURE) == 0)
		return SPOOL_RESULT_DROPPED;
	return SPOOL_RESULT_BOUNCED;
}

static struct spool_result target_result(const struct target *t, enum spool_result_kind kind, struct slice forward_path)
{
	return (struct spool_result){.kind = kind,
				     .recipient = t->recipient->index,
				     .forward_path = forward_path,
				     .at_us = t->at_us,
				     .status = t->status,
				     .host = t->by,
				     .reply = t->reply};
}

void record_target(struct message *m, struct target *t)
{
	struct recipient *r = t->recipient;
	enum spool_result_kind kind = target_kind(m, t);
	bool is_whole = r->n_targets == 1;
	struct spool_result result = target_result(t, kind, is_whole ? SLICE_EMPTY : t->forward_path);

	if (t->recorded || r->done)
		return;
	t->recorded = true;
	(void)spool_result_encode(&result, &m->lines);
	if (!recipient_is_final(r))
		return;
	r->done = true;
	result = target_result(t, kind, SLICE_EMPTY);
	if (!is_whole)
		(void)spool_result_encode(&result, &m->lines);
}

void record_mark(struct message *m, const struct recipient *r, enum spool_result_kind kind)
{
	struct spool_result result = {.kind = kind, .recipient = r->index, .at_us = loop_wall_us(m->queued->loop)};

	(void)spool_result_encode(&result, &m->lines);
}

void record_deferred(struct message *m, const struct target *t)
{
	struct spool_result result = target_result(t, SPOOL_RESULT_DEFERRED, SLICE_EMPTY);

	if (m->tail_end + buf_length(&m->lines) < TAIL_ATTEMPTS_MAX + m->size_bytes)
		(void)spool_result_encode(&result, &m->lines);
}

bool record_is_idle(const struct message *m)
{
	return m->record == NULL && buf_length(&m->lines) == 0 && !m->record_move && !m->record_end;
}

/* ---- in the pool ---- */

/* The place where the next line goes, behind the last that is whole. */
static bool tail_find(struct record_job *job)
{
	struct spool_header header;
	struct buf tail;
	bool ok;

	if (job->tail_end != 0)
		return true;
	buf_init(&tail, SPOOL_TAIL_MAX);
	ok = spool_header_read(job->fd, slice_of_cstr(job->id), &header, &job->why) &&
	     spool_tail_read(job->fd, &header, SPOOL_TAIL_MAX, &tail, &job->tail_end, &job->why);
	buf_fini(&tail);
	return ok;
}

static bool record_write(struct record_job *job)
{
	struct slice lines = buf_slice(&job->lines);
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)job->due_s}};

	if ((job->fd = place_open(job->spool, &job->place, slice_of_cstr(job->id), O_RDWR)) < 0) {
		job->gone = errno == ENOENT;
		fault_errno(&job->why, "4.3.0", "cannot open message %s", job->id);
		return false;
	}
	if (lines.n > 0) {
		if (!tail_find(job) || !spool_tail_append(job->fd, slice_of_cstr(job->id), &job->tail_end, lines, &job->why))
			return false;
		job->written = true;
	}
	if (job->end && futimens(job->fd, times) != 0) {
		fault_errno(&job->why, "4.3.0", "cannot set the time of message %s", job->id);
		return false;
	}
	if (!job->move || place_is_queue(job->place))
		return true;
	if (!place_move_to_queue(job->spool, job->place, slice_of_cstr(job->id))) {
		fault_errno(&job->why, "4.3.0", "cannot move message %s to queue/", job->id);
		return false;
	}
	job->place = place_in_queue(slice_of_cstr(job->id));
	return true;
}

static void record_work(struct file_job *j)
{
	struct record_job *job = (struct record_job *)j;

	job->failed = !record_write(job);
	if (!job->written && !job->end)
		fd_close(&job->fd); /* nothing to be synced */
}

/* ---- in the loop ---- */

static void record_failed(struct message *m, const struct record_job *job)
{
	uint64_t pause_ms = AGAIN_MIN_MS;

	if (job->gone) {
		attempt_vanished(m);
		return;
	}
	if (job->why.class == FAULT_PERMANENT) {
		attempt_corrupt(m, &job->why);
		return;
	}
	log_event(spool_failed, F_ID(message_id(m)), F_FAULT(&job->why));
	for (unsigned i = 0; i < m->n_record_failures && pause_ms < AGAIN_MAX_MS; i++)
		pause_ms *= 2;
	m->n_record_failures++;
	loop_timer_set(&m->record_again, pause_ms < AGAIN_MAX_MS ? pause_ms : AGAIN_MAX_MS);
}

/* Lines that came meanwhile stand behind those that could not be written. */
static void record_put_back(struct message *m, struct record_job *job)
{
	if (!job->written) {
		(void)buf_append(&job->lines, buf_slice(&m->lines));
		buf_fini(&m->lines);
		m->lines = job->lines;
		job->lines = (struct buf){0};
	}
	m->record_move |= job->move;
	m->record_end |= job->end;
}

static void record_done(struct file_job *j)
{
	struct record_job *job = (struct record_job *)j;
	struct message *m = job->message;

	m->record = NULL;
	m->place = job->place;
	m->tail_end = job->tail_end;
	if (job->fd >= 0)
		files_sync_file(j->files, job->fd);
	if (job->move)
		files_sync_place(j->files, m->place);
	if (job->failed) {
		record_put_back(m, job);
		record_failed(m, job);
	} else {
		m->n_record_failures = 0;
		if (!record_is_idle(m))
			record_start(m);
		else
			attempt_recorded(m);
	}
	buf_fini(&job->lines);
	free(job);
}

void record_start(struct message *m)
{
	struct record_job *job;
	struct fault why;

	if (m->record != NULL || loop_timer_is_set(&m->record_again) || record_is_idle(m))
		return;
	if ((job = memory_alloc(1, sizeof(*job), &why)) == NULL) {
		loop_timer_set(&m->record_again, AGAIN_MIN_MS);
		return;
	}
	job->message = m;
	job->spool = m->queued->spool;
	memcpy(job->id, m->id, sizeof(job->id));
	job->place = m->place;
	job->tail_end = m->tail_end;
	job->move = m->record_move;
	job->end = m->record_end;
	job->due_s = m->next_due_s;
	job->fd = -1;
	job->lines = m->lines;
	buf_init(&m->lines, job->lines.max);
	m->record_move = m->record_end = false;
	m->record = job;
	files_submit(&m->queued->files, &job->j, record_work, record_done);
}

void record_retry(void *message)
{
	record_start(message_of(message));
}
