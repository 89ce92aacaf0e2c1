#include "queued/queued.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/log/log.h"
#include "queued/attempt.h"
#include "queued/control.h"
#include "queued/intake.h"
#include "queued/load.h"
#include "queued/message.h"
#include "queued/notice.h"
#include "queued/stats.h"

#define POOL_THREADS 8u
#define POOL_WAITING_MAX 4096u
#define ID_WORKER 255u /* of the notices' ids; smtpd's workers count from 0 */
#define END_MARGIN_MS 1000u /* of the time to stop, for writing down what was given back */
#define MARKER "clean"      /* in queue/: the last run ended as it should */

static void give_back(void *arg);
static void end_check(void *arg);

/* ---- starting ---- */

/* The folders are master's to make; below queue/, which is our own, we make what is missing. */
static bool folders_open(struct queued *q, struct fault *why)
{
	if (mkdirat(q->spool, "queue", 0700) != 0 && errno != EEXIST) {
		fault_errno(why, "4.3.0", "cannot make spool_dir/queue");
		return false;
	}
	if ((q->queue = openat(q->spool, "queue", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		fault_errno(why, "4.3.0", "cannot open spool_dir/queue");
		return false;
	}
	if (flock(q->queue, LOCK_EX | LOCK_NB) != 0) {
		fault_errno(why, "4.3.0", "another queued works on this spool: spool_dir/queue is locked");
		return false;
	}
	if ((mkdirat(q->queue, "notices", 0700) != 0 && errno != EEXIST) ||
	    (q->notices = openat(q->queue, "notices", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		fault_errno(why, "4.3.0", "cannot open spool_dir/queue/notices");
		return false;
	}
	return true;
}

/* The marker must be gone for sure before anything else happens: a power cut later on would else look like a clean stop. */
static bool marker_take(struct queued *q, struct fault *why)
{
	q->unclean = unlinkat(q->queue, MARKER, 0) != 0;
	if (q->unclean && errno != ENOENT) {
		fault_errno(why, "4.3.0", "cannot remove spool_dir/queue/" MARKER);
		return false;
	}
	if (!q->unclean && fsync(q->queue) != 0) {
		fault_errno(why, "4.3.0", "cannot sync spool_dir/queue");
		return false;
	}
	return true;
}

static void marker_put(struct queued *q)
{
	struct fault why;
	int fd = openat(q->queue, MARKER, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || fsync(fd) != 0 || fsync(q->queue) != 0) {
		fault_errno(&why, "4.3.0", "cannot make spool_dir/queue/" MARKER);
		log_event(spool_failed, F_FAULT(&why));
	}
	fd_close(&fd);
}

static void files_idle(void *arg)
{
	struct queued *q = arg;

	if (q->stopping)
		loop_task_schedule(&q->check);
}

static void parts_init(struct queued *q)
{
	list_init(&q->active);
	list_init(&q->unanswered);
	table_init(&q->active_by_id);
	loop_timer_init(&q->patience, q->loop, intake_patience, q);
	loop_timer_init(&q->give_back, q->loop, give_back, q);
	loop_task_init(&q->check, q->loop, end_check, q);
	dispatch_init(&q->dispatch, q);
	due_init(&q->due, q);
	scan_init(&q->scan, q);
	maildrop_init(&q->maildrop, q);
	control_init(&q->control);
	steer_init(&q->steer);
	templates_init(&q->templates);
	spool_id_source_init(&q->ids, q->settings->hostname, ID_WORKER);
}

bool queued_start(struct queued *q, struct loop *loop, const struct settings *settings, int spool, const struct queued_peers *peers,
		  struct fault *why)
{
	q->loop = loop;
	q->settings = settings;
	q->spool = spool;
	q->queue = q->notices = -1;
	q->peers = *peers;
	parts_init(q);
	if (!folders_open(q, why) || !marker_take(q, why) || (q->schedule = schedule_create(why)) == NULL ||
	    (q->pool = pool_create(loop, POOL_THREADS, POOL_WAITING_MAX, why)) == NULL || !routing_init(&q->routing, q, why))
		return false;
	files_init(&q->files, loop, q->pool, spool, files_idle, q);
	scan_start(&q->scan);
	return true;
}

void queued_reload(struct queued *q, const struct settings *settings)
{
	q->settings = settings;
	dispatch_reload(&q->dispatch);
	queued_set_timer(q);
}

/* ---- active messages ---- */

uint32_t queued_now_s(const struct queued *q)
{
	return (uint32_t)(loop_wall_us(q->loop) / 1000000);
}

bool queued_has_room(const struct queued *q, bool fresh)
{
	size_t most = q->settings->queue_active_max, bytes = ACTIVE_BYTES_MAX;

	if (!fresh) {
		most -= most / 4;
		bytes -= bytes / 4;
	}
	return q->n_active + q->n_loading < most && q->active_bytes < bytes;
}

void queued_count(struct message *m)
{
	m->queued->active_bytes += m->arena.used - m->counted_bytes;
	m->counted_bytes = m->arena.used;
}

bool queued_activate(struct queued *q, struct message *m, struct fault *why)
{
	if (!table_insert(&q->active_by_id, &m->by_id, message_id(m))) {
		fault_set(why, "4.3.1", "no memory for message %s", m->id);
		return false;
	}
	list_append(&q->active, &m->node);
	q->n_active++;
	queued_count(m);
	return true;
}

void queued_answer(struct message *m)
{
	const struct ipc_message done = IPC_MESSAGE(done, .number = 0);

	list_remove(&m->unanswered);
	if (m->request != NULL)
		ipc_answer(m->request, &done, -1);
	m->request = NULL;
}

static void active_free(struct message *m)
{
	struct queued *q = m->queued;
	uint32_t line = m->line;

	queued_answer(m);
	table_remove(&q->active_by_id, &m->by_id);
	q->active_bytes -= m->counted_bytes;
	q->n_active--;
	message_destroy(m);
	due_returned(q, line);
}

void queued_retire(struct message *m)
{
	struct queued *q = m->queued;

	active_free(m);
	queued_set_timer(q);
	if (q->stopping)
		loop_task_schedule(&q->check);
}

struct message *queued_find_active(const struct queued *q, struct slice id)
{
	struct table_node *node = table_find(&q->active_by_id, id);

	return node == NULL ? NULL : LIST_ENTRY(node, struct message, by_id);
}

void queued_set_timer(struct queued *q)
{
	due_set_timer(&q->due);
}

/* ---- asks ---- */

void queued_handle(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct queued *q = arg;
	struct fault why;

	(void)fd;
	if (request == NULL)
		return;
	if (m->type == IPC_TYPE_message_ask)
		intake_ask(q, request, m);
	else if (m->type == IPC_TYPE_again_ask)
		intake_again(q, request, m);
	else if (m->type == IPC_TYPE_queue_list_ask)
		control_list(q, request, m);
	else if (m->type == IPC_TYPE_queue_show_ask)
		control_show(q, request, m);
	else if (m->type == IPC_TYPE_queue_flush_ask)
		control_flush(q, request, m);
	else if (m->type == IPC_TYPE_queue_steer_ask)
		steer_ask(q, request, m);
	else if (m->type == IPC_TYPE_queue_stats_ask)
		stats_ask(q, request, m);
	else if (m->type == IPC_TYPE_control_ask)
		control_verb(q, request, m);
	else {
		fault_set(&why, "5.5.1", "queued does not answer that");
		ipc_answer_fault(request, &why);
	}
}

void queued_presence(void *arg, enum ipc_role role, unsigned worker, bool there)
{
	struct queued *q = arg;

	if (role == IPC_ROLE_SMTPD && !there)
		scan_worker_lost(&q->scan, worker);
}

/* ---- stopping ---- */

void queued_stop(struct queued *q, uint64_t within_ms, void (*end)(void *arg), void *arg)
{
	q->end = end;
	q->end_arg = arg;
	if (!q->stopping) {
		q->stopping = true;
		due_stop(&q->due);
		scan_stop(&q->scan);
		routing_give_back(&q->routing);
		dispatch_drain(&q->dispatch);
	}
	loop_timer_set(&q->give_back, within_ms > END_MARGIN_MS ? within_ms - END_MARGIN_MS : 0);
	loop_task_schedule(&q->check);
}

static void give_back(void *arg)
{
	struct queued *q = arg;

	dispatch_give_back(&q->dispatch);
	loop_task_schedule(&q->check);
}

/* Everything stands in the files, and is synced. */
static void end_check(void *arg)
{
	struct queued *q = arg;

	if (!q->stopping || q->ended || q->n_active > 0 || q->n_loading > 0 || q->scan.n_under_way > 0 ||
	    !steer_is_idle(&q->steer) || !maildrop_is_idle(&q->maildrop))
		return;
	files_sync_now(&q->files);
	if (!files_is_idle(&q->files))
		return;
	q->ended = true;
	loop_timer_cancel(&q->give_back);
	marker_put(q);
	q->end(q->end_arg);
}

static void notices_disown(struct queued *q)
{
	LIST_EACH(node, &q->active)
		notice_disown(LIST_ENTRY(node, struct message, node));
}

void queued_destroy(struct queued *q)
{
	if (q->loop == NULL)
		return;
	q->stopping = q->ended = true;
	notices_disown(q);
	maildrop_disown(&q->maildrop);
	if (q->pool != NULL) {
		files_close(&q->files); /* what comes back from the pool may go on as far as it needs none */
		pool_destroy(q->pool);
		files_fini(&q->files);
	}
	notices_disown(q);
	routing_fini(&q->routing);
	dispatch_fini(&q->dispatch);
	while (!list_empty(&q->active))
		active_free(LIST_ENTRY(list_first(&q->active), struct message, node));
	table_fini(&q->active_by_id);
	control_fini(&q->control);
	steer_fini(&q->steer);
	scan_fini(&q->scan);
	loop_timer_cancel(&q->patience);
	due_fini(&q->due);
	loop_timer_cancel(&q->give_back);
	loop_task_cancel(&q->check);
	schedule_destroy(q->schedule);
	templates_fini(&q->templates);
	fd_close(&q->notices);
	fd_close(&q->queue);
	fd_close(&q->spool);
	*q = (struct queued){.spool = -1, .queue = -1, .notices = -1};
}
