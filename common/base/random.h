/* common/base/random.h: random octets from the kernel. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Fills p; never fails (getrandom waits for the kernel's pool once, at boot). */
void random_fill(void *p, size_t n);
/* A number below bound, each equally likely; bound 0 gives 0. */
uint32_t random_below(uint32_t bound);
