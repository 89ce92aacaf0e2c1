/* deliverd/remote/search.h: which addresses a message for a next hop is tried at, in which order
 * (RFC 5321 5.1, RFC 7505).
 * Touches: resolvd, by asks that lie in the search. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/address.h"
#include "common/base/arena.h"
#include "common/base/fault.h"
#include "common/base/slice.h"
#include "common/ipc/link.h"

struct ipc_peer;

#define SEARCH_HOSTS_MAX 20	/* MX looked at, the best ones */
#define SEARCH_ADDRESSES_MAX 10 /* addresses tried in one attempt */

struct search_host {
	struct search *search;
	struct slice name; /* without a dot at its end */
	uint16_t preference;
	struct ipc_ask ask_v4, ask_v6;
	struct ip v6[SEARCH_ADDRESSES_MAX], v4[SEARCH_ADDRESSES_MAX];
	size_t n_v6, n_v4;
	bool failed; /* DNS gave no answer for it */
};

struct search_address {
	struct slice host;
	struct ip ip;
};

typedef void search_done_fn(void *arg);

struct search {
	struct arena *arena; /* the job's */
	struct ipc_peer *resolvd;
	uint64_t within_ms;
	struct slice domain, own_name;
	struct ipc_ask ask_mx;
	struct search_host *hosts;
	size_t n_hosts, n_pending;
	struct search_address addresses[SEARCH_ADDRESSES_MAX]; /* the result, best first */
	size_t n_addresses;
	bool out_of_memory;
	struct fault why; /* n_addresses is 0 */
	search_done_fn *done;
	void *arg;
	struct loop_task later;
};

/* Looks for host: an address (also in brackets) as it is, mx: by MX and else by the domain's own
 * addresses, not mx: by its addresses. own_name: our host's, which is left out with all that are no
 * better (RFC 5321 5.1: no loops). Of one host, addresses of both families take turns, so that a
 * host of ours without IPv6 comes to the others. Calls done once, from the loop: addresses are
 * there, or why says, temporary or permanent. All slices must live as long as s. */
void search_begin(struct search *s, struct loop *loop, struct ipc_peer *resolvd,
		  struct arena *arena, struct slice host, bool mx, struct slice own_name,
		  uint64_t within_ms, search_done_fn *done, void *arg);
/* done will not be called. Safe on a zeroed one, and twice. */
void search_cancel(struct search *s);

/* Sorts by preference and shuffles equals. */
void search_order_hosts(struct search_host *hosts, size_t n);
