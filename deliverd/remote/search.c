#include "deliverd/remote/search.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/random.h"

enum { TYPE_A = 1, TYPE_MX = 15, TYPE_AAAA = 28 }; /* RFC 1035 3.2.2, RFC 3596 2.1 */

static void finish(struct search *s)
{
	loop_task_schedule(&s->later);
}

static void call_done(void *arg)
{
	struct search *s = arg;

	s->done(s->arg);
}

static void fail(struct search *s, const char *status, const char *text)
{
	s->n_addresses = 0;
	fault_set(&s->why, status, "%s", text);
	fault_add(&s->why, "%.*s", SLICE_PRINTF(s->domain));
	finish(s);
}

static struct slice without_dot(struct slice name)
{
	return slice_ends(name, SLICE(".")) ? slice_head(name, name.n - 1) : name;
}

void search_order_hosts(struct search_host *hosts, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct search_host swap;
		size_t j = random_below((uint32_t)i + 1);

		swap = hosts[i];
		hosts[i] = hosts[j];
		hosts[j] = swap;
	}
	for (size_t i = 1; i < n; i++) { /* stable: equals stay shuffled */
		struct search_host host = hosts[i];
		size_t j = i;

		for (; j > 0 && hosts[j - 1].preference > host.preference; j--)
			hosts[j] = hosts[j - 1];
		hosts[j] = host;
	}
}

/* ---- addresses ---- */

static void add_address(struct search *s, struct slice host, const struct ip *ip)
{
	if (s->n_addresses < SEARCH_ADDRESSES_MAX)
		s->addresses[s->n_addresses++] = (struct search_address){.host = host, .ip = *ip};
}

/* All hosts have answered. */
static void gather(struct search *s)
{
	bool failed = false;

	/* One address of each host before the second of any of the same rank would be fairer to
	 * hosts with many; the order of preference comes first. */
	for (size_t i = 0; i < s->n_hosts; i++) {
		struct search_host *host = &s->hosts[i];

		failed = failed || host->failed;
		for (size_t j = 0; j < SEARCH_ADDRESSES_MAX; j++) {
			if (j < host->n_v6)
				add_address(s, host->name, &host->v6[j]);
			if (j < host->n_v4)
				add_address(s, host->name, &host->v4[j]);
		}
	}
	if (s->n_addresses)
		finish(s);
	else if (failed)
		fail(s, "4.4.3", "the name servers do not answer for the addresses of its hosts");
	else if (s->n_hosts == 1 && slice_equal(s->hosts[0].name, s->domain))
		fail(s, "5.1.2", "the domain has neither MX nor address");
	else
		fail(s, "5.4.4", "none of its MX has an address");
}

static void take_address(struct search_host *host, const struct ip *ip)
{
	if (ip->family == 6 && host->n_v6 < SEARCH_ADDRESSES_MAX)
		host->v6[host->n_v6++] = *ip;
	if (ip->family == 4 && host->n_v4 < SEARCH_ADDRESSES_MAX)
		host->v4[host->n_v4++] = *ip;
}

static void on_address(void *arg, const struct ipc_message *answer, int *fd,
		       const struct fault *why)
{
	struct search_host *host = arg;
	struct search *s = host->search;
	struct ipc_dns_record r;
	struct slice list;
	bool broken = false;

	(void)fd;
	(void)why;
	if (answer == NULL || answer->type != IPC_TYPE_dns_answer ||
	    answer->dns_answer.outcome == DNS_FAILED) {
		host->failed = true;
	} else {
		list = answer->dns_answer.records;
		while (ipc_next_dns_record(&list, &r, &broken))
			if (r.type == TYPE_A || r.type == TYPE_AAAA)
				take_address(host, &r.address);
		host->failed = host->failed || broken;
	}
	if (--s->n_pending == 0)
		gather(s);
}

static bool ask(struct search *s, struct ipc_ask *a, struct slice name, uint16_t type,
		ipc_answer_fn *fn, void *arg)
{
	struct ipc_message m = IPC_MESSAGE(dns_ask, .name = name, .type = type);

	return ipc_ask(s->resolvd, a, &m, -1, s->within_ms, true, fn, arg, NULL);
}

static void ask_addresses(struct search *s)
{
	struct ip ip;

	s->n_pending =
		1; /* ours, so that no answer can end it while questions are still being sent */
	for (size_t i = 0; i < s->n_hosts; i++) {
		struct search_host *host = &s->hosts[i];

		host->search = s;
		if (ip_parse(host->name,
			     &ip)) { /* an MX that is an address: against RFC 5321 5.1, and met */
			take_address(host, &ip);
			continue;
		}
		if (ask(s, &host->ask_v6, host->name, TYPE_AAAA, on_address, host))
			s->n_pending++;
		else
			host->failed = true;
		if (ask(s, &host->ask_v4, host->name, TYPE_A, on_address, host))
			s->n_pending++;
		else
			host->failed = true;
	}
	if (--s->n_pending == 0)
		gather(s);
}

static bool add_host(struct search *s, struct slice name, uint16_t preference)
{
	struct search_host *host = &s->hosts[s->n_hosts];

	*host = (struct search_host){.search = s, .preference = preference};
	if (!arena_copy(s->arena, name, &host->name, &s->why))
		return false;
	s->n_hosts++;
	return true;
}

static void ask_domain_itself(struct search *s)
{
	s->n_hosts = 0;
	if (add_host(s, s->domain, 0))
		ask_addresses(s);
	else
		fail(s, "4.3.1", "out of memory");
}

/* ---- MX ---- */

/* Leaves out our own host and all that are no better than it. False: that leaves none. */
static bool leave_out_own(struct search *s)
{
	size_t n = 0;
	unsigned limit = 65536;

	for (size_t i = 0; i < s->n_hosts; i++)
		if (slice_equal_nocase(s->hosts[i].name, s->own_name) &&
		    s->hosts[i].preference < limit)
			limit = s->hosts[i].preference;
	for (size_t i = 0; i < s->n_hosts; i++)
		if (s->hosts[i].preference < limit)
			s->hosts[n++] = s->hosts[i];
	s->n_hosts = n;
	return n > 0;
}

/* The worst of the hosts makes room for a better one. */
static void take_host(struct search *s, struct slice name, uint16_t preference)
{
	size_t worst = 0;

	if (s->n_hosts < SEARCH_HOSTS_MAX) {
		s->out_of_memory = !add_host(s, name, preference) || s->out_of_memory;
		return;
	}
	for (size_t i = 1; i < s->n_hosts; i++)
		if (s->hosts[i].preference > s->hosts[worst].preference)
			worst = i;
	if (s->hosts[worst].preference > preference &&
	    arena_copy(s->arena, name, &s->hosts[worst].name, &s->why))
		s->hosts[worst].preference = preference;
}

static void take_mx(struct search *s, struct slice list)
{
	struct ipc_dns_record r;
	bool broken = false, null_mx = false;

	while (ipc_next_dns_record(&list, &r, &broken)) {
		if (r.type != TYPE_MX)
			continue;
		if (without_dot(r.name).n == 0)
			null_mx = true;
		else
			take_host(s, without_dot(r.name), r.preference);
	}
	if (null_mx && s->n_hosts == 0)
		fail(s, "5.1.10", "the domain takes no mail (null MX)");
	else if (broken || s->out_of_memory || s->n_hosts == 0)
		fail(s, "4.4.3", "the answer for its MX could not be taken");
	else if (!leave_out_own(s))
		fail(s, "5.4.6",
		     "we are its best MX, but it is not a domain of ours: mail for it would go "
		     "round in circles");
	else {
		search_order_hosts(s->hosts, s->n_hosts);
		ask_addresses(s);
	}
}

static void on_mx(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct search *s = arg;

	(void)fd;
	(void)why;
	if (answer == NULL || answer->type != IPC_TYPE_dns_answer) {
		fail(s, "4.4.3", "no answer for its MX came in time");
		return;
	}
	switch ((enum dns_outcome)answer->dns_answer.outcome) {
	case DNS_OK:
		take_mx(s, answer->dns_answer.records);
		return;
	case DNS_NO_DATA:
		ask_domain_itself(s);
		return;
	case DNS_NO_NAME:
		fail(s, "5.1.2", "there is no such domain");
		return;
	case DNS_FAILED:
		break;
	}
	fail(s, "4.4.3", "the name servers do not answer for its MX");
}

/* ---- the beginning ---- */

/* An address, "[192.0.2.1]", "[IPv6:2001:db8::1]", or localhost, which is no matter of DNS. */
static bool take_literal(struct search *s, struct slice host)
{
	struct slice name = host;
	struct ip ip;

	if (slice_starts(host, SLICE("[")) && slice_ends(host, SLICE("]"))) {
		host = slice_of(host.p + 1, host.n - 2);
		if (slice_starts_nocase(host, SLICE("IPv6:")))
			host = slice_tail(host, 5);
		name = host; /* TLS wants it bare */
	}
	if (slice_equal_nocase(host, SLICE("localhost")))
		host = SLICE("127.0.0.1");
	if (!ip_parse(host, &ip))
		return false;
	add_address(s, name, &ip);
	return true;
}

void search_begin(struct search *s, struct loop *loop, struct ipc_peer *resolvd,
		  struct arena *arena, struct slice host, bool mx, struct slice own_name,
		  uint64_t within_ms, search_done_fn *done, void *arg)
{
	*s = (struct search){.arena = arena,
			     .resolvd = resolvd,
			     .within_ms = within_ms,
			     .domain = host,
			     .own_name = own_name,
			     .done = done,
			     .arg = arg};
	loop_task_init(&s->later, loop, call_done, s);
	if (take_literal(s, host)) {
		finish(s);
		return;
	}
	s->hosts = arena_alloc(arena, SEARCH_HOSTS_MAX * sizeof(*s->hosts), &s->why);
	if (s->hosts == NULL)
		fail(s, "4.3.1", "out of memory");
	else if (!mx)
		ask_domain_itself(s);
	else if (!ask(s, &s->ask_mx, host, TYPE_MX, on_mx, s))
		fail(s, "4.4.3", "too many questions wait for the name servers");
}

void search_cancel(struct search *s)
{
	if (s->later.loop == NULL)
		return;
	loop_task_cancel(&s->later);
	ipc_ask_cancel(&s->ask_mx);
	for (size_t i = 0; s->hosts && i < s->n_hosts; i++) {
		ipc_ask_cancel(&s->hosts[i].ask_v4);
		ipc_ask_cancel(&s->hosts[i].ask_v6);
	}
	s->n_hosts = 0; /* the arena may go now */
}
