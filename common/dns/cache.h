/* common/dns/cache.h: answers for as long as they may be kept, within a bound of memory; what was
 * not asked for longest goes first.
 * Touches: the heap. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/base/table.h"
#include "common/dns/message.h"

struct dns_cache {
	struct table table;
	struct list used; /* the one asked for last is the first */
	size_t octets, max_octets;
};

struct dns_cached {
	enum dns_outcome outcome;
	bool authentic;
	uint32_t ttl_s; /* what is left of it */
	/* As ipc_put_dns_record puts them; borrowed until the cache changes. */
	struct slice records;
};

void dns_cache_init(struct dns_cache *c, size_t max_octets);
void dns_cache_fini(struct dns_cache *c);
/* A smaller maximum takes effect with the next put. */
void dns_cache_set_max(struct dns_cache *c, size_t max_octets);
/* False: nothing is known, or no longer. */
bool dns_cache_find(struct dns_cache *c, const struct dns_question *q, uint64_t now_ms,
		    struct dns_cached *out);
/* Keeps it for its TTL; an answer with a TTL of 0, or one for which there is no memory, is not
 * kept. */
void dns_cache_put(struct dns_cache *c, const struct dns_question *q, uint64_t now_ms,
		   const struct dns_cached *answer);
