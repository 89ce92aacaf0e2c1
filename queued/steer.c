#include "queued/steer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/ipc/link.h"
#include "common/log/log.h"
#include "common/spool/file.h"
#include "queued/due.h"
#include "queued/message.h"
#include "queued/queued.h"

#define PAUSE_MS 20u
#define SYNC_EACH_MAX 8u
#define RETURNED_STATUS "5.3.0"
#define RETURNED_REPLY "the administrator of this mail server returned the message"

/* One message of a step that needs its file. */
struct steered {
	char id[SPOOL_ID_LENGTH + 1];
	place place;
	bool active;    /* it was being delivered: its entry is not ours */
	uint32_t due_s; /* before */
	int fd;
	bool failed, gone;
	struct fault why;
};

struct steer_job {
	struct file_job j;
	struct list node;
	struct queued *queued;
	struct ipc_request *request; /* NULL: it waited for an attempt's end */
	enum queue_verb verb;
	char who[65];
	int spool;
	struct buf ids;   /* queue_id records, the one that is next in front */
	struct loop_timer again;
	uint64_t until_ms; /* 0: nothing is waited for */
	uint32_t n_done, n_under_way;
	struct buf refused;
	size_t n;
	struct steered step[STEER_STEP];
};

static void job_run(void *arg);

/* ---- making and ending ---- */

void steer_init(struct steer *s)
{
	list_init(&s->jobs);
}

bool steer_is_idle(const struct steer *s)
{
	return list_empty(&s->jobs);
}

static struct steer_job *job_create(struct queued *q, enum queue_verb verb, struct slice who, struct slice ids, struct fault *why)
{
	struct steer_job *job = memory_alloc(1, sizeof(*job), why);

	if (job == NULL)
		return NULL;
	job->queued = q;
	job->verb = verb;
	job->spool = q->spool;
	list_init(&job->node);
	loop_timer_init(&job->again, q->loop, job_run, job);
	buf_init(&job->ids, ids.n);
	buf_init(&job->refused, IPC_LIST_MAX);
	if (slice_cstr(who, job->who, sizeof(job->who), why) && buf_append(&job->ids, ids))
		return job;
	fault_set(why, "4.3.1", "no memory for the ids of messages");
	steer_drop(job);
	return NULL;
}

void steer_drop(struct steer_job *job)
{
	if (job == NULL)
		return;
	list_remove(&job->node);
	loop_timer_cancel(&job->again);
	buf_fini(&job->ids);
	buf_fini(&job->refused);
	free(job);
}

void steer_fini(struct steer *s)
{
	struct fault why;
	struct list *first;

	if (s->jobs.next == NULL)
		return;
	fault_set(&why, "4.3.2", "queued ends");
	while ((first = list_first(&s->jobs)) != NULL) {
		struct steer_job *job = LIST_ENTRY(first, struct steer_job, node);

		if (job->request != NULL)
			ipc_answer_fault(job->request, &why);
		steer_drop(job);
	}
}

static void job_end(struct steer_job *job)
{
	struct queued *q = job->queued;

	if (job->request != NULL)
		ipc_answer(job->request, &IPC_MESSAGE(queue_steer_answer, .n_done = job->n_done, .n_under_way = job->n_under_way,
						      .refused = buf_slice(&job->refused)), -1);
	steer_drop(job);
	queued_set_timer(q);
	if (q->stopping)
		loop_task_schedule(&q->check);
}

static void refuse(struct steer_job *job, struct slice id, const struct fault *why)
{
	struct ipc_queue_refusal r = {.id = id, .why = *why};

	/* No memory for the answer's list is no reason to keep it from the log. */
	if (job->request == NULL || !ipc_put_queue_refusal(&job->refused, &r))
		log_event(spool_failed, F_ID(id), F_FAULT(why));
}

static void refuse_because(struct steer_job *job, struct slice id, const char *status, const char *reason)
{
	struct fault why;

	fault_set(&why, status, "message %.*s %s", SLICE_PRINTF(id), reason);
	refuse(job, id, &why);
}

/* ---- in the pool ---- */

static void steered_failed(struct steered *s, const char *what)
{
	s->gone = errno == ENOENT;
	s->failed = true;
	fault_errno(&s->why, s->gone ? "5.3.0" : "4.3.0", "cannot %s message %s", what, s->id);
}

/* Invariant: what was told to be held is so in the file before it is said. */
static void mode_set(const struct steer_job *job, struct steered *s, bool held)
{
	const struct timespec now[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
	struct stat st;
	mode_t mode;

	if ((s->fd = place_open(job->spool, &s->place, slice_of_cstr(s->id), O_RDONLY)) < 0 || fstat(s->fd, &st) != 0) {
		steered_failed(s, "open");
		return;
	}
	mode = (st.st_mode & 07777 & ~(mode_t)SPOOL_HELD_MODE) | (held ? SPOOL_HELD_MODE : 0);
	if (fchmod(s->fd, mode) != 0 || (!held && !s->active && futimens(s->fd, now) != 0))
		steered_failed(s, "change the mode of");
}

static void file_remove(const struct steer_job *job, struct steered *s)
{
	char path[PLACE_PATH_SIZE];

	if (unlinkat(job->spool, place_path(s->place, slice_of_cstr(s->id), path), 0) != 0 && errno != ENOENT)
		steered_failed(s, "remove");
}

static void folder_sync(const struct steer_job *job, place p, struct steered *s)
{
	char path[PLACE_PATH_SIZE];
	int fd = openat(job->spool, place_path(p, SLICE_EMPTY, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) != 0)
		steered_failed(s, "sync the removal of");
	fd_close(&fd);
}

static void step_sync_each(struct steer_job *job)
{
	bool synced[PLACE_INCOMING] = {false};

	for (size_t i = 0; i < job->n; i++) {
		struct steered *s = &job->step[i];

		if (s->failed)
			continue;
		if (job->verb != QUEUE_DELETE) {
			if (fsync(s->fd) != 0)
				steered_failed(s, "sync");
		} else if (!synced[s->place]) {
			synced[s->place] = true;
			folder_sync(job, s->place, s);
		}
	}
}

/* Many at once by one call for the whole file system: a million fsyncs take a quarter of an hour. */
static void step_sync_all(struct steer_job *job)
{
	int e = syncfs(job->spool) == 0 ? 0 : errno;

	for (size_t i = 0; i < job->n && e != 0; i++) {
		errno = e;
		if (!job->step[i].failed)
			steered_failed(&job->step[i], "sync");
	}
}

static void step_work(struct file_job *j)
{
	struct steer_job *job = (struct steer_job *)j;

	for (size_t i = 0; i < job->n; i++) {
		if (job->verb == QUEUE_DELETE)
			file_remove(job, &job->step[i]);
		else
			mode_set(job, &job->step[i], job->verb == QUEUE_HOLD);
	}
	if (job->n > SYNC_EACH_MAX)
		step_sync_all(job);
	else
		step_sync_each(job);
	for (size_t i = 0; i < job->n; i++)
		fd_close(&job->step[i].fd);
}

/* ---- in the loop: what came of it ---- */

static void flag_set(struct queued *q, uint32_t n, unsigned flag, bool on)
{
	unsigned flags = schedule_flags(q->schedule, n) & ~flag;

	schedule_set_flags(q->schedule, n, on ? flags | flag : flags);
}

static void steered_undo(struct steer_job *job, const struct steered *s, uint32_t n)
{
	struct queued *q = job->queued;

	refuse(job, slice_of_cstr(s->id), &s->why);
	if (n == SCHEDULE_NONE || s->active)
		return;
	flag_set(q, n, SCHEDULE_STEERED, false);
	if (!s->gone) {
		schedule_wait(q->schedule, n, s->due_s);
		return;
	}
	log_event(vanished, F_ID(slice_of_cstr(s->id)));
	schedule_forget(q->schedule, n);
}

static void steered_held(struct steer_job *job, const struct steered *s, uint32_t n)
{
	struct queued *q = job->queued;

	flag_set(q, n, SCHEDULE_STEERED, false);
	flag_set(q, n, SCHEDULE_HELD, true);
	schedule_take(q->schedule, n);
	log_event(held, F_ID(slice_of_cstr(s->id)), F_TEXT(who, job->who));
}

/* Whose attempt is under way is due when that ends as it would have been. */
static void steered_released(struct steer_job *job, const struct steered *s, uint32_t n)
{
	struct queued *q = job->queued;

	flag_set(q, n, SCHEDULE_STEERED | SCHEDULE_HELD, false);
	if (queued_find_active(q, slice_of_cstr(s->id)) == NULL)
		schedule_wait(q->schedule, n, queued_now_s(q));
	log_event(released, F_ID(slice_of_cstr(s->id)), F_TEXT(who, job->who));
}

static void steered_done(struct steer_job *job, struct steered *s)
{
	struct queued *q = job->queued;
	uint32_t n = schedule_find(q->schedule, slice_of_cstr(s->id));

	if (s->failed || n == SCHEDULE_NONE) {
		if (!s->failed)
			fault_set(&s->why, "5.3.0", "message %s has been delivered meanwhile", s->id);
		steered_undo(job, s, n);
		return;
	}
	if (job->verb == QUEUE_HOLD)
		steered_held(job, s, n);
	else if (job->verb == QUEUE_RELEASE)
		steered_released(job, s, n);
	else {
		log_event(deleted, F_ID(slice_of_cstr(s->id)), F_TEXT(who, job->who));
		schedule_forget(q->schedule, n);
	}
	if (s->active)
		job->n_under_way++;
	else
		job->n_done++;
}

static void step_done(struct file_job *j)
{
	struct steer_job *job = (struct steer_job *)j;

	for (size_t i = 0; i < job->n; i++)
		steered_done(job, &job->step[i]);
	job->n = 0;
	job_run(job);
}

/* ---- in the loop: what is to be done ---- */

enum next { NEXT_TAKEN, NEXT_NOT_NOW };

/* n waits in the schedule, is held, or its message is active. */
static void step_add(struct steer_job *job, struct slice id, uint32_t n, const struct message *active)
{
	struct queued *q = job->queued;
	struct steered *s = &job->step[job->n++];
	struct destination *to = schedule_group_owner(q->schedule, schedule_group(q->schedule, n));

	*s = (struct steered){.active = active != NULL, .place = active != NULL ? active->place : place_in_queue(id), .fd = -1};
	memcpy(s->id, id.p, SPOOL_ID_LENGTH);
	if (active != NULL)
		return;
	s->due_s = schedule_due_s(q->schedule, n);
	if (s->due_s == 0)
		s->due_s = queued_now_s(q);
	schedule_take(q->schedule, n);
	flag_set(q, n, SCHEDULE_STEERED, true);
	if (to != NULL)
		due_update(to);
}

/* The latest that was asked for counts; delete over all. */
static void leave_for_later(struct steer_job *job, struct message *m)
{
	struct buf record;
	struct ipc_queue_id id = {.id = message_id(m)};
	struct fault why;

	job->n_under_way++;
	if (job->verb == QUEUE_RETRY)
		return;
	if (m->later != NULL) {
		if (job->verb == QUEUE_DELETE)
			m->later->verb = QUEUE_DELETE;
		return;
	}
	buf_init(&record, 64);
	if (ipc_put_queue_id(&record, &id))
		m->later = job_create(job->queued, job->verb, slice_of_cstr(job->who), buf_slice(&record), &why);
	buf_fini(&record);
	if (m->later != NULL)
		return;
	job->n_under_way--;
	refuse_because(job, id.id, "4.3.1", "is being delivered, and there is no memory to come back to it");
}

static enum next take_active(struct steer_job *job, struct message *m, bool held)
{
	struct slice id = message_id(m);

	if (job->verb == QUEUE_HOLD && held)
		refuse_because(job, id, "5.3.0", "is held already");
	else if (job->verb == QUEUE_RELEASE && !held)
		refuse_because(job, id, "5.3.0", "is not held");
	else if (job->verb == QUEUE_HOLD || job->verb == QUEUE_RELEASE)
		step_add(job, id, m->entry, m);
	else
		leave_for_later(job, m);
	return NEXT_TAKEN;
}

static enum next take_back(struct steer_job *job, struct slice id, uint32_t n)
{
	struct queued *q = job->queued;

	if (q->stopping)
		refuse_because(job, id, "4.3.2", "is not returned: queued stops");
	else if (!queued_has_room(q, false) || q->n_loading >= STEER_STEP)
		return NEXT_NOT_NOW;
	else {
		log_event(returned, F_ID(id), F_TEXT(who, job->who));
		flag_set(q, n, SCHEDULE_RETURNED, true);
		due_take_up(q, n);
		job->n_done++;
	}
	return NEXT_TAKEN;
}

static enum next take_waiting(struct steer_job *job, struct slice id, uint32_t n, bool held)
{
	struct queued *q = job->queued;

	switch (job->verb) {
	case QUEUE_HOLD:
	case QUEUE_RELEASE:
		if (held == (job->verb == QUEUE_HOLD))
			refuse_because(job, id, "5.3.0", held ? "is held already" : "is not held");
		else
			step_add(job, id, n, NULL);
		break;
	case QUEUE_DELETE:
		step_add(job, id, n, NULL);
		break;
	case QUEUE_RETRY:
		if (held) {
			refuse_because(job, id, "5.3.0", "is held; tassis queue release lets it go");
			break;
		}
		schedule_wait(q->schedule, n, queued_now_s(q));
		job->n_done++;
		break;
	case QUEUE_BOUNCE:
		return take_back(job, id, n);
	case N_QUEUE_VERBS:
		break;
	}
	return NEXT_TAKEN;
}

static enum next take(struct steer_job *job, struct slice id)
{
	struct queued *q = job->queued;
	uint32_t n = spool_id_is_valid(id) ? schedule_find(q->schedule, id) : SCHEDULE_NONE;
	struct message *active;
	unsigned flags;
	bool held;

	if (n == SCHEDULE_NONE) {
		struct fault why;

		fault_set(&why, "5.3.0", "there is no message %.*s", SLICE_PRINTF(id));
		refuse(job, id, &why);
		return NEXT_TAKEN;
	}
	flags = schedule_flags(q->schedule, n);
	held = (flags & SCHEDULE_HELD) != 0;
	if ((active = queued_find_active(q, id)) != NULL)
		return take_active(job, active, held);
	if ((flags & SCHEDULE_STEERED) == 0 && (schedule_is_waiting(q->schedule, n) || (held && (flags & SCHEDULE_RETURNED) == 0)))
		return take_waiting(job, id, n, held);
	return NEXT_NOT_NOW; /* it is being read, or the hand of another ask is on it */
}

/* True: the next one has to be waited for. */
static bool is_patient(struct steer_job *job)
{
	uint64_t now_ms = loop_now_ms(job->queued->loop);

	if (job->until_ms == 0)
		job->until_ms = now_ms + STEER_PATIENCE_MS;
	return now_ms < job->until_ms && (!job->queued->stopping || job->request == NULL);
}

/* Takes what it can; a step that is full, or whose next message is not to be had, goes to the pool. */
static void job_run(void *arg)
{
	struct steer_job *job = arg;
	struct ipc_queue_id record;
	struct slice rest = buf_slice(&job->ids);
	bool broken = false, waits = false;

	while (job->n < STEER_STEP && ipc_next_queue_id(&rest, &record, &broken)) {
		if (take(job, record.id) == NEXT_NOT_NOW) {
			if (job->n > 0 || is_patient(job)) {
				waits = true;
				break;
			}
			refuse_because(job, record.id, "4.3.0", "is being worked at; ask again in a moment");
		}
		job->until_ms = 0;
		buf_consume(&job->ids, buf_length(&job->ids) - rest.n);
		rest = buf_slice(&job->ids);
	}
	if (job->n > 0)
		files_submit(&job->queued->files, &job->j, step_work, step_done);
	else if (waits)
		loop_timer_set(&job->again, PAUSE_MS);
	else
		job_end(job);
}

void steer_ask(struct queued *q, struct ipc_request *request, const struct ipc_message *m)
{
	const struct ipc_queue_steer_ask *ask = &m->queue_steer_ask;
	struct slice rest = ask->ids;
	struct ipc_queue_id record;
	struct steer_job *job;
	struct fault why;
	bool broken = false;
	size_t n = 0;

	while (ipc_next_queue_id(&rest, &record, &broken))
		n++;
	if (broken || n == 0 || n > STEER_MAX || ask->verb >= N_QUEUE_VERBS) {
		fault_set(&why, "5.5.4", "an ask names a verb, and 1 to %u messages", STEER_MAX);
		ipc_answer_fault(request, &why);
		return;
	}
	if ((job = job_create(q, (enum queue_verb)ask->verb, ask->who, ask->ids, &why)) == NULL) {
		ipc_answer_fault(request, &why);
		return;
	}
	job->request = request;
	list_append(&q->steer.jobs, &job->node);
	job_run(job);
}

void steer_later(struct steer_job *later)
{
	if (later == NULL)
		return;
	list_append(&later->queued->steer.jobs, &later->node);
	job_run(later);
}

/* ---- returning ---- */

static bool recipient_return(struct message *m, struct recipient *r, struct fault *why)
{
	struct target *t;

	r->routed = true; /* whatever its targets would have been */
	if (r->done || r->past.failed)
		return true;
	if ((t = message_add_target(m, r, r->forward_path, why)) == NULL)
		return false;
	message_set_target(m, t, TARGET_FAILED, SLICE(RETURNED_STATUS), SLICE(RETURNED_REPLY), SLICE_EMPTY);
	return true;
}

void steer_return(struct message *m)
{
	struct fault why;

	for (size_t i = 0; i < m->n_recipients; i++)
		if (!recipient_return(m, &m->recipients[i], &why)) {
			m->recipients[i].routed = false;
			log_event(spool_failed, F_ID(message_id(m)), F_FAULT(&why));
		}
}
