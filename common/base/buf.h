/* common/base/buf.h: octets of our own that grow, up to a maximum given at creation.
 * Touches: the heap. Always holds what was appended whole, or nothing of it. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct buf {
	char *p;
	size_t n;        /* octets held */
	size_t start;    /* octets consumed at the front, not yet given back */
	size_t capacity; /* octets allocated */
	size_t max;      /* limit of n - start; 0 never grows */
	bool failed;     /* sticky: an append did not fit or memory was out */
	bool secret;     /* memory is overwritten before it is given back */
};

/* An empty buf; allocates nothing until the first append. */
void buf_init(struct buf *b, size_t max);
/* The same for passwords and keys: memory that is given back, by growth or by buf_fini, is overwritten first. */
void buf_init_secret(struct buf *b, size_t max);
/* Frees the memory and empties it; the maximum stays. Safe on a zeroed buf. */
void buf_fini(struct buf *b);
/* Empties it and keeps the memory; clears failed. */
void buf_reset(struct buf *b);

/* What is held and not consumed; borrowed until the next change. */
struct slice buf_slice(const struct buf *b);
size_t buf_length(const struct buf *b);

/* Appends; false when it would pass the maximum or memory is out: nothing was added and b->failed is set. Several appends
 * may be written without asking, and failed asked once at the end. */
bool buf_append(struct buf *b, struct slice s);
bool buf_append_cstr(struct buf *b, const char *s);
bool buf_append_char(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *template, ...) PRINTF_LIKE(2, 3);
bool buf_vprintf(struct buf *b, const char *template, va_list args) PRINTF_LIKE(2, 0);
/* Room for n octets at the end (n may be 0), to be filled by the caller, who then says how many it used. NULL as above. */
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t used);
/* Forgets the first n octets (at most what is held). Cheap: memory moves only when room is needed. */
void buf_consume(struct buf *b, size_t n);
/* Shortens to n octets. */
void buf_truncate(struct buf *b, size_t n);
/* A terminator behind what is held (not counted), and the pointer to it all; NULL as above. For the edge of a library. */
const char *buf_cstr(struct buf *b);
