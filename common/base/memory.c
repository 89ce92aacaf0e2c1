#include "common/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"

void *memory_alloc(size_t n, size_t size, struct fault *why)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (p == NULL)
		fault_set(why, "4.3.1", "out of memory");
	return p;
}

void *memory_alloc_at_start(size_t n, size_t size)
{
	void *p = memory_alloc(n, size, NULL);

	if (p == NULL) {
		fprintf(stderr, "tassis: out of memory at the start\n");
		exit(1);
	}
	return p;
}

void memory_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}
