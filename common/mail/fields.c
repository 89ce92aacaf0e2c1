#include "common/mail/fields.h"

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/mail/header.h"

/* The length of the line at the beginning, with its CR LF if it has one. */
static size_t line_length(struct slice s)
{
	size_t end = slice_find_slice(s, SLICE("\r\n"));

	return end == SIZE_MAX ? s.n : end + 2;
}

/* The field at the beginning of s, with the lines that are folded; 0: there is none. */
static size_t field_length(struct slice s)
{
	size_t n = line_length(s);

	if (n == 0 || header_name_length(slice_head(s, n)) == SIZE_MAX)
		return 0;
	while (n < s.n && ascii_is_space(s.p[n]) && slice_ends(slice_head(s, n), SLICE("\r\n")))
		n += line_length(slice_tail(s, n));
	return n;
}

static size_t count_fields(struct slice message)
{
	size_t n = 0, length;

	while ((length = field_length(message)) > 0) {
		message = slice_tail(message, length);
		n++;
	}
	return n;
}

bool fields_read(struct slice message, struct arena *arena, struct fields *out, struct fault *why)
{
	size_t n = count_fields(message), length;

	*out = (struct fields){0};
	if (n > 0 && (out->all = arena_alloc(arena, n * sizeof(*out->all), why)) == NULL)
		return false;
	while (out->n < n && (length = field_length(message)) > 0) {
		struct field *f = &out->all[out->n++];

		f->raw = slice_head(message, length);
		if (slice_ends(f->raw, SLICE("\r\n")))
			f->raw.n -= 2;
		f->name = slice_head(f->raw, header_name_length(f->raw));
		f->value = slice_tail(f->raw, slice_find(f->raw, ':') + 1);
		message = slice_tail(message, length);
		out->length += length;
	}
	if (slice_starts(message, SLICE("\r\n")))
		out->length += 2;
	return true;
}
