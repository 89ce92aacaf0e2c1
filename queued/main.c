/* queued: the queue manager as a service (common/service/service.h); what it does begins at queued/queued.h. */
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "queued/queued.h"

struct daemon {
	struct service *service;
	struct queued queued;
	int spool;
};

static struct ipc_peer *peer_worker(void *arg, enum ipc_role role, unsigned worker)
{
	return service_peer(arg, role, worker);
}

static struct ipc_peer *peer_home(void *arg, enum ipc_role role, struct slice key)
{
	return service_peer_for(arg, role, key);
}

static unsigned peer_n_workers(void *arg, enum ipc_role role)
{
	return service_n_workers(arg, role);
}

static bool start(struct service *s, void *arg, struct fault *why)
{
	struct daemon *d = arg;
	struct queued_peers peers = {.arg = s, .worker = peer_worker, .home = peer_home, .n_workers = peer_n_workers};
	int spool = d->spool;

	d->service = s;
	d->spool = -1;
	if (spool < 0) {
		fault_set(why, "4.3.0", "master sent no spool_dir");
		return false;
	}
	ipc_server_set_window(s->server, (uint32_t)s->settings->queue_window);
	return queued_start(&d->queued, s->loop, s->settings, spool, &peers, why);
}

static void folder(void *arg, int fd, struct slice name)
{
	struct daemon *d = arg;

	if (slice_equal(name, SLICE("spool"))) {
		fd_close(&d->spool);
		d->spool = fd;
	} else
		fd_close(&fd);
}

/* The texts of notices; what is no such thing leaves those that there are. */
static void file(void *arg, int fd, struct slice name, struct slice path)
{
	struct daemon *d = arg;
	struct fault why = {0};
	struct buf pack;

	buf_init(&pack, TEMPLATES_PACK_MAX);
	if (slice_equal(name, SLICE("templates")) &&
	    (!fd_slurp(fd, &pack, &why) || !templates_take(&d->queued.templates, buf_slice(&pack), &why)))
		log_event(file_unusable, F_SLICE(file, path), F_FAULT(&why));
	buf_fini(&pack);
	fd_close(&fd);
}

static void handle(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct daemon *d = arg;

	queued_handle(&d->queued, request, m, fd);
}

static void presence(void *arg, enum ipc_role role, unsigned worker, bool there)
{
	struct daemon *d = arg;

	queued_presence(&d->queued, role, worker, there);
}

static void reload(void *arg)
{
	struct daemon *d = arg;

	ipc_server_set_window(d->service->server, (uint32_t)d->service->settings->queue_window);
	queued_reload(&d->queued, d->service->settings);
}

static void ended(void *arg)
{
	struct daemon *d = arg;

	service_end(d->service);
}

static void stop(void *arg, uint64_t within_ms)
{
	struct daemon *d = arg;

	queued_stop(&d->queued, within_ms, ended, d);
}

static void destroy(void *arg)
{
	struct daemon *d = arg;

	queued_destroy(&d->queued);
	fd_close(&d->spool);
}

static const struct service_callbacks callbacks = {
	.role = IPC_ROLE_QUEUED,
	.start = start,
	.folder = folder,
	.file = file,
	.handler = handle,
	.presence = presence,
	.reload = reload,
	.stop = stop,
	.destroy = destroy,
	.window = 500,
};

int main(int argc, char **argv)
{
	struct daemon d = {.spool = -1};

	return service_main(argc, argv, &callbacks, &d);
}
