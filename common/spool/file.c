#include "common/spool/file.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/crc32c.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/base/number.h"

#define CHECK_BYTES ((size_t)128 << 10) /* read at a time */

static bool broken(struct fault *why, const char *what)
{
	fault_set(why, "5.3.0", "%s", what);
	return false;
}

/* ---- the header block, written ---- */

struct block_writer {
	char *p;
	size_t n;
};

static void PRINTF_LIKE(2, 3) put_line(struct block_writer *b, const char *template, ...)
{
	char line[80];
	va_list args;
	int n;

	va_start(args, template);
	n = vsnprintf(line, sizeof(line), template, args);
	va_end(args);
	assert(n > 0 && (size_t)n < sizeof(line) && b->n + (size_t)n < SPOOL_HEADER_SIZE);
	memcpy(b->p + b->n, line, (size_t)n);
	b->n += (size_t)n;
}

static bool header_is_consistent(const struct spool_header *h, struct fault *why);

void spool_header_encode(const struct spool_header *h, char out[SPOOL_HEADER_SIZE])
{
	struct block_writer b = {.p = out};

	assert(header_is_consistent(h, NULL));
	memset(out, ' ', SPOOL_HEADER_SIZE - 1);
	out[SPOOL_HEADER_SIZE - 1] = '\n';
	put_line(&b, "tassis-spool 1\nid %s\n", h->id);
	put_line(&b, "received %" PRIu64 "\n", h->received_us);
	put_line(&b, "envelope %" PRIu64 " %" PRIu64 " %08" PRIx32 "\n", h->envelope_offset, h->envelope_length, h->envelope_crc);
	put_line(&b, "content %" PRIu64 " %08" PRIx32 "\n", h->content_length, h->content_crc);
	for (size_t i = 0; i < h->n_extents; i++)
		put_line(&b, "extent %" PRIu64 " %" PRIu64 "\n", h->extents[i].offset, h->extents[i].length);
	put_line(&b, "tail %" PRIu64 "\n", h->tail_offset);
	put_line(&b, "check %08" PRIx32 "\n", crc32c(0, out, b.n));
}

/* ---- the header block, read ---- */

/* Values of one line after the other; an error is sticky. */
struct block_reader {
	struct slice rest, values;
	bool failed;
};

/* Goes on to the next line, which must have this key. */
static void take_line(struct block_reader *b, struct slice key)
{
	struct slice line = SLICE_EMPTY, found;

	b->failed |= !slice_cut(&b->rest, '\n', &line) || !slice_cut(&line, ' ', &found) || !slice_equal(found, key);
	b->values = line;
}

static struct slice take_word(struct block_reader *b)
{
	struct slice word = SLICE_EMPTY;

	b->failed |= !slice_cut(&b->values, ' ', &word);
	return word;
}

static uint64_t take_number(struct block_reader *b, uint64_t max)
{
	uint64_t value = 0;

	b->failed |= !number_u64(take_word(b), max, &value);
	return value;
}

static uint32_t take_crc(struct block_reader *b)
{
	struct slice word = take_word(b);
	uint64_t value = 0;

	b->failed |= word.n != 8 || !number_hex_u64(word, UINT32_MAX, &value);
	return (uint32_t)value;
}

static void take_end_of_line(struct block_reader *b)
{
	b->failed |= b->values.p != NULL;
}

static void take_extents(struct block_reader *b, struct spool_header *h)
{
	while (!b->failed && h->n_extents < SPOOL_EXTENTS_MAX && slice_starts(b->rest, SLICE("extent "))) {
		struct spool_extent *e = &h->extents[h->n_extents++];

		take_line(b, SLICE("extent"));
		e->offset = take_number(b, SPOOL_OFFSET_MAX);
		e->length = take_number(b, SPOOL_OFFSET_MAX);
		take_end_of_line(b);
	}
}

static void take_header(struct block_reader *b, struct spool_header *h)
{
	struct slice id;

	take_line(b, SLICE("id"));
	id = take_word(b);
	b->failed |= !spool_id_is_valid(id) || !slice_cstr(id, h->id, sizeof(h->id), NULL);
	take_end_of_line(b);
	take_line(b, SLICE("received"));
	h->received_us = take_number(b, SPOOL_TIME_MAX_US);
	take_end_of_line(b);
	take_line(b, SLICE("envelope"));
	h->envelope_offset = take_number(b, SPOOL_OFFSET_MAX);
	h->envelope_length = take_number(b, SPOOL_ENVELOPE_MAX);
	h->envelope_crc = take_crc(b);
	take_end_of_line(b);
	take_line(b, SLICE("content"));
	h->content_length = take_number(b, SPOOL_OFFSET_MAX);
	h->content_crc = take_crc(b);
	take_end_of_line(b);
	take_extents(b, h);
	take_line(b, SLICE("tail"));
	h->tail_offset = take_number(b, SPOOL_OFFSET_MAX);
	take_end_of_line(b);
}

/* Nonempty pieces must lie between the header block and the tail, and not upon each other. */
static bool pieces_fit(const struct spool_header *h)
{
	struct spool_extent pieces[SPOOL_EXTENTS_MAX + 1];
	size_t n = 0;

	memcpy(pieces, h->extents, h->n_extents * sizeof(*pieces));
	n = h->n_extents;
	pieces[n++] = (struct spool_extent){h->envelope_offset, h->envelope_length};
	for (size_t i = 0; i < n; i++) {
		const struct spool_extent *a = &pieces[i];

		if (a->offset < SPOOL_HEADER_SIZE || a->offset > h->tail_offset || a->length > h->tail_offset - a->offset)
			return false;
		for (size_t j = 0; j < i; j++)
			if (a->length > 0 && pieces[j].length > 0 && a->offset < pieces[j].offset + pieces[j].length &&
			    pieces[j].offset < a->offset + a->length)
				return false;
	}
	return true;
}

static bool header_is_consistent(const struct spool_header *h, struct fault *why)
{
	uint64_t sum = 0;

	if (h->n_extents == 0 || h->n_extents > SPOOL_EXTENTS_MAX || h->received_us > SPOOL_TIME_MAX_US || h->tail_offset > SPOOL_OFFSET_MAX ||
	    h->envelope_length > SPOOL_ENVELOPE_MAX)
		return broken(why, "the header has a number out of range");
	if (!pieces_fit(h))
		return broken(why, "the header's extents overlap, or lie outside");
	for (size_t i = 0; i < h->n_extents; i++)
		sum += h->extents[i].length;
	return sum == h->content_length || broken(why, "the header's extents do not add up");
}

/* What `check` speaks of; the rest of the block must be padding. */
static bool check_is_right(struct slice block, struct slice *checked)
{
	size_t at = slice_find_slice(block, SLICE("\ncheck "));
	struct slice line;
	uint64_t check;

	if (at >= block.n)
		return false;
	*checked = slice_head(block, at + 1);
	block = slice_tail(block, at + 1 + strlen("check "));
	if (!slice_cut(&block, '\n', &line) || line.n != 8 || !number_hex_u64(line, UINT32_MAX, &check) || block.n == 0)
		return false;
	for (size_t i = 0; i < block.n - 1; i++)
		if (block.p[i] != ' ')
			return false;
	return block.p[block.n - 1] == '\n' && check == crc32c(0, checked->p, checked->n);
}

bool spool_header_decode(struct slice block, struct spool_header *out, struct fault *why)
{
	struct block_reader b = {0};
	struct slice first;

	*out = (struct spool_header){0};
	if (block.n != SPOOL_HEADER_SIZE || !slice_starts(block, SLICE("tassis-spool ")))
		return broken(why, "no header: not committed");
	if (!check_is_right(block, &b.rest))
		return broken(why, "the header's check is wrong");
	if (!slice_cut(&b.rest, '\n', &first) || !slice_equal(first, SLICE("tassis-spool 1")))
		return broken(why, "a version of the format that is not known");
	take_header(&b, out);
	if (b.failed)
		return broken(why, "the header has a line that cannot be read");
	return header_is_consistent(out, why);
}

/* ---- reading a file ---- */

/* fd_read_all, with its two faults told apart: a file too short is broken, a read that fails is ours. */
static bool read_at(int fd, void *p, size_t n, uint64_t offset, struct fault *why)
{
	if (fd_read_all(fd, p, n, (off_t)offset))
		return true;
	if (errno == 0)
		return broken(why, "the file ends too early");
	fault_errno(why, "4.3.0", "cannot read");
	return false;
}

bool spool_header_read(int fd, struct slice id, struct spool_header *out, struct fault *why)
{
	char block[SPOOL_HEADER_SIZE];
	struct stat st;

	if (!read_at(fd, block, sizeof(block), 0, why) || !spool_header_decode(slice_of(block, sizeof(block)), out, why))
		return false;
	if (!slice_equal(slice_of_cstr(out->id), id))
		return broken(why, "the header has another id");
	if (fstat(fd, &st) != 0) {
		fault_errno(why, "4.3.0", "cannot read");
		return false;
	}
	return (uint64_t)st.st_size >= out->tail_offset || broken(why, "the file ends too early");
}

bool spool_envelope_read(int fd, const struct spool_header *h, struct buf *out, struct fault *why)
{
	size_t n = (size_t)h->envelope_length;
	char *p;

	buf_reset(out);
	if ((p = buf_reserve(out, n)) == NULL && n > 0) {
		fault_set(why, "4.3.1", "an envelope of %zu octets is more than there is room for", n);
		return false;
	}
	if (n > 0 && !read_at(fd, p, n, h->envelope_offset, why))
		return false;
	if (crc32c(0, p, n) != h->envelope_crc)
		return broken(why, "the envelope's CRC is wrong");
	buf_commit(out, n);
	return true;
}

bool spool_content_check(int fd, const struct spool_header *h, struct fault *why)
{
	char *p = memory_alloc(1, CHECK_BYTES, why);
	bool ok = p != NULL;
	uint32_t crc = 0;

	for (uint64_t at = SPOOL_HEADER_SIZE; ok && at < h->tail_offset;) {
		uint64_t left = h->tail_offset - at;
		size_t n = left < CHECK_BYTES ? (size_t)left : CHECK_BYTES;

		ok = read_at(fd, p, n, at, why);
		if (ok)
			crc = crc32c(crc, p, n);
		at += n;
	}
	free(p);
	if (ok && crc != h->content_crc)
		return broken(why, "the content's CRC is wrong");
	return ok;
}

bool spool_content_read(int fd, const struct spool_header *h, uint64_t from, void *out, size_t size, size_t *n, struct fault *why)
{
	*n = 0;
	for (size_t i = 0; i < h->n_extents && *n < size; i++) {
		const struct spool_extent *e = &h->extents[i];
		size_t part;

		if (from >= e->length) {
			from -= e->length;
			continue;
		}
		part = e->length - from < size - *n ? (size_t)(e->length - from) : size - *n;
		if (!fd_read_all(fd, (char *)out + *n, part, (off_t)(e->offset + from))) {
			if (errno == 0)
				fault_set(why, "4.3.0", "the file ends before its content does");
			else
				fault_errno(why, "4.3.0", "cannot read");
			return false;
		}
		*n += part;
		from = 0;
	}
	return true;
}
