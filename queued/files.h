/* queued/files.h: the files of the spool as queued handles them: where each is, and the calls on them that run in the pool.
 * Touches: files below the spool's descriptor (rename, unlink, fsync), in the pool. Nothing is written here.
 *
 * A place is a folder: queue/H, queue/notices (what queued itself writes: notices, and copies of what was left in maildrop/), incoming/N of one smtpd, or maildrop/. What changes a folder or
 * a file's tail is made durable within a second, many at a time, and holds up nobody. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/fault.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/event/loop.h"
#include "common/event/pool.h"
#include "common/spool/id.h"

/* The number of a place: a queue folder's is its letter. */
typedef uint32_t place;
#define PLACE_NOTICES ((place)1)
#define PLACE_MAILDROP ((place)2) /* what users leave: never opened, moved or removed by the calls below, for the names in it are theirs */
#define PLACE_INCOMING ((place)256) /* plus the worker's number */
#define PLACE_PATH_SIZE 64

place place_in_queue(struct slice id);
place place_of_worker(unsigned worker);
bool place_is_queue(place p);
/* "queue/H/ID", below the spool; id empty: the folder. Returns out. */
const char *place_path(place p, struct slice id, char out[PLACE_PATH_SIZE]);

/* Opens a message's file; where it has been moved to queue/ meanwhile, there, and *p says so. -1: errno is set. Blocks only as open does. */
int place_open(int spool, place *p, struct slice id, int flags);
/* Moves a message's file into its folder of queue/, which is made when it is missing. False: errno is set. Blocks: for the pool. */
MUST_USE bool place_move_to_queue(int spool, place from, struct slice id);

struct file_job;
struct files;
typedef void file_job_fn(struct file_job *j);
/* Lies at the beginning of a job. work runs in the pool and sees the job alone; done runs in the loop and frees it. */
struct file_job {
	struct pool_job job;
	struct list node;
	struct files *files;
	file_job_fn *work, *done;
};

typedef void file_removed_fn(void *arg, const struct fault *why);

struct files {
	struct loop *loop;
	struct pool *pool;
	int spool;
	struct list waiting; /* jobs that the pool had no room for */
	size_t n_under_way;
	bool closing;
	struct removal_batch *removals; /* being filled in this turn */
	struct loop_task remove;
	struct loop_timer again; /* gives what waits to the pool */
	struct loop_timer sync;
	struct sync_batch *syncs; /* being filled until the timer fires */
	void (*idle)(void *arg);
	void *idle_arg;
};

/* spool and pool are borrowed. idle is called from the loop each time nothing is under way or waits any more. */
void files_init(struct files *f, struct loop *loop, struct pool *pool, int spool, void (*idle)(void *arg), void *arg);
/* Jobs run at once from here on, without the pool, which may be destroyed. */
void files_close(struct files *f);
/* The pool has been destroyed before, so that nothing is under way. Syncs what is not yet. */
void files_fini(struct files *f);
bool files_is_idle(const struct files *f);

/* Gives j to the pool, at once or as soon as there is room. */
void files_submit(struct files *f, struct file_job *j, file_job_fn *work, file_job_fn *done);
/* Removes a message's file; removed is called once from the loop: why is NULL (also where it was gone before) or temporary. The removals of one turn of the loop go together.
 * False: no memory; removed is not called. */
MUST_USE bool files_remove(struct files *f, place p, struct slice id, file_removed_fn *removed, void *arg);
/* The folder's names are made durable within a second. */
void files_sync_place(struct files *f, place p);
/* The file's content is made durable within a second. Takes fd. */
void files_sync_file(struct files *f, int fd);
/* What waits for its sync goes now. */
void files_sync_now(struct files *f);
