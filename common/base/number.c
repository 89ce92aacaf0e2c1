#include "common/base/number.h"

#include "common/base/ascii.h"

static bool parse(struct slice s, unsigned radix, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		int digit = ascii_hex(s.p[i]);

		if (digit < 0 || (unsigned)digit >= radix)
			return false;
		if (n > (UINT64_MAX - (unsigned)digit) / radix)
			return false;
		n = n * radix + (unsigned)digit;
	}
	if (n > max)
		return false;
	*out = n;
	return true;
}

bool number_u64(struct slice s, uint64_t max, uint64_t *out)
{
	return parse(s, 10, max, out);
}

bool number_hex_u64(struct slice s, uint64_t max, uint64_t *out)
{
	return parse(s, 16, max, out);
}

bool number_octal_u64(struct slice s, uint64_t max, uint64_t *out)
{
	return parse(s, 8, max, out);
}
