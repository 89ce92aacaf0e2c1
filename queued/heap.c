#include "queued/entries.h"

#include <stdlib.h>
#include <string.h>

/* Does a come before b? The earlier moment, then the older message. */
static bool heap_before(const struct schedule *s, uint32_t a, uint32_t b)
{
	const struct entry *x = entry_of(s, a), *y = entry_of(s, b);

	if (x->due_s != y->due_s)
		return x->due_s < y->due_s;
	return memcmp(x->id, y->id, ID_OCTETS) < 0;
}

static void heap_put(struct schedule *s, struct heap *h, uint32_t at, uint32_t n)
{
	h->row[at] = n;
	entry_of(s, n)->place = at + 1;
}

static void heap_up(struct schedule *s, struct heap *h, uint32_t at)
{
	uint32_t n = h->row[at];

	while (at > 0 && heap_before(s, n, h->row[(at - 1) / 2])) {
		heap_put(s, h, at, h->row[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(s, h, at, n);
}

static void heap_down(struct schedule *s, struct heap *h, uint32_t at)
{
	uint32_t n = h->row[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && heap_before(s, h->row[child + 1], h->row[child]))
			child++;
		if (!heap_before(s, h->row[child], n))
			break;
		heap_put(s, h, at, h->row[child]);
		at = child;
	}
	heap_put(s, h, at, n);
}

bool heap_reserve(struct heap *h, size_t n)
{
	size_t capacity = h->capacity < 16 ? 16 : h->capacity;
	uint32_t *row;

	if (n <= h->capacity)
		return true;
	while (capacity < n)
		capacity += capacity / 2;
	if (capacity > UINT32_MAX / 2 || (row = realloc(h->row, capacity * sizeof(*row))) == NULL)
		return false;
	h->row = row;
	h->capacity = (uint32_t)capacity;
	return true;
}

void heap_add(struct schedule *s, struct heap *h, uint32_t n)
{
	assert(h->n < h->capacity);
	heap_put(s, h, h->n, n);
	heap_up(s, h, h->n++);
}

void heap_remove(struct schedule *s, struct heap *h, uint32_t n)
{
	struct entry *e = entry_of(s, n);
	uint32_t at = e->place - 1, last;

	assert(e->place > 0 && h->row[at] == n);
	e->place = 0;
	last = h->row[--h->n];
	if (last == n)
		return;
	heap_put(s, h, at, last);
	heap_up(s, h, at);
	heap_down(s, h, entry_of(s, last)->place - 1);
}

void heap_make(struct schedule *s, struct heap *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		entry_of(s, h->row[i])->place = i + 1;
	for (uint32_t i = h->n / 2; i-- > 0;)
		heap_down(s, h, i);
}
