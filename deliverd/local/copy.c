#include "deliverd/local/copy.h"

#include <string.h>

#include "common/base/ascii.h"

#define HELD_OCTETS 64 /* more than a name that is looked for */

static const struct slice return_path = {"return-path:", 12};

/* A path stands in a header field: whatever it holds, the field is one line. */
static void append_path(struct buf *out, struct slice path)
{
	for (size_t i = 0; i < path.n; i++)
		buf_append_char(out, ascii_is_control(path.p[i]) ? '?' : path.p[i]);
}

bool copy_begin(struct copy *c, struct slice reverse_path, struct slice delivered_to,
		struct buf *out)
{
	size_t before = buf_length(out);

	*c = (struct copy){.lines = delivered_to.n ? 2 : 1};
	buf_init(&c->held, HELD_OCTETS);
	buf_append_cstr(out, "Return-Path: <");
	append_path(out, reverse_path);
	buf_append_cstr(out, delivered_to.n ? ">\nDelivered-To: " : ">\n");
	append_path(out, delivered_to);
	if (delivered_to.n)
		buf_append_char(out, '\n');
	c->size_bytes = buf_length(out) - before;
	return !out->failed;
}

/* Gives out octets without their CRs. */
static bool give(struct copy *c, struct slice octets, struct buf *out)
{
	char *room = buf_reserve(out, octets.n), *to = room;

	if (room == NULL)
		return false;
	while (octets.n) {
		size_t n = slice_find(octets, '\r');

		if (n == SIZE_MAX)
			n = octets.n;
		else
			c->lines++;
		memcpy(to, octets.p, n);
		to += n;
		octets = slice_tail(octets, n + 1);
	}
	buf_commit(out, (size_t)(to - room));
	c->size_bytes += (uint64_t)(to - room);
	return true;
}

/* Can it be told from these octets whether a line that begins so is a Return-Path field? */
static bool is_decidable(struct slice line)
{
	return line.n >= return_path.n || slice_find(line, '\n') != SIZE_MAX ||
	       !slice_starts_nocase(return_path, line);
}

static void begin_line(struct copy *c, struct slice line)
{
	if (line.p[0] == '\r' || line.p[0] == '\n')
		c->in_body = true;
	else if (!ascii_is_space(line.p[0])) /* else the field goes on, RFC 5322 2.2.3 */
		c->skipping = slice_starts_nocase(line, return_path);
	c->in_line = true;
}

/* Takes what can be decided; *rest is what cannot yet. */
static bool process(struct copy *c, struct slice *rest, bool final, struct buf *out)
{
	while (rest->n && !c->in_body) {
		size_t end = slice_find(*rest, '\n');
		struct slice line = slice_head(*rest, end == SIZE_MAX ? rest->n : end + 1);

		if (!c->in_line && !final && !is_decidable(*rest))
			return true;
		if (!c->in_line)
			begin_line(c, line);
		if (c->in_body)
			break;
		if (!c->skipping && !give(c, line, out))
			return false;
		c->in_line = end == SIZE_MAX;
		*rest = slice_tail(*rest, line.n);
	}
	if (!c->in_body)
		return true;
	if (!give(c, *rest, out))
		return false;
	*rest = SLICE_EMPTY;
	return true;
}

bool copy_take(struct copy *c, struct slice octets, struct buf *out)
{
	while (buf_length(&c->held) && octets.n) {
		struct slice more = slice_head(octets, HELD_OCTETS - buf_length(&c->held)), rest;

		if (!buf_append(&c->held, more))
			return false;
		octets = slice_tail(octets, more.n);
		rest = buf_slice(&c->held);
		if (!process(c, &rest, false, out))
			return false;
		buf_consume(&c->held, buf_length(&c->held) - rest.n);
	}
	return process(c, &octets, false, out) && buf_append(&c->held, octets);
}

bool copy_end(struct copy *c, struct buf *out)
{
	struct slice rest = buf_slice(&c->held);

	return process(c, &rest, true, out);
}

void copy_fini(struct copy *c)
{
	buf_fini(&c->held);
}
