#include "deliverd/local/folder.h"

#include "t/unit/deliverd/local/mail_dir.h"

#define SPAM (&(struct maildir_folder){.path = SLICE("local.test/ann/.spam"), .root_length = 14})
#define ROOT (&(struct maildir_folder){.path = SLICE("local.test/ann"), .root_length = 14})

static void read_at(const struct mail_dir *m, const char *path, char *out, size_t size)
{
	int fd = openat(m->fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, out, size - 1);

	assert_true(n >= 0);
	out[n] = '\0';
	fd_close(&fd);
}

static void folders_stay_below_mail_dir(void **state)
{
	char long_part[300];

	(void)state;
	memset(long_part, 'a', sizeof(long_part));
	assert_true(maildir_folder_is_valid(SLICE("local.test/ann")));
	assert_true(maildir_folder_is_valid(SLICE("local.test/ann/.Archive")));
	assert_true(maildir_folder_is_valid(SLICE("local.test/...")));
	assert_false(maildir_folder_is_valid(SLICE("")));
	assert_false(maildir_folder_is_valid(SLICE("/etc")));
	assert_false(maildir_folder_is_valid(SLICE("a//b")));
	assert_false(maildir_folder_is_valid(SLICE("a/")));
	assert_false(maildir_folder_is_valid(SLICE("a/./b")));
	assert_false(maildir_folder_is_valid(SLICE("a/../../b")));
	assert_false(maildir_folder_is_valid(SLICE("..")));
	assert_false(maildir_folder_is_valid(SLICE("a/b\0c")));
	assert_false(maildir_folder_is_valid(slice_of(long_part, 256)));
}

static void folder_has_a_root_and_a_name(void **state)
{
	(void)state;
	assert_true(slice_equal(maildir_folder_root(SPAM), SLICE("local.test/ann")));
	assert_true(slice_equal(maildir_folder_name(SPAM), SLICE(".spam")));
	assert_int_equal(maildir_folder_name(ROOT).n, 0);
}

static void folder_is_made_with_its_maildir_its_mark_and_a_subscription(void **state)
{
	static const char *const made[] = {
		"tmp", "new", "cur", ".spam/tmp", ".spam/new", ".spam/cur", ".spam/maildirfolder"};
	char path[100], text[100];
	struct mail_dir m;

	(void)state;
	mail_dir_begin(&m);
	assert_true(maildir_folder_make(m.fd, SPAM, NULL));
	for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
		snprintf(path, sizeof(path), "local.test/ann/%s", made[i]);
		assert_int_equal(faccessat(m.fd, path, F_OK, 0), 0);
	}
	read_at(&m, "local.test/ann/subscriptions", text, sizeof(text));
	assert_string_equal(text, "V\t2\n\nspam\n");
	assert_int_equal(mail_dir_count(&m, "local.test/ann", NULL), 4); /* and no lock */
	mail_dir_end(&m);
}

/* Who has unsubscribed from a folder is not subscribed to it again. */
static void folder_that_was_there_is_mended_and_not_subscribed(void **state)
{
	struct mail_dir m;

	(void)state;
	mail_dir_begin(&m);
	assert_true(maildir_folder_make(m.fd, SPAM, NULL));
	assert_int_equal(unlinkat(m.fd, "local.test/ann/subscriptions", 0), 0);
	assert_int_equal(unlinkat(m.fd, "local.test/ann/.spam/new", AT_REMOVEDIR), 0);
	assert_true(maildir_folder_make(m.fd, SPAM, NULL));
	assert_int_equal(faccessat(m.fd, "local.test/ann/.spam/new", F_OK, 0), 0);
	assert_int_not_equal(faccessat(m.fd, "local.test/ann/subscriptions", F_OK, 0), 0);
	mail_dir_end(&m);
}

static void root_has_neither_mark_nor_subscription(void **state)
{
	struct mail_dir m;

	(void)state;
	mail_dir_begin(&m);
	assert_true(maildir_folder_make(m.fd, ROOT, NULL));
	assert_int_equal(mail_dir_count(&m, "local.test/ann", NULL), 3);
	mail_dir_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders_stay_below_mail_dir),
		cmocka_unit_test(folder_has_a_root_and_a_name),
		cmocka_unit_test(folder_is_made_with_its_maildir_its_mark_and_a_subscription),
		cmocka_unit_test(folder_that_was_there_is_mended_and_not_subscribed),
		cmocka_unit_test(root_has_neither_mark_nor_subscription),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
