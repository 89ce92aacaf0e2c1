/* common/spool/filter.h: which of the messages that wait are meant: `tassis queue list --to '*@example.com' --older 2h`.
 * Touches: nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

struct spool_summary;

/* What is empty, or 0, lets all through. */
struct spool_filter {
	struct slice to;    /* a pattern; a recipient that still waits has such a forward-path */
	struct slice from;  /* a pattern; "<>" is the null reverse-path */
	struct slice domain; /* a recipient that still waits is there */
	uint64_t before_us; /* received before that moment */
};

/* In pattern, * stands for any octets, and ? for one; the case of ASCII letters does not count. Costs at most the product of both lengths. */
bool spool_pattern_matches(struct slice pattern, struct slice text);
/* Says no where the file need not be read for it: an id says when its message was received. */
bool spool_filter_may_match(const struct spool_filter *f, struct slice id);
bool spool_filter_matches(const struct spool_filter *f, const struct spool_summary *s);
