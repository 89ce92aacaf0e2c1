#include "queued/files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"

#define REMOVALS 64  /* files a job of the pool removes */
#define SYNC_MAX 32   /* files, and folders, a job of the pool syncs, one after the other: jobs side by side share the journal's commits */
#define SYNC_AFTER_MS 500 /* so that with the sync itself it is within the second that was promised */

/* ---- places ---- */

place place_in_queue(struct slice id)
{
	return (place)(unsigned char)spool_id_hash(id);
}

place place_of_worker(unsigned worker)
{
	return PLACE_INCOMING + worker;
}

bool place_is_queue(place p)
{
	return p > PLACE_MAILDROP && p < PLACE_INCOMING;
}

const char *place_path(place p, struct slice id, char out[PLACE_PATH_SIZE])
{
	const char *slash = id.n == 0 ? "" : "/";

	if (p >= PLACE_INCOMING)
		(void)snprintf(out, PLACE_PATH_SIZE, "incoming/%u%s%.*s", (unsigned)(p - PLACE_INCOMING), slash, SLICE_PRINTF(id));
	else if (p == PLACE_MAILDROP)
		(void)snprintf(out, PLACE_PATH_SIZE, "maildrop%s%.*s", slash, SLICE_PRINTF(id));
	else if (p == PLACE_NOTICES)
		(void)snprintf(out, PLACE_PATH_SIZE, "queue/notices%s%.*s", slash, SLICE_PRINTF(id));
	else
		(void)snprintf(out, PLACE_PATH_SIZE, "queue/%c%s%.*s", (char)p, slash, SLICE_PRINTF(id));
	return out;
}

int place_open(int spool, place *p, struct slice id, int flags)
{
	char path[PLACE_PATH_SIZE];
	int fd = openat(spool, place_path(*p, id, path), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd >= 0 || errno != ENOENT || place_is_queue(*p))
		return fd;
	fd = openat(spool, place_path(place_in_queue(id), id, path), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0)
		*p = place_in_queue(id);
	return fd;
}

bool place_move_to_queue(int spool, place from, struct slice id)
{
	char old[PLACE_PATH_SIZE], new[PLACE_PATH_SIZE], folder[PLACE_PATH_SIZE];
	place to = place_in_queue(id);

	place_path(from, id, old);
	place_path(to, id, new);
	if (renameat(spool, old, spool, new) == 0)
		return true;
	if (errno != ENOENT)
		return false;
	if (mkdirat(spool, place_path(to, SLICE_EMPTY, folder), 0700) != 0 && errno != EEXIST)
		return false;
	return renameat(spool, old, spool, new) == 0;
}

/* ---- the pool ---- */

bool files_is_idle(const struct files *f)
{
	return f->n_under_way == 0 && f->removals == NULL && f->syncs == NULL;
}

static void job_work(struct pool_job *job)
{
	struct file_job *j = (struct file_job *)job;

	j->work(j);
}

static void job_done(struct pool_job *job);

/* A full pool lets them in as its jobs end; the timer is for one that could not start even its first thread. */
static void waiting_submit(void *arg)
{
	struct files *f = arg;
	struct list *next;

	while ((next = list_first(&f->waiting)) != NULL) {
		struct file_job *j = LIST_ENTRY(next, struct file_job, node);

		list_remove(next);
		if (f->closing) {
			job_work(&j->job);
			job_done(&j->job);
		} else if (!pool_submit(f->pool, &j->job)) {
			list_prepend(&f->waiting, next);
			loop_timer_set(&f->again, 10);
			return;
		}
	}
}

static void job_done(struct pool_job *job)
{
	struct file_job *j = (struct file_job *)job;
	struct files *f = j->files;

	f->n_under_way--;
	j->done(j);
	waiting_submit(f);
	if (files_is_idle(f) && !f->closing)
		f->idle(f->idle_arg);
}

void files_close(struct files *f)
{
	f->closing = true;
	waiting_submit(f);
}

void files_submit(struct files *f, struct file_job *j, file_job_fn *work, file_job_fn *done)
{
	j->job.work = job_work;
	j->job.done = job_done;
	j->files = f;
	j->work = work;
	j->done = done;
	f->n_under_way++;
	list_append(&f->waiting, &j->node);
	waiting_submit(f);
}

/* ---- removing ---- */

struct file_removal {
	place place;
	char id[SPOOL_ID_LENGTH + 1];
	file_removed_fn *removed;
	void *arg;
	struct fault why;
	bool failed;
};

struct removal_batch {
	struct file_job j;
	int spool;
	size_t n;
	struct file_removal removals[REMOVALS];
};

static void removals_work(struct file_job *j)
{
	struct removal_batch *batch = (struct removal_batch *)j;
	char path[PLACE_PATH_SIZE];

	for (size_t i = 0; i < batch->n; i++) {
		struct file_removal *r = &batch->removals[i];
		struct slice id = slice_of_cstr(r->id);

		if (unlinkat(batch->spool, place_path(r->place, id, path), 0) == 0)
			continue;
		if (errno == ENOENT && !place_is_queue(r->place)) {
			r->place = place_in_queue(id);
			if (unlinkat(batch->spool, place_path(r->place, id, path), 0) == 0)
				continue;
		}
		if (errno != ENOENT) {
			fault_errno(&r->why, "4.3.0", "cannot remove %s", path);
			r->failed = true;
		}
	}
}

static void removals_done(struct file_job *j)
{
	struct removal_batch *batch = (struct removal_batch *)j;

	for (size_t i = 0; i < batch->n; i++) {
		struct file_removal *r = &batch->removals[i];

		if (!r->failed)
			files_sync_place(j->files, r->place);
		r->removed(r->arg, r->failed ? &r->why : NULL);
	}
	free(batch);
}

static void removals_submit(void *arg)
{
	struct files *f = arg;
	struct removal_batch *batch = f->removals;

	if (batch == NULL)
		return;
	f->removals = NULL;
	files_submit(f, &batch->j, removals_work, removals_done);
}

bool files_remove(struct files *f, place p, struct slice id, file_removed_fn *removed, void *arg)
{
	struct file_removal *r;
	struct fault why;

	if (f->removals == NULL) {
		if ((f->removals = memory_alloc(1, sizeof(*f->removals), &why)) == NULL)
			return false;
		f->removals->spool = f->spool;
		loop_task_schedule(&f->remove);
	}
	r = &f->removals->removals[f->removals->n++];
	r->place = p;
	if (!slice_cstr(id, r->id, sizeof(r->id), &why))
		assert(!"the id of a known message is not one");
	r->removed = removed;
	r->arg = arg;
	if (f->removals->n == REMOVALS)
		removals_submit(f);
	return true;
}

/* ---- syncing ---- */

struct sync_batch {
	struct file_job j;
	int spool;
	place places[SYNC_MAX];
	size_t n_places;
	int files[SYNC_MAX];
	size_t n_files;
	struct fault why;
	bool failed;
};

static void sync_one(struct sync_batch *batch, int fd, const char *name, bool folder)
{
	if ((folder ? fsync(fd) : fdatasync(fd)) != 0 && !batch->failed) {
		fault_errno(&batch->why, "4.3.0", "cannot sync %s", name);
		batch->failed = true;
	}
}

static void sync_work(struct file_job *j)
{
	struct sync_batch *batch = (struct sync_batch *)j;
	char path[PLACE_PATH_SIZE];

	for (size_t i = 0; i < batch->n_files; i++) {
		sync_one(batch, batch->files[i], "a spool file", false);
		fd_close(&batch->files[i]);
	}
	for (size_t i = 0; i < batch->n_places; i++) {
		/* A worker's folder that master removed meanwhile, being empty, has nothing to sync. */
		int fd = openat(batch->spool, place_path(batch->places[i], SLICE_EMPTY, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			continue;
		sync_one(batch, fd, path, true);
		fd_close(&fd);
	}
}

static void sync_done(struct file_job *j)
{
	struct sync_batch *batch = (struct sync_batch *)j;

	if (batch->failed)
		log_event(spool_failed, F_FAULT(&batch->why));
	free(batch);
}

void files_sync_now(struct files *f)
{
	struct sync_batch *batch = f->syncs;

	if (batch == NULL)
		return;
	f->syncs = NULL;
	loop_timer_cancel(&f->sync);
	files_submit(f, &batch->j, sync_work, sync_done);
}

static void sync_due(void *arg)
{
	files_sync_now(arg);
}

/* The batch being filled; without memory there is none, and what was to be synced is left to the kernel, which does it within seconds. */
static struct sync_batch *sync_batch(struct files *f)
{
	struct fault why;

	if (f->syncs == NULL && (f->syncs = memory_alloc(1, sizeof(*f->syncs), &why)) != NULL) {
		f->syncs->spool = f->spool;
		loop_timer_set(&f->sync, SYNC_AFTER_MS);
	}
	return f->syncs;
}

void files_sync_place(struct files *f, place p)
{
	struct sync_batch *batch = sync_batch(f);

	if (batch == NULL)
		return;
	for (size_t i = 0; i < batch->n_places; i++)
		if (batch->places[i] == p)
			return;
	batch->places[batch->n_places++] = p;
	if (batch->n_places == SYNC_MAX)
		files_sync_now(f);
}

void files_sync_file(struct files *f, int fd)
{
	struct sync_batch *batch = sync_batch(f);

	if (batch == NULL) {
		fd_close(&fd);
		return;
	}
	batch->files[batch->n_files++] = fd;
	if (batch->n_files == SYNC_MAX)
		files_sync_now(f);
}

/* ---- */

void files_init(struct files *f, struct loop *loop, struct pool *pool, int spool, void (*idle)(void *arg), void *arg)
{
	*f = (struct files){.loop = loop, .pool = pool, .spool = spool, .idle = idle, .idle_arg = arg};
	list_init(&f->waiting);
	loop_task_init(&f->remove, loop, removals_submit, f);
	loop_timer_init(&f->again, loop, waiting_submit, f);
	loop_timer_init(&f->sync, loop, sync_due, f);
}

void files_fini(struct files *f)
{
	loop_task_cancel(&f->remove);
	loop_timer_cancel(&f->again);
	loop_timer_cancel(&f->sync);
	if (f->syncs != NULL) {
		sync_work(&f->syncs->j);
		free(f->syncs);
		f->syncs = NULL;
	}
	free(f->removals);
	f->removals = NULL;
}
