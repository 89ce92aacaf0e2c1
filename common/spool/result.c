/* The tail of a spool file (file.h, results): lines in memory, and with their CRC in the file. */
#include "common/spool/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/crc32c.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/number.h"
#include "common/spool/record.h"

#define HOST_MAX 255
#define REPLY_MAX 1000
#define STATUS_MAX 32
#define CRC_BYTES 9             /* SP and eight digits */
#define LINE_MAX_BYTES 16384    /* what a line can come to: every octet escaped */
#define READ_BYTES 65536

static const struct slice kinds[] = {
	[SPOOL_RESULT_DELIVERED] = {"delivered", 9}, [SPOOL_RESULT_FAILED] = {"failed", 6},   [SPOOL_RESULT_DEFERRED] = {"deferred", 8},
	[SPOOL_RESULT_BOUNCED] = {"bounced", 7},     [SPOOL_RESULT_DROPPED] = {"dropped", 7}, [SPOOL_RESULT_WARNED] = {"warned", 6},
	[SPOOL_RESULT_REPORTED] = {"reported", 8},
};

/* ---- a line in memory ---- */

/* A field that is one word: "-" is nothing, so a value "-" must not look so. */
static bool put_word(struct buf *out, struct slice value)
{
	if (!buf_append_char(out, ' '))
		return false;
	if (value.n == 0)
		return buf_append_char(out, '-');
	if (slice_equal(value, SLICE("-")))
		return buf_append(out, SLICE("%2D"));
	return record_escape(out, value, true);
}

/* A reply of several lines becomes one. */
static bool put_reply(struct buf *out, struct slice reply)
{
	bool ok = buf_append_char(out, ' ');

	reply = slice_trim(slice_head(reply, REPLY_MAX));
	for (size_t i = 0; i < reply.n; i++) {
		bool is_end = reply.p[i] == '\r' || reply.p[i] == '\n';

		if (is_end && i + 1 < reply.n && reply.p[i + 1] == '\n')
			continue;
		ok &= record_escape(out, is_end ? SLICE(" ") : slice_of(reply.p + i, 1), false);
	}
	return ok;
}

bool spool_result_encode(const struct spool_result *r, struct buf *out)
{
	size_t before = buf_length(out);

	if (r->forward_path.n <= SPOOL_FORWARD_PATH_MAX && r->status.n <= STATUS_MAX && buf_append(out, kinds[r->kind]) &&
	    buf_printf(out, " %" PRIu32 " %" PRIu64, r->recipient, r->at_us) && put_word(out, r->forward_path) && put_word(out, r->status) &&
	    put_word(out, slice_head(r->host, HOST_MAX)) && put_reply(out, r->reply) && buf_append_char(out, '\n'))
		return true;
	buf_truncate(out, before);
	return false;
}

static bool take_word(struct slice *line, struct arena *arena, struct slice *out, struct fault *why)
{
	struct slice word;

	if (!slice_cut(line, ' ', &word)) {
		fault_set(why, "5.3.0", "a field is missing");
		return false;
	}
	if (slice_equal(word, SLICE("-"))) {
		*out = SLICE_EMPTY;
		return true;
	}
	return record_unescape(word, arena, out, why);
}

static bool take_number(struct slice *line, uint64_t max, uint64_t *out)
{
	struct slice word;

	return slice_cut(line, ' ', &word) && number_u64(word, max, out);
}

static bool take_kind(struct slice *line, enum spool_result_kind *out)
{
	struct slice word;

	if (!slice_cut(line, ' ', &word))
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
		if (slice_equal(kinds[i], word)) {
			*out = (enum spool_result_kind)i;
			return true;
		}
	return false;
}

static bool result_decode(struct slice line, struct arena *arena, struct spool_result *out, struct fault *why)
{
	uint64_t recipient;

	*out = (struct spool_result){0};
	if (!take_kind(&line, &out->kind) || !take_number(&line, UINT32_MAX, &recipient) || !take_number(&line, UINT64_MAX, &out->at_us)) {
		fault_set(why, "5.3.0", "no line of this version");
		return false;
	}
	out->recipient = (uint32_t)recipient;
	return take_word(&line, arena, &out->forward_path, why) && take_word(&line, arena, &out->status, why) &&
	       take_word(&line, arena, &out->host, why) && record_unescape(line, arena, &out->reply, why);
}

bool spool_result_next(struct slice *rest, struct arena *arena, struct spool_result *out)
{
	while (rest->n > 0) {
		struct slice next = *rest, line;
		struct fault why = {0};

		(void)slice_cut(&next, '\n', &line);
		if (result_decode(line, arena, out, &why)) {
			*rest = next;
			return true;
		}
		if (why.class == FAULT_TEMPORARY)
			return false;
		*rest = next;
	}
	return false;
}

/* ---- lines in a file ---- */

static uint32_t line_crc(struct slice id, struct slice line)
{
	return crc32c(crc32c(0, id.p, id.n), line.p, line.n);
}

/* Cuts the CRC off a line of the file. False: it is wrong. */
static bool line_check(struct slice id, struct slice *line)
{
	struct slice written;
	uint64_t crc;

	if (line->n < CRC_BYTES)
		return false;
	written = slice_tail(*line, line->n - CRC_BYTES);
	*line = slice_head(*line, line->n - CRC_BYTES);
	return written.p[0] == ' ' && number_hex_u64(slice_tail(written, 1), UINT32_MAX, &crc) && crc == line_crc(id, *line);
}

struct tail_reader {
	struct slice id;
	size_t max;
	struct buf *out;
	uint64_t *end;
	bool ended, full;
};

/* Takes the right lines at the beginning of unread. */
static void tail_take(struct tail_reader *t, struct buf *unread)
{
	size_t n;

	while (!t->ended && !t->full && (n = slice_find(buf_slice(unread), '\n')) != SIZE_MAX) {
		struct slice line = slice_head(buf_slice(unread), n);

		if (!line_check(t->id, &line)) {
			t->ended = true;
			return;
		}
		t->full = buf_length(t->out) + line.n + 1 > t->max || !buf_append(t->out, line) || !buf_append_char(t->out, '\n');
		*t->end += n + 1;
		buf_consume(unread, n + 1);
	}
	t->ended |= buf_length(unread) > LINE_MAX_BYTES;
}

bool spool_tail_read(int fd, const struct spool_header *h, size_t max, struct buf *out, uint64_t *end, struct fault *why)
{
	struct tail_reader t = {.id = slice_of_cstr(h->id), .max = max, .out = out, .end = end};
	uint64_t at = h->tail_offset;
	struct buf unread;
	ssize_t n = 1;
	bool ok = false;
	char *p;

	*end = at;
	buf_reset(out);
	buf_init(&unread, READ_BYTES + LINE_MAX_BYTES);
	while (!t.ended && !t.full && n != 0) {
		if ((p = buf_reserve(&unread, READ_BYTES)) == NULL) {
			t.full = true;
			break;
		}
		n = pread(fd, p, READ_BYTES, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fault_errno(why, "4.3.0", "cannot read the results of message %s", h->id);
			goto out;
		}
		buf_commit(&unread, (size_t)n);
		at += (uint64_t)n;
		tail_take(&t, &unread);
	}
	ok = !t.full;
	if (!ok)
		fault_set(why, "4.3.1", "the results of message %s are more than there is room for", h->id);
out:
	buf_fini(&unread);
	return ok;
}

/* The lines as they stand in the file. */
static bool lines_sign(struct slice id, struct slice lines, struct buf *out)
{
	struct slice line;
	bool ok = true;

	while (lines.n > 0 && slice_cut(&lines, '\n', &line))
		ok &= buf_append(out, line) && buf_printf(out, " %08" PRIx32 "\n", line_crc(id, line));
	return ok;
}

/* Whatever stands behind the last right line goes first: else a shorter line over a torn one could end where an old line begins. */
static bool torn_cut(int fd, uint64_t end)
{
	struct stat st;

	return fstat(fd, &st) == 0 && ((uint64_t)st.st_size <= end || ftruncate(fd, (off_t)end) == 0);
}

bool spool_tail_append(int fd, struct slice id, uint64_t *end, struct slice lines, struct fault *why)
{
	struct buf signed_lines;
	struct slice s;
	bool ok = false;

	buf_init(&signed_lines, SIZE_MAX);
	if (!lines_sign(id, lines, &signed_lines)) {
		fault_set(why, "4.3.1", "no memory for the results of message %.*s", SLICE_PRINTF(id));
		goto out;
	}
	s = buf_slice(&signed_lines);
	if (!torn_cut(fd, *end) || !fd_write_all(fd, s.p, s.n, (off_t)*end)) {
		fault_errno(why, "4.3.0", "cannot write the results of message %.*s", SLICE_PRINTF(id));
		goto out;
	}
	*end += s.n;
	ok = true;
out:
	buf_fini(&signed_lines);
	return ok;
}
