/* The lines of schedule.h: a group has a heap for each flow, made when the first message stands in line. A group's number is its slot, and above that how
 * often the slot was used, so that an entry which names a group that is closed names none. */
#include "queued/entries.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/memory.h"

#define SLOT_BITS 16
#define SLOTS_MAX ((1u << SLOT_BITS) - 1)

struct group {
	void *owner; /* NULL: closed */
	uint32_t slot, used;
	uint32_t next_unused;
	uint32_t opens_s;
	uint32_t n;    /* in line */
	uint32_t turn; /* the flow that is next */
	struct heap *flows;
};

static struct group *group_of(const struct schedule *s, uint32_t number)
{
	uint32_t slot = number & SLOTS_MAX;
	struct group *g = slot == 0 || slot > s->n_groups ? NULL : s->groups[slot];

	return g != NULL && g->owner != NULL && g->used == number >> SLOT_BITS ? g : NULL;
}

static unsigned flow_of(const struct entry *e)
{
	return e->flags >> FLOW_SHIFT;
}

/* ---- groups ---- */

static struct group *group_new(struct schedule *s, struct fault *why)
{
	struct group *g, **row;
	uint32_t capacity = s->groups_capacity == 0 ? 64 : 2 * s->groups_capacity;

	if (s->n_groups == SLOTS_MAX) {
		fault_set(why, "4.3.1", "the schedule has %u groups already", SLOTS_MAX);
		return NULL;
	}
	if (s->n_groups + 1 >= s->groups_capacity) {
		if ((row = realloc(s->groups, capacity * sizeof(struct group *))) == NULL) {
			fault_set(why, "4.3.1", "no memory for the schedule's groups");
			return NULL;
		}
		s->groups = row;
		s->groups_capacity = capacity;
	}
	if ((g = memory_alloc(1, sizeof(*g), why)) == NULL)
		return NULL;
	g->slot = ++s->n_groups;
	s->groups[g->slot] = g;
	return g;
}

uint32_t schedule_group_open(struct schedule *s, void *owner, struct fault *why)
{
	struct group *g;

	assert(owner != NULL);
	if (s->unused_group != 0) {
		g = s->groups[s->unused_group];
		s->unused_group = g->next_unused;
	} else if ((g = group_new(s, why)) == NULL)
		return 0;
	g->owner = owner;
	g->opens_s = 0;
	return g->used << SLOT_BITS | g->slot;
}

void schedule_group_close(struct schedule *s, uint32_t number)
{
	struct group *g = group_of(s, number);

	if (g == NULL)
		return;
	while (g->n > 0)
		schedule_wait(s, schedule_line_urgent(s, number), 0);
	g->owner = NULL;
	g->used = (g->used + 1) & SLOTS_MAX;
	g->next_unused = s->unused_group;
	s->unused_group = g->slot;
}

void groups_destroy(struct schedule *s)
{
	for (uint32_t slot = 1; slot <= s->n_groups; slot++) {
		struct group *g = s->groups[slot];

		for (unsigned i = 0; g->flows != NULL && i < SCHEDULE_FLOWS; i++)
			free(g->flows[i].row);
		free(g->flows);
		free(g);
	}
	free(s->groups);
}

void *schedule_group_owner(const struct schedule *s, uint32_t number)
{
	const struct group *g = group_of(s, number);

	return g == NULL ? NULL : g->owner;
}

void schedule_bind(struct schedule *s, uint32_t n, uint32_t number, unsigned flow)
{
	struct entry *e = entry_of(s, n);

	assert(e->place == 0 && flow < SCHEDULE_FLOWS);
	e->group = number;
	e->flags = (uint16_t)((e->flags & ((1u << FLOW_SHIFT) - 1)) | flow << FLOW_SHIFT);
}

uint32_t schedule_group(const struct schedule *s, uint32_t n)
{
	uint32_t number = entry_of(s, n)->group;

	return group_of(s, number) == NULL ? 0 : number;
}

/* ---- lines ---- */

bool schedule_line_up(struct schedule *s, uint32_t n, uint32_t deadline_s)
{
	struct entry *e = entry_of(s, n);
	struct group *g = group_of(s, e->group);
	struct heap *flow;

	if (g == NULL || (e->flags & SCHEDULE_HELD) != 0 || (g->flows == NULL && (g->flows = memory_alloc(SCHEDULE_FLOWS, sizeof(*g->flows), NULL)) == NULL))
		return false;
	flow = &g->flows[flow_of(e)];
	if (!heap_reserve(flow, flow->n + 1))
		return false;
	schedule_take(s, n);
	e->due_s = deadline_s;
	e->flags |= FLAG_LINED;
	heap_add(s, flow, n);
	g->n++;
	s->n_lined++;
	return true;
}

/* The rows go with the last that stands in line. */
static void line_shrink(struct group *g)
{
	if (g->n > 0)
		return;
	for (unsigned i = 0; i < SCHEDULE_FLOWS; i++)
		free(g->flows[i].row);
	free(g->flows);
	g->flows = NULL;
}

void line_remove(struct schedule *s, uint32_t n)
{
	struct entry *e = entry_of(s, n);
	struct group *g = group_of(s, e->group);

	assert(g != NULL && (e->flags & FLAG_LINED) != 0);
	heap_remove(s, &g->flows[flow_of(e)], n);
	e->flags &= (uint16_t)~FLAG_LINED;
	g->n--;
	s->n_lined--;
	line_shrink(g);
}

static void line_empty(struct schedule *s, struct group *g)
{
	for (unsigned i = 0; i < SCHEDULE_FLOWS; i++) {
		const struct heap *flow = &g->flows[i];

		for (uint32_t at = 0; at < flow->n; at++) {
			entry_of(s, flow->row[at])->flags &= (uint16_t)~FLAG_LINED;
			s->moments.row[s->moments.n++] = flow->row[at];
		}
	}
	g->n = 0;
	line_shrink(g);
}

void lines_empty(struct schedule *s)
{
	for (uint32_t slot = 1; slot <= s->n_groups; slot++)
		if (s->groups[slot]->n > 0)
			line_empty(s, s->groups[slot]);
	s->n_lined = 0;
}

size_t schedule_line_n(const struct schedule *s, uint32_t number)
{
	const struct group *g = group_of(s, number);

	return g == NULL ? 0 : g->n;
}

uint32_t schedule_line_next(struct schedule *s, uint32_t number)
{
	struct group *g = group_of(s, number);

	for (unsigned i = 0; g != NULL && g->n > 0 && i < SCHEDULE_FLOWS; i++) {
		const struct heap *flow = &g->flows[g->turn];

		g->turn = (g->turn + 1) % SCHEDULE_FLOWS;
		if (flow->n > 0)
			return flow->row[0];
	}
	return SCHEDULE_NONE;
}

uint32_t schedule_line_urgent(const struct schedule *s, uint32_t number)
{
	const struct group *g = group_of(s, number);
	uint32_t first = SCHEDULE_NONE;

	for (unsigned i = 0; g != NULL && g->n > 0 && i < SCHEDULE_FLOWS; i++) {
		const struct heap *flow = &g->flows[i];

		if (flow->n > 0 && (first == SCHEDULE_NONE || entry_of(s, flow->row[0])->due_s < entry_of(s, first)->due_s))
			first = flow->row[0];
	}
	return first;
}

uint32_t schedule_deadline_s(const struct schedule *s, uint32_t n)
{
	const struct entry *e = entry_of(s, n);

	return (e->flags & FLAG_LINED) != 0 ? e->due_s : UINT32_MAX;
}

void schedule_line_opens(struct schedule *s, uint32_t number, uint32_t at_s)
{
	struct group *g = group_of(s, number);

	if (g != NULL)
		g->opens_s = at_s;
}

uint32_t schedule_line_opens_s(const struct schedule *s, uint32_t number)
{
	const struct group *g = group_of(s, number);

	return g == NULL ? 0 : g->opens_s;
}
