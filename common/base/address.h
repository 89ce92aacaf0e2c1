/* common/base/address.h: an IP address of either family, and networks of them. Not a mail address: that is common/mail/path.h. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;

struct ip {
	uint8_t family;     /* 4 or 6; 0 is none */
	uint8_t octets[16]; /* network order; four used with family 4 */
};

#define IP_TEXT_MAX 46 /* with terminator */

/* "192.0.2.1" or "2001:db8::1"; an IPv4-mapped IPv6 address becomes IPv4. No names, no brackets, no ports. */
MUST_USE bool ip_parse(struct slice s, struct ip *out);
/* Writes the shortest usual form, terminated; "none" for family 0. Returns out. */
const char *ip_text(const struct ip *ip, char out[IP_TEXT_MAX]);
bool ip_equal(const struct ip *a, const struct ip *b);
/* "192.0.2.0/24", "2001:db8::/32", or an address alone, which is a network of one. Fails, permanent: it is none, or bits behind the
 * network's are set; the sentence says what would be right. */
MUST_USE bool network_parse(struct slice s, struct ip *network, unsigned *bits, struct fault *why);
/* The first bits of both are the same, and the families. */
bool ip_in_network(const struct ip *ip, const struct ip *network, unsigned bits);
/* What counts as one client where clients are counted: an IPv4 address, 64 bits of an IPv6 address (one host
 * has that many). Points into ip. */
struct slice ip_client_key(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
/* 0.0.0.0 or ::, what a listener on every address has. */
bool ip_is_unspecified(const struct ip *ip);
/* The address and port of a sockaddr (AF_INET, AF_INET6; mapped ones become IPv4), and the way back. Other families give family 0. */
void ip_of_sockaddr(const struct sockaddr *sa, struct ip *out, uint16_t *port);
socklen_t ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *out);
/* "192.0.2.1:25", "[2001:db8::1]:25", "localhost" not. Fails, permanent, with a sentence that shows the right form. */
MUST_USE bool ip_port_parse(struct slice s, struct ip *ip, uint16_t *port, struct fault *why);
