#include "queued/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/log/log.h"
#include "common/spool/file.h"
#include "queued/files.h"
#include "queued/found.h"
#include "queued/queued.h"

/* A process that ends closes its connection and its folder at about the same time, in no order of ours. */
#define LOST_AFTER_MS 100u
#define LOST_TRIES 5u

/* A folder: listed in the pool, compared with what is known in the loop; of incoming/ what is not known goes to the pool once more. */
struct scan_job {
	struct file_job j;
	struct queued *queued;
	int spool;
	place place;
	unsigned tries;  /* left, while the folder is locked */
	uint32_t now_s;
	bool first;
	bool adopted;    /* of queue/: what is not known came from another host's spool */
	bool check;      /* contents too */
	int folder;      /* open, and locked when its worker is dead */
	bool is_dead;
	bool is_empty;
	struct found *found;
	size_t n, capacity;
	struct ipc_request *request; /* of the smtpd that asked for this one file */
	bool failed;
	struct fault why;
};

/* The folders themselves. */
struct folders_job {
	struct file_job j;
	struct queued *queued;
	int spool;
	bool first;   /* those of queue/ too */
	bool adopted; /* those of queue/ alone */
	place *places;
	size_t n, capacity;
	bool failed;
	struct fault why;
};

struct lost_worker {
	struct list node;
	unsigned worker;
	unsigned tries;
};

static void scan_folder(struct queued *q, place p, unsigned tries, bool first);

/* ---- in the pool: reading folders ---- */

static DIR *folder_open(int spool, const char *path, struct fault *why)
{
	int fd = openat(spool, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		int e = errno;

		fault_errno(why, "4.3.0", "cannot read folder %s", path);
		fd_close(&fd);
		errno = e;
	}
	return dir;
}

/* A row that grows; the caller's element size. NULL: no memory, and the row is as before. */
static void *row_grow(void *row, size_t n, size_t *capacity, size_t size, struct fault *why)
{
	size_t more = *capacity == 0 ? 64 : 2 * *capacity;
	void *grown;

	if (n < *capacity)
		return row;
	if ((grown = reallocarray(row, more, size)) == NULL)
		fault_set(why, "4.3.1", "no memory for the names of a folder");
	else
		*capacity = more;
	return grown;
}

static bool found_add(struct scan_job *job, struct slice id, const struct stat *st)
{
	struct found *row = row_grow(job->found, job->n, &job->capacity, sizeof(*row), &job->why);
	struct found *f;

	if (row == NULL)
		return false;
	job->found = row;
	f = &row[job->n++];
	*f = (struct found){.due_s = st->st_mtime < 0 ? 0 : (uint32_t)(st->st_mtime < UINT32_MAX ? st->st_mtime : UINT32_MAX)};
	f->held = (st->st_mode & SPOOL_HELD_MODE) != 0;
	return slice_cstr(id, f->id, sizeof(f->id), &job->why);
}

static bool folder_list(struct scan_job *job, DIR *dir)
{
	struct dirent *entry;
	struct stat st;

	while ((errno = 0, entry = readdir(dir)) != NULL) {
		struct slice id = slice_of_cstr(entry->d_name);

		if (!spool_id_is_valid(id) || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
			continue;
		if (!found_add(job, id, &st))
			return false;
	}
	if (errno != 0)
		fault_errno(&job->why, "4.3.0", "cannot read a folder of the spool");
	return errno == 0;
}

/* The notices' folder is our own: what stands there at start is a dead queued's, later ours. */
static bool worker_is_dead(const struct scan_job *job)
{
	if (job->place == PLACE_NOTICES)
		return job->first;
	return place_is_queue(job->place) || flock(job->folder, LOCK_EX | LOCK_NB) == 0;
}

/* Not older than a minute; a time in the future is a wrong clock, not youth. */
static bool is_fresh(const struct scan_job *job, const struct found *f)
{
	return f->due_s <= (uint64_t)job->now_s + SCAN_AGE_S && (uint64_t)f->due_s + SCAN_AGE_S > job->now_s;
}

static void forget_fresh(struct scan_job *job)
{
	size_t n = 0;

	for (size_t i = 0; i < job->n; i++)
		if (!is_fresh(job, &job->found[i]))
			job->found[n++] = job->found[i];
	job->n = n;
}

/* An empty folder is not locked: it may be one that master is just making. */
static void scan_list(struct file_job *j)
{
	struct scan_job *job = (struct scan_job *)j;
	char path[PLACE_PATH_SIZE];
	DIR *dir = folder_open(job->spool, place_path(job->place, SLICE_EMPTY, path), &job->why);

	if (dir == NULL) {
		job->failed = errno != ENOENT; /* master removes a folder that is empty */
		return;
	}
	job->failed = !folder_list(job, dir);
	job->folder = fcntl(dirfd(dir), F_DUPFD_CLOEXEC, 0); /* the lock lives as long as this */
	job->is_empty = job->n == 0;
	job->is_dead = job->n > 0 && job->folder >= 0 && worker_is_dead(job);
	if (!job->is_dead)
		forget_fresh(job);
	(void)closedir(dir);
}

/* ---- in the pool: what is not known ---- */

static void scan_take(struct file_job *j)
{
	struct scan_job *job = (struct scan_job *)j;

	for (size_t i = 0; i < job->n; i++)
		found_take(&job->found[i], job->spool, job->place, job->is_dead, job->check);
}

/* ---- in the loop ---- */

static void job_end(struct scan_job *job)
{
	struct scan *s = &job->queued->scan;

	if (job->failed)
		log_event(spool_failed, F_FAULT(&job->why));
	if (job->request != NULL)
		ipc_answer(job->request, &IPC_MESSAGE(done, .number = job->n), -1);
	fd_close(&job->folder);
	for (size_t i = 0; i < job->n; i++)
		free(job->found[i].why);
	free(job->found);
	free(job);
	if (--s->n_under_way == 0 && s->first) {
		s->first = false;
		log_event(scanned, F_NUMBER(messages, schedule_n_known(s->queued->schedule)));
		maildrop_scan(&s->queued->maildrop);
	}
	queued_set_timer(s->queued);
}

static void entry_add(struct scan_job *job, const struct found *f, uint32_t due_s)
{
	struct queued *q = job->queued;
	struct slice id = slice_of_cstr(f->id);
	unsigned flags = (q->unclean || job->adopted) && place_is_queue(job->place) ? SCHEDULE_UNCHECKED : 0;
	struct fault why;
	uint32_t n;

	if (schedule_find(q->schedule, id) != SCHEDULE_NONE)
		return;
	if (schedule_add(q->schedule, id, flags | (f->held ? SCHEDULE_HELD : 0u), &n, &why))
		schedule_wait(q->schedule, n, due_s);
	else
		log_event(spool_failed, F_ID(id), F_FAULT(&why));
}

static void found_tell(struct scan_job *job, const struct found *f)
{
	struct slice id = slice_of_cstr(f->id);
	struct fault none = {0};

	switch (f->fate) {
	case FOUND_LEFT:
		break;
	case FOUND_TAKEN:
		log_event(found, F_ID(id));
		files_sync_place(&job->queued->files, place_in_queue(id));
		entry_add(job, f, queued_now_s(job->queued));
		break;
	case FOUND_REMOVED:
		log_event(uncommitted_removed, F_ID(id));
		break;
	case FOUND_CORRUPT:
		log_event(corrupt, F_ID(id), F_FAULT(f->why == NULL ? &none : f->why));
		break;
	case FOUND_FAILED:
		log_event(spool_failed, F_ID(id), F_FAULT(f->why == NULL ? &none : f->why));
		break;
	}
}

static void scan_taken(struct file_job *j)
{
	struct scan_job *job = (struct scan_job *)j;

	for (size_t i = 0; i < job->n; i++)
		found_tell(job, &job->found[i]);
	job_end(job);
}

static void forget_known(struct scan_job *job)
{
	size_t n = 0;

	for (size_t i = 0; i < job->n; i++)
		if (schedule_find(job->queued->schedule, slice_of_cstr(job->found[i].id)) == SCHEDULE_NONE)
			job->found[n++] = job->found[i];
	job->n = n;
}

static void lost_again(struct scan_job *job)
{
	struct scan *s = &job->queued->scan;
	struct fault why;
	struct lost_worker *lost;

	if (job->is_dead || job->is_empty || job->tries <= 1 || job->failed || job->queued->stopping ||
	    (lost = memory_alloc(1, sizeof(*lost), &why)) == NULL)
		return;
	lost->worker = job->place - PLACE_INCOMING;
	lost->tries = job->tries - 1;
	list_append(&s->lost, &lost->node);
	loop_timer_set(&s->lost_soon, LOST_AFTER_MS * (LOST_TRIES - job->tries + 2));
}

/* In the pool. One that is not known now, and was listed before, may have been delivered and removed in between. */
static void adopted_look(struct file_job *j)
{
	struct scan_job *job = (struct scan_job *)j;
	char path[PLACE_PATH_SIZE];
	struct stat st;
	size_t n = 0;

	for (size_t i = 0; i < job->n; i++)
		if (fstatat(job->spool, place_path(job->place, slice_of_cstr(job->found[i].id), path), &st, AT_SYMLINK_NOFOLLOW) == 0)
			job->found[n++] = job->found[i];
	job->n = n;
}

static void adopted_done(struct file_job *j)
{
	struct scan_job *job = (struct scan_job *)j;

	for (size_t i = 0; i < job->n; i++)
		entry_add(job, &job->found[i], job->found[i].due_s);
	if (job->n > 0)
		log_event(adopted, F_NUMBER(messages, job->n));
	job_end(job);
}

static void scan_listed(struct file_job *j)
{
	struct scan_job *job = (struct scan_job *)j;

	if (job->adopted) {
		forget_known(job);
		files_submit(&job->queued->files, &job->j, adopted_look, adopted_done);
		return;
	}
	if (place_is_queue(job->place)) {
		for (size_t i = 0; i < job->n; i++)
			entry_add(job, &job->found[i], job->found[i].due_s);
		job_end(job);
		return;
	}
	forget_known(job);
	lost_again(job);
	if (job->n == 0)
		job_end(job);
	else
		files_submit(&job->queued->files, &job->j, scan_take, scan_taken);
}

static struct scan_job *job_create(struct queued *q, place p, struct fault *why)
{
	struct scan_job *job = memory_alloc(1, sizeof(*job), why);

	if (job == NULL)
		return NULL;
	job->queued = q;
	job->spool = q->spool;
	job->place = p;
	job->now_s = queued_now_s(q);
	job->folder = -1;
	q->scan.n_under_way++;
	return job;
}

static void scan_adopted_folder(struct queued *q, place p)
{
	struct fault why;
	struct scan_job *job = job_create(q, p, &why);

	if (job == NULL) {
		log_event(spool_failed, F_FAULT(&why));
		return;
	}
	job->adopted = true;
	files_submit(&q->files, &job->j, scan_list, scan_listed);
}

static void scan_folder(struct queued *q, place p, unsigned tries, bool first)
{
	struct fault why;
	struct scan_job *job = job_create(q, p, &why);

	if (job == NULL) {
		log_event(spool_failed, F_FAULT(&why));
		return;
	}
	job->tries = tries;
	job->first = first;
	job->check = q->unclean && first;
	files_submit(&q->files, &job->j, scan_list, scan_listed);
}

void scan_one(struct scan *s, unsigned worker, struct slice id, struct ipc_request *request)
{
	const struct stat unknown = {0};
	struct fault why;
	struct scan_job *job = job_create(s->queued, place_of_worker(worker), &why);

	if (job == NULL) {
		ipc_answer_fault(request, &why);
		return;
	}
	job->request = request;
	if (found_add(job, id, &unknown))
		files_submit(&s->queued->files, &job->j, scan_take, scan_taken);
	else {
		job->failed = true;
		job_end(job);
	}
}

/* ---- which folders ---- */

static bool place_add(struct folders_job *job, place p)
{
	place *row = row_grow(job->places, job->n, &job->capacity, sizeof(*row), &job->why);

	if (row == NULL)
		return false;
	job->places = row;
	row[job->n++] = p;
	return true;
}

static bool names_list(struct folders_job *job, const char *path, bool (*name_place)(struct slice name, place *p))
{
	DIR *dir = folder_open(job->spool, path, &job->why);
	struct dirent *entry;
	bool ok = true;
	place p;

	if (dir == NULL)
		return false;
	while (ok && (entry = readdir(dir)) != NULL)
		if (name_place(slice_of_cstr(entry->d_name), &p))
			ok = place_add(job, p);
	(void)closedir(dir);
	return ok;
}

static bool worker_place(struct slice name, place *p)
{
	uint64_t worker;

	if (!number_u64(name, UINT16_MAX, &worker))
		return false;
	*p = place_of_worker((unsigned)worker);
	return true;
}

static bool queue_place(struct slice name, place *p)
{
	if (name.n != 1 || name.p[0] == '.')
		return false;
	*p = (place)(unsigned char)name.p[0];
	return place_is_queue(*p);
}

static void folders_work(struct file_job *j)
{
	struct folders_job *job = (struct folders_job *)j;

	if (job->adopted) {
		job->failed = !names_list(job, "queue", queue_place);
		return;
	}
	job->failed = !names_list(job, "incoming", worker_place) || !place_add(job, PLACE_NOTICES) ||
		      (job->first && !names_list(job, "queue", queue_place));
}

static void folders_done(struct file_job *j)
{
	struct folders_job *job = (struct folders_job *)j;
	struct queued *q = job->queued;

	if (job->failed)
		log_event(spool_failed, F_FAULT(&job->why));
	for (size_t i = 0; i < job->n; i++) {
		if (job->adopted)
			scan_adopted_folder(q, job->places[i]);
		else
			scan_folder(q, job->places[i], 0, job->first);
	}
	if (--q->scan.n_under_way == 0)
		q->scan.first = false;
	free(job->places);
	free(job);
}

static void scan_folders(struct scan *s, bool first, bool adopted)
{
	struct fault why;
	struct folders_job *job = memory_alloc(1, sizeof(*job), &why);

	if (!adopted)
		loop_timer_set(&s->minute, SCAN_EVERY_MS);
	if (job == NULL) {
		log_event(spool_failed, F_FAULT(&why));
		return;
	}
	job->queued = s->queued;
	job->spool = s->queued->spool;
	job->first = first;
	job->adopted = adopted;
	s->n_under_way++;
	files_submit(&s->queued->files, &job->j, folders_work, folders_done);
}

/* ---- when ---- */

/* `tassis queue adopt` leaves this file while it works, locked: it may die before it has told us. */
static bool is_adopting(const struct queued *q)
{
	int fd = openat(q->queue, SPOOL_ADOPTING, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return false;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)unlinkat(q->queue, SPOOL_ADOPTING, 0);
	fd_close(&fd);
	return true;
}

void scan_adopted(struct scan *s)
{
	if (!s->queued->stopping)
		scan_folders(s, false, true);
}

static void scan_minute(void *arg)
{
	struct scan *s = arg;

	if (!s->first && is_adopting(s->queued))
		scan_adopted(s);

	/* The one before may take longer than a minute on a slow disk: then this one is left out. */
	if (s->n_under_way == 0)
		scan_folders(s, false, false);
	else
		loop_timer_set(&s->minute, SCAN_EVERY_MS);
	if (!s->first)
		maildrop_scan(&s->queued->maildrop);
}

static void scan_lost(void *arg)
{
	struct scan *s = arg;
	struct list *first;

	while ((first = list_first(&s->lost)) != NULL) {
		struct lost_worker *lost = LIST_ENTRY(first, struct lost_worker, node);

		list_remove(first);
		scan_folder(s->queued, place_of_worker(lost->worker), lost->tries, false);
		free(lost);
	}
}

void scan_worker_lost(struct scan *s, unsigned worker)
{
	struct fault why;
	struct lost_worker *lost;

	if (s->queued->stopping || (lost = memory_alloc(1, sizeof(*lost), &why)) == NULL)
		return; /* the minute's scan comes all the same */
	lost->worker = worker;
	lost->tries = LOST_TRIES;
	list_append(&s->lost, &lost->node);
	loop_timer_set(&s->lost_soon, LOST_AFTER_MS);
}

void scan_init(struct scan *s, struct queued *q)
{
	s->queued = q;
	list_init(&s->lost);
	loop_timer_init(&s->minute, q->loop, scan_minute, s);
	loop_timer_init(&s->lost_soon, q->loop, scan_lost, s);
}

void scan_start(struct scan *s)
{
	s->first = true;
	scan_folders(s, true, false);
}

void scan_stop(struct scan *s)
{
	struct list *first;

	loop_timer_cancel(&s->minute);
	loop_timer_cancel(&s->lost_soon);
	while ((first = list_first(&s->lost)) != NULL) {
		list_remove(first);
		free(LIST_ENTRY(first, struct lost_worker, node));
	}
}

void scan_fini(struct scan *s)
{
	if (s->queued != NULL)
		scan_stop(s);
	s->queued = NULL;
}
