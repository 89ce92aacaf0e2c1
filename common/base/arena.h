/* common/base/arena.h: memory of one lifetime (a session, a transaction), freed all at once, with a limit.
 * Touches: the heap. Nothing in an arena is freed alone. What needs closing has a hook. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;
struct arena_block;
struct arena_hook;

struct arena {
	struct arena_block *blocks;
	struct arena_hook *hooks;
	size_t used;  /* octets handed out */
	size_t limit; /* octets that may be handed out */
};

typedef void arena_hook_fn(void *arg);

/* An empty arena: no memory until the first allocation. */
void arena_init(struct arena *a, size_t limit_bytes);
/* Runs the hooks, the last added first, and frees everything; the arena can be used again. Safe on a zeroed arena. */
void arena_reset(struct arena *a);

/* Zeroed memory, aligned for any type. NULL: the limit is reached or memory is out; why is temporary, 4.3.1. */
MUST_USE void *arena_alloc(struct arena *a, size_t size, struct fault *why);
/* A copy of s in the arena. Fails as arena_alloc does. */
MUST_USE bool arena_copy(struct arena *a, struct slice s, struct slice *out, struct fault *why);
/* Calls fn(arg) at the reset. Fails as arena_alloc does; fn was then not kept. */
MUST_USE bool arena_defer(struct arena *a, arena_hook_fn *fn, void *arg, struct fault *why);
