#include "deliverd/local/quota.h"

#include <time.h>

#include "common/base/fault.h"
#include "t/unit/deliverd/local/mail_dir.h"

#define SIZES "ann/maildirsize"

static void make_folder(const struct mail_dir *m, const char *path)
{
	assert_int_equal(mkdirat(m->fd, path, 0700), 0);
}

static void put(const struct mail_dir *m, const char *path, size_t n)
{
	static const char zeros[1000];
	int fd = openat(m->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd_write_all(fd, zeros, n, -1));
	fd_close(&fd);
}

static void put_sizes(const struct mail_dir *m, const char *text)
{
	int fd = openat(m->fd, SIZES, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd_write_all(fd, text, strlen(text), -1));
	fd_close(&fd);
}

static const char *sizes(const struct mail_dir *m)
{
	static char text[6000];
	int fd = openat(m->fd, SIZES, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	fd_close(&fd);
	if (n < 0)
		return NULL;
	text[n] = '\0';
	return text;
}

static void set_age(const struct mail_dir *m, time_t seconds)
{
	struct timespec times[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = 0}};

	times[1] = times[0];
	assert_int_equal(utimensat(m->fd, SIZES, times, 0), 0);
}

/* A Maildir with 600 octets in 4 messages: sizes by name, sizes by stat, in new, in cur, in a
 * folder. */
static void begin(struct mail_dir *m)
{
	static const char *const folders[] = {
		"ann",		 "ann/tmp",	   "ann/new",
		"ann/cur",	 "ann/.spam",	   "ann/.spam/new",
		"ann/.spam/cur", "ann/..internal", "ann/..internal/cur"};

	mail_dir_begin(m);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		make_folder(m, folders[i]);
	put(m, "ann/new/1,S=100,W=101", 0); /* the name is believed */
	put(m, "ann/cur/2,S=200:2,S", 0);
	put(m, "ann/cur/3:2,", 250);
	put(m, "ann/.spam/cur/4,S=7x", 50);
	put(m, "ann/..internal/cur/5,S=1000", 0); /* does not count */
	put(m, "ann/cur/.hidden,S=1000", 0);
	put(m, "ann/tmp/6,S=1000", 0);
}

static bool fits(const struct mail_dir *m, uint64_t bytes, uint64_t messages, uint64_t size)
{
	bool yes;

	assert_true(quota_fits(m->fd, SLICE("ann"), &(struct quota){bytes, messages}, size, &yes,
			       NULL));
	return yes;
}

static void maildir_is_counted_by_names_and_by_stat_and_the_sum_is_kept(void **state)
{
	struct mail_dir m;

	(void)state;
	begin(&m);
	assert_true(fits(&m, 1000, 10, 400));
	assert_string_equal(sizes(&m), "1000S,10C\n600 4\n");
	assert_int_equal(mail_dir_count(&m, "ann/tmp", NULL), 1); /* what was there before */
	put(&m, "ann/new/7,S=500", 0);
	assert_true(fits(&m, 1000, 10, 400)); /* the file is believed */
	assert_false(fits(&m, 1000, 10, 401));
	assert_string_equal(sizes(&m), "1000S,10C\n600 4\n");
	mail_dir_end(&m);
}

static void quota_is_octets_and_messages_and_zero_is_none(void **state)
{
	struct mail_dir m;

	(void)state;
	begin(&m);
	assert_true(fits(&m, 0, 0, UINT64_MAX));
	assert_null(sizes(&m)); /* nothing is made where there is no limit */
	assert_true(fits(&m, 600 + 1, 0, 1));
	assert_string_equal(sizes(&m), "601S\n600 4\n");
	assert_false(fits(&m, 600 + 1, 0, 2));
	assert_false(fits(&m, 600 + 1, 0, UINT64_MAX));
	assert_true(fits(&m, 0, 5, UINT64_MAX));
	assert_string_equal(sizes(&m), "5C\n600 4\n");
	mail_dir_end(&m);
}

static void full_mailbox_has_no_room_for_nothing(void **state)
{
	struct mail_dir m;

	(void)state;
	begin(&m);
	assert_false(fits(&m, 600, 0, 0));
	assert_false(fits(&m, 500, 0, 0));
	assert_false(fits(&m, 0, 4, 0));
	mail_dir_end(&m);
}

static void maildir_that_is_not_there_is_empty(void **state)
{
	struct mail_dir m;

	(void)state;
	mail_dir_begin(&m);
	assert_true(fits(&m, 1000, 0, 1000));
	assert_false(fits(&m, 1000, 0, 1001));
	assert_int_equal(mail_dir_count(&m, ".", NULL), 0);
	mail_dir_end(&m);
}

static void other_limits_make_the_file_anew(void **state)
{
	struct mail_dir m;

	(void)state;
	begin(&m);
	put_sizes(&m, "1000S\n1 1\n");
	assert_false(fits(&m, 2000, 0, 1401));
	assert_string_equal(sizes(&m), "2000S\n600 4\n");
	mail_dir_end(&m);
}

static void damaged_or_long_file_is_made_anew(void **state)
{
	struct mail_dir m;
	char text[5200] = "1000S\n";

	(void)state;
	begin(&m);
	put_sizes(&m, "1000S\n1 1\nrubbish\n");
	assert_true(fits(&m, 1000, 0, 400));
	assert_string_equal(sizes(&m), "1000S\n600 4\n");
	put_sizes(&m, "1000S\n");
	assert_true(fits(&m, 1000, 0, 400));
	assert_string_equal(sizes(&m), "1000S\n600 4\n");
	while (strlen(text) < 5120)
		memcpy(text + strlen(text), "0 0\n", 5);
	put_sizes(&m, text);
	assert_true(fits(&m, 1000, 0, 400));
	assert_string_equal(sizes(&m), "1000S\n600 4\n");
	mail_dir_end(&m);
}

static void file_without_room_is_believed_when_it_is_fresh_alone(void **state)
{
	struct mail_dir m;

	(void)state;
	begin(&m);
	put_sizes(&m, "1000S\n1000 4\n");
	assert_false(fits(&m, 1000, 0, 100));
	set_age(&m, 14 * 60);
	assert_false(fits(&m, 1000, 0, 100));
	set_age(&m, 16 * 60);
	assert_true(fits(&m, 1000, 0, 100));
	assert_string_equal(sizes(&m), "1000S\n600 4\n");
	put_sizes(&m, "1000S\n600 4\n400 1\n"); /* appended to */
	assert_true(fits(&m, 1000, 0, 100));
	assert_string_equal(sizes(&m), "1000S\n600 4\n");
	set_age(&m, 16 * 60); /* old, and there is room */
	put(&m, "ann/new/7,S=500", 0);
	set_age(&m, 16 * 60);
	assert_true(fits(&m, 1000, 0, 100));
	mail_dir_end(&m);
}

static void message_is_appended_in_one_write_where_the_file_is(void **state)
{
	struct mail_dir m;

	(void)state;
	begin(&m);
	quota_add(m.fd, SLICE("ann"), 70);
	assert_null(sizes(&m));
	quota_add(m.fd, SLICE("nobody"), 70);
	put_sizes(&m, "1000S\n600 4\n");
	disk.n_writes = 0;
	quota_add(m.fd, SLICE("ann"), 70);
	assert_int_equal(disk.n_writes, 1);
	assert_string_equal(sizes(&m), "1000S\n600 4\n70 1\n");
	assert_int_equal(disk.n_fsyncs, 0);
	disk.write = ENOSPC;
	quota_add(m.fd, SLICE("ann"), 70);
	disk.write = 0;
	assert_null(sizes(&m)); /* what could not be noted is counted */
	mail_dir_end(&m);
}

static void maildir_that_cannot_be_read_is_told(void **state)
{
	struct fault why = {0};
	struct mail_dir m;
	bool yes;

	(void)state;
	mail_dir_begin(&m);
	close(openat(m.fd, "ann", O_CREAT | O_WRONLY, 0600)); /* a file where a Maildir should be */
	assert_false(quota_fits(m.fd, SLICE("ann"), &(struct quota){1000, 0}, 1, &yes, &why));
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_non_null(strstr(why.text, "Not a directory"));
	mail_dir_end(&m);
}

/* A sum that cannot be kept is answered all the same. */
static void sum_is_answered_on_a_full_disk(void **state)
{
	struct mail_dir m;

	(void)state;
	begin(&m);
	disk.write = ENOSPC;
	assert_true(fits(&m, 1000, 0, 400));
	assert_false(fits(&m, 1000, 0, 401));
	disk.write = 0;
	assert_null(sizes(&m));
	assert_int_equal(mail_dir_count(&m, "ann/tmp", NULL), 1);
	mail_dir_end(&m);
}

static void link_or_fifo_in_place_of_the_file_harms_nobody(void **state)
{
	struct mail_dir m;

	(void)state;
	begin(&m);
	assert_int_equal(symlinkat("../elsewhere", m.fd, SIZES), 0);
	quota_add(m.fd, SLICE("ann"), 1);
	assert_true(fits(&m, 1000, 0, 400));
	assert_string_equal(sizes(&m), "1000S\n600 4\n");
	assert_int_not_equal(faccessat(m.fd, "elsewhere", F_OK, 0), 0);
	assert_int_equal(unlinkat(m.fd, SIZES, 0), 0);
	assert_int_equal(mkfifoat(m.fd, SIZES, 0600), 0);
	quota_add(m.fd, SLICE("ann"), 1);
	assert_true(fits(&m, 1000, 0, 400));
	mail_dir_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maildir_is_counted_by_names_and_by_stat_and_the_sum_is_kept),
		cmocka_unit_test(quota_is_octets_and_messages_and_zero_is_none),
		cmocka_unit_test(full_mailbox_has_no_room_for_nothing),
		cmocka_unit_test(maildir_that_is_not_there_is_empty),
		cmocka_unit_test(other_limits_make_the_file_anew),
		cmocka_unit_test(damaged_or_long_file_is_made_anew),
		cmocka_unit_test(file_without_room_is_believed_when_it_is_fresh_alone),
		cmocka_unit_test(message_is_appended_in_one_write_where_the_file_is),
		cmocka_unit_test(maildir_that_cannot_be_read_is_told),
		cmocka_unit_test(sum_is_answered_on_a_full_disk),
		cmocka_unit_test(link_or_fifo_in_place_of_the_file_harms_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
