/* deliverd/remote: messages to other hosts, over SMTP, all in one loop. queued sends each message
 * for one next hop, with a read-only descriptor. */
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "common/tls/context.h"
#include "deliverd/remote/job.h"
#include "deliverd/remote/remote.h"
#include "deliverd/remote/session.h"

#define AUTHORITIES_MAX (16u << 20)
#define ASKS_WAITING 10000 /* queued's limit of deliveries at once, at its largest */

static void handler(void *daemon, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct fault why = {0};

	if (m->type == IPC_TYPE_deliver_ask) {
		job_begin(daemon, request, &m->deliver_ask, fd);
		return;
	}
	fault_set(&why, "5.5.1", "remote delivers, nothing else");
	ipc_answer_fault(request, &why);
}

static bool start(struct service *s, void *daemon, struct fault *why)
{
	struct remote *r = daemon;

	r->service = s;
	r->idle_max = s->settings->remote_concurrency;
	if (!settings_hostname(s->settings, r->hostname, sizeof(r->hostname), why))
		return false;
	r->tls = tls_client_create(s->loop, s->settings->tls_minimum == TLS_MINIMUM_1_3,
				   s->settings->delivery_tls_trust == DELIVERY_TLS_TRUST_CA, why);
	return r->tls != NULL;
}

/* The authorities' certificates. Whether a host must have one of theirs, delivery_tls_trust says.
 */
static void file(void *daemon, int fd, struct slice name, struct slice path)
{
	struct remote *r = daemon;
	struct fault why = {0};
	struct buf pem;

	buf_init(&pem, AUTHORITIES_MAX);
	if (!slice_equal(name, SLICE("authorities")))
		fault_set(&why, "5.5.1", "remote has no use for this file");
	else if (fd_slurp(fd, &pem, &why) && tls_client_set_roots(r->tls, buf_slice(&pem), &why))
		log_event(file_taken, F_SLICE(file, path));
	if (why.text[0])
		log_event(file_unusable, F_SLICE(file, path), F_FAULT(&why));
	buf_fini(&pem);
	fd_close(&fd);
}

static void drained(void *arg)
{
	job_end_if_last(arg);
}

static void stop(void *daemon, uint64_t within_ms)
{
	struct remote *r = daemon;

	(void)within_ms; /* master ends us when the time is over; what is under way then, queued
			    tries again */
	r->stopping = true;
	session_quit_idle(r);
	ipc_server_drain(r->service->server, drained, r);
	job_end_if_last(r);
}

static void destroy(void *daemon)
{
	struct remote *r = daemon;

	session_free_all(r);
	while (!list_empty(&r->jobs))
		job_abandon(LIST_ENTRY(list_first(&r->jobs), struct job, node));
	tls_context_destroy(r->tls);
	table_fini(&r->idle);
	avoided_fini(&r->avoided);
}

int main(int argc, char **argv)
{
	static const struct service_callbacks callbacks = {
		.role = IPC_ROLE_REMOTE,
		.start = start,
		.file = file,
		.handler = handler,
		.stop = stop,
		.destroy = destroy,
		.window = ASKS_WAITING,
	};
	struct remote r = {0};

	list_init(&r.jobs);
	list_init(&r.sessions);
	table_init(&r.idle);
	avoided_init(&r.avoided);
	return service_main(argc, argv, &callbacks, &r);
}
