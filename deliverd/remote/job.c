#include "deliverd/remote/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "deliverd/remote/body.h"
#include "deliverd/remote/extensions.h"
#include "deliverd/remote/idle.h"
#include "deliverd/remote/remote.h"
#include "deliverd/remote/session.h"

#define JOB_MEMORY (64u << 20) /* of a list of recipients with its replies, at most */

/* ---- results ---- */

static void set_result(struct job *j, struct job_recipient *r, enum deliver_outcome outcome,
		       const char *status, struct slice text, struct slice host)
{
	if (r->outcome != DELIVER_WAITING)
		return;
	r->outcome = outcome;
	snprintf(r->status, sizeof(r->status), "%s", status);
	/* Words that cannot be kept are lost; the outcome is not. */
	if (!arena_copy(&j->arena, slice_head(text, IPC_REPLY_MAX), &r->reply, NULL))
		r->reply = SLICE_EMPTY;
	if (!arena_copy(&j->arena, slice_head(host, IPC_HOST_MAX), &r->host, NULL))
		r->host = SLICE_EMPTY;
}

void job_result(struct job *j, struct job_recipient *r, const struct reply *reply,
		struct slice host)
{
	enum deliver_outcome outcome = reply->code < 300   ? DELIVER_DELIVERED
				       : reply->code < 500 ? DELIVER_DEFERRED
							   : DELIVER_FAILED;
	char status[REPLY_STATUS_MAX];
	struct buf text;

	snprintf(status, sizeof(status), "%u.0.0",
		 outcome == DELIVER_DELIVERED  ? 2
		 : outcome == DELIVER_DEFERRED ? 4
					       : 5);
	buf_init(&text, IPC_REPLY_MAX);
	if (!reply_print(reply, &text))
		buf_reset(&text);
	set_result(j, r, outcome, reply->status[0] == status[0] ? reply->status : status,
		   buf_slice(&text), host);
	buf_fini(&text);
}

static bool put_result(struct buf *list, const struct job_recipient *r)
{
	struct ipc_deliver_result out = {.index = r->index,
					 .outcome = (uint8_t)r->outcome,
					 .status = slice_of_cstr(r->status),
					 .reply = r->reply,
					 .host = r->host,
					 .dsn = r->dsn};

	return ipc_put_deliver_result(list, &out);
}

static void answer(struct job *j)
{
	struct fault why = {0};
	struct buf list;
	bool ok = true;

	buf_init(&list, IPC_LIST_MAX);
	for (size_t i = 0; i < j->n_recipients; i++)
		ok = ok && put_result(&list, &j->recipients[i]);
	if (ok) {
		ipc_answer(j->request,
			   &IPC_MESSAGE(deliver_answer, .results = buf_slice(&list),
					.unreachable = j->unreachable),
			   -1);
	} else {
		fault_set(&why, "4.3.1", "out of memory for the results");
		ipc_answer_fault(j->request, &why);
	}
	buf_fini(&list);
}

void job_end_if_last(struct remote *r)
{
	if (r->stopping && list_empty(&r->jobs) && ipc_server_is_drained(r->service->server))
		service_end(r->service);
}

static void destroy(struct job *j)
{
	struct remote *r = j->remote;

	search_cancel(&j->search);
	list_remove(&j->node);
	fd_close(&j->fd);
	arena_reset(&j->arena);
	buf_fini(&j->password);
	free(j);
	job_end_if_last(r);
}

void job_end(struct job *j, const struct fault *why)
{
	for (size_t i = 0; i < j->n_recipients && why; i++)
		set_result(j, &j->recipients[i],
			   why->class == FAULT_PERMANENT ? DELIVER_FAILED : DELIVER_DEFERRED,
			   fault_status(why), slice_of_cstr(why->text), j->last_host);
	answer(j);
	destroy(j);
}

bool job_waits(const struct job *j)
{
	for (size_t i = 0; i < j->n_recipients; i++)
		if (j->recipients[i].outcome == DELIVER_WAITING)
			return true;
	return false;
}

size_t job_begin_transaction(struct job *j)
{
	size_t n = 0;

	for (size_t i = 0; i < j->n_recipients; i++) {
		struct job_recipient r = j->recipients[i];

		if (r.outcome != DELIVER_WAITING)
			continue;
		r.accepted = false;
		j->recipients[i] = j->recipients[n];
		j->recipients[n++] = r;
	}
	return n;
}

void job_abandon(struct job *j)
{
	struct fault why = {0};

	fault_set(&why, "4.3.2", "the daemon was stopped before it was done");
	job_end(j, &why);
}

/* ---- what it needs ---- */

static bool is_ascii(struct slice path)
{
	for (size_t i = 0; i < path.n; i++)
		if ((unsigned char)path.p[i] > 127)
			return false;
	return true;
}

/* The client may have said SMTPUTF8 for a message that can do without (RFC 6531 3.1). */
static bool needs_smtputf8(const struct job *j)
{
	if (!j->utf8)
		return false;
	for (size_t i = 0; i < j->n_recipients; i++)
		if (!is_ascii(j->recipients[i].forward_path))
			return true;
	return !is_ascii(j->reverse_path) || body_header_is_utf8(j->fd, &j->header);
}

bool job_is_deliverable(const struct job *j, const struct extensions *can, struct fault *why)
{
	if (can->size_max && j->header.content_length > can->size_max) {
		fault_set(why, "5.3.4", "the message has %llu octets, and the far end takes %llu",
			  (unsigned long long)j->header.content_length,
			  (unsigned long long)can->size_max);
		return false;
	}
	if (!can->smtputf8 && needs_smtputf8(j)) {
		fault_set(why, "5.6.7",
			  "an address or header field needs SMTPUTF8, which the far end does not "
			  "have");
		return false;
	}
	return true;
}

/* ---- where to ---- */

struct slice job_next_hop(struct job *j)
{
	struct buf key;
	struct slice kept = SLICE_EMPTY;

	buf_init(&key, JOB_NEXT_HOP_MAX);
	buf_printf(&key, "%.*s:%u:%d:%d:%.*s", SLICE_PRINTF(j->host), j->port, j->mx, (int)j->tls,
		   SLICE_PRINTF(j->username));
	if (!arena_copy(&j->arena, buf_slice(&key), &kept, NULL))
		kept = SLICE_EMPTY;
	buf_fini(&key);
	return kept;
}

/* Is it an address of this host? Then what goes there comes from there; connect(2) of a datagram
 * socket sends nothing. */
static bool is_local(const struct ip *ip, uint16_t port)
{
	struct sockaddr_storage to, from = {0};
	socklen_t size = ip_to_sockaddr(ip, port, &to), n = sizeof(from);
	int fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ip own = {0};
	uint16_t own_port;

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, size) == 0 &&
	    getsockname(fd, (struct sockaddr *)&from, &n) == 0)
		ip_of_sockaddr((const struct sockaddr *)&from, &own, &own_port);
	fd_close(&fd);
	return ip_equal(&own, ip);
}

/* Is it one of our own listeners, by whatever name? What goes there goes round in circles. */
static bool is_own(const struct settings *settings, const struct ip *ip, uint16_t to_port)
{
	struct listener l;
	struct ip own;
	uint16_t port;

	for (size_t i = 0; i < settings->listen.n; i++)
		if (listener_parse(settings->listen.p[i], &l, NULL) &&
		    ip_port_parse(l.address, &own, &port, NULL) && port == to_port &&
		    (ip_equal(&own, ip) ||
		     ip_is_unspecified(ip) || /* which the kernel takes for this host */
		     (ip_is_unspecified(&own) && (ip_is_loopback(ip) || is_local(ip, port)))))
			return true;
	return false;
}

/* How the address is tried now. */
static struct way way_to(const struct job *j, const struct ip *ip)
{
	const struct settings *settings = j->remote->service->settings;
	struct way first = way_first(settings, j->tls, j->port);
	struct way last = way_last(settings, j->tls, j->port);

	if (j->without_tls)
		last.encryption = ENCRYPTION_NONE;
	if (!first.first || ip_equal(ip, &j->without_first) ||
	    avoided_has(&j->remote->avoided, ip, loop_now_ms(j->remote->service->loop)) ||
	    is_own(settings, ip, first.port))
		return last;
	return first;
}

static void try_next(struct job *j)
{
	const struct settings *settings = j->remote->service->settings;
	struct fault why = {0};
	struct way way;

	while (j->next_address < j->search.n_addresses) {
		const struct search_address *a = &j->search.addresses[j->next_address];

		if (is_own(settings, &a->ip, way_last(settings, j->tls, j->port).port)) {
			/* Those after it are no better; those before it may answer tomorrow. */
			if (j->next_address == 0)
				fault_set(
					&j->last, "5.4.6",
					"%.*s is this very host, but the domain is not one of ours",
					SLICE_PRINTF(a->host));
			break;
		}
		j->last_host = a->host;
		way = way_to(j, &a->ip);
		if (session_begin(j->remote, j, a->host, &a->ip, &way, &why)) {
			j->unreachable = false;
			return;
		}
		j->unreachable = true;
		j->last = why;
		if (way.first)
			j->without_first = a->ip;
		else
			j->next_address++;
	}
	job_end(j, &j->last);
}

static void on_search(void *arg)
{
	struct job *j = arg;

	if (j->search.n_addresses) {
		try_next(j);
		return;
	}
	j->unreachable = j->search.why.class != FAULT_PERMANENT;
	job_end(j, &j->search.why);
}

static void start(struct job *j)
{
	const struct settings *settings = j->remote->service->settings;
	struct session *s = j->fresh ? NULL : idle_take(j->remote, job_next_hop(j));
	struct ipc_peer *resolvd;

	if (s) {
		session_give(s, j);
		return;
	}
	if ((resolvd = service_peer(j->remote->service, IPC_ROLE_RESOLVD, 0)) == NULL) {
		fault_set(&j->last, "4.3.1", "out of memory");
		job_end(j, &j->last);
		return;
	}
	/* resolvd itself keeps dns_timeout; this limit is for a resolvd that does not answer at
	 * all. */
	search_begin(&j->search, j->remote->service->loop, resolvd, &j->arena, j->host, j->mx,
		     slice_of_cstr(j->remote->hostname), settings->dns_timeout + 2000, on_search,
		     j);
}

void job_session_unusable(struct job *j, enum job_next next, const struct ip *ip,
			  const struct fault *why)
{
	j->session = NULL;
	j->unreachable = true;
	j->last = *why;
	/* What a host says before MAIL is about the host: another one, or the same tomorrow, may
	 * say otherwise. */
	j->last.class = FAULT_TEMPORARY;
	if (j->last.status[0] == '5')
		j->last.status[0] = '4';
	j->without_tls = next == JOB_WITHOUT_TLS;
	if (next == JOB_OTHER_WAY)
		j->without_first = *ip;
	if (next == JOB_NEXT_ADDRESS)
		j->next_address++;
	if (j->search.n_addresses)
		try_next(j);
	else
		job_session_stale(j); /* it was an idle one: where else to, is not known yet */
}

void job_session_stale(struct job *j)
{
	j->session = NULL;
	j->last_host = SLICE_EMPTY;
	j->fresh = true;
	start(j);
}

/* ---- from queued ---- */

/* A path goes into a command line as it is: nothing in it may end that line. */
static bool is_one_line(struct slice path)
{
	for (size_t i = 0; i < path.n; i++)
		if (ascii_is_control(path.p[i]))
			return false;
	return true;
}

static bool take_recipient(struct job *j, const struct ipc_deliver_recipient *in,
			   struct job_recipient *out, struct fault *why)
{
	return arena_copy(&j->arena, in->forward_path, &out->forward_path, why) &&
	       (!is_one_line(in->notify) || arena_copy(&j->arena, in->notify, &out->notify, why)) &&
	       (!is_one_line(in->orcpt) || arena_copy(&j->arena, in->orcpt, &out->orcpt, why));
}

static bool take_recipients(struct job *j, struct slice list, struct fault *why)
{
	struct ipc_deliver_recipient r;
	bool broken = false;
	size_t n = ipc_count_deliver_recipient(list, why);

	if (n == 0 ||
	    (j->recipients = arena_alloc(&j->arena, n * sizeof(*j->recipients), why)) == NULL)
		return false;
	for (; ipc_next_deliver_recipient(&list, &r, &broken); j->n_recipients++) {
		j->recipients[j->n_recipients].index = r.index;
		if (!is_one_line(r.forward_path) || !is_one_line(j->reverse_path)) {
			fault_set(why, "5.1.3", "a path with a control character cannot be sent");
			return false;
		}
		if (!take_recipient(j, &r, &j->recipients[j->n_recipients], why))
			return false;
	}
	return true;
}

static bool take_file(struct job *j, int *fd, struct fault *why)
{
	if (!fd_is_file_to_read(*fd, why))
		return false;
	j->fd = *fd;
	*fd = -1;
	return spool_header_read(j->fd, j->id, &j->header, why);
}

/* RFC 4616 2: neither may hold a NUL. */
static bool take_credentials(struct job *j, const struct ipc_deliver_ask *ask, struct fault *why)
{
	if (slice_find(ask->password, '\0') != SIZE_MAX) {
		fault_set(why, "4.3.5", "the route's password holds a NUL");
		return false;
	}
	if (!buf_append(&j->password, ask->password)) {
		fault_set(why, "4.3.1", "out of memory");
		return false;
	}
	return arena_copy(&j->arena, ask->username, &j->username, why);
}

static bool take_ask(struct job *j, const struct ipc_deliver_ask *ask, struct fault *why)
{
	j->port = ask->port;
	j->mx = ask->mx;
	j->eight_bit = ask->eight_bit;
	j->utf8 = ask->utf8;
	j->tls = (enum route_tls)ask->tls;
	if (ask->tls > ROUTE_TLS_NONE) {
		fault_set(why, "5.5.4", "there is no TLS policy %u", ask->tls);
		return false;
	}
	return arena_copy(&j->arena, ask->id, &j->id, why) &&
	       arena_copy(&j->arena, ask->reverse_path, &j->reverse_path, why) &&
	       arena_copy(&j->arena, ask->host, &j->host, why) &&
	       (!is_one_line(ask->ret) || arena_copy(&j->arena, ask->ret, &j->ret, why)) &&
	       (!is_one_line(ask->envid) || arena_copy(&j->arena, ask->envid, &j->envid, why)) &&
	       take_credentials(j, ask, why) && take_recipients(j, ask->recipients, why);
}

void job_begin(struct remote *r, struct ipc_request *request, const struct ipc_deliver_ask *ask,
	       int *fd)
{
	struct fault why = {0};
	struct job *j = memory_alloc(1, sizeof(*j), &why);

	if (j == NULL) {
		ipc_answer_fault(request, &why);
		return;
	}
	j->remote = r;
	j->request = request;
	j->fd = -1;
	arena_init(&j->arena, JOB_MEMORY);
	buf_init_secret(&j->password, 1024);
	list_init(&j->node);
	list_append(&r->jobs, &j->node);
	if (take_ask(j, ask, &why) && take_file(j, fd, &why)) {
		start(j);
		return;
	}
	ipc_answer_fault(request, &why);
	destroy(j);
}
