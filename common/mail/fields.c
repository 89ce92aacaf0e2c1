#include "common/mail/fields.h"

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/mail/header.h"

/* Where the line that begins at `at` ends, its LF included. */
static size_t line_end(struct slice s, size_t at)
{
	size_t lf = slice_find(slice_tail(s, at), '\n');

	return lf == SIZE_MAX ? s.n : at + lf + 1;
}

bool field_next(struct slice *rest, struct slice *field, struct slice *name)
{
	size_t end = line_end(*rest, 0), n = header_name_length(slice_head(*rest, end));

	if (n == SIZE_MAX)
		return false;
	while (end < rest->n && ascii_is_space(rest->p[end]))
		end = line_end(*rest, end);
	*field = slice_head(*rest, end);
	*name = slice_head(*field, n);
	*rest = slice_tail(*rest, end);
	return true;
}

struct slice field_value(struct slice field)
{
	return slice_trim(slice_tail(field, slice_find(field, ':') + 1));
}

static size_t count_fields(struct slice message)
{
	struct slice field, name;
	size_t n = 0;

	while (field_next(&message, &field, &name))
		n++;
	return n;
}

bool fields_read(struct slice message, struct arena *arena, struct fields *out, struct fault *why)
{
	size_t n = count_fields(message);
	struct slice rest = message, field, name;

	*out = (struct fields){0};
	if (n > 0 && (out->all = arena_alloc(arena, n * sizeof(*out->all), why)) == NULL)
		return false;
	while (field_next(&rest, &field, &name)) {
		struct field *f = &out->all[out->n++];

		if (slice_ends(field, SLICE("\r\n")))
			field.n -= 2;
		*f = (struct field){.name = name,
				    .raw = field,
				    .value = slice_tail(field, slice_find(field, ':') + 1)};
	}
	out->length = message.n - rest.n;
	if (slice_starts(rest, SLICE("\r\n")))
		out->length += 2;
	return true;
}
