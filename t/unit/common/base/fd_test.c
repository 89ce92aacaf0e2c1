#include "common/base/fd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/fault.h"

static int file_of(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(fd_write_all(fd, text, strlen(text), -1));
	return fd;
}

static void closing_keeps_errno_and_forgets_the_number(void **state)
{
	int fd = file_of(""), was = fd, none = -1;

	(void)state;
	errno = ENOENT;
	fd_close(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(fcntl(was, F_GETFD), -1);
	fd_close(&none);
}

static void a_descriptor_becomes_non_blocking(void **state)
{
	struct fault why = {0};
	int pair[2];
	char c;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(fd_nonblocking(pair[0], &why));
	assert_int_equal(read(pair[0], &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
	assert_false(fd_nonblocking(-1, &why));
	assert_int_equal(why.class, FAULT_TEMPORARY);
}

static void what_is_written_at_an_offset_is_read_there(void **state)
{
	int fd = file_of("0123456789");
	char got[4] = "";

	(void)state;
	assert_true(fd_write_all(fd, "abc", 3, 5));
	assert_true(fd_read_all(fd, got, 3, 5));
	assert_string_equal(got, "abc");
	assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
	assert_true(fd_read_all(fd, got, 3, -1));
	assert_string_equal(got, "234");
	assert_true(fd_read_all(fd, got, 0, 100));
	fd_close(&fd);
}

static void a_file_that_ends_before_is_errno_0(void **state)
{
	int fd = file_of("012");
	char got[4];

	(void)state;
	errno = ENOENT;
	assert_false(fd_read_all(fd, got, 4, 0));
	assert_int_equal(errno, 0);
	assert_false(fd_read_all(-1, got, 4, 0));
	assert_int_equal(errno, EBADF);
	fd_close(&fd);
}

static void a_full_disk_is_seen_in_errno(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_false(fd_write_all(fd, "abc", 3, -1));
	assert_int_equal(errno, ENOSPC);
	assert_false(fd_write_all(fd, "abc", 3, 7));
	assert_int_equal(errno, ENOSPC);
	assert_true(fd_write_all(fd, "", 0, -1));
	fd_close(&fd);
}

static void short_reads_go_on_until_all_is_there(void **state)
{
	int pair[2];
	char got[7] = "";

	(void)state;
	/* A read of a SOCK_SEQPACKET gives one packet at most: each is short. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_true(fd_write_all(pair[1], "ab", 2, -1));
	assert_true(fd_write_all(pair[1], "cdef", 4, -1));
	assert_true(fd_read_all(pair[0], got, 6, -1));
	assert_string_equal(got, "abcdef");
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

static void a_file_is_slurped_from_its_beginning(void **state)
{
	struct fault why = {0};
	char block[5000];
	struct buf b;
	int fd = file_of("head");

	(void)state;
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 5; i++)
		assert_true(fd_write_all(fd, block, sizeof(block), -1));
	buf_init(&b, 25004 + 5);
	assert_true(buf_append_cstr(&b, "then "));
	assert_true(fd_slurp(fd, &b, &why));
	assert_int_equal(buf_length(&b), 25009);
	assert_true(slice_starts(buf_slice(&b), SLICE("then headxxx")));
	buf_fini(&b);
	fd_close(&fd);
}

static void a_file_over_the_maximum_is_refused(void **state)
{
	struct fault why = {0};
	int fd = file_of("0123456789");
	struct buf b;

	(void)state;
	buf_init(&b, 9);
	assert_false(fd_slurp(fd, &b, &why));
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_non_null(strstr(why.text, "larger than 9"));
	buf_fini(&b);
	assert_false(fd_slurp(-1, &b, &why));
	assert_non_null(strstr(why.text, "Bad file descriptor"));
	buf_fini(&b);
	fd_close(&fd);
}

static void a_path_that_is_no_file_is_refused_by_its_name_and_holds_nobody_up(void **state)
{
	char dir[] = "/tmp/tassis-fd.XXXXXX", path[64];
	struct fault why = {0};
	struct stat st;
	struct buf b;
	int fd;

	(void)state;
	buf_init(&b, 100);
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/it", dir);
	assert_false(fd_slurp_path(path, &b, NULL, &why));
	assert_non_null(strstr(why.text, path));
	assert_non_null(strstr(why.text, "No such file"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(fd_slurp_path(path, &b, NULL, &why));
	assert_non_null(strstr(why.text, "it is no file"));
	assert_false(fd_slurp_path(dir, &b, NULL, &why));
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	assert_true(fd_write_all(fd, "content", 7, -1));
	fd_close(&fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_false(fd_is_file_to_read(fd, &why));
	fd_close(&fd);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_false(fd_is_file_to_read(fd, &why));
	fd_close(&fd);
	assert_false(fd_is_file_to_read(fd, &why));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd_is_file_to_read(fd, &why));
	fd_close(&fd);
	assert_true(fd_slurp_path(path, &b, &st, &why));
	assert_true(slice_equal(buf_slice(&b), SLICE("content")));
	assert_int_equal(st.st_size, 7);
	buf_fini(&b);
	buf_init(&b, 6);
	assert_false(fd_slurp_path(path, &b, NULL, &why));
	assert_non_null(strstr(why.text, path));
	buf_fini(&b);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closing_keeps_errno_and_forgets_the_number),
		cmocka_unit_test(a_descriptor_becomes_non_blocking),
		cmocka_unit_test(what_is_written_at_an_offset_is_read_there),
		cmocka_unit_test(a_file_that_ends_before_is_errno_0),
		cmocka_unit_test(a_full_disk_is_seen_in_errno),
		cmocka_unit_test(short_reads_go_on_until_all_is_there),
		cmocka_unit_test(a_file_is_slurped_from_its_beginning),
		cmocka_unit_test(a_file_over_the_maximum_is_refused),
		cmocka_unit_test(a_path_that_is_no_file_is_refused_by_its_name_and_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
