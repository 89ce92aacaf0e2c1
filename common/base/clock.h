/* common/base/clock.h: the time. What runs in a loop asks loop_now_ms() instead, so that a test can move it. */
#pragma once

#include <stdint.h>

#include "common/base/buf.h"

/* Microseconds since 1970 UTC; milliseconds since some start, which never go back. */
uint64_t clock_wall_us(void);
uint64_t clock_monotonic_ms(void);
/* Appends "Wed, 25 Nov 2026 16:00:15 +0000" (RFC 5322 3.3), in the host's time zone. */
bool clock_append_rfc5322(struct buf *b, uint64_t wall_us);
/* Appends "2026-11-25T16:00:15.123456Z" (RFC 3339). */
bool clock_append_rfc3339(struct buf *b, uint64_t wall_us);
