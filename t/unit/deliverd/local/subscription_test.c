#include "deliverd/local/subscription.h"

#include "t/unit/deliverd/local/mail_dir.h"

#define LIST "ann/subscriptions"
#define LOCK "ann/subscriptions.lock"

static void put(const struct mail_dir *m, const char *path, const char *text)
{
	int fd = openat(m->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd_write_all(fd, text, strlen(text), -1));
	fd_close(&fd);
}

/* The list after the names are added to what it was (NULL: no file). */
static void check(const char *before, const char *const *names, const char *after)
{
	char text[200];
	struct mail_dir m;
	ssize_t n;
	int fd;

	mail_dir_begin(&m);
	assert_int_equal(mkdirat(m.fd, "ann", 0700), 0);
	if (before)
		put(&m, LIST, before);
	for (; *names; names++)
		subscription_add(m.fd, SLICE("ann"), slice_of_cstr(*names));
	fd = openat(m.fd, LIST, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	fd_close(&fd);
	assert_string_equal(text, after);
	assert_int_not_equal(faccessat(m.fd, LOCK, F_OK, 0), 0);
	mail_dir_end(&m);
}

static void name_is_added_once_in_the_form_that_the_list_has(void **state)
{
	static const char *const names[] = {"spam", "Lists.tassis", "spam", NULL};

	(void)state;
	check(NULL, names, "V\t2\n\nspam\nLists\ttassis\n");
	check("V\t2\n\nspa\nLists\ttassis\n", names, "V\t2\n\nspa\nLists\ttassis\nspam\n");
	check("old", names, "old\nspam\nLists.tassis\n");
}

static void lock_of_a_dead_process_goes_and_another_is_respected(void **state)
{
	struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct mail_dir m;

	(void)state;
	mail_dir_begin(&m);
	assert_int_equal(mkdirat(m.fd, "ann", 0700), 0);
	put(&m, LOCK, "");
	subscription_add(m.fd, SLICE("ann"), SLICE("spam"));
	assert_int_not_equal(faccessat(m.fd, LIST, F_OK, 0), 0);
	assert_int_equal(faccessat(m.fd, LOCK, F_OK, 0), 0);
	assert_int_equal(utimensat(m.fd, LOCK, long_ago, 0), 0);
	subscription_add(m.fd, SLICE("ann"), SLICE("spam"));
	assert_int_equal(faccessat(m.fd, LIST, F_OK, 0), 0);
	assert_int_not_equal(faccessat(m.fd, LOCK, F_OK, 0), 0);
	mail_dir_end(&m);
}

static void list_that_cannot_be_written_stays_as_it_was(void **state)
{
	char text[100];
	struct mail_dir m;
	ssize_t n;
	int fd;

	(void)state;
	mail_dir_begin(&m);
	assert_int_equal(mkdirat(m.fd, "ann", 0700), 0);
	put(&m, LIST, "V\t2\n\nold\n");
	disk.write = ENOSPC;
	subscription_add(m.fd, SLICE("ann"), SLICE("spam"));
	disk.write = 0;
	fd = openat(m.fd, LIST, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text));
	fd_close(&fd);
	assert_int_equal(n, 9);
	assert_int_not_equal(faccessat(m.fd, LOCK, F_OK, 0), 0);
	mail_dir_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_is_added_once_in_the_form_that_the_list_has),
		cmocka_unit_test(lock_of_a_dead_process_goes_and_another_is_respected),
		cmocka_unit_test(list_that_cannot_be_written_stays_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
