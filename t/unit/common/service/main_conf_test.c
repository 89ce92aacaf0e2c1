#include "common/service/main_conf.h"

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

static struct settings *parse(const char *text)
{
	struct settings *s = NULL;
	struct buf problems;

	buf_init(&problems, 4096);
	assert_true(settings_parse(slice_of_cstr(text), "main.conf", &s, &problems));
	buf_fini(&problems);
	return s;
}

static void what_main_conf_leaves_to_the_host_is_filled_in(void **state)
{
	struct settings *new = parse("hostname = mail.example.org\nlisten = 127.0.0.1:25 smtp none\ndatabase = host=/a password=b\n");
	struct settings *effective = NULL;
	struct buf waiting;

	(void)state;
	buf_init(&waiting, 4096);
	assert_true(main_conf_effective(new, NULL, &effective, &waiting, NULL));
	assert_true(effective->smtp_workers >= 1);
	assert_int_equal(effective->smtp_workers, effective->remote_workers);
	assert_true(slice_equal(effective->hostname, SLICE("mail.example.org")));
	assert_true(slice_equal(effective->database, SLICE("host=/a password=b")));
	assert_int_equal(effective->listen.n, 1);
	assert_int_equal(buf_length(&waiting), 0);
	settings_destroy(new);
	settings_destroy(effective);
	buf_fini(&waiting);
}

static void a_reload_keeps_what_a_restart_alone_changes_and_names_it(void **state)
{
	struct settings *old = parse("hostname = a.example.org\nspool_dir = /old\nlisten = 127.0.0.1:25 smtp none\nsmtp_workers = 3\n");
	struct settings *new = parse("hostname = b.example.org\nspool_dir = /new\nsmtp_workers = 5\nqueue_retry_min = 7s\n");
	struct settings *effective = NULL;
	struct buf waiting;

	(void)state;
	buf_init(&waiting, 4096);
	assert_true(main_conf_effective(new, old, &effective, &waiting, NULL));
	assert_true(slice_equal(effective->hostname, SLICE("b.example.org")));
	assert_true(slice_equal(effective->spool_dir, SLICE("/old")));
	assert_int_equal(effective->smtp_workers, 3);
	assert_int_equal(effective->listen.n, 1);
	assert_int_equal(effective->queue_retry_min, 7000);
	assert_int_not_equal(slice_find_slice(buf_slice(&waiting), SLICE(" spool_dir")), SIZE_MAX);
	assert_int_not_equal(slice_find_slice(buf_slice(&waiting), SLICE(" smtp_workers")), SIZE_MAX);
	assert_int_not_equal(slice_find_slice(buf_slice(&waiting), SLICE(" listen")), SIZE_MAX);
	assert_int_equal(slice_find_slice(buf_slice(&waiting), SLICE("hostname")), SIZE_MAX);
	settings_destroy(old);
	settings_destroy(new);
	settings_destroy(effective);
	buf_fini(&waiting);
}

static void a_file_that_is_none_is_said_by_its_name(void **state)
{
	struct settings *s = NULL;
	struct buf problems;

	(void)state;
	buf_init(&problems, 4096);
	assert_false(main_conf_read("/nonexistent/main.conf", &s, &problems));
	assert_false(main_conf_read("/tmp", &s, &problems));
	assert_false(main_conf_read("/dev/zero", &s, &problems));
	assert_int_not_equal(slice_find_slice(buf_slice(&problems), SLICE("/nonexistent/main.conf")), SIZE_MAX);
	assert_int_not_equal(slice_find_slice(buf_slice(&problems), SLICE("/tmp")), SIZE_MAX);
	assert_int_not_equal(slice_find_slice(buf_slice(&problems), SLICE("/dev/zero")), SIZE_MAX);
	assert_null(s);
	buf_fini(&problems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_main_conf_leaves_to_the_host_is_filled_in),
		cmocka_unit_test(a_reload_keeps_what_a_restart_alone_changes_and_names_it),
		cmocka_unit_test(a_file_that_is_none_is_said_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
