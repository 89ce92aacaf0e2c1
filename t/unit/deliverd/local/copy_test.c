#include "deliverd/local/copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OURS "Return-Path: <ann@example.org>\n"

/* What becomes of a message that comes in pieces of step octets, the first one of `first`. */
static void copy_in_pieces(struct slice message, size_t first, size_t step, struct buf *out,
			   struct copy *c)
{
	buf_reset(out);
	assert_true(copy_begin(c, SLICE("ann@example.org"), SLICE_EMPTY, out));
	for (size_t n = first; message.n; n = step) {
		assert_true(copy_take(c, slice_head(message, n), out));
		message = slice_tail(message, n);
	}
	assert_true(copy_end(c, out));
	copy_fini(c);
}

/* The same however it is cut: in two at every octet, and into pieces of every size. */
static void assert_copied(struct slice message, struct slice want)
{
	struct copy c = {0};
	struct buf out;
	uint64_t lines = 0;

	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < want.n; i++)
		lines += want.p[i] == '\n';
	for (int both = 0; both < 2; both++)
		for (size_t n = 1; n <= message.n + 1; n++) {
			copy_in_pieces(message, n, both ? n : SIZE_MAX, &out, &c);
			assert_int_equal(buf_length(&out), want.n);
			assert_memory_equal(buf_slice(&out).p, want.p, want.n);
			assert_int_equal(c.size_bytes, want.n);
			assert_int_equal(c.lines, lines);
		}
	buf_fini(&out);
}

static void line_ends_become_lf(void **state)
{
	(void)state;
	assert_copied(SLICE("From: a\r\nTo: b\r\n\r\none\r\n\r\ntwo\r\n"),
		      SLICE(OURS "From: a\nTo: b\n\none\n\ntwo\n"));
}

static void foreign_return_path_goes_wherever_it_stands(void **state)
{
	(void)state;
	assert_copied(SLICE("Return-Path: <x@example.net>\r\nFrom: a\r\n\r\nbody\r\n"),
		      SLICE(OURS "From: a\n\nbody\n"));
	assert_copied(
		SLICE("From: a\r\nrEtUrN-pAtH:\r\n <x@example.net>\r\n\t(folded)\r\nTo: b\r\n\r\n"),
		SLICE(OURS "From: a\nTo: b\n\n"));
	assert_copied(SLICE("From: a\r\nReturn-Path: <x>\r\nReturn-Path: <y>\r\n\r\n.\r\n"),
		      SLICE(OURS "From: a\n\n.\n"));
	assert_copied(SLICE("From: a\r\nReturn-Path: <x>"), SLICE(OURS "From: a\n"));
}

static void what_only_looks_like_it_stays(void **state)
{
	(void)state;
	assert_copied(SLICE("Return-Pat: x\r\nReturn-Path-Old: y\r\nX-Return-Path: z\r\n\r\n"),
		      SLICE(OURS "Return-Pat: x\nReturn-Path-Old: y\nX-Return-Path: z\n\n"));
	assert_copied(
		SLICE("Subject: x\r\n Return-Path: folded\r\n\r\nReturn-Path: in the body\r\n"),
		SLICE(OURS "Subject: x\n Return-Path: folded\n\nReturn-Path: in the body\n"));
	assert_copied(SLICE("Return-P"), SLICE(OURS "Return-P"));
	assert_copied(SLICE("Return-Path"), SLICE(OURS "Return-Path"));
}

static void message_without_header_or_body_is_copied(void **state)
{
	(void)state;
	assert_copied(SLICE("\r\nReturn-Path: body\r\n"), SLICE(OURS "\nReturn-Path: body\n"));
	assert_copied(SLICE("Subject: x\r\n"), SLICE(OURS "Subject: x\n"));
	assert_copied(SLICE(""), SLICE(OURS));
	assert_copied(SLICE("no end of line"), SLICE(OURS "no end of line"));
}

static void long_lines_are_not_held(void **state)
{
	char line[5000];
	struct copy c = {0};
	struct buf out;

	(void)state;
	memset(line, 'a', sizeof(line));
	buf_init(&out, 1 << 20);
	assert_true(copy_begin(&c, SLICE_EMPTY, SLICE_EMPTY, &out));
	for (int i = 0; i < 20; i++)
		assert_true(copy_take(&c, slice_of(line, sizeof(line)), &out));
	assert_int_equal(buf_length(&out), 20 * sizeof(line) + strlen("Return-Path: <>\n"));
	assert_int_equal(buf_length(&c.held), 0);
	copy_fini(&c);
	buf_fini(&out);
}

static void paths_cannot_add_lines_to_the_header(void **state)
{
	struct copy c = {0};
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_true(copy_begin(&c, SLICE("a\nX: y\0z"), SLICE("b\r\n\r\nbody"), &out));
	assert_true(slice_equal(buf_slice(&out),
				SLICE("Return-Path: <a?X: y?z>\nDelivered-To: b????body\n")));
	assert_int_equal(c.size_bytes, buf_length(&out));
	assert_int_equal(c.lines, 2);
	copy_fini(&c);
	buf_fini(&out);
}

static void no_room_is_said(void **state)
{
	struct copy c = {0};
	struct buf out;

	(void)state;
	buf_init(&out, 20);
	assert_true(copy_begin(&c, SLICE_EMPTY, SLICE_EMPTY, &out));
	assert_false(copy_take(&c, SLICE("Subject: longer than that\r\n"), &out));
	copy_fini(&c);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_ends_become_lf),
		cmocka_unit_test(foreign_return_path_goes_wherever_it_stands),
		cmocka_unit_test(what_only_looks_like_it_stays),
		cmocka_unit_test(message_without_header_or_body_is_copied),
		cmocka_unit_test(long_lines_are_not_held),
		cmocka_unit_test(paths_cannot_add_lines_to_the_header),
		cmocka_unit_test(no_room_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
