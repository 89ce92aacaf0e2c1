#include "common/service/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/conf/settings.h"

struct place {
	char dir[64];
	struct settings *settings;
	struct accounts accounts;
	unsigned n_found;
	struct fault last;
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct buf text, problems;

	assert_non_null(p);
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/tassis-layout-test.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	buf_init(&text, 4096);
	buf_init(&problems, 4096);
	buf_printf(&text, "accounts = caller\nspool_dir = %s/a/spool\nmail_dir = %s/mail\nstate_dir = %s/state\n", p->dir, p->dir,
		   p->dir);
	assert_true(settings_parse(buf_slice(&text), "main.conf", &p->settings, &problems));
	assert_true(accounts_find(p->settings, &p->accounts, NULL));
	buf_fini(&text);
	buf_fini(&problems);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", p->dir);
	assert_int_equal(system(command), 0);
	settings_destroy(p->settings);
	free(p);
	return 0;
}

static void path_of(const struct place *p, const char *name, char out[128])
{
	(void)snprintf(out, 128, "%s/%s", p->dir, name);
}

static mode_t mode_of(const struct place *p, const char *name)
{
	char path[128];
	struct stat st;

	path_of(p, name, path);
	return lstat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void found(void *arg, const struct fault *why)
{
	struct place *p = arg;

	p->n_found++;
	p->last = *why;
}

static void all_folders_are_made_with_their_modes(void **state)
{
	struct place *p = *state;

	assert_true(layout_make(p->settings, &p->accounts, NULL));
	assert_int_equal(mode_of(p, "a/spool"), 0755);
	assert_int_equal(mode_of(p, "a/spool/incoming"), 0751);
	assert_int_equal(mode_of(p, "a/spool/queue/0"), 0700);
	assert_int_equal(mode_of(p, "a/spool/queue/z"), 0700);
	assert_int_equal(mode_of(p, "a/spool/queue/i"), 0); /* no letter of an id */
	assert_int_equal(mode_of(p, "a/spool/maildrop"), 03733);
	assert_int_equal(mode_of(p, "a/spool/empty"), 0555);
	assert_int_equal(mode_of(p, "mail"), 0700);
	assert_int_equal(mode_of(p, "state/tls"), 0700);
	assert_true(layout_make(p->settings, &p->accounts, NULL));
	layout_check(p->settings, &p->accounts, found, p);
	assert_int_equal(p->n_found, 0);
}

static void a_wrong_mode_below_spool_dir_is_found_and_mended(void **state)
{
	struct place *p = *state;
	char path[128];

	assert_true(layout_make(p->settings, &p->accounts, NULL));
	path_of(p, "a/spool/private", path);
	assert_int_equal(chmod(path, 0777), 0);
	layout_check(p->settings, &p->accounts, found, p);
	assert_int_equal(p->n_found, 1);
	assert_non_null(strstr(p->last.text, "private"));
	assert_true(layout_make(p->settings, &p->accounts, NULL));
	assert_int_equal(mode_of(p, "a/spool/private"), 0711);
}

static void a_spool_dir_that_others_may_write_to_is_refused_and_left_alone(void **state)
{
	struct place *p = *state;
	struct fault why = {0};
	char path[128];

	path_of(p, "a", path);
	assert_int_equal(mkdir(path, 0755), 0);
	path_of(p, "a/spool", path);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(chmod(path, 01777), 0);
	assert_false(layout_make(p->settings, &p->accounts, &why));
	assert_non_null(strstr(why.text, "chmod 755"));
	assert_int_equal(mode_of(p, "a/spool"), 01777);
}

static void a_file_or_link_in_a_folders_place_is_refused(void **state)
{
	struct place *p = *state;
	struct fault why = {0};
	char path[128];

	assert_true(layout_make(p->settings, &p->accounts, NULL));
	path_of(p, "a/spool/corrupt", path);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink(p->dir, path), 0);
	assert_false(layout_make(p->settings, &p->accounts, &why));
	assert_non_null(strstr(why.text, "corrupt"));
	layout_check(p->settings, &p->accounts, found, p);
	assert_int_equal(p->n_found, 1);
}

static void folders_get_the_accounts_of_the_table(void **state)
{
	struct place *p = *state;
	struct stat st;
	char path[128];

	if (geteuid() != 0)
		skip();
	p->accounts.of[ACCOUNT_QUEUE].uid = 54321;
	p->accounts.of[ACCOUNT_QUEUE].gid = 54322;
	p->accounts.of[ACCOUNT_MAIL].uid = 54323;
	assert_true(layout_make(p->settings, &p->accounts, NULL));
	path_of(p, "a/spool/queue/5", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 54321);
	assert_int_equal(st.st_gid, 54322);
	path_of(p, "a/spool/incoming", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_gid, 54322);
	path_of(p, "mail", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 54323);
}

static void a_spool_dir_too_long_for_a_socket_is_a_mistake_of_main_conf(void **state)
{
	struct place *p = *state;
	struct slice kept = p->settings->spool_dir;
	char out[LAYOUT_SOCKET_PATH_MAX], longest[120];
	struct fault why = {0};

	assert_true(layout_socket_path(p->settings, "private", "queued.0", out, &why));
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	p->settings->spool_dir = slice_of(longest, sizeof(longest));
	assert_false(layout_socket_path(p->settings, "private", "queued.0", out, &why));
	assert_int_equal(why.class, FAULT_PERMANENT);
	p->settings->spool_dir = kept;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(all_folders_are_made_with_their_modes),
		TEST(a_wrong_mode_below_spool_dir_is_found_and_mended),
		TEST(a_spool_dir_that_others_may_write_to_is_refused_and_left_alone),
		TEST(a_file_or_link_in_a_folders_place_is_refused),
		TEST(folders_get_the_accounts_of_the_table),
		TEST(a_spool_dir_too_long_for_a_socket_is_a_mistake_of_main_conf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
