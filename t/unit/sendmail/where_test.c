#include "sendmail/where.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/fault.h"
#include "common/base/fd.h"

static char folder[64];

static const char *file(const char *name, const char *text)
{
	static char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && fd_write_all(fd, text, strlen(text), -1));
	close(fd);
	return path;
}

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/where-test.XXXXXX");
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static struct where find(const char *conf, bool good)
{
	struct where found = {0};
	struct fault why = {0};

	assert_int_equal(where_find(conf, folder, &found, &why), good);
	return found;
}

static void without_any_file_the_default_counts(void **state)
{
	struct where found = find(NULL, true);

	(void)state;
	assert_string_equal(found.submit, "/var/spool/tassis/public/submit");
	assert_string_equal(found.queued, "/var/spool/tassis/control/queued.0");
	assert_string_not_equal(found.hostname, "");
}

static void main_conf_counts_before_sendmail_conf_where_it_can_be_read(void **state)
{
	(void)state;
	file("sendmail.conf", "spool_dir = /two\n");
	assert_string_equal(find(NULL, true).spool, "/two");
	file("main.conf", "spool_dir = /one\nhostname = mx.test.com\n");
	assert_string_equal(find(NULL, true).spool, "/one");
	assert_string_equal(find(NULL, true).hostname, "mx.test.com");
	file("main.conf", "spool_dir: a mistake\n");
	assert_string_equal(find(NULL, true).spool, "/two");
	if (geteuid() == 0) /* who may read everything */
		return;
	assert_int_equal(chmod(file("main.conf", "spool_dir = /one\n"), 0), 0);
	assert_string_equal(find(NULL, true).spool, "/two");
}

static void the_file_that_is_named_must_be_right(void **state)
{
	(void)state;
	assert_string_equal(find(file("my.conf", "spool_dir = /three\n"), true).spool, "/three");
	(void)find(file("my.conf", "no setting\n"), false);
	(void)find("/nowhere/my.conf", false);
}

static void what_master_published_counts_for_the_rest(void **state)
{
	char path[128], conf[256];
	struct where found;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/public", folder);
	assert_int_equal(mkdir(path, 0755), 0);
	file("public/settings",
	     "hostname = mail.example.org\nmessage_size_max = 70000\nsmtp_max_recipients = 123\n");
	(void)snprintf(conf, sizeof(conf), "spool_dir = %s\nhostname = other.example.org\n",
		       folder);
	found = find(file("main.conf", conf), true);
	assert_string_equal(found.hostname, "mail.example.org");
	assert_int_equal(found.message_size_max, 70000);
	assert_int_equal(found.max_recipients, 123);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_any_file_the_default_counts, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(
			main_conf_counts_before_sendmail_conf_where_it_can_be_read, make_folder,
			remove_folder),
		cmocka_unit_test_setup_teardown(the_file_that_is_named_must_be_right, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(what_master_published_counts_for_the_rest,
						make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
