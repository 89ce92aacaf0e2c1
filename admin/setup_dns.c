/* The DNS records that other hosts and mail programs look for, as the lines of a zone file. */
#include "admin/setup.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/address.h"
#include "common/conf/settings.h"

#define ADDRESSES_MAX 16

/* One that nobody outside can reach. */
static bool is_private(const struct ip *ip)
{
	static const struct {
		struct ip network;
		unsigned bits;
	} networks[] = {
		{{4, {10}}, 8}, {{4, {172, 16}}, 12}, {{4, {192, 168}}, 16}, {{4, {169, 254}}, 16}, {{4, {100, 64}}, 10},
		{{6, {0xfc}}, 7}, {{6, {0xfe, 0x80}}, 10},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(networks); i++)
		if (ip_in_network(ip, &networks[i].network, networks[i].bits))
			return true;
	return false;
}

/* The host's addresses, without loopback. */
static size_t addresses_of_host(struct ip out[ADDRESSES_MAX])
{
	struct ifaddrs *all = NULL;
	size_t n = 0;

	if (getifaddrs(&all) != 0)
		return 0;
	for (const struct ifaddrs *i = all; i != NULL && n < ADDRESSES_MAX; i = i->ifa_next) {
		struct ip ip;
		uint16_t port;

		if (i->ifa_addr == NULL || (i->ifa_flags & IFF_UP) == 0)
			continue;
		ip_of_sockaddr(i->ifa_addr, &ip, &port);
		if (ip.family != 0 && !ip_is_loopback(&ip))
			out[n++] = ip;
	}
	freeifaddrs(all);
	return n;
}

static void print_reverse(const struct ip *ip)
{
	if (ip->family == 4)
		(void)printf("%u.%u.%u.%u.in-addr.arpa.", ip->octets[3], ip->octets[2], ip->octets[1], ip->octets[0]);
	for (int i = 15; ip->family == 6 && i >= 0; i--)
		(void)printf("%x.%x.%s", ip->octets[i] & 0xf, ip->octets[i] >> 4, i == 0 ? "ip6.arpa." : "");
}

static void print_addresses(const struct setup *s, const struct ip *addresses, size_t n)
{
	char text[IP_TEXT_MAX];
	bool some = false;

	for (size_t i = 0; i < n; i++) {
		bool hidden = is_private(&addresses[i]);

		(void)printf("%s%s. IN %s %s%s\n", hidden ? "; " : "", s->hostname, addresses[i].family == 4 ? "A" : "AAAA",
			     ip_text(&addresses[i], text), hidden ? " (private: publish the one that the world sees)" : "");
		some = some || !hidden;
	}
	if (!some)
		(void)printf("; %s. IN A ADDRESS (the one that the world sees)\n", s->hostname);
}

static void print_way_back(const struct setup *s, const struct ip *addresses, size_t n)
{
	(void)printf("; the way back, which whoever gave you the address publishes\n");
	for (size_t i = 0; i < n; i++) {
		if (is_private(&addresses[i]))
			continue;
		print_reverse(&addresses[i]);
		(void)printf(" IN PTR %s.\n", s->hostname);
	}
}

/* Users' mail programs find the ports by these (RFC 6186 3.1, RFC 8314 5.1). */
static void print_services(const struct setup *s)
{
	for (size_t i = 0; i < s->settings->listen.n; i++) {
		struct listener l;
		uint16_t port;
		struct ip ip;

		if (!listener_parse(s->settings->listen.p[i], &l, NULL) || l.kind != LISTENER_SUBMISSION ||
		    !ip_port_parse(l.address, &ip, &port, NULL) || (ip.family == 6 && ip_is_unspecified(&ip)))
			continue;
		if (l.tls == LISTENER_TLS_IMPLICIT)
			(void)printf("_submissions._tcp.%s. IN SRV 0 1 %u %s.\n", s->domain, port, s->hostname);
		else
			(void)printf("_submission._tcp.%s. IN SRV 5 1 %u %s.\n", s->domain, port, s->hostname);
	}
}

void setup_dns_print(const struct setup *s)
{
	struct ip addresses[ADDRESSES_MAX];
	size_t n = addresses_of_host(addresses);

	(void)printf("\n; What to publish in DNS:\n$TTL 3600\n");
	(void)printf("%s. IN MX 10 %s.\n", s->domain, s->hostname);
	print_addresses(s, addresses, n);
	(void)printf("; who sends as %s, and what others shall do with the rest (RFC 7208 3, RFC 7489 6.1)\n", s->domain);
	(void)printf("%s. IN TXT \"v=spf1 mx -all\"\n", s->domain);
	if (strcmp(s->hostname, s->domain) != 0)
		(void)printf("%s. IN TXT \"v=spf1 a -all\"\n", s->hostname);
	(void)printf("_dmarc.%s. IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@%s\"\n", s->domain, s->domain);
	print_services(s);
	print_way_back(s, addresses, n);
}
