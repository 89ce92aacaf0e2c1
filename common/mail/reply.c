#include "common/mail/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"

enum {
	LINE_MAX_BYTES = 512, /* RFC 5321 4.5.3.1.5 */
	READ_LINE_MAX_BYTES = 4096,
	READ_MAX_BYTES = 65536,
};

static void clean(char *text)
{
	for (; *text; text++)
		if (ascii_is_control(*text) && *text != '\n')
			*text = '?';
}

void reply_set(struct reply *r, unsigned code, const char *status, const char *template, ...)
{
	va_list args;

	r->code = (uint16_t)code;
	snprintf(r->status, sizeof(r->status), "%s", status);
	va_start(args, template);
	vsnprintf(r->text, sizeof(r->text), template, args);
	va_end(args);
	clean(r->text);
}

void reply_set_fault(struct reply *r, unsigned code, const struct fault *why)
{
	reply_set(r, code, fault_status(why), "%s", why->text);
	r->status[0] = (char)('0' + code / 100);
}

static bool encode_line(const struct reply *r, struct slice text, bool last, struct buf *out)
{
	size_t before = buf_length(out), room = LINE_MAX_BYTES - 2;

	if (!buf_printf(out, "%03u%c%s%s", r->code, last ? ' ' : '-', r->status,
			r->status[0] ? " " : ""))
		return false;
	room -= buf_length(out) - before;
	return buf_append(out, slice_head(text, room)) && buf_append(out, SLICE("\r\n"));
}

bool reply_encode(const struct reply *r, struct buf *out)
{
	struct slice rest = slice_of_cstr(r->text), line;
	bool ok = true;

	while (ok && slice_cut(&rest, '\n', &line))
		ok = encode_line(r, line, rest.p == NULL, out);
	return ok;
}

bool reply_print(const struct reply *r, struct buf *out)
{
	struct slice rest = slice_of_cstr(r->text), line;
	bool ok = buf_printf(out, "%03u%s%s", r->code, r->status[0] ? " " : "", r->status);

	while (ok && slice_cut(&rest, '\n', &line))
		ok = buf_append_char(out, ' ') && buf_append(out, line);
	return ok;
}

/* ---- reading ---- */

/* RFC 3463 2: class "." subject "." detail, one to three digits each of the latter. Its length, or
 * 0. */
static size_t status_length(struct slice s, char class)
{
	size_t i = 2, start;

	if (s.n < 5 || s.p[0] != class || s.p[1] != '.')
		return 0;
	for (int part = 0; part < 2; part++) {
		start = i;
		while (i < s.n && ascii_is_digit(s.p[i]))
			i++;
		if (i == start || i - start > 3)
			return 0;
		if (part == 0 && (i == s.n || s.p[i++] != '.'))
			return 0;
	}
	return i == s.n || s.p[i] == ' ' ? i : 0;
}

static void add_text(struct reply *r, struct slice text, bool first)
{
	size_t used = strlen(r->text), room = sizeof(r->text) - 1 - used;

	if (!first && room > 0) {
		r->text[used++] = '\n';
		room--;
	}
	text = slice_head(text, room);
	for (size_t i = 0; i < text.n; i++)
		r->text[used + i] = ascii_is_control(text.p[i]) ? '?' : text.p[i];
	r->text[used + text.n] = '\0';
}

/* One line without its end. False: it is none of a reply. */
static bool read_line(struct reply *r, struct slice line, bool first, bool *last)
{
	unsigned code = 0;
	size_t n;

	if (line.n < 3)
		return false;
	for (size_t i = 0; i < 3; i++) {
		if (!ascii_is_digit(line.p[i]))
			return false;
		code = code * 10 + (unsigned)(line.p[i] - '0');
	}
	if (code < 200 || code > 599 || (!first && code != r->code))
		return false;
	if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return false;
	*last = line.n == 3 || line.p[3] == ' ';
	r->code = (uint16_t)code;
	line = slice_tail(line, 4);
	n = status_length(line, (char)('0' + code / 100));
	if (first && n > 0)
		snprintf(r->status, sizeof(r->status), "%.*s", slice_int(n), line.p);
	if (n > 0 && r->status[0])
		line = slice_tail(line, n + 1);
	add_text(r, line, first);
	return true;
}

enum reply_read reply_read(struct slice *input, struct reply *r)
{
	struct slice rest = *input;
	bool last = false;

	memset(r, 0, sizeof(*r));
	for (bool first = true; !last; first = false) {
		size_t end = slice_find(slice_head(rest, READ_LINE_MAX_BYTES), '\n');
		struct slice line;

		if (end == SIZE_MAX)
			return rest.n >= READ_LINE_MAX_BYTES || input->n >= READ_MAX_BYTES
				       ? REPLY_BAD
				       : REPLY_MORE;
		line = slice_head(rest, end);
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (!read_line(r, line, first, &last))
			return REPLY_BAD;
		rest = slice_tail(rest, end + 1);
		if (!last && input->n - rest.n > READ_MAX_BYTES)
			return REPLY_BAD;
	}
	*input = rest;
	return REPLY_DONE;
}
