#include "common/base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_fill(void *p, size_t n)
{
	char *to = p;

	while (n > 0) {
		ssize_t k = getrandom(to, n, 0);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			abort(); /* a kernel without getrandom is none we run on */
		to += k;
		n -= (size_t)k;
	}
}

uint32_t random_below(uint32_t bound)
{
	uint32_t n, limit;

	if (bound == 0)
		return 0;
	limit = UINT32_MAX - UINT32_MAX % bound;
	do
		random_fill(&n, sizeof(n));
	while (n >= limit);
	return n % bound;
}
