#include "deliverd/remote/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "t/unit/common/spool/compose.h"

/* A spool file with that content, open and without a name. */
static int spool_file(struct slice content, struct spool_header *h)
{
	char path[] = "/tmp/body_test.XXXXXX";
	struct buf file;
	int fd = mkstemp(path);

	buf_init(&file, 16 << 20);
	compose(&file, COMPOSE_ID, SLICE("from \nto bob@far.test\n"), content, h);
	assert_true(fd_write_all(fd, buf_slice(&file).p, buf_length(&file), -1));
	buf_fini(&file);
	unlink(path);
	return fd;
}

static void assert_sent(struct slice content, struct slice want)
{
	struct spool_header h;
	struct body b = {0};
	struct buf out;
	bool ended = false;
	int fd = spool_file(content, &h);

	buf_init(&out, 16 << 20);
	while (!ended)
		assert_true(body_next(&b, fd, &h, &out, &ended, NULL));
	assert_int_equal(buf_length(&out), want.n);
	assert_memory_equal(buf_slice(&out).p, want.p, want.n);
	buf_fini(&out);
	fd_close(&fd);
}

static void dots_at_the_beginning_of_lines_are_doubled(void **state)
{
	(void)state;
	assert_sent(SLICE("a: b\r\n\r\nx.\r\n.\r\n..y\r\n z .\r\n"),
		    SLICE("a: b\r\n\r\nx.\r\n..\r\n...y\r\n z .\r\n.\r\n"));
	assert_sent(SLICE(".a: b\r\n"), SLICE("..a: b\r\n.\r\n"));
	assert_sent(SLICE("."), SLICE("..\r\n.\r\n"));
}

static void last_line_gets_its_end(void **state)
{
	(void)state;
	assert_sent(SLICE("a: b\r\n\r\nx"), SLICE("a: b\r\n\r\nx\r\n.\r\n"));
	assert_sent(SLICE(""), SLICE(".\r\n"));
}

/* No content of ours, but a spool file may come from elsewhere: what some servers take for the end
 * of data never goes out as content. */
static void bare_line_feed_before_a_dot_ends_no_message(void **state)
{
	(void)state;
	assert_sent(SLICE("a: b\r\n\r\nx\n.\r\nMAIL FROM:<>\r\n"),
		    SLICE("a: b\r\n\r\nx\n..\r\nMAIL FROM:<>\r\n.\r\n"));
	assert_sent(SLICE("a: b\r\n\r\nx\n.\n"), SLICE("a: b\r\n\r\nx\n..\n.\r\n"));
}

static void dot_that_begins_a_chunk_is_seen(void **state)
{
	struct buf content, want;

	(void)state;
	buf_init(&content, 1 << 20);
	buf_init(&want, 1 << 20);
	for (size_t shift = 0; shift < 4; shift++) {
		buf_reset(&content);
		buf_reset(&want);
		while (buf_length(&content) < 65536 - 3 - shift)
			buf_append_char(&content, 'x');
		buf_append_cstr(&content, "\r\n.\r\n.y\r\n");
		buf_append(&want, slice_head(buf_slice(&content), 65536 - 3 - shift));
		buf_append_cstr(&want, "\r\n..\r\n..y\r\n.\r\n");
		assert_sent(buf_slice(&content), buf_slice(&want));
	}
	buf_fini(&content);
	buf_fini(&want);
}

static void file_that_ends_too_early_is_temporary(void **state)
{
	struct spool_header h;
	struct body b = {0};
	struct fault why = {0};
	struct buf out;
	bool ended;
	int fd = spool_file(SLICE("a: b\r\n\r\nhello\r\n"), &h);

	(void)state;
	buf_init(&out, 1 << 20);
	assert_int_equal(ftruncate(fd, (off_t)h.tail_offset - 3), 0);
	assert_false(body_next(&b, fd, &h, &out, &ended, &why));
	assert_false(ended);
	assert_int_equal(why.class, FAULT_TEMPORARY);
	buf_fini(&out);
	fd_close(&fd);
}

static bool header_is_utf8(struct slice content)
{
	struct spool_header h;
	int fd = spool_file(content, &h);
	bool utf8 = body_header_is_utf8(fd, &h);

	fd_close(&fd);
	return utf8;
}

static void only_the_header_says_whether_smtputf8_is_needed(void **state)
{
	struct buf content;

	(void)state;
	assert_false(header_is_utf8(SLICE("Subject: x\r\n\r\nna\xc3\xafve\r\n")));
	assert_true(header_is_utf8(SLICE("Subject: na\xc3\xafve\r\n\r\nx\r\n")));
	assert_true(header_is_utf8(SLICE("Subject: na\xc3\xafve")));
	assert_false(header_is_utf8(SLICE("Subject: x\r\n")));
	assert_false(header_is_utf8(SLICE("\r\nna\xc3\xafve\r\n\r\n")));
	assert_false(header_is_utf8(SLICE("")));
	buf_init(&content, 1 << 20);
	while (buf_length(&content) < 70000)
		buf_append_cstr(&content, "Subject: x\r\n");
	assert_true(header_is_utf8(
		buf_slice(&content))); /* it is not looked at whole: to be on the safe side */
	buf_fini(&content);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dots_at_the_beginning_of_lines_are_doubled),
		cmocka_unit_test(last_line_gets_its_end),
		cmocka_unit_test(bare_line_feed_before_a_dot_ends_no_message),
		cmocka_unit_test(dot_that_begins_a_chunk_is_seen),
		cmocka_unit_test(file_that_ends_too_early_is_temporary),
		cmocka_unit_test(only_the_header_says_whether_smtputf8_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
