#include "queued/maildrop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/mail/trace.h"
#include "common/spool/writer.h"
#include "queued/dropped.h"
#include "queued/intake.h"
#include "queued/queued.h"

/* More names wait for the next minute. */
#define NAMES_MAX 65536u
#define FRONT_BYTES 4096

typedef char drop_name[SPOOL_ID_LENGTH + 1];

struct maildrop_job {
	struct file_job j;
	struct maildrop *maildrop; /* NULL: disowned */
	bool in_pool;
	struct dropped_rules rules;
	drop_name *names;
	size_t n_names, capacity, next; /* names[next] comes next */
	struct dropped drop;		/* the one under way */
	struct spool_writer *writer;	/* its copy's, until it is committed */
	bool committing;
	struct dropped_lines lines; /* of what is copied */
	uint64_t copied_bytes, size_bytes;
	size_t chunk_bytes;
	char chunk[SPOOL_CHUNK_BYTES];
	bool failed;
	struct fault why;
};

static void next_drop(struct maildrop_job *job);

/* ---- the job ---- */

static void job_submit(struct maildrop_job *job, file_job_fn *work, file_job_fn *done)
{
	job->in_pool = true;
	files_submit(&job->maildrop->queued->files, &job->j, work, done);
}

static void job_free(struct maildrop_job *job)
{
	dropped_fini(&job->drop);
	free(job->names);
	free(job);
}

static void job_end(struct maildrop_job *job)
{
	struct queued *q = job->maildrop->queued;

	job->maildrop->job = NULL;
	job_free(job);
	if (q->stopping)
		loop_task_schedule(&q->check);
}

/* Back from the pool. False: nobody waits any more, and it is freed. */
static bool job_is_wanted(struct maildrop_job *job)
{
	job->in_pool = false;
	if (job->maildrop != NULL)
		return true;
	job_free(job);
	return false;
}

static struct slice drop_id(const struct maildrop_job *job)
{
	return slice_of_cstr(job->drop.id);
}

static void failed(struct maildrop_job *job, const struct fault *why)
{
	log_event(spool_failed, F_ID(drop_id(job)), F_FAULT(why));
	next_drop(job);
}

/* ---- taking in ---- */

/* Without memory for it the copy waits for the scan of queue/notices that the next start brings. */
static void take_in(struct maildrop_job *job)
{
	const struct dropped *d = &job->drop;
	struct queued *q = job->maildrop->queued;
	struct fault why = {0};

	files_sync_place(&q->files, PLACE_MAILDROP);
	log_event(picked_up, F_ID(drop_id(job)), F_NUMBER(uid, d->uid), F_TEXT(file, d->name),
		  F_SLICE(from, buf_slice(&d->from)), F_NUMBER(recipients, d->n_recipients),
		  F_NUMBER(size_bytes, job->size_bytes));
	if (!intake_take(q, PLACE_NOTICES, drop_id(job), buf_slice(&d->envelope), d->dropped_us,
			 job->size_bytes, NULL, &why))
		log_event(spool_failed, F_ID(drop_id(job)), F_FAULT(&why));
	next_drop(job);
}

static void copy_removed(void *arg, const struct fault *why)
{
	(void)arg;
	if (why != NULL)
		log_event(spool_failed, F_FAULT(why));
}

static void remove_work(struct file_job *j)
{
	struct maildrop_job *job = (struct maildrop_job *)j;
	char path[PLACE_PATH_SIZE];

	place_path(PLACE_MAILDROP, slice_of_cstr(job->drop.name), path);
	job->failed = unlinkat(job->rules.spool, path, 0) != 0 && errno != ENOENT;
	if (job->failed)
		fault_errno(&job->why, "4.3.0", "cannot remove %s", path);
}

/* What cannot be removed would be taken in each minute: rather it waits, and the log says so. */
static void copy_is_alone(struct file_job *j)
{
	struct maildrop_job *job = (struct maildrop_job *)j;

	if (!job_is_wanted(job))
		return;
	if (!job->failed) {
		take_in(job);
		return;
	}
	if (!files_remove(&job->maildrop->queued->files, PLACE_NOTICES, drop_id(job), copy_removed,
			  NULL))
		copy_removed(NULL, &job->why);
	failed(job, &job->why);
}

static void known_is_removed(struct file_job *j)
{
	struct maildrop_job *job = (struct maildrop_job *)j;

	if (!job_is_wanted(job))
		return;
	if (job->failed)
		failed(job, &job->why);
	else
		next_drop(job);
}

/* ---- copying ---- */

static void committed(void *arg, const struct fault *why)
{
	struct maildrop_job *job = arg;

	job->writer = NULL;
	job->committing = false;
	if (why != NULL)
		failed(job, why);
	else
		job_submit(job, remove_work, copy_is_alone);
}

static void give_up_copy(struct maildrop_job *job, const struct fault *why)
{
	spool_writer_abort(job->writer);
	job->writer = NULL;
	failed(job, why);
}

/* Who left it says the file's owner (invariants of dropped.h). */
static bool append_trace(const struct maildrop_job *job, struct buf *out)
{
	struct received r = {.by = job->maildrop->queued->settings->hostname,
			     .local = true,
			     .uid = job->drop.uid,
			     .id = drop_id(job),
			     .forward_path = buf_slice(&job->drop.to),
			     .at_us = loop_wall_us(job->maildrop->queued->loop)};

	return received_append(&r, out);
}

static void commit(struct maildrop_job *job)
{
	struct spool_writer *w = job->writer;
	struct fault why = {0};
	struct buf front;

	buf_init(&front, FRONT_BYTES);
	if (!dropped_lines_are_good(&job->lines)) {
		fault_set(&why, "4.3.0", "maildrop/%s was changed while it was read",
			  job->drop.name);
		give_up_copy(job, &why);
	} else if (!append_trace(job, &front)) {
		fault_set(&why, "4.3.1", "no memory for the trace fields");
		give_up_copy(job, &why);
	} else {
		job->size_bytes = spool_writer_length(w) + buf_length(&front);
		job->committing = true;
		spool_writer_commit(w, buf_slice(&front), 0, committed, job);
	}
	buf_fini(&front);
}

static void read_chunk(struct file_job *j)
{
	struct maildrop_job *job = (struct maildrop_job *)j;

	job->failed =
		!spool_content_read(job->drop.fd, &job->drop.header, job->copied_bytes, job->chunk,
				    sizeof(job->chunk), &job->chunk_bytes, &job->why);
}

static void have_chunk(struct file_job *j);

/* Also called by the writer, when it has room again. */
static void write_chunk(void *arg)
{
	struct maildrop_job *job = arg;

	if (!spool_writer_append(job->writer, slice_of(job->chunk, job->chunk_bytes)))
		return;
	dropped_lines_feed(&job->lines, slice_of(job->chunk, job->chunk_bytes));
	job->copied_bytes += job->chunk_bytes;
	if (job->chunk_bytes < sizeof(job->chunk))
		commit(job);
	else
		job_submit(job, read_chunk, have_chunk);
}

static void have_chunk(struct file_job *j)
{
	struct maildrop_job *job = (struct maildrop_job *)j;

	if (!job_is_wanted(job))
		return;
	if (job->failed)
		give_up_copy(job, &job->why);
	else
		write_chunk(job);
}

static void copy(struct maildrop_job *job)
{
	struct queued *q = job->maildrop->queued;
	struct spool_place where = {.pool = q->pool,
				    .folder = q->notices,
				    .sync_directory = q->settings->spool_sync_directory};
	struct fault why = {0};

	job->lines = (struct dropped_lines){0};
	job->copied_bytes = 0;
	if (!spool_writer_begin(&where, job->drop.id, job->drop.dropped_us,
				buf_slice(&job->drop.envelope), write_chunk, job, &job->writer,
				&why))
		failed(job, &why);
	else
		job_submit(job, read_chunk, have_chunk);
}

/* ---- one after the other ---- */

static void judge_work(struct file_job *j)
{
	struct maildrop_job *job = (struct maildrop_job *)j;

	dropped_judge(&job->drop, &job->rules);
}

static void judged(struct file_job *j)
{
	struct maildrop_job *job = (struct maildrop_job *)j;
	const struct dropped *d = &job->drop;

	if (!job_is_wanted(job))
		return;
	switch (d->fate) {
	case DROPPED_GOOD:
		if (schedule_find(job->maildrop->queued->schedule, drop_id(job)) == SCHEDULE_NONE)
			copy(job);
		else
			job_submit(job, remove_work, known_is_removed);
		return;
	case DROPPED_LEFT:
		break;
	case DROPPED_REMOVED:
		log_event(uncommitted_removed, F_ID(drop_id(job)), F_NUMBER(uid, d->uid),
			  F_TEXT(file, d->name));
		break;
	case DROPPED_BROKEN:
		log_event(corrupt, F_ID(drop_id(job)), F_NUMBER(uid, d->uid), F_FAULT(&d->why));
		break;
	case DROPPED_FAILED:
		log_event(spool_failed, F_ID(drop_id(job)), F_FAULT(&d->why));
		break;
	}
	next_drop(job);
}

static void next_drop(struct maildrop_job *job)
{
	dropped_fini(&job->drop);
	job->drop = (struct dropped){.fd = -1};
	if (job->next == job->n_names || job->maildrop->queued->stopping) {
		job_end(job);
		return;
	}
	memcpy(job->drop.name, job->names[job->next++], sizeof(job->drop.name));
	job->rules.now_us = loop_wall_us(job->maildrop->queued->loop);
	job_submit(job, judge_work, judged);
}

/* ---- the folder ---- */

static bool name_add(struct maildrop_job *job, struct slice name)
{
	if (job->n_names == job->capacity) {
		size_t more = job->capacity == 0 ? 64 : 2 * job->capacity;
		drop_name *grown = reallocarray(job->names, more, sizeof(*grown));

		if (grown == NULL)
			return false;
		job->names = grown;
		job->capacity = more;
	}
	return slice_cstr(name, job->names[job->n_names++], sizeof(drop_name), NULL);
}

/* What has a name that no program of ours gives is nobody's mail; old, it goes (as far as we may).
 */
static void list_work(struct file_job *j)
{
	struct maildrop_job *job = (struct maildrop_job *)j;
	int fd = openat(job->rules.spool, "maildrop",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool room = true;

	if (dir == NULL) {
		job->failed = errno != ENOENT;
		fault_errno(&job->why, "4.3.0", "cannot read the folder maildrop");
		fd_close(&fd);
		return;
	}
	while (room && job->n_names < NAMES_MAX && (entry = readdir(dir)) != NULL) {
		struct slice name = slice_of_cstr(entry->d_name);

		if (spool_id_is_valid(name))
			room = name_add(job, name);
		else if (name.p[0] != '.')
			dropped_stray(dirfd(dir), entry->d_name, &job->rules);
	}
	(void)closedir(dir);
}

static void listed(struct file_job *j)
{
	struct maildrop_job *job = (struct maildrop_job *)j;

	if (!job_is_wanted(job))
		return;
	if (job->failed)
		log_event(spool_failed, F_FAULT(&job->why));
	next_drop(job);
}

/* ---- */

void maildrop_init(struct maildrop *m, struct queued *q)
{
	*m = (struct maildrop){.queued = q};
}

bool maildrop_is_idle(const struct maildrop *m)
{
	return m->job == NULL;
}

void maildrop_scan(struct maildrop *m)
{
	const struct settings *s = m->queued->settings;
	struct maildrop_job *job;
	struct fault why = {0};

	if (m->job != NULL || m->queued->stopping)
		return;
	if ((job = memory_alloc(1, sizeof(*job), &why)) == NULL) {
		log_event(spool_failed, F_FAULT(&why));
		return;
	}
	m->job = job;
	job->maildrop = m;
	job->drop.fd = -1;
	job->rules = (struct dropped_rules){.spool = m->queued->spool,
					    .size_max = s->message_size_max,
					    .recipients_max = s->smtp_max_recipients,
					    .received_max = s->received_max,
					    .now_us = loop_wall_us(m->queued->loop)};
	if (!slice_cstr(s->hostname, job->rules.hostname, sizeof(job->rules.hostname), NULL))
		job->rules.hostname[0] = '\0';
	job_submit(job, list_work, listed);
}

void maildrop_disown(struct maildrop *m)
{
	struct maildrop_job *job = m->job;

	m->job = NULL;
	if (job == NULL)
		return;
	job->maildrop = NULL;
	if (job->committing)
		spool_writer_disown(job->writer);
	else
		spool_writer_abort(job->writer);
	job->writer = NULL;
	if (!job->in_pool)
		job_free(job);
}
