#include "sendmail/message.h"

#include <errno.h>
#include <unistd.h>

#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/mail/header.h"
#include "common/mail/submission.h"

#define READ_BYTES 65536
/* RFC 2047 2: an encoded word has 75 octets at most. */
#define ENCODED_WORD_MAX 75

struct reading {
	struct message *m;
	struct buf line; /* as far as it has come */
	bool dot_is_text, in_header, first, ended;
	uint64_t max;
	struct fault *why;
};

/* ---- lines ---- */

static bool append_line(struct reading *r, struct buf *to, struct slice line)
{
	if (buf_append(to, line) && buf_append(to, SLICE("\r\n")))
		return true;
	if (to == &r->m->header)
		fault_set(r->why, "5.3.4", "the header is too large: at most %zu octets are taken",
			  MESSAGE_HEADER_MAX);
	else
		fault_set(r->why, "5.3.4",
			  "the message is too large: at most %llu octets are taken",
			  (unsigned long long)r->max);
	return false;
}

static bool body_line(struct reading *r, struct slice line)
{
	struct slice part;

	if (line.n == 0)
		return append_line(r, &r->m->body, line);
	while (slice_cut(&line, '\r', &part))
		if (!append_line(r, &r->m->body, part))
			return false;
	return true;
}

/* line is a buffer's of ours: a CR in it becomes a blank. */
static void blank_out(struct buf *line)
{
	for (size_t i = line->start; i < line->n; i++)
		if (line->p[i] == '\r')
			line->p[i] = ' ';
}

static bool header_line(struct reading *r, struct slice line)
{
	bool is_fold = line.n > 0 && ascii_is_space(line.p[0]) && buf_length(&r->m->header) > 0;

	/* What a mailbox file has before each message. */
	if (r->first && slice_starts(line, SLICE("From ")))
		return true;
	if (is_fold || header_name_length(line) != SIZE_MAX) {
		blank_out(&r->line);
		return append_line(r, &r->m->header, line);
	}
	r->in_header = false;
	return line.n == 0 || body_line(r, line);
}

/* The line in r->line is whole, but for its LF. */
static bool take_line(struct reading *r)
{
	struct slice line = buf_slice(&r->line);
	bool ok = true;

	while (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	for (size_t i = 0; i < line.n; i++)
		r->m->eight_bit |= (unsigned char)line.p[i] > 127;
	if (!r->dot_is_text && slice_equal(line, SLICE(".")))
		r->ended = true;
	else
		ok = r->in_header ? header_line(r, line) : body_line(r, line);
	r->first = false;
	buf_reset(&r->line);
	return ok;
}

static bool take_octets(struct reading *r, struct slice octets)
{
	while (octets.n > 0 && !r->ended) {
		size_t lf = slice_find(octets, '\n');

		if (!buf_append(&r->line, slice_head(octets, lf))) {
			fault_set(r->why, "5.3.4",
				  "the message is too large: at most %llu octets are taken",
				  (unsigned long long)r->max);
			return false;
		}
		if (lf == SIZE_MAX)
			return true;
		octets = slice_tail(octets, lf + 1);
		if (!take_line(r))
			return false;
	}
	return true;
}

bool message_read(int fd, bool dot_is_text, uint64_t max, struct message *m, struct fault *why)
{
	struct reading r = {.m = m,
			    .dot_is_text = dot_is_text,
			    .in_header = true,
			    .first = true,
			    .max = max,
			    .why = why};
	char octets[READ_BYTES];
	bool ok = true;

	*m = (struct message){0};
	buf_init(&m->header, MESSAGE_HEADER_MAX);
	buf_init(&m->body, (size_t)max);
	buf_init(&r.line, (size_t)max);
	while (ok && !r.ended) {
		ssize_t n = read(fd, octets, sizeof(octets));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fault_errno(why, "4.3.0", "cannot read the message from standard input");
			ok = false;
		}
		if (n <= 0)
			break;
		ok = take_octets(&r, slice_of(octets, (size_t)n));
	}
	if (ok && !r.ended && buf_length(&r.line) > 0)
		ok = take_line(&r);
	buf_fini(&r.line);
	return ok;
}

void message_fini(struct message *m)
{
	buf_fini(&m->header);
	buf_fini(&m->body);
}

/* ---- fields ---- */

static bool append_quoted(struct slice name, struct buf *out)
{
	buf_append_char(out, '"');
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			buf_append_char(out, '\\');
		buf_append_char(out, name.p[i]);
	}
	return buf_append_char(out, '"');
}

/* RFC 2047 4.2, 5. */
static bool append_encoded(struct slice name, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t before = buf_length(out);

	buf_append_cstr(out, "=?UTF-8?Q?");
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];

		if (ascii_is_alnum(name.p[i]))
			buf_append_char(out, name.p[i]);
		else
			buf_printf(out, "=%c%c", digits[c >> 4], digits[c & 15]);
	}
	if (!buf_append_cstr(out, "?="))
		return false;
	if (buf_length(out) - before > ENCODED_WORD_MAX)
		buf_truncate(out, before);
	return true;
}

bool message_append_name(struct slice name, struct buf *out)
{
	bool plain = true;

	for (size_t i = 0; i < name.n; i++)
		plain = plain && ascii_is_print(name.p[i]);
	return name.n == 0 || (plain ? append_quoted(name, out) : append_encoded(name, out));
}

static bool append_from(const struct author *from, struct buf *out)
{
	size_t before;

	buf_append_cstr(out, "From: ");
	before = buf_length(out);
	message_append_name(from->full_name, out);
	if (buf_length(out) == before)
		buf_append(out, from->address);
	else
		buf_printf(out, " <%.*s>", SLICE_PRINTF(from->address));
	return buf_append_cstr(out, "\r\n") && !out->failed;
}

bool message_complete(struct message *m, const struct author *from, struct slice id,
		      struct slice hostname, uint64_t at_us, struct fault *why)
{
	struct submission has = submission_look(buf_slice(&m->header));
	struct buf whole;

	buf_init(&whole, 2 * MESSAGE_HEADER_MAX);
	if (submission_append_missing(&has, id, hostname, at_us, &whole) &&
	    (has.has_from || append_from(from, &whole)) &&
	    submission_append_shown(buf_slice(&m->header), &whole)) {
		buf_fini(&m->header);
		m->header = whole;
		return true;
	}
	fault_set(why, "4.3.1", "out of memory");
	buf_fini(&whole);
	return false;
}
