#include "common/base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/number.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void set_v6(struct ip *out, const uint8_t octets[16])
{
	*out = (struct ip){0};
	if (memcmp(octets, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		out->family = 4;
		memcpy(out->octets, octets + 12, 4);
	} else {
		out->family = 6;
		memcpy(out->octets, octets, 16);
	}
}

bool ip_parse(struct slice s, struct ip *out)
{
	char text[IP_TEXT_MAX];
	struct in6_addr v6;
	struct in_addr v4;

	if (!slice_cstr(s, text, sizeof(text), NULL))
		return false;
	if (inet_pton(AF_INET, text, &v4) == 1) {
		*out = (struct ip){.family = 4};
		memcpy(out->octets, &v4, 4);
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6) != 1)
		return false;
	set_v6(out, v6.s6_addr);
	return true;
}

const char *ip_text(const struct ip *ip, char out[IP_TEXT_MAX])
{
	if (ip->family == 0 || inet_ntop(ip->family == 4 ? AF_INET : AF_INET6, ip->octets, out, IP_TEXT_MAX) == NULL)
		snprintf(out, IP_TEXT_MAX, "none");
	return out;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
	return a->family == b->family && memcmp(a->octets, b->octets, a->family == 4 ? 4 : 16) == 0;
}

bool ip_in_network(const struct ip *ip, const struct ip *network, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8, size = ip->family == 4 ? 4 : 16;

	if (ip->family == 0 || ip->family != network->family || bits > size * 8)
		return false;
	if (memcmp(ip->octets, network->octets, whole) != 0)
		return false;
	return rest == 0 || (ip->octets[whole] ^ network->octets[whole]) >> (8 - rest) == 0;
}

struct slice ip_client_key(const struct ip *ip)
{
	return slice_of(ip->octets, ip->family == 4 ? 4 : 8);
}

bool ip_is_loopback(const struct ip *ip)
{
	static const uint8_t one[16] = {[15] = 1};

	return (ip->family == 4 && ip->octets[0] == 127) || (ip->family == 6 && memcmp(ip->octets, one, 16) == 0);
}

void ip_of_sockaddr(const struct sockaddr *sa, struct ip *out, uint16_t *port)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	*out = (struct ip){0};
	*port = 0;
	if (sa->sa_family == AF_INET) {
		memcpy(&v4, sa, sizeof(v4));
		out->family = 4;
		memcpy(out->octets, &v4.sin_addr, 4);
		*port = ntohs(v4.sin_port);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&v6, sa, sizeof(v6));
		set_v6(out, v6.sin6_addr.s6_addr);
		*port = ntohs(v6.sin6_port);
	}
}

socklen_t ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	memset(out, 0, sizeof(*out));
	if (ip->family == 4) {
		memcpy(&v4.sin_addr, ip->octets, 4);
		memcpy(out, &v4, sizeof(v4));
		return sizeof(v4);
	}
	memcpy(&v6.sin6_addr, ip->octets, 16);
	memcpy(out, &v6, sizeof(v6));
	return sizeof(v6);
}

bool ip_port_parse(struct slice s, struct ip *ip, uint16_t *port, struct fault *why)
{
	size_t colon = slice_find_last(s, ':');
	struct slice host = slice_head(s, colon);
	uint64_t n;

	if (colon == SIZE_MAX || !number_u64(slice_tail(s, colon + 1), 65535, &n))
		goto wrong;
	if (slice_starts(host, SLICE("[")) && slice_ends(host, SLICE("]")))
		host = slice_of(host.p + 1, host.n - 2);
	else if (slice_find(host, ':') != SIZE_MAX)
		goto wrong;
	if (!ip_parse(host, ip))
		goto wrong;
	*port = (uint16_t)n;
	return true;
wrong:
	fault_set(why, "5.5.4", "\"%.*s\" is no address and port; right would be 192.0.2.1:25 or [2001:db8::1]:25",
		  SLICE_PRINTF(s));
	return false;
}

bool ip_is_unspecified(const struct ip *ip)
{
	static const uint8_t zeros[16];

	return ip->family != 0 && memcmp(ip->octets, zeros, sizeof(zeros)) == 0;
}

/* Clears what stands behind the first bits. */
static void clear_host(struct ip *ip, unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned left = bits > 8 * i ? bits - 8 * i : 0;

		if (left < 8)
			ip->octets[i] &= (uint8_t)(0xff00u >> left);
	}
}

bool network_parse(struct slice s, struct ip *network, unsigned *bits, struct fault *why)
{
	size_t slash = slice_find(s, '/');
	char text[IP_TEXT_MAX];
	struct ip given;
	uint64_t n;

	if (!ip_parse(slice_head(s, slash), &given) || (slash != SIZE_MAX && !number_u64(slice_tail(s, slash + 1), given.family == 4 ? 32 : 128, &n))) {
		fault_set(why, "5.5.4", "\"%.*s\" is no network; right would be 192.0.2.0/24, 2001:db8::/32 or 192.0.2.1", SLICE_PRINTF(s));
		return false;
	}
	*bits = slash != SIZE_MAX ? (unsigned)n : given.family == 4 ? 32 : 128;
	*network = given;
	clear_host(network, *bits);
	if (ip_equal(network, &given))
		return true;
	fault_set(why, "5.5.4", "\"%.*s\" names a host in its network; right would be %s/%u", SLICE_PRINTF(s), ip_text(network, text), *bits);
	return false;
}
