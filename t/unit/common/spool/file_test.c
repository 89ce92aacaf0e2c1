#include "common/spool/file.h"

#include <glob.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/arena.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "t/unit/common/spool/compose.h"

#define ENVELOPE SLICE("from ann@example.org\nto bob@example.com\n")
#define CONTENT SLICE("Subject: x\r\n\r\nhello\r\n")

struct fixture {
	struct buf file, tail;
	struct arena arena;
	struct spool_header h;
	struct fault why;
	uint64_t end;
	int fd;
};

static struct slice id(void)
{
	return SLICE(COMPOSE_ID);
}

/* The octets of f->file, as a file. */
static void lay_down(struct fixture *f)
{
	struct slice s = buf_slice(&f->file);

	assert_int_equal(ftruncate(f->fd, 0), 0);
	assert_true(fd_write_all(f->fd, s.p, s.n, 0));
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){.fd = memfd_create("spool", MFD_CLOEXEC)};
	buf_init(&f.file, 1 << 20);
	buf_init(&f.tail, 1 << 20);
	arena_init(&f.arena, 1 << 20);
	compose(&f.file, COMPOSE_ID, ENVELOPE, CONTENT, &f.h);
	lay_down(&f);
	*state = &f;
	return f.fd < 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	buf_fini(&f->file);
	buf_fini(&f->tail);
	arena_reset(&f->arena);
	fd_close(&f->fd);
	return 0;
}

/* All three marks of a committed file. */
static bool is_committed(struct fixture *f)
{
	struct buf envelope;
	bool ok;

	buf_init(&envelope, 1 << 16);
	ok = spool_header_read(f->fd, id(), &f->h, &f->why) && spool_envelope_read(f->fd, &f->h, &envelope, &f->why) &&
	     spool_content_check(f->fd, &f->h, &f->why);
	buf_fini(&envelope);
	return ok;
}

/* ---- the header block ---- */

static void header_comes_back_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct spool_header h = f->h, back;
	char block[SPOOL_HEADER_SIZE];

	h.tail_offset = 5000;
	h.envelope_offset = 4000;
	h.n_extents = 3;
	h.extents[0] = (struct spool_extent){3000, 100};
	h.extents[1] = (struct spool_extent){512, 1000};
	h.extents[2] = (struct spool_extent){1512, 0};
	h.content_length = 1100;
	spool_header_encode(&h, block);
	assert_true(spool_header_decode(slice_of(block, sizeof(block)), &back, &f->why));
	assert_memory_equal(&h, &back, sizeof(h));
}

static void widest_header_fits_the_block(void **state)
{
	struct fixture *f = *state;
	struct spool_header h = {.received_us = SPOOL_TIME_MAX_US, .envelope_offset = SPOOL_OFFSET_MAX - SPOOL_ENVELOPE_MAX, .envelope_length = SPOOL_ENVELOPE_MAX,
				 .envelope_crc = UINT32_MAX, .content_crc = UINT32_MAX, .n_extents = SPOOL_EXTENTS_MAX, .tail_offset = SPOOL_OFFSET_MAX};
	struct spool_header back;
	char block[SPOOL_HEADER_SIZE];

	memcpy(h.id, COMPOSE_ID, sizeof(h.id));
	for (size_t i = 0; i < SPOOL_EXTENTS_MAX; i++) {
		h.extents[i] = (struct spool_extent){100000000000000 + i * 10000000000000, 10000000000000};
		h.content_length += h.extents[i].length;
	}
	spool_header_encode(&h, block);
	assert_true(spool_header_decode(slice_of(block, sizeof(block)), &back, &f->why));
	assert_memory_equal(&h, &back, sizeof(h));
}

static void every_changed_octet_of_the_header_block_is_seen(void **state)
{
	struct fixture *f = *state;
	char block[SPOOL_HEADER_SIZE];
	struct spool_header h;

	for (size_t i = 0; i < SPOOL_HEADER_SIZE; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(block, f->file.p, sizeof(block));
			block[i] = (char)(block[i] ^ 1 << bit);
			f->why = (struct fault){0};
			/* A CRC's digit in upper case says the same. */
			if (spool_header_decode(slice_of(block, sizeof(block)), &h, &f->why))
				assert_memory_equal(&h, &f->h, sizeof(h));
			else
				assert_int_equal(f->why.class, FAULT_PERMANENT);
		}
}

static void header_half_written_is_not_committed(void **state)
{
	struct fixture *f = *state;
	static const char fill[] = {0, '\377', ' '};
	struct buf whole = f->file;

	for (size_t n = 0; n < SPOOL_HEADER_SIZE - 1; n++)
		for (size_t i = 0; i < sizeof(fill); i++) {
			char block[SPOOL_HEADER_SIZE];

			memset(block, fill[i], sizeof(block));
			memcpy(block, whole.p, n);
			/* What stood there is right once all but the padding is. */
			if (memcmp(block, whole.p, sizeof(block)) != 0 && memcmp(block + n, whole.p + n, sizeof(block) - n) != 0)
				assert_false(spool_header_decode(slice_of(block, sizeof(block)), &f->h, &f->why));
		}
}

/* NN-what.header is the block's text (padding and check are made here); NN-what.fault says what is wrong with it. */
static void header_vectors_are_read_or_refused_as_they_say(void **state)
{
	struct fixture *f = *state;
	struct buf text, expected;
	glob_t g;

	buf_init(&text, SPOOL_HEADER_SIZE);
	buf_init(&expected, 4096);
	assert_int_equal(glob("t/vectors/spool/header/*.header", 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		char path[512], block[SPOOL_HEADER_SIZE];
		int fd = open(g.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		bool ok;

		buf_reset(&text);
		buf_reset(&expected);
		assert_true(fd_slurp(fd, &text, NULL));
		fd_close(&fd);
		buf_printf(&text, "check %08x\n", crc32c(0, text.p, text.n));
		memset(block, ' ', sizeof(block));
		block[sizeof(block) - 1] = '\n';
		memcpy(block, text.p, text.n);
		ok = spool_header_decode(slice_of(block, sizeof(block)), &f->h, &f->why);
		snprintf(path, sizeof(path), "%.*s.fault", (int)(strlen(g.gl_pathv[i]) - strlen(".header")), g.gl_pathv[i]);
		if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
			if (!ok)
				fail_msg("%s: %s", g.gl_pathv[i], f->why.text);
			continue;
		}
		assert_true(fd_slurp(fd, &expected, NULL));
		fd_close(&fd);
		if (ok || f->why.class != FAULT_PERMANENT || slice_find_slice(slice_of_cstr(f->why.text), slice_trim(buf_slice(&expected))) == SIZE_MAX)
			fail_msg("%s: %s", g.gl_pathv[i], ok ? "was read" : f->why.text);
	}
	assert_true(g.gl_pathc >= 15);
	globfree(&g);
	buf_fini(&text);
	buf_fini(&expected);
}

/* ---- committed ---- */

static void composed_file_is_committed(void **state)
{
	assert_true(is_committed(*state));
}

/* Files as version 1 wrote them when the format was frozen: named by their id, like in a spool. */
static void files_of_version_1_are_read_for_ever(void **state)
{
	struct fixture *f = *state;
	glob_t g;

	assert_int_equal(glob("t/vectors/spool/version-1/*", 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		int fd = open(g.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		char content[4096];
		size_t n;

		assert_true(spool_header_read(fd, slice_of_cstr(strrchr(g.gl_pathv[i], '/') + 1), &f->h, &f->why));
		assert_true(spool_envelope_read(fd, &f->h, &f->tail, &f->why));
		assert_true(spool_content_check(fd, &f->h, &f->why));
		assert_true(spool_content_read(fd, &f->h, 0, content, sizeof(content), &n, &f->why));
		assert_int_equal(n, f->h.content_length);
		assert_true(slice_starts(slice_of(content, n), SLICE("Received: ")));
		assert_true(slice_ends(slice_of(content, n), SLICE("The end.\r\n")));
		assert_true(spool_tail_read(fd, &f->h, 4096, &f->tail, &f->end, &f->why));
		assert_true(slice_starts(buf_slice(&f->tail), SLICE("deferred 0 ")));
		fd_close(&fd);
	}
	assert_int_equal(g.gl_pathc, 2);
	globfree(&g);
}

static void zeros_and_ones_are_never_committed(void **state)
{
	struct fixture *f = *state;
	size_t n = f->file.n;

	for (int octet = 0; octet < 256; octet += 255)
		for (size_t from = 0; from < n; from++) {
			struct buf whole = f->file;
			char copy[2048];

			memcpy(copy, whole.p, n);
			memset(copy + from, octet, n - from);
			assert_int_equal(ftruncate(f->fd, 0), 0);
			assert_true(fd_write_all(f->fd, copy, n, 0));
			assert_false(is_committed(f));
			assert_int_equal(f->why.class, FAULT_PERMANENT);
		}
}

static void file_cut_short_is_not_committed(void **state)
{
	struct fixture *f = *state;

	for (size_t n = f->file.n; n-- > 0;) {
		assert_int_equal(ftruncate(f->fd, (off_t)n), 0);
		assert_false(is_committed(f));
		assert_int_equal(f->why.class, FAULT_PERMANENT);
	}
}

static void content_of_an_older_file_is_not_committed(void **state)
{
	struct fixture *f = *state;

	assert_true(fd_write_all(f->fd, "older", 5, (off_t)(f->h.extents[0].offset + 14)));
	assert_true(spool_header_read(f->fd, id(), &f->h, &f->why));
	assert_false(spool_content_check(f->fd, &f->h, &f->why));
	assert_int_equal(f->why.class, FAULT_PERMANENT);
}

static void header_of_an_older_file_is_not_committed(void **state)
{
	struct fixture *f = *state;

	assert_false(spool_header_read(f->fd, SLICE("01hqz6k3v2j0w9xq4mb7tz"), &f->h, &f->why));
	assert_int_equal(f->why.class, FAULT_PERMANENT);
	assert_non_null(strstr(f->why.text, "another id"));
}

static void envelope_that_was_changed_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_true(fd_write_all(f->fd, "F", 1, SPOOL_HEADER_SIZE));
	assert_false(spool_envelope_read(f->fd, &f->h, &f->tail, &f->why));
	assert_int_equal(f->why.class, FAULT_PERMANENT);
	assert_int_equal(buf_length(&f->tail), 0);
}

static void read_that_fails_is_temporary(void **state)
{
	struct fixture *f = *state;
	struct buf small;
	int folder = open("/", O_RDONLY | O_CLOEXEC);

	assert_false(spool_header_read(folder, id(), &f->h, &f->why));
	assert_int_equal(f->why.class, FAULT_TEMPORARY);
	buf_init(&small, 8);
	f->why = (struct fault){.class = FAULT_PERMANENT};
	assert_false(spool_envelope_read(f->fd, &f->h, &small, &f->why));
	assert_int_equal(f->why.class, FAULT_TEMPORARY);
	fd_close(&folder);
}

/* ---- content ---- */

static void content_is_read_in_message_order_from_any_octet(void **state)
{
	struct fixture *f = *state;
	static const char message[] = "Received: b\r\n0123456789";
	struct spool_header h = {.n_extents = 4, .content_length = sizeof(message) - 1, .extents = {{40, 13}, {10, 5}, {99, 0}, {20, 5}}};
	char out[64];
	size_t n;

	assert_true(fd_write_all(f->fd, "Received: b\r\n", 13, 40));
	assert_true(fd_write_all(f->fd, "01234", 5, 10));
	assert_true(fd_write_all(f->fd, "56789", 5, 20));
	for (size_t from = 0; from <= sizeof(message); from++)
		for (size_t size = 0; size < sizeof(out); size++) {
			size_t left = from < sizeof(message) - 1 ? sizeof(message) - 1 - from : 0;

			assert_true(spool_content_read(f->fd, &h, from, out, size, &n, &f->why));
			assert_int_equal(n, size < left ? size : left);
			if (n > 0)
				assert_memory_equal(out, message + from, n);
		}
}

/* ---- results ---- */

static const struct spool_result sample = {.kind = SPOOL_RESULT_DEFERRED,
					   .recipient = 3,
					   .forward_path = {"\"a b\"@example.com", 17},
					   .at_us = 1764088515123456,
					   .status = {"4.4.1", 5},
					   .host = {"mx.example.com [192.0.2.1]", 26},
					   .reply = {"451 4.4.1 not\r\n now\r\n", 21}};

static void append(struct fixture *f, enum spool_result_kind kind, uint32_t recipient)
{
	struct spool_result r = sample;
	struct buf line;

	buf_init(&line, 4096);
	r.kind = kind;
	r.recipient = recipient;
	assert_true(spool_result_encode(&r, &line));
	assert_true(spool_tail_append(f->fd, id(), &f->end, buf_slice(&line), &f->why));
	buf_fini(&line);
}

static size_t tail_lines(struct fixture *f)
{
	struct spool_result r;
	struct slice rest;
	size_t n = 0;

	assert_true(spool_tail_read(f->fd, &f->h, 1 << 16, &f->tail, &f->end, &f->why));
	for (rest = buf_slice(&f->tail); spool_result_next(&rest, &f->arena, &r); n++)
		assert_int_equal(r.recipient, n);
	assert_int_equal(rest.n, 0);
	return n;
}

static void assert_slices_equal(struct slice a, struct slice b)
{
	assert_int_equal(a.n, b.n);
	if (a.n > 0)
		assert_memory_equal(a.p, b.p, a.n);
}

static void result_comes_back_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct spool_result r;
	struct slice rest;

	for (int kind = SPOOL_RESULT_DELIVERED; kind <= SPOOL_RESULT_DROPPED; kind++) {
		f->end = f->h.tail_offset;
		append(f, (enum spool_result_kind)kind, 7);
		assert_true(spool_tail_read(f->fd, &f->h, 1 << 16, &f->tail, &f->end, &f->why));
		rest = buf_slice(&f->tail);
		assert_true(spool_result_next(&rest, &f->arena, &r));
		assert_int_equal(r.kind, kind);
		assert_int_equal(r.recipient, 7);
		assert_int_equal(r.at_us, sample.at_us);
		assert_slices_equal(r.forward_path, sample.forward_path);
		assert_slices_equal(r.status, sample.status);
		assert_slices_equal(r.host, sample.host);
		assert_slices_equal(r.reply, SLICE("451 4.4.1 not  now"));
		assert_false(spool_result_next(&rest, &f->arena, &r));
	}
}

static void empty_and_odd_fields_come_back(void **state)
{
	struct fixture *f = *state;
	struct spool_result r = {.host = SLICE("-"), .forward_path = SLICE("%2D\n@\x7f"), .reply = SLICE("")}, back;
	struct slice rest;

	assert_true(spool_result_encode(&r, &f->tail));
	assert_int_equal(slice_find(buf_slice(&f->tail), '\n'), buf_length(&f->tail) - 1);
	rest = buf_slice(&f->tail);
	assert_true(spool_result_next(&rest, &f->arena, &back));
	assert_slices_equal(back.host, r.host);
	assert_slices_equal(back.forward_path, r.forward_path);
	assert_int_equal(back.status.n, 0);
	assert_int_equal(back.reply.n, 0);
}

static void reply_and_host_are_cut_and_a_long_path_is_refused(void **state)
{
	struct fixture *f = *state;
	char long_text[5000] = "";
	struct spool_result r = {.host = slice_of(long_text, sizeof(long_text)), .reply = slice_of(long_text, sizeof(long_text))}, back;
	struct slice rest;

	memset(long_text, '%', sizeof(long_text));
	assert_true(spool_result_encode(&r, &f->tail));
	rest = buf_slice(&f->tail);
	assert_true(spool_result_next(&rest, &f->arena, &back));
	assert_int_equal(back.host.n, 255);
	assert_int_equal(back.reply.n, 1000);
	r.forward_path = slice_of(long_text, SPOOL_FORWARD_PATH_MAX + 1);
	buf_reset(&f->tail);
	assert_false(spool_result_encode(&r, &f->tail));
	assert_int_equal(buf_length(&f->tail), 0);
	r.forward_path.n--;
	assert_true(spool_result_encode(&r, &f->tail));
	f->end = f->h.tail_offset;
	assert_true(spool_tail_append(f->fd, id(), &f->end, buf_slice(&f->tail), &f->why));
	assert_int_equal(tail_lines(f), 1);
}

static void full_buffer_takes_nothing_of_a_line(void **state)
{
	struct fixture *f = *state;
	size_t whole;

	assert_true(spool_result_encode(&sample, &f->tail));
	whole = buf_length(&f->tail);
	for (size_t max = 0; max < whole; max++) {
		struct buf small;

		buf_init(&small, max);
		assert_false(spool_result_encode(&sample, &small));
		assert_int_equal(buf_length(&small), 0);
		buf_fini(&small);
	}
}

static void torn_last_line_is_ignored_and_overwritten(void **state)
{
	struct fixture *f = *state;
	uint64_t whole, two;

	f->end = f->h.tail_offset;
	append(f, SPOOL_RESULT_DEFERRED, 0);
	append(f, SPOOL_RESULT_DEFERRED, 1);
	two = f->end;
	append(f, SPOOL_RESULT_DELIVERED, 2);
	whole = f->end;
	assert_int_equal(tail_lines(f), 3);
	assert_int_equal(f->end, whole);
	for (uint64_t size = whole - 1; size >= two; size--) {
		assert_int_equal(ftruncate(f->fd, (off_t)size), 0);
		assert_int_equal(tail_lines(f), 2);
		assert_int_equal(f->end, two);
	}
	append(f, SPOOL_RESULT_DELIVERED, 2);
	assert_int_equal(tail_lines(f), 3);
}

static void line_behind_a_torn_one_does_not_come_back(void **state)
{
	struct fixture *f = *state;
	uint64_t one;

	f->end = f->h.tail_offset;
	append(f, SPOOL_RESULT_DEFERRED, 0);
	one = f->end;
	append(f, SPOOL_RESULT_DEFERRED, 1);
	append(f, SPOOL_RESULT_DEFERRED, 2);
	assert_true(fd_write_all(f->fd, "\0\0\0\0", 4, (off_t)one));
	assert_int_equal(tail_lines(f), 1);
	append(f, SPOOL_RESULT_FAILED, 1); /* two octets shorter */
	assert_int_equal(tail_lines(f), 2);
	assert_int_equal(lseek(f->fd, 0, SEEK_END), (off_t)f->end);
}

static void line_of_another_file_is_not_ours(void **state)
{
	struct fixture *f = *state;
	uint64_t end = f->h.tail_offset;
	struct buf line;

	buf_init(&line, 4096);
	assert_true(spool_result_encode(&sample, &line));
	assert_true(spool_tail_append(f->fd, SLICE("01hqz6k3v2j0w9xq4mb7tz"), &end, buf_slice(&line), &f->why));
	assert_int_equal(tail_lines(f), 0);
	assert_int_equal(f->end, f->h.tail_offset);
	buf_fini(&line);
}

static void every_changed_octet_of_a_line_is_seen(void **state)
{
	struct fixture *f = *state;
	uint64_t start = f->end = f->h.tail_offset, end;

	append(f, SPOOL_RESULT_DELIVERED, 0);
	end = f->end;
	for (uint64_t at = start; at < end; at++) {
		char c, changed;

		assert_true(fd_read_all(f->fd, &c, 1, (off_t)at));
		changed = (char)(c ^ 1);
		assert_true(fd_write_all(f->fd, &changed, 1, (off_t)at));
		assert_int_equal(tail_lines(f), 0);
		assert_true(fd_write_all(f->fd, &c, 1, (off_t)at));
	}
	assert_int_equal(tail_lines(f), 1);
}

static void long_tail_is_read_whole_and_noise_behind_it_is_not(void **state)
{
	struct fixture *f = *state;
	uint64_t end;

	f->end = f->h.tail_offset;
	for (uint32_t i = 0; i < 3000; i++)
		append(f, SPOOL_RESULT_DEFERRED, i);
	end = f->end;
	assert_int_equal(ftruncate(f->fd, (off_t)1 << 40), 0);
	f->tail.max = 1 << 20;
	assert_true(spool_tail_read(f->fd, &f->h, 1 << 20, &f->tail, &f->end, &f->why));
	assert_int_equal(f->end, end);
	assert_false(spool_tail_read(f->fd, &f->h, 1 << 16, &f->tail, &f->end, &f->why));
	assert_int_equal(f->why.class, FAULT_TEMPORARY);
}

static void kind_of_a_later_version_is_passed_over(void **state)
{
	struct fixture *f = *state;
	struct slice rest = SLICE("suspended 0 1 - - -\ndelivered 1 1 - 2.0.0 - 250 OK\n");
	struct spool_result r;

	assert_true(spool_result_next(&rest, &f->arena, &r));
	assert_int_equal(r.recipient, 1);
	assert_false(spool_result_next(&rest, &f->arena, &r));
	assert_int_equal(rest.n, 0);
}

static void arena_that_is_full_is_not_the_end(void **state)
{
	struct fixture *f = *state;
	struct slice rest = SLICE("delivered 0 1 a%20b - - \n");
	struct spool_result r;

	arena_init(&f->arena, 0);
	assert_false(spool_result_next(&rest, &f->arena, &r));
	assert_true(rest.n > 0);
}

static void append_that_fails_is_temporary_and_moves_nothing(void **state)
{
	struct fixture *f = *state;
	int read_only = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uint64_t end = 700;

	assert_false(spool_tail_append(read_only, id(), &end, SLICE("delivered 0 1 - - - \n"), &f->why));
	assert_int_equal(f->why.class, FAULT_TEMPORARY);
	assert_int_equal(end, 700);
	fd_close(&read_only);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(header_comes_back_as_it_was),
		T(widest_header_fits_the_block),
		T(every_changed_octet_of_the_header_block_is_seen),
		T(header_half_written_is_not_committed),
		T(header_vectors_are_read_or_refused_as_they_say),
		T(composed_file_is_committed),
		T(files_of_version_1_are_read_for_ever),
		T(zeros_and_ones_are_never_committed),
		T(file_cut_short_is_not_committed),
		T(content_of_an_older_file_is_not_committed),
		T(header_of_an_older_file_is_not_committed),
		T(envelope_that_was_changed_is_refused),
		T(read_that_fails_is_temporary),
		T(content_is_read_in_message_order_from_any_octet),
		T(result_comes_back_as_it_was),
		T(empty_and_odd_fields_come_back),
		T(reply_and_host_are_cut_and_a_long_path_is_refused),
		T(full_buffer_takes_nothing_of_a_line),
		T(torn_last_line_is_ignored_and_overwritten),
		T(line_behind_a_torn_one_does_not_come_back),
		T(line_of_another_file_is_not_ours),
		T(every_changed_octet_of_a_line_is_seen),
		T(long_tail_is_read_whole_and_noise_behind_it_is_not),
		T(kind_of_a_later_version_is_passed_over),
		T(arena_that_is_full_is_not_the_end),
		T(append_that_fails_is_temporary_and_moves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
