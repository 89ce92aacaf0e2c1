#include "queued/corrupt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/memory.h"
#include "common/log/log.h"
#include "queued/queued.h"

struct corrupt_job {
	struct file_job j;
	int spool;
	place place;
	char id[SPOOL_ID_LENGTH + 1];
	bool failed;
	struct fault why;
	void (*done)(void *arg);
	void *arg;
};

bool corrupt_move(int spool, place p, struct slice id)
{
	char old[PLACE_PATH_SIZE], new[PLACE_PATH_SIZE];

	place_path(p, id, old);
	(void)snprintf(new, sizeof(new), "corrupt/%.*s", SLICE_PRINTF(id));
	if (renameat(spool, old, spool, new) == 0)
		return true;
	return errno == ENOENT && mkdirat(spool, "corrupt", 0700) == 0 && renameat(spool, old, spool, new) == 0;
}

static void corrupt_work(struct file_job *j)
{
	struct corrupt_job *job = (struct corrupt_job *)j;

	if (!corrupt_move(job->spool, job->place, slice_of_cstr(job->id))) {
		fault_errno(&job->why, "4.3.0", "cannot set message %s aside", job->id);
		job->failed = true;
	}
}

static void corrupt_done(struct file_job *j)
{
	struct corrupt_job *job = (struct corrupt_job *)j;

	if (job->failed)
		log_event(spool_failed, F_ID(slice_of_cstr(job->id)), F_FAULT(&job->why));
	job->done(job->arg);
	free(job);
}

void corrupt_set_aside(struct queued *q, struct slice id, place p, const struct fault *why, void (*done)(void *arg), void *arg)
{
	struct fault full;
	struct corrupt_job *job = memory_alloc(1, sizeof(*job), &full);

	log_event(corrupt, F_ID(id), F_FAULT(why));
	if (job == NULL || !slice_cstr(id, job->id, sizeof(job->id), &full)) {
		free(job);
		done(arg);
		return;
	}
	job->spool = q->spool;
	job->place = p;
	job->done = done;
	job->arg = arg;
	files_submit(&q->files, &job->j, corrupt_work, corrupt_done);
}
