/* resolvd: DNS for all daemons of the host: one cache, one place that speaks to name servers. */
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/dns/resolver.h"
#include "common/log/log.h"
#include "common/service/service.h"

#define ASKS_WAITING 10000
#define RESOLV_CONF_MAX 65536

struct resolvd {
	struct service *service;
	struct resolver *resolver;
	struct resolver_server of_system[RESOLVER_SERVERS_MAX]; /* of resolv.conf */
	size_t n_of_system;
};

/* The servers that main.conf names, or else the system's. */
static void configure(struct resolvd *d)
{
	const struct settings *settings = d->service->settings;
	struct resolver_server servers[RESOLVER_SERVERS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < settings->dns_servers.n && n < ARRAY_LENGTH(servers); i++)
		n += resolver_server_parse(settings->dns_servers.p[i], &servers[n], NULL);
	resolver_configure(d->resolver, n ? servers : d->of_system, n ? n : d->n_of_system,
			   settings->dns_cache, settings->dns_timeout);
}

static void file(void *daemon, int fd, struct slice name, struct slice path)
{
	struct resolvd *d = daemon;
	struct fault why = {0};
	struct buf text;

	buf_init(&text, RESOLV_CONF_MAX);
	if (slice_equal(name, SLICE("resolv.conf")) && fd_slurp(fd, &text, &why)) {
		d->n_of_system = resolver_servers_of_resolv_conf(buf_slice(&text), d->of_system,
								 ARRAY_LENGTH(d->of_system));
		configure(d);
		log_event(file_taken, F_SLICE(file, path));
	} else if (why.text[0]) {
		log_event(file_unusable, F_SLICE(file, path), F_FAULT(&why));
	}
	buf_fini(&text);
	fd_close(&fd);
}

static void answered(void *arg, const struct dns_cached *a, const struct fault *why)
{
	struct ipc_message m =
		IPC_MESSAGE(dns_answer, .outcome = (uint8_t)a->outcome, .authentic = a->authentic,
			    .ttl_s = a->ttl_s, .records = a->records);

	if (why)
		log_event(dns_failed, F_FAULT(why));
	ipc_answer(arg, &m, -1);
}

static void handler(void *daemon, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct resolvd *d = daemon;
	struct fault why = {0};

	(void)fd;
	if (m->type != IPC_TYPE_dns_ask)
		fault_set(&why, "5.5.1", "resolvd answers questions for DNS, nothing else");
	else if (resolver_ask(d->resolver, m->dns_ask.name, m->dns_ask.type, answered, request,
			      &why))
		return;
	/* What is no domain name does not exist; nobody needs DNS to say so. */
	if (m->type == IPC_TYPE_dns_ask && why.class == FAULT_PERMANENT)
		ipc_answer(request, &IPC_MESSAGE(dns_answer, .outcome = DNS_NO_NAME), -1);
	else
		ipc_answer_fault(request, &why);
}

static bool start(struct service *s, void *daemon, struct fault *why)
{
	struct resolvd *d = daemon;

	d->service = s;
	d->resolver =
		resolver_create(s->loop, s->settings->dns_cache, s->settings->dns_timeout, why);
	if (d->resolver == NULL)
		return false;
	configure(d);
	return true;
}

static void reload(void *daemon)
{
	configure(daemon);
}

static void destroy(void *daemon)
{
	struct resolvd *d = daemon;

	resolver_destroy(d->resolver);
}

int main(int argc, char **argv)
{
	static const struct service_callbacks callbacks = {
		.role = IPC_ROLE_RESOLVD,
		.start = start,
		.file = file,
		.handler = handler,
		.reload = reload,
		.destroy = destroy,
		.window = ASKS_WAITING,
	};
	struct resolvd d = {0};

	return service_main(argc, argv, &callbacks, &d);
}
