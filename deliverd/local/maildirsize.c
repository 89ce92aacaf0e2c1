#include "deliverd/local/maildirsize.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/number.h"

/* Like Dovecot's: what is no number, or of an unknown kind, limits nothing. */
static struct quota parse_limits(struct slice line)
{
	struct quota limit = {0};
	struct slice part;
	uint64_t n;

	while (slice_cut(&line, ',', &part)) {
		part = slice_trim(part);
		if (part.n < 2 || !number_u64(slice_head(part, part.n - 1), INT64_MAX, &n))
			continue;
		if (part.p[part.n - 1] == 'S')
			limit.bytes = n;
		else if (part.p[part.n - 1] == 'C')
			limit.messages = n;
	}
	return limit;
}

static bool add_number(struct slice word, int64_t *sum)
{
	bool negative = slice_starts(word, SLICE("-"));
	uint64_t n;

	if (!number_u64(slice_tail(word, negative), INT64_MAX, &n))
		return false;
	return !__builtin_add_overflow(*sum, negative ? -(int64_t)n : (int64_t)n, sum);
}

static bool add_change(struct slice line, int64_t *bytes, int64_t *messages)
{
	struct slice first, second, more;

	return slice_word(&line, &first) && slice_word(&line, &second) &&
	       !slice_word(&line, &more) && add_number(first, bytes) &&
	       add_number(second, messages);
}

bool maildirsize_parse(struct slice text, struct maildirsize *out)
{
	size_t end = slice_find_last(text, '\n');
	int64_t bytes = 0, messages = 0;
	struct slice line;

	*out = (struct maildirsize){0};
	if (end == SIZE_MAX || memchr(text.p, '\0', text.n))
		return false;
	text = slice_head(text, end);
	if (!slice_cut(&text, '\n', &line))
		return false;
	out->limit = parse_limits(line);
	for (; slice_cut(&text, '\n', &line); out->n_lines++)
		if (!add_change(line, &bytes, &messages))
			return false;
	if (bytes < 0 || messages < 0)
		return false;
	out->used = (struct quota){.bytes = (uint64_t)bytes, .messages = (uint64_t)messages};
	return true;
}

bool maildirsize_format(const struct maildirsize *m, struct buf *out)
{
	if (m->limit.bytes || m->limit.messages == 0)
		buf_printf(out, "%" PRIu64 "S", m->limit.bytes);
	if (m->limit.messages)
		buf_printf(out, "%s%" PRIu64 "C", m->limit.bytes ? "," : "", m->limit.messages);
	buf_printf(out, "\n%" PRIu64 " %" PRIu64 "\n", m->used.bytes, m->used.messages);
	return !out->failed;
}
