#include "common/mail/header.h"

#include "common/base/ascii.h"

void header_init(struct header *h, size_t field_max, header_field_fn *fn, void *arg)
{
	*h = (struct header){.fn = fn, .arg = arg, .at_start = true};
	buf_init(&h->field, field_max);
}

void header_fini(struct header *h)
{
	buf_fini(&h->field);
}

/* Printable ASCII without colon. */
size_t header_name_length(struct slice field)
{
	size_t i = 0, n;

	while (i < field.n && ascii_is_print(field.p[i]) && field.p[i] != ' ' && field.p[i] != ':')
		i++;
	n = i;
	while (i < field.n && ascii_is_space(field.p[i]))
		i++;
	return n > 0 && i < field.n && field.p[i] == ':' ? n : SIZE_MAX;
}

static char folded(char c)
{
	return c == '\t' ? ' ' : ascii_lower(c);
}

bool header_field_begins(struct slice rule, struct slice name, struct slice value)
{
	size_t colon = slice_find(rule, ':'), i = 0;
	struct slice beginning;

	if (colon == SIZE_MAX || !slice_equal_nocase(slice_trim(slice_head(rule, colon)), name))
		return false;
	beginning = slice_trim(slice_tail(rule, colon + 1));
	value = slice_trim(value);
	for (size_t k = 0; k < beginning.n; i++) {
		if (i == value.n)
			return false;
		if (value.p[i] == '\r' || value.p[i] == '\n')
			continue;
		if (folded(value.p[i]) != folded(beginning.p[k++]))
			return false;
	}
	return true;
}

/* The field that h->field holds is over. False: it was none. */
static bool finish_field(struct header *h)
{
	struct slice field = buf_slice(&h->field);
	size_t n = header_name_length(field);
	struct slice name = slice_head(field, n);
	bool cut = h->cut;

	if (field.n == 0)
		return true;
	if (n != SIZE_MAX) {
		h->n_fields++;
		if (slice_equal_nocase(name, SLICE("received")))
			h->n_received++;
		if (h->fn != NULL)
			h->fn(h->arg, name,
			      slice_trim(slice_tail(field, slice_find(field, ':') + 1)), cut);
	}
	buf_reset(&h->field);
	h->cut = false;
	return n != SIZE_MAX;
}

static void keep(struct header *h, struct slice s)
{
	size_t room = h->field.max - buf_length(&h->field);

	if (s.n > room)
		h->cut = true;
	if (!buf_append(&h->field, slice_head(s, room)))
		h->cut = true;
}

static void end(struct header *h)
{
	h->ended = true;
	buf_fini(&h->field);
}

/* The first octet of a line: does a field go on, begin, or is the header over? */
static void start_line(struct header *h, char c)
{
	if (c == '\r' && !h->after_cr) {
		h->after_cr = true;
		return;
	}
	if (ascii_is_space(c) && !h->after_cr && buf_length(&h->field) > 0) {
		h->at_start = false;
		return;
	}
	if (!finish_field(h) || h->after_cr || c == '\n' || ascii_is_space(c))
		end(h);
	h->at_start = false;
}

void header_feed(struct header *h, struct slice content)
{
	while (content.n > 0 && !h->ended) {
		size_t lf;

		if (h->at_start) {
			start_line(h, content.p[0]);
			if (h->at_start || h->ended) {
				content = slice_tail(content, 1);
				continue;
			}
		}
		lf = slice_find(content, '\n');
		keep(h, slice_head(content, lf == SIZE_MAX ? content.n : lf + 1));
		if (lf == SIZE_MAX)
			return;
		h->at_start = true;
		content = slice_tail(content, lf + 1);
	}
}

void header_end(struct header *h)
{
	if (h->ended)
		return;
	(void)finish_field(h);
	end(h);
}
