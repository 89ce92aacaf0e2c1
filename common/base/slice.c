#include "common/base/slice.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"

struct slice slice_of(const void *p, size_t n)
{
	return (struct slice){p, n};
}

struct slice slice_of_cstr(const char *s)
{
	return s ? slice_of(s, strlen(s)) : SLICE_EMPTY;
}

int slice_int(size_t n)
{
	return n > INT_MAX ? INT_MAX : (int)n;
}

bool slice_equal(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
			return false;
	return true;
}

int slice_compare(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n ? memcmp(a.p, b.p, n) : 0;

	if (order != 0 || a.n == b.n)
		return order;
	return a.n < b.n ? -1 : 1;
}

bool slice_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && slice_equal(slice_head(s, prefix.n), prefix);
}

bool slice_starts_nocase(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && slice_equal_nocase(slice_head(s, prefix.n), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
	return s.n >= suffix.n && slice_equal(slice_tail(s, s.n - suffix.n), suffix);
}

bool slice_ends_nocase(struct slice s, struct slice suffix)
{
	return s.n >= suffix.n && slice_equal_nocase(slice_tail(s, s.n - suffix.n), suffix);
}

size_t slice_find(struct slice s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t slice_find_last(struct slice s, char c)
{
	const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;

	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

size_t slice_find_slice(struct slice s, struct slice needle)
{
	const char *at;

	if (needle.n == 0)
		return 0;
	at = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

struct slice slice_head(struct slice s, size_t n)
{
	return slice_of(s.p, n < s.n ? n : s.n);
}

struct slice slice_tail(struct slice s, size_t n)
{
	if (n > s.n)
		n = s.n;
	return slice_of(s.p ? s.p + n : NULL, s.n - n);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
	while (s.n && is_blank(s.p[0]))
		s = slice_tail(s, 1);
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool slice_cut(struct slice *rest, char separator, struct slice *part)
{
	size_t at;

	if (rest->p == NULL)
		return false;
	at = slice_find(*rest, separator);
	*part = slice_head(*rest, at);
	*rest = at == SIZE_MAX ? SLICE_EMPTY : slice_tail(*rest, at + 1);
	return true;
}

bool slice_word(struct slice *rest, struct slice *word)
{
	size_t n = 0;

	while (rest->n && ascii_is_space(rest->p[0]))
		*rest = slice_tail(*rest, 1);
	while (n < rest->n && !ascii_is_space(rest->p[n]))
		n++;
	*word = slice_head(*rest, n);
	*rest = slice_tail(*rest, n);
	return n > 0;
}

bool slice_cstr(struct slice s, char *out, size_t size, struct fault *why)
{
	if (size > 0)
		out[0] = '\0';
	if (s.n && memchr(s.p, '\0', s.n)) {
		fault_set(why, "5.5.2", "a NUL octet stands where text is wanted");
		return false;
	}
	if (s.n >= size) {
		fault_set(why, "5.5.2", "%zu octets are more than the %zu that fit here", s.n,
			  size ? size - 1 : 0);
		return false;
	}
	if (s.n)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}
