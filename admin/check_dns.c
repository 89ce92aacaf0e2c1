/* DNS: does a name server answer, does the host's name resolve, and do its addresses lead back to it. All of it is warnings: mail from this host flows without, though others may not take it.
 * Touches: the network, /etc/resolv.conf. */
#include "admin/check.h"

#include <string.h>
#include <unistd.h>

#include "common/base/address.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/dns/resolver.h"
#include "common/event/loop.h"
#include "common/ipc/frame.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define WITHIN_MS 5000u
#define CACHE_BYTES (1u << 20)
#define ADDRESSES_MAX 8

struct dns {
	struct check *check;
	struct loop *loop;
	struct resolver *resolver;
	bool answered;
	/* the last answer */
	enum dns_outcome outcome;
	struct buf records;
	struct fault why;
};

static void done(void *arg, const struct dns_cached *answer, const struct fault *why)
{
	struct dns *d = arg;

	d->answered = true;
	d->outcome = answer->outcome;
	buf_reset(&d->records);
	if (answer->outcome == DNS_OK)
		buf_append(&d->records, answer->records);
	if (answer->outcome == DNS_FAILED && why != NULL)
		d->why = *why;
}

static enum dns_outcome ask(struct dns *d, struct slice name, uint16_t type)
{
	d->answered = false;
	if (!resolver_ask(d->resolver, name, type, done, d, &d->why))
		return DNS_FAILED;
	while (!d->answered)
		loop_turn(d->loop, true);
	return d->outcome;
}

static size_t servers_of(const struct settings *s, struct resolver_server *out)
{
	struct buf text;
	size_t n = 0;

	for (size_t i = 0; i < s->dns_servers.n && n < RESOLVER_SERVERS_MAX; i++)
		n += resolver_server_parse(s->dns_servers.p[i], &out[n], NULL);
	if (s->dns_servers.n > 0)
		return n;
	buf_init(&text, 65536);
	if (fd_slurp_path(RESOLV_CONF, &text, NULL, NULL))
		n = resolver_servers_of_resolv_conf(buf_slice(&text), out, RESOLVER_SERVERS_MAX);
	buf_fini(&text);
	/* As the C library does, and resolvd. */
	return n > 0 ? n : resolver_server_parse(SLICE("127.0.0.1"), &out[0], NULL);
}

/* ---- the way back ---- */

static bool append_reverse(const struct ip *ip, struct buf *out)
{
	if (ip->family == 4)
		return buf_printf(out, "%u.%u.%u.%u.in-addr.arpa", ip->octets[3], ip->octets[2], ip->octets[1], ip->octets[0]);
	for (int i = 15; i >= 0; i--)
		buf_printf(out, "%x.%x.", ip->octets[i] & 0xf, ip->octets[i] >> 4);
	return buf_append_cstr(out, "ip6.arpa"); /* RFC 3596 2.5 */
}

static void check_way_back(struct dns *d, const struct ip *ip)
{
	struct slice hostname = d->check->settings->hostname, rest, first = SLICE_EMPTY;
	struct ipc_dns_record r;
	char text[IP_TEXT_MAX];
	struct buf name;
	bool broken = false;

	buf_init(&name, 128);
	if (!append_reverse(ip, &name) || ask(d, buf_slice(&name), DNS_PTR) == DNS_FAILED)
		goto out;
	rest = buf_slice(&d->records);
	while (ipc_next_dns_record(&rest, &r, &broken)) {
		struct slice target = r.name;

		if (slice_ends(target, SLICE(".")))
			target.n--;
		if (slice_equal_nocase(target, hostname))
			goto out;
		if (first.n == 0)
			first = target;
	}
	if (first.n > 0)
		check_warning(d->check, "dns", "the PTR record of %s, which hostname resolves to, is %.*s and not %.*s: others may refuse mail "
			      "from here; who gave you the address sets it", ip_text(ip, text), SLICE_PRINTF(first), SLICE_PRINTF(hostname));
	else
		check_warning(d->check, "dns", "%s, which hostname resolves to, has no PTR record: others may refuse mail from here; who gave "
			      "you the address sets it, to %.*s", ip_text(ip, text), SLICE_PRINTF(hostname));
out:
	buf_fini(&name);
}

static size_t addresses_of(struct dns *d, uint16_t type, struct ip *out, size_t max)
{
	struct slice rest;
	struct ipc_dns_record r;
	bool broken = false;
	size_t n = 0;

	if (ask(d, d->check->settings->hostname, type) != DNS_OK)
		return 0;
	rest = buf_slice(&d->records);
	while (n < max && ipc_next_dns_record(&rest, &r, &broken))
		out[n++] = r.address;
	return n;
}

static void check_hostname(struct dns *d)
{
	struct slice hostname = d->check->settings->hostname;
	struct ip addresses[ADDRESSES_MAX];
	enum dns_outcome first;
	size_t n = addresses_of(d, DNS_A, addresses, ADDRESSES_MAX / 2);

	first = d->outcome;
	n += addresses_of(d, DNS_AAAA, addresses + n, ADDRESSES_MAX / 2);
	if (n == 0 && (first == DNS_FAILED || d->outcome == DNS_FAILED)) {
		check_warning(d->check, "dns", "no name server says where %.*s is (%s): mail to other hosts waits; dns_servers in main.conf, or else "
			      RESOLV_CONF ", names the servers", SLICE_PRINTF(hostname), d->why.text);
	} else if (n == 0) {
		check_warning(d->check, "dns", "hostname, %.*s, has no address in DNS: others may refuse mail from here, and find no way back; publish "
			      "an A or AAAA record for it", SLICE_PRINTF(hostname));
	}
	for (size_t i = 0; i < n; i++)
		if (!ip_is_loopback(&addresses[i]))
			check_way_back(d, &addresses[i]);
}

void check_dns(struct check *c)
{
	uint64_t within_ms = c->settings->dns_timeout < WITHIN_MS ? c->settings->dns_timeout : WITHIN_MS;
	struct resolver_server servers[RESOLVER_SERVERS_MAX];
	size_t n = servers_of(c->settings, servers);
	struct dns d = {.check = c};

	buf_init(&d.records, 262144);
	if ((d.loop = loop_create(&d.why)) == NULL ||
	    (d.resolver = resolver_create(d.loop, CACHE_BYTES, within_ms, &d.why)) == NULL) {
		check_fault(c, "dns", &d.why);
	} else {
		resolver_configure(d.resolver, servers, n, CACHE_BYTES, within_ms);
		check_hostname(&d);
	}
	resolver_destroy(d.resolver);
	loop_destroy(d.loop);
	buf_fini(&d.records);
}
