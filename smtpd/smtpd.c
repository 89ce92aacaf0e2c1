#include "smtpd/smtpd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/auth/organization.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/event/pool.h"
#include "common/log/log.h"
#include "smtpd/handover.h"
#include "smtpd/listener.h"
#include "smtpd/session.h"

/* So many fsyncs may be in flight: the file system's journal commits them together. What waits
 * beyond that is bounded by the number of sessions. */
#define POOL_THREADS 32
#define POOL_WAITING 4096
/* A stop within this is one of the whole, or of the machine. */
#define HURRY_MS 10000

static void take_folder(void *daemon, int fd, struct slice name)
{
	struct smtpd *d = daemon;

	if (slice_equal(name, SLICE("incoming"))) {
		fd_close(&d->folder);
		d->folder = fd;
		return;
	}
	fd_close(&fd);
}

/* The descriptor carries the lock that says that we live (master took it before it handed it over
 * and closed its own): it is kept as it is. */
static bool take_place(struct smtpd *d, struct fault *why)
{
	d->place.folder = d->folder;
	d->folder = -1;
	if (d->place.folder >= 0)
		return true;
	fault_set(why, "4.3.5", "master sent no folder for incoming messages");
	return false;
}

/* Sessions that do nothing are told to come back; the others end their transactions first. */
static void hurry(struct smtpd *d)
{
	d->hurried = true;
	LIST_EACH (node, &d->sessions)
		session_run(session_of_node(node));
}

static void stop_limit_over(void *arg)
{
	struct smtpd *d = arg;

	if (!d->hurried) {
		loop_timer_set(&d->stop_limit, HURRY_MS);
		hurry(d);
		return;
	}
	LIST_EACH (node, &d->sessions)
		session_end(session_of_node(node), "time to stop is over");
	service_end(d->service);
}

static bool start(struct service *s, void *daemon, struct fault *why)
{
	struct smtpd *d = daemon;

	d->service = s;
	d->loop = s->loop;
	d->submission = slice_equal(s->kind, SLICE("submission"));
	d->place.folder = -1;
	list_init(&d->listeners);
	list_init(&d->sessions);
	list_init(&d->handovers);
	table_init(&d->clients);
	d->public_suffixes = organization_list_open();
	loop_timer_init(&d->stop_limit, d->loop, stop_limit_over, d);
	spool_id_source_init(&d->ids, s->settings->hostname, s->worker);
	if ((d->pool = pool_create(d->loop, POOL_THREADS, POOL_WAITING, why)) == NULL ||
	    !take_place(d, why))
		return false;
	d->place.pool = d->pool;
	d->place.sync_directory = s->settings->spool_sync_directory;
	/* By the end of this connection queued sees that we are gone, and looks through our folder. */
	if (service_peer(s, IPC_ROLE_QUEUED, 0) != NULL)
		ipc_peer_keep_up(service_peer(s, IPC_ROLE_QUEUED, 0));
	return encryption_start(d, why);
}

static void take_listener(void *daemon, int fd, struct slice line)
{
	listener_create(daemon, fd, line);
}

static void take_file(void *daemon, int fd, struct slice name, struct slice path)
{
	if (slice_equal(name, SLICE("certificate")))
		encryption_take_certificate(daemon, fd, path);
	fd_close(&fd);
}

/* With much time (new workers have taken over) sessions go on to their own end; the last seconds are
 * hurried. */
static void stop(void *daemon, uint64_t within_ms)
{
	struct smtpd *d = daemon;

	d->stopping = true;
	listeners_close(d);
	if (within_ms > HURRY_MS && !d->hurried) {
		loop_timer_set(&d->stop_limit, within_ms - HURRY_MS);
	} else {
		loop_timer_set(&d->stop_limit, within_ms);
		hurry(d);
	}
	smtpd_ended_something(d);
}

void smtpd_ended_something(struct smtpd *d)
{
	if (d->stopping && d->n_sessions == 0 && !handovers_matter(d))
		service_end(d->service);
}

static void destroy(void *daemon)
{
	struct smtpd *d = daemon;

	if (d->service == NULL)
		return;
	d->stopping = d->hurried = false;
	listeners_destroy(d);
	LIST_EACH (node, &d->sessions)
		session_end(session_of_node(node), "the process ends");
	/* Commits that are under way end here. */
	pool_destroy(d->pool);
	handovers_destroy(d);
	encryption_stop(d);
	table_fini(&d->clients);
	organization_list_close(d->public_suffixes);
	loop_timer_cancel(&d->stop_limit);
	fd_close(&d->place.folder);
	fd_close(&d->folder);
}

const struct service_callbacks smtpd_service = {
	.role = IPC_ROLE_SMTPD,
	.start = start,
	.listener = take_listener,
	.file = take_file,
	.folder = take_folder,
	.stop = stop,
	.destroy = destroy,
};
