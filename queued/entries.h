/* queued/entries.h: the schedule from the inside: its entries, its heaps. For schedule.c, heap.c and line.c alone.
 * Touches: the heap.
 *
 * An entry is 32 octets: 110 bits of id in 14, flags, due, group, place, next. Entries lie in chunks that never move; a row of numbers is the hash index
 * (chains through `next`). A message that waits has its number in one heap: that of the moments, or that of a line; `place` is its place there, from 1
 * (0: taken). In both the earlier due_s is first, and of one second the older message. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "queued/schedule.h"

#define ID_OCTETS 14
#define CHUNK 4096u

/* Of an entry, beside the flags of schedule.h; the flow stands above them. */
#define FLAG_PUBLIC 0x0fu
#define FLAG_LINED 0x10u  /* it stands in the line of its group */
#define FLAG_WANTED 0x20u /* somebody wants it tried now */
#define FLOW_SHIFT 8

struct entry {
	uint8_t id[ID_OCTETS];
	uint16_t flags;
	uint32_t due_s; /* in a line: its deadline */
	uint32_t group; /* 0: none */
	uint32_t place;
	uint32_t next;
};
_Static_assert(sizeof(struct entry) == 32, "a waiting message takes 32 octets");

struct heap {
	uint32_t *row; /* row[0] is the first */
	uint32_t n, capacity;
};

struct group;

struct schedule {
	struct entry **chunks;
	size_t n_chunks;
	uint32_t unused; /* chain of free entries */
	uint32_t *buckets;
	unsigned bits;
	struct heap moments;
	size_t n_known, n_lined;
	struct group **groups; /* by slot, from 1 */
	uint32_t n_groups, groups_capacity, unused_group;
	uint8_t secret[16];
};

static inline struct entry *entry_of(const struct schedule *s, uint32_t n)
{
	assert(n / CHUNK < s->n_chunks);
	return &s->chunks[n / CHUNK][n % CHUNK];
}

/* Room for n in all. False: no memory; what is there stays. */
MUST_USE bool heap_reserve(struct heap *h, size_t n);
/* There is room. */
void heap_add(struct schedule *s, struct heap *h, uint32_t n);
/* n stands in h. */
void heap_remove(struct schedule *s, struct heap *h, uint32_t n);
/* Makes a heap of a row in any order. */
void heap_make(struct schedule *s, struct heap *h);

/* n goes out of the line of its group, in which it stands. */
void line_remove(struct schedule *s, uint32_t n);
/* All that stand in lines go into the heap of the moments' row, which is none afterwards; due_s as they had it. */
void lines_empty(struct schedule *s);
void groups_destroy(struct schedule *s);
