/* common/base/slice.h: octets somebody else owns: pointer and length, handed on by value.
 * Touches: nothing. A slice lives as long as what it points into; it is not terminated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"

struct fault;

struct slice {
	const char *p; /* may be NULL where n is 0 */
	size_t n;
};

/* The slice of a string literal, and the empty one. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
#define SLICE_EMPTY ((struct slice){NULL, 0})
/* For "%.*s". Lengths over INT_MAX print as INT_MAX octets. */
#define SLICE_PRINTF(s) slice_int((s).n), ((s).p ? (s).p : "")

/* The slice of n octets at p, and of a C string (NULL: the empty slice). */
struct slice slice_of(const void *p, size_t n);
struct slice slice_of_cstr(const char *s);
int slice_int(size_t n);

bool slice_equal(struct slice a, struct slice b);
/* Equal but for the case of ASCII letters; never the locale's. */
bool slice_equal_nocase(struct slice a, struct slice b);
/* <0, 0, >0 in the order of octets, a prefix before the longer. */
int slice_compare(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_starts_nocase(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
bool slice_ends_nocase(struct slice s, struct slice suffix);

/* Where c (the first, the last) stands, or SIZE_MAX. */
size_t slice_find(struct slice s, char c);
size_t slice_find_last(struct slice s, char c);
/* Where the first needle starts, or SIZE_MAX. An empty needle is found at 0. */
size_t slice_find_slice(struct slice s, struct slice needle);

/* The first n octets, and what follows them; n over the length counts as the length. */
struct slice slice_head(struct slice s, size_t n);
struct slice slice_tail(struct slice s, size_t n);
/* Without leading and trailing SP, HT, CR and LF. */
struct slice slice_trim(struct slice s);

/* Cuts *rest at the first separator: the part before it is *part, *rest goes on behind it. The last part
 * has no separator behind it. False once everything has been handed out (an empty rest with p NULL). */
bool slice_cut(struct slice *rest, char separator, struct slice *part);
/* The next run of octets that are neither SP nor HT; *rest goes on behind it. False: there is none. */
bool slice_word(struct slice *rest, struct slice *word);

/* Writes s and a terminator to out (size octets), for a library that wants a C string. Fails, permanent, when s holds a NUL or
 * does not fit; out is then "". */
MUST_USE bool slice_cstr(struct slice s, char *out, size_t size, struct fault *why);
