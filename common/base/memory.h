/* common/base/memory.h: the heap, with sizes checked. */
#pragma once

#include <stddef.h>

#include "common/base/attributes.h"

struct fault;

/* Zeroed memory for n things of size octets. NULL: why is temporary, 4.3.1. The caller frees it. */
MUST_USE void *memory_alloc(size_t n, size_t size, struct fault *why);
/* For what a daemon allocates before it serves anyone, where there is nothing left to do without it: says so on standard
 * error and ends the process when memory is out. */
MUST_USE void *memory_alloc_at_start(size_t n, size_t size);
/* Overwrites a secret in a way the compiler keeps. */
void memory_wipe(void *p, size_t n);
