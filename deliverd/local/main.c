/* deliverd/local: messages into Maildirs. queued sends each with a read-only descriptor of its
 * spool file; everything that touches the disk runs in the pool, many at once, so that the file
 * system's journal commits them together. */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/event/pool.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "deliverd/local/delivery.h"
#include "deliverd/local/quota.h"

#define ASKS_WAITING 10000 /* queued's limit of deliveries at once, at its largest, is 4,096 */
#define RESULTS_MAX (IPC_LIST_MAX)

struct local {
	struct service *service;
	struct pool *pool;
	int mail; /* mail_dir */
	char hostname[256];
	struct delivery_rules rules;
	size_t under_way;
};

struct local_job {
	struct pool_job job; /* first: the pool's view of it */
	struct local *local;
	struct ipc_request *request;
	struct delivery *delivery;
	uint64_t begun_ms;
};

/* May a message of that size come? */
struct quota_job {
	struct pool_job job; /* first: the pool's view of it */
	struct local *local;
	struct ipc_request *request;
	char folder[MAILDIR_PATH_OCTETS];
	struct quota quota;
	uint64_t size_bytes;
	bool ok, fits;
	struct fault why;
};

static struct local_job *job_of(struct pool_job *job)
{
	return CONTAINER_OF(job, struct local_job, job);
}

static void work(struct pool_job *job)
{
	delivery_run(job_of(job)->delivery);
}

static bool put_result(struct buf *list, const struct delivery_result *r)
{
	struct ipc_deliver_result out = {.index = r->index,
					 .outcome = DELIVER_DELIVERED,
					 .status = SLICE("2.0.0"),
					 .reply = SLICE("stored in the mailbox")};

	if (!r->delivered) {
		out.outcome = r->refused ? DELIVER_FAILED : DELIVER_DEFERRED;
		out.status = slice_of_cstr(fault_status(r->why));
		out.reply = slice_of_cstr(r->why->text);
	}
	return ipc_put_deliver_result(list, &out);
}

static void answer(struct ipc_request *request, const struct delivery *d)
{
	struct fault why = {0};
	struct buf list;
	bool ok = true;

	buf_init(&list, RESULTS_MAX);
	for (size_t i = 0; i < delivery_n_results(d); i++)
		ok = ok && put_result(&list, delivery_result(d, i));
	if (ok) {
		ipc_answer(request, &IPC_MESSAGE(deliver_answer, .results = buf_slice(&list)), -1);
	} else {
		fault_set(&why, "4.3.1", "out of memory for the results");
		ipc_answer_fault(request, &why);
	}
	buf_fini(&list);
}

static void end_if_idle(struct local *l)
{
	if (l->under_way == 0 && ipc_server_is_drained(l->service->server))
		service_end(l->service);
}

static void drained(void *arg)
{
	end_if_idle(arg);
}

static void done(struct pool_job *job)
{
	struct local_job *j = job_of(job);
	struct local *l = j->local;
	uint64_t took_ms = loop_now_ms(l->service->loop) - j->begun_ms;

	for (size_t i = 0; i < delivery_n_results(j->delivery); i++) {
		const struct delivery_result *r = delivery_result(j->delivery, i);

		if (r->delivered)
			log_event(stored, F_ID(delivery_id(j->delivery)),
				  F_SLICE(to, r->forward_path), F_SLICE(folder, r->folder.path),
				  F_NUMBER(took_ms, took_ms));
	}
	answer(j->request, j->delivery);
	delivery_destroy(j->delivery);
	free(j);
	l->under_way--;
	end_if_idle(l);
}

static void deliver(struct local *l, struct ipc_request *request, const struct ipc_deliver_ask *ask,
		    int *fd)
{
	struct fault why = {0};
	struct local_job *j = memory_alloc(1, sizeof(*j), &why);

	if (j && delivery_create(ask, fd, &l->rules, &j->delivery, &why)) {
		j->job = (struct pool_job){.work = work, .done = done};
		j->local = l;
		j->request = request;
		j->begun_ms = loop_now_ms(l->service->loop);
		if (pool_submit(l->pool, &j->job)) {
			l->under_way++;
			return;
		}
		fault_set(&why, "4.3.2", "too many deliveries wait already");
		delivery_destroy(j->delivery);
	}
	free(j);
	ipc_answer_fault(request, &why);
}

static struct quota_job *quota_job_of(struct pool_job *job)
{
	return CONTAINER_OF(job, struct quota_job, job);
}

static void quota_work(struct pool_job *job)
{
	struct quota_job *j = quota_job_of(job);

	j->ok = quota_fits(j->local->rules.root, slice_of_cstr(j->folder), &j->quota, j->size_bytes,
			   &j->fits, &j->why);
}

static void quota_done(struct pool_job *job)
{
	struct quota_job *j = quota_job_of(job);
	struct local *l = j->local;

	if (j->ok)
		ipc_answer(j->request, &IPC_MESSAGE(done, .number = j->fits), -1);
	else
		ipc_answer_fault(j->request, &j->why);
	free(j);
	l->under_way--;
	end_if_idle(l);
}

static void ask_quota(struct local *l, struct ipc_request *request, const struct ipc_quota_ask *ask)
{
	struct slice folder = ask->folder;
	struct fault why = {0};
	struct quota_job *j = memory_alloc(1, sizeof(*j), &why);

	if (slice_ends(folder, SLICE("/")))
		folder.n--;
	if (!maildir_folder_is_valid(folder))
		fault_set(&why, "5.5.4", "\"%.*s\" is no folder below mail_dir",
			  SLICE_PRINTF(folder));
	else if (j && slice_cstr(folder, j->folder, sizeof(j->folder), &why)) {
		j->job = (struct pool_job){.work = quota_work, .done = quota_done};
		j->local = l;
		j->request = request;
		j->quota =
			(struct quota){.bytes = ask->quota_bytes, .messages = ask->quota_messages};
		j->size_bytes = ask->size_bytes;
		if (pool_submit(l->pool, &j->job)) {
			l->under_way++;
			return;
		}
		fault_set(&why, "4.3.2", "too many deliveries wait already");
	}
	free(j);
	ipc_answer_fault(request, &why);
}

static void handler(void *daemon, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct fault why = {0};

	if (m->type == IPC_TYPE_deliver_ask) {
		deliver(daemon, request, &m->deliver_ask, fd);
		return;
	}
	if (m->type == IPC_TYPE_quota_ask) {
		ask_quota(daemon, request, &m->quota_ask);
		return;
	}
	fault_set(&why, "5.5.1", "local delivers and says what has room, nothing else");
	ipc_answer_fault(request, &why);
}

static void folder(void *daemon, int fd, struct slice name)
{
	struct local *l = daemon;

	if (slice_equal(name, SLICE("mail"))) {
		fd_close(&l->mail);
		l->mail = fd;
	} else {
		fd_close(&fd);
	}
}

static bool start(struct service *s, void *daemon, struct fault *why)
{
	struct local *l = daemon;
	size_t n_workers = s->settings->local_workers ? s->settings->local_workers : 1;
	size_t n_threads = (s->settings->local_concurrency + n_workers - 1) / n_workers;

	l->service = s;
	if (l->mail < 0) {
		fault_set(why, "4.3.5", "master sent no descriptor of mail_dir");
		return false;
	}
	if (!settings_hostname(s->settings, l->hostname, sizeof(l->hostname), why))
		return false;
	l->rules = (struct delivery_rules){.root = l->mail,
					   .hostname = slice_of_cstr(l->hostname),
					   .delivered_to = s->settings->delivered_to,
					   .quota_full = s->settings->quota_full};
	l->pool = pool_create(s->loop, n_threads > 256 ? 256 : n_threads, ASKS_WAITING, why);
	return l->pool != NULL;
}

static void stop(void *daemon, uint64_t within_ms)
{
	struct local *l = daemon;

	(void)within_ms; /* a disk that hangs is not hurried; master ends us when the time is over
			  */
	ipc_server_drain(l->service->server, drained, l);
	end_if_idle(l);
}

static void destroy(void *daemon)
{
	struct local *l = daemon;

	pool_destroy(l->pool);
	fd_close(&l->mail);
}

int main(int argc, char **argv)
{
	static const struct service_callbacks callbacks = {
		.role = IPC_ROLE_LOCAL,
		.start = start,
		.folder = folder,
		.handler = handler,
		.stop = stop,
		.destroy = destroy,
		.window = ASKS_WAITING,
	};
	struct local l = {.mail = -1};

	return service_main(argc, argv, &callbacks, &l);
}
