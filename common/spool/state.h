/* common/spool/state.h: what the tail of a spool file says about each recipient, summed up.
 * Touches: nothing.
 *
 * A line with an empty forward_path is about the recipient as a whole; one with a forward_path is about one of the mailboxes that an alias
 * made of it. DEFERRED lines are about the whole: one for each attempt. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/spool/file.h"

struct arena;
struct fault;

/* A tail is read up to this size; what stands behind is not seen. */
#define SPOOL_TAIL_MAX ((size_t)64 << 20)

struct spool_recipient_state {
	bool done;          /* delivered, bounced or dropped: nothing is left to do */
	bool failed;        /* refused for good as a whole, the sender not yet told; last says why */
	bool warned;        /* a line says that the sender was told of the delay */
	bool reported;      /* the sender was told of the delivery, or another host does it */
	uint32_t n_attempts; /* that were deferred */
	bool has_last;
	struct spool_result last; /* the latest line about what became of it */
	/* The latest line about each of its mailboxes, sorted by forward_path. */
	struct spool_result *parts;
	size_t n_parts;
	size_t parts_capacity; /* private */
};

/* Sums up tail (the octets of spool_tail_read) into n zeroed states; slices point into tail or arena. A line about a recipient that is not there
 * is left out. Fails: temporary, the arena is full. */
MUST_USE bool spool_states_read(struct slice tail, struct arena *arena, struct spool_recipient_state *states, size_t n, struct fault *why);
/* The latest line about one mailbox of it, or NULL. */
const struct spool_result *spool_state_part(const struct spool_recipient_state *state, struct slice forward_path);
