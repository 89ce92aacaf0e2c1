#include "common/spool/state.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/fault.h"

/* Parts come in the order of the tail; they grow in the arena by doubling, so all rows together are at most twice the last. */
static bool part_add(struct spool_recipient_state *st, const struct spool_result *r, struct arena *arena, struct fault *why)
{
	if (st->n_parts == st->parts_capacity) {
		size_t capacity = st->parts_capacity == 0 ? 4 : 2 * st->parts_capacity;
		struct spool_result *row = arena_alloc(arena, capacity * sizeof(*row), why);

		if (row == NULL)
			return false;
		if (st->n_parts > 0)
			memcpy(row, st->parts, st->n_parts * sizeof(*row));
		st->parts = row;
		st->parts_capacity = capacity;
	}
	st->parts[st->n_parts++] = *r;
	return true;
}

static bool state_take(struct spool_recipient_state *st, const struct spool_result *r, struct arena *arena, struct fault *why)
{
	if (r->kind == SPOOL_RESULT_WARNED || r->kind == SPOOL_RESULT_REPORTED) {
		st->warned |= r->kind == SPOOL_RESULT_WARNED;
		st->reported |= r->kind == SPOOL_RESULT_REPORTED;
		return true;
	}
	st->last = *r;
	st->has_last = true;
	if (r->kind == SPOOL_RESULT_DEFERRED) {
		st->n_attempts++;
		return true;
	}
	if (r->forward_path.n > 0)
		return part_add(st, r, arena, why);
	st->failed = r->kind == SPOOL_RESULT_FAILED;
	st->done = !st->failed;
	return true;
}

/* By forward_path; of one forward_path what says that it is done comes last, whatever the clock did, else the later line. */
static int part_compare(const void *a, const void *b)
{
	const struct spool_result *x = a, *y = b;
	int order = slice_compare(x->forward_path, y->forward_path);
	bool x_done = x->kind != SPOOL_RESULT_FAILED, y_done = y->kind != SPOOL_RESULT_FAILED;

	if (order != 0)
		return order;
	if (x_done != y_done)
		return x_done ? 1 : -1;
	return (x->at_us > y->at_us) - (x->at_us < y->at_us);
}

static void parts_sort(struct spool_recipient_state *st)
{
	size_t n = 0;

	qsort(st->parts, st->n_parts, sizeof(*st->parts), part_compare);
	for (size_t i = 0; i < st->n_parts; i++) {
		if (n > 0 && slice_equal(st->parts[n - 1].forward_path, st->parts[i].forward_path))
			n--;
		st->parts[n++] = st->parts[i];
	}
	st->n_parts = n;
}

bool spool_states_read(struct slice tail, struct arena *arena, struct spool_recipient_state *states, size_t n, struct fault *why)
{
	struct spool_result r;

	while (spool_result_next(&tail, arena, &r))
		if (r.recipient < n && !state_take(&states[r.recipient], &r, arena, why))
			return false;
	if (tail.n > 0) {
		fault_set(why, "4.3.1", "no memory for what the tail says");
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if (states[i].n_parts > 0)
			parts_sort(&states[i]);
	return true;
}

static int part_find(const void *key, const void *part)
{
	return slice_compare(*(const struct slice *)key, ((const struct spool_result *)part)->forward_path);
}

const struct spool_result *spool_state_part(const struct spool_recipient_state *st, struct slice forward_path)
{
	if (st->n_parts == 0)
		return NULL;
	return bsearch(&forward_path, st->parts, st->n_parts, sizeof(*st->parts), part_find);
}
