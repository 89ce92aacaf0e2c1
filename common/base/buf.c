#include "common/base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_init_secret(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max, .secret = true};
}

static void give_back(struct buf *b)
{
	if (b->secret && b->p != NULL)
		memory_wipe(b->p, b->capacity);
	free(b->p);
}

void buf_fini(struct buf *b)
{
	give_back(b);
	*b = (struct buf){.max = b->max, .secret = b->secret};
}

void buf_reset(struct buf *b)
{
	b->n = b->start = 0;
	b->failed = false;
}

struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->p ? b->p + b->start : NULL, b->n - b->start);
}

size_t buf_length(const struct buf *b)
{
	return b->n - b->start;
}

/* Room for n more octets behind b->n. */
static bool make_room(struct buf *b, size_t n)
{
	size_t held = b->n - b->start, wanted, capacity;
	char *p;

	if (n > b->max - held || held > b->max)
		goto full;
	if (n <= b->capacity - b->n)
		return true;
	/* To move what is held costs no more than was consumed before; without room to grow there is no choice. */
	if (n <= b->capacity - held && (b->start >= held || b->capacity >= b->max)) {
		memmove(b->p, b->p + b->start, held);
		b->start = 0;
		b->n = held;
		return true;
	}
	wanted = held + n;
	capacity = b->capacity < 32 ? 32 : b->capacity;
	do
		capacity = capacity > SIZE_MAX / 2 ? SIZE_MAX : capacity * 2;
	while (capacity < wanted);
	if (capacity > b->max)
		capacity = b->max;
	if ((p = malloc(capacity)) == NULL)
		goto full;
	if (held)
		memcpy(p, b->p + b->start, held);
	give_back(b);
	b->p = p;
	b->capacity = capacity;
	b->start = 0;
	b->n = held;
	return true;
full:
	b->failed = true;
	return false;
}

bool buf_append(struct buf *b, struct slice s)
{
	if (!make_room(b, s.n))
		return false;
	if (s.n)
		memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
	return true;
}

bool buf_append_cstr(struct buf *b, const char *s)
{
	return buf_append(b, slice_of_cstr(s));
}

bool buf_append_char(struct buf *b, char c)
{
	return buf_append(b, slice_of(&c, 1));
}

bool buf_vprintf(struct buf *b, const char *template, va_list args)
{
	char small[256];
	va_list again;
	char *room;
	int n;

	va_copy(again, args);
	n = vsnprintf(small, sizeof(small), template, args);
	if (n < 0)
		b->failed = true;
	if (n < 0 || (size_t)n < sizeof(small)) {
		va_end(again);
		return n >= 0 && buf_append(b, slice_of(small, (size_t)n));
	}
	/* vsnprintf writes a terminator, for which the maximum need not have room. */
	if ((size_t)n > b->max - buf_length(b) || (room = malloc((size_t)n + 1)) == NULL) {
		b->failed = true;
		va_end(again);
		return false;
	}
	vsnprintf(room, (size_t)n + 1, template, again);
	va_end(again);
	bool ok = buf_append(b, slice_of(room, (size_t)n));
	free(room);
	return ok;
}

bool buf_printf(struct buf *b, const char *template, ...)
{
	va_list args;
	bool ok;

	va_start(args, template);
	ok = buf_vprintf(b, template, args);
	va_end(args);
	return ok;
}

char *buf_reserve(struct buf *b, size_t n)
{
	/* An address also for nothing, when nothing was allocated yet. */
	return make_room(b, n == 0 && b->p == NULL ? 1 : n) ? b->p + b->n : NULL;
}

void buf_commit(struct buf *b, size_t used)
{
	assert(used <= b->capacity - b->n);
	b->n += used;
}

void buf_consume(struct buf *b, size_t n)
{
	size_t held = b->n - b->start;

	b->start += n < held ? n : held;
	if (b->start == b->n)
		b->start = b->n = 0;
}

void buf_truncate(struct buf *b, size_t n)
{
	if (n < buf_length(b))
		b->n = b->start + n;
}

const char *buf_cstr(struct buf *b)
{
	size_t max = b->max;
	bool ok;

	if (b->max < SIZE_MAX)
		b->max++; /* the terminator is not counted */
	ok = make_room(b, 1);
	b->max = max;
	if (!ok)
		return NULL;
	b->p[b->n] = '\0';
	return b->p + b->start;
}
