/* queued/schedule.h: every message that queued knows, in 32 octets each, and when each is due.
 * Touches: the heap. No file: what is kept here stands in the spool (a file's name, its mtime), and is read from there at start.
 *
 * A message waits (it is due at a moment), or it is taken: somebody works at it. Due are first those whose moment is earliest; of
 * one second, the oldest message first. Moments are wall-clock seconds since 1970.
 * Cost: find, add, wait, take and forget are O(log n) or better; a million messages take 32 octets and about 8 for the rows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/spool/id.h"

struct fault;
struct schedule;

#define SCHEDULE_NONE UINT32_MAX

enum schedule_flag {
	SCHEDULE_UNCHECKED = 1, /* its content's CRC is to be checked before first use (after an unclean stop) */
};

/* An empty schedule; the caller owns it. Fails: temporary. */
MUST_USE struct schedule *schedule_create(struct fault *why);
/* NULL does nothing. */
void schedule_destroy(struct schedule *s);

/* Adds a message, which is taken at first; *n is its number until it is forgotten. id must be valid and not known. Fails: temporary, memory is out. */
MUST_USE bool schedule_add(struct schedule *s, struct slice id, unsigned flags, uint32_t *n, struct fault *why);
/* Its number, or SCHEDULE_NONE. */
uint32_t schedule_find(const struct schedule *s, struct slice id);
/* n waits until due_s; it may be taken, or wait already. Cannot fail. */
void schedule_wait(struct schedule *s, uint32_t n, uint32_t due_s);
/* n waits no more; safe on one that is taken. */
void schedule_take(struct schedule *s, uint32_t n);
/* n is not known any more. */
void schedule_forget(struct schedule *s, uint32_t n);

/* The one that is due first, or SCHEDULE_NONE when none is: its moment has come, or lies more than horizon_s ahead, which no pause
 * can be (the clock was wrong when it was set). It is not taken by this. */
uint32_t schedule_due(const struct schedule *s, uint32_t now_s, uint32_t horizon_s);
/* The earliest moment, UINT32_MAX when nothing waits. */
uint32_t schedule_next_s(const struct schedule *s);
/* All that wait are due at now_s. Their number. */
size_t schedule_flush(struct schedule *s, uint32_t now_s);

bool schedule_is_waiting(const struct schedule *s, uint32_t n);
unsigned schedule_flags(const struct schedule *s, uint32_t n);
void schedule_set_flags(struct schedule *s, uint32_t n, unsigned flags);
/* When it is due; 0 when it is taken. */
uint32_t schedule_due_s(const struct schedule *s, uint32_t n);
void schedule_id(const struct schedule *s, uint32_t n, char out[SPOOL_ID_LENGTH + 1]);
/* Messages known, and those of them that wait. */
size_t schedule_n_known(const struct schedule *s);
size_t schedule_n_waiting(const struct schedule *s);

/* At most max numbers of known messages behind the id after (empty: from the start) in *n, in an order that stays while messages come and go. Less than max only at the
 * end of the list. after need not be known any more. */
size_t schedule_list(const struct schedule *s, struct slice after, uint32_t *n, size_t max);
