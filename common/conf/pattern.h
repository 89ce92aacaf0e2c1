/* common/conf/pattern.h: what a value of main.conf must look like, by the names that the table of settings uses.
 * Touches: nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/conf/settings.h"

struct buf;
struct fault;

/* Does text look as pattern ("domain", "path", "listener", "dns_server"; "": anything) wants it? Fails, permanent, with what would be right. */
MUST_USE bool pattern_matches(const char *pattern, struct slice text, struct fault *why);
/* A NUMBER (10), SIZE (512k; octets) or DURATION (5min; ms). */
MUST_USE bool pattern_quantity(enum setting_type type, struct slice text, uint64_t *out);
/* Appends it in the largest unit that divides it. */
void pattern_print_quantity(enum setting_type type, uint64_t n, struct buf *out);
