/* common/dns/resolver.h: an asynchronous stub resolver: asks the configured name servers, over UDP,
 * over TCP where an answer was truncated; keeps answers; asks the same question once for all who
 * want to know.
 * Touches: the network (a socket with a random port for each question), no file.
 *
 * Each server is tried in turn, the one that answered last first, with waits that grow; the limit
 * is over all tries. An answer counts when it comes from the server that was asked, to the port
 * that asked, with the id and the question (RFC 5452). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/address.h"
#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/dns/cache.h"
#include "common/dns/message.h"
#include "common/event/loop.h"

struct fault;
struct resolver;

#define RESOLVER_SERVERS_MAX 8

struct resolver_server {
	struct ip ip;
	uint16_t port;
	bool trusted; /* its AD bit counts */
};

/* answer's records live as long as the call. why is set with DNS_FAILED. */
typedef void resolver_done_fn(void *arg, const struct dns_cached *answer, const struct fault *why);

/* The caller owns it. */
MUST_USE struct resolver *resolver_create(struct loop *loop, size_t cache_octets,
					  uint64_t timeout_ms, struct fault *why);
/* Everybody still waiting is told DNS_FAILED before this returns. NULL does nothing. */
void resolver_destroy(struct resolver *r);
/* Other servers (at most RESOLVER_SERVERS_MAX count), limits. Answers of other servers than these
 * are forgotten. The try of a question that is under way goes on as it was begun, its next one goes
 * to these. */
void resolver_configure(struct resolver *r, const struct resolver_server *servers, size_t n_servers,
			size_t cache_octets, uint64_t timeout_ms);
/* Calls done once, later, from the loop, at the latest after the time limit. Fails at once
 * (temporary: too many questions, memory; permanent: no domain name). */
MUST_USE bool resolver_ask(struct resolver *r, struct slice name, uint16_t type,
			   resolver_done_fn *done, void *arg, struct fault *why);

/* "192.0.2.53", "192.0.2.53:53", "[2001:db8::53]:53", with "trusted" behind it or not. */
MUST_USE bool resolver_server_parse(struct slice line, struct resolver_server *out,
				    struct fault *why);
/* The nameserver lines of a resolv.conf(5); options trust-ad makes them trusted. Returns how many;
 * 0: none. */
size_t resolver_servers_of_resolv_conf(struct slice text, struct resolver_server *out, size_t max);
