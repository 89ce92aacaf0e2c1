#include "common/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"

#define BLOCK_FIRST 512u
#define BLOCK_LARGEST 16384u

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	max_align_t octets[];
};

struct arena_hook {
	struct arena_hook *next;
	arena_hook_fn *fn;
	void *arg;
};

void arena_init(struct arena *a, size_t limit_bytes)
{
	*a = (struct arena){.limit = limit_bytes};
}

void arena_reset(struct arena *a)
{
	struct arena_hook *hook = a->hooks;

	while (hook) {
		hook->fn(hook->arg);
		hook = hook->next;
	}
	while (a->blocks) {
		struct arena_block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
	a->hooks = NULL;
	a->used = 0;
}

/* A block with room for size octets. The first in the list is the one that is being filled; what is larger than a block gets
 * one of its own behind it, so that the first one's rest stays in use. */
static struct arena_block *add_block(struct arena *a, size_t size)
{
	size_t room = a->blocks ? a->blocks->size * 2 : BLOCK_FIRST;
	bool alone = size > BLOCK_LARGEST && a->blocks;
	struct arena_block *block, **at = alone ? &a->blocks->next : &a->blocks;

	if (room > BLOCK_LARGEST)
		room = BLOCK_LARGEST;
	if (room < size)
		room = size;
	if (room > SIZE_MAX - sizeof(*block) || (block = malloc(sizeof(*block) + room)) == NULL)
		return NULL;
	block->size = room;
	block->used = 0;
	block->next = *at;
	*at = block;
	return block;
}

void *arena_alloc(struct arena *a, size_t size, struct fault *why)
{
	size_t align = _Alignof(max_align_t), rounded = (size + align - 1) / align * align;
	struct arena_block *block = a->blocks;
	char *p;

	if (rounded < size || rounded > a->limit - a->used) {
		fault_set(why, "4.3.1", "this session has used the memory it may have");
		return NULL;
	}
	if ((block == NULL || block->size - block->used < rounded) &&
	    (block = add_block(a, rounded)) == NULL) {
		fault_set(why, "4.3.1", "out of memory");
		return NULL;
	}
	p = (char *)block->octets + block->used;
	block->used += rounded;
	a->used += rounded;
	return memset(p, 0, rounded);
}

bool arena_copy(struct arena *a, struct slice s, struct slice *out, struct fault *why)
{
	char *p = arena_alloc(a, s.n ? s.n : 1, why);

	if (p == NULL)
		return false;
	if (s.n)
		memcpy(p, s.p, s.n);
	*out = slice_of(p, s.n);
	return true;
}

bool arena_defer(struct arena *a, arena_hook_fn *fn, void *arg, struct fault *why)
{
	struct arena_hook *hook = arena_alloc(a, sizeof(*hook), why);

	if (hook == NULL)
		return false;
	*hook = (struct arena_hook){.next = a->hooks, .fn = fn, .arg = arg};
	a->hooks = hook;
	return true;
}
