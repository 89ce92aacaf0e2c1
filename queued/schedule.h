/* queued/schedule.h: every message that queued knows, in 32 octets each, and when each is due.
 * Touches: the heap. No file: what is kept here stands in the spool (a file's name, its mtime), and is read from there at start.
 *
 * A message waits until a moment, or stands in a line, or it is taken: somebody works at it. Due are first those whose moment is earliest; of
 * one second, the oldest message first. Moments are wall-clock seconds since 1970.
 * A line is of a group: the messages that go to one destination, which says when the next may come. A message is bound to a group, and in it to one of a
 * few flows (a sender's, more or less): those take turns. A message in line has a deadline, by which it must be looked at even if the line does not move.
 * Cost: find, add, wait, line up, take and forget are O(log n) or better; a million messages take 32 octets and about 10 for the rows. */
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
	SCHEDULE_HELD = 2,      /* it waits for no moment and stands in no line, whatever schedule_wait says of it (steer.h) */
	SCHEDULE_STEERED = 4,   /* the administrator's hand is on it */
	SCHEDULE_RETURNED = 8,  /* the attempt that begins with it is its return to the sender */
};

/* An empty schedule; the caller owns it. Fails: temporary. */
MUST_USE struct schedule *schedule_create(struct fault *why);
/* NULL does nothing. */
void schedule_destroy(struct schedule *s);

/* Adds a message, which is taken at first; *n is its number until it is forgotten. id must be valid and not known. Fails: temporary, memory is out. */
MUST_USE bool schedule_add(struct schedule *s, struct slice id, unsigned flags, uint32_t *n, struct fault *why);
/* Its number, or SCHEDULE_NONE. */
uint32_t schedule_find(const struct schedule *s, struct slice id);
/* n waits until due_s. It may be taken; one that waits already is wanted from now on: somebody asks for it to be tried. Cannot fail. */
void schedule_wait(struct schedule *s, uint32_t n, uint32_t due_s);
/* Was n wanted? It is no more. */
bool schedule_unwant(struct schedule *s, uint32_t n);
/* n waits no more, nor stands in line; safe on one that is taken. */
void schedule_take(struct schedule *s, uint32_t n);
/* n is not known any more. */
void schedule_forget(struct schedule *s, uint32_t n);

/* The one that is due first, or SCHEDULE_NONE when none is: its moment has come, or lies more than horizon_s ahead, which no pause
 * can be (the clock was wrong when it was set). It is not taken by this. */
uint32_t schedule_due(const struct schedule *s, uint32_t now_s, uint32_t horizon_s);
/* The earliest moment, UINT32_MAX when nothing waits for one. */
uint32_t schedule_next_s(const struct schedule *s);
/* All that wait, in lines too, are due at now_s, and wanted. Their number. */
size_t schedule_flush(struct schedule *s, uint32_t now_s);

/* ---- groups and lines ---- */

#define SCHEDULE_FLOWS 32u

/* The number of a new group; owner is not NULL, and the caller's. 0, temporary: no memory, or there are 65,535. */
uint32_t schedule_group_open(struct schedule *s, void *owner, struct fault *why);
/* Who stands in its line is due at once; who is bound to it is bound to none. Safe on 0 and on one that is closed. */
void schedule_group_close(struct schedule *s, uint32_t group);
/* NULL: it is closed, or 0. */
void *schedule_group_owner(const struct schedule *s, uint32_t group);
/* n, which is taken, belongs to group (0: none) and flow, below SCHEDULE_FLOWS. */
void schedule_bind(struct schedule *s, uint32_t n, uint32_t group, unsigned flow);
/* 0: it is bound to none. */
uint32_t schedule_group(const struct schedule *s, uint32_t n);
/* n, which may wait, stands in the line of its group from now on. False: it has none, or memory is out; nothing has changed. */
MUST_USE bool schedule_line_up(struct schedule *s, uint32_t n, uint32_t deadline_s);
size_t schedule_line_n(const struct schedule *s, uint32_t group);
/* Whose turn it is: a message of the next flow, the one with the earliest deadline. It is not taken by this, but the turn has gone on. SCHEDULE_NONE: nobody. */
uint32_t schedule_line_next(struct schedule *s, uint32_t group);
/* The one of the earliest deadline of all, or SCHEDULE_NONE. */
uint32_t schedule_line_urgent(const struct schedule *s, uint32_t group);
/* UINT32_MAX: it stands in no line. */
uint32_t schedule_deadline_s(const struct schedule *s, uint32_t n);
/* When the line moves next, as far as is known: schedule_due_s of those in it. */
void schedule_line_opens(struct schedule *s, uint32_t group, uint32_t at_s);
uint32_t schedule_line_opens_s(const struct schedule *s, uint32_t group);

/* ---- what it says of one ---- */

bool schedule_is_waiting(const struct schedule *s, uint32_t n);
unsigned schedule_flags(const struct schedule *s, uint32_t n);
void schedule_set_flags(struct schedule *s, uint32_t n, unsigned flags);
/* When it is due, or its line moves; 0 when it is taken. */
uint32_t schedule_due_s(const struct schedule *s, uint32_t n);
void schedule_id(const struct schedule *s, uint32_t n, char out[SPOOL_ID_LENGTH + 1]);
/* Messages known, and those of them that wait. */
size_t schedule_n_known(const struct schedule *s);
size_t schedule_n_waiting(const struct schedule *s);

/* At most max numbers of known messages behind the id after (empty: from the start) in *n, in an order that stays while messages come and go. Less than max only at the
 * end of the list. after need not be known any more. */
size_t schedule_list(const struct schedule *s, struct slice after, uint32_t *n, size_t max);
