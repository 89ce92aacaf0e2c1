/* common/base/table.h: a hash table from octets to a pointer, safe against chosen keys (SipHash with a random key).
 * Touches: the heap. The nodes lie inside what they find; the table owns only its rows of buckets. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct table_node {
	struct table_node *next;
	uint64_t hash;
	struct slice key; /* borrowed from the owner of the node, unchanged while it is in the table */
};

struct table {
	struct table_node **buckets;
	size_t n_buckets; /* a power of two, or 0 */
	size_t n;
	uint8_t secret[16];
};

void table_init(struct table *t);
/* Frees the buckets. The nodes are their owners'. */
void table_fini(struct table *t);
struct table_node *table_find(const struct table *t, struct slice key);
/* Puts node in under key; key must not be there. Grows by itself; false: memory is out and node is not in. */
MUST_USE bool table_insert(struct table *t, struct table_node *node, struct slice key);
void table_remove(struct table *t, struct table_node *node);
/* Any node, or NULL when empty: to empty a table. */
struct table_node *table_any(const struct table *t);
/* Calls fn for each node; fn may remove the node it was given, no other. */
void table_each(struct table *t, void (*fn)(struct table_node *node, void *arg), void *arg);
/* SipHash-2-4. */
uint64_t siphash(const uint8_t secret[16], const void *p, size_t n);
