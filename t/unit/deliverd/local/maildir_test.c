#include "deliverd/local/maildir.h"

#include "common/base/fault.h"
#include "t/unit/deliverd/local/mail_dir.h"

#define ID SLICE("01hqz6k3v2j0w9xq4mb7tn")
#define FOLDER(literal, root)                                                                      \
	(&(struct maildir_folder){.path = SLICE(literal), .root_length = sizeof(root) - 1})
#define ANN FOLDER("local.test/ann", "local.test/ann")
#define BOB FOLDER("local.test/bob", "local.test/bob")

static void make_name(const char *recipient, char name[320])
{
	assert_true(maildir_name(1764088515123456, ID, slice_of_cstr(recipient), SLICE_EMPTY,
				 SLICE("mx.test"), name, 320, NULL));
}

static void write_sealed(struct mail_dir *m, struct maildir_file *f,
			 const struct maildir_folder *folder, const char *name)
{
	struct fault why = {0};

	assert_true(maildir_begin(f, m->fd, folder, name, &why));
	assert_true(maildir_write(f, SLICE("Subject: x\n\nhello\n"), &why));
	maildir_seal(f, 18, 21);
}

static void name_fits_into_a_file_system_whatever_the_host_is_called(void **state)
{
	char name[320], other[320], host[253];

	(void)state;
	memset(host, 'h', sizeof(host));
	assert_true(maildir_name(1764088515123456, ID, SLICE("ann@local.test"), SLICE_EMPTY,
				 slice_of(host, sizeof(host)), name, sizeof(name), NULL));
	assert_true(strlen(name) +
			    strlen(",S=18446744073709551615,W=18446744073709551615:2,FRST") <=
		    255);
	assert_non_null(strstr(name, "1764088515.M123456I01hqz6k3v2j0w9xq4mb7tnR"));
	assert_true(maildir_name(1764088515123456, ID, SLICE("bob@local.test"), SLICE_EMPTY,
				 slice_of(host, sizeof(host)), other, sizeof(other), NULL));
	assert_string_not_equal(name, other);
	assert_true(maildir_name(1764088515123456, ID, SLICE("bob@local.test"), SLICE(".sent"),
				 slice_of(host, sizeof(host)), name, sizeof(name), NULL));
	assert_string_not_equal(name, other);
}

static void file_is_published_with_its_sizes_and_nothing_stays_in_tmp(void **state)
{
	struct maildir_file f;
	struct fault why = {0};
	struct mail_dir m;
	char name[320], found[256], text[100];

	(void)state;
	mail_dir_begin(&m);
	make_name("ann@local.test", name);
	write_sealed(&m, &f, ANN, name);
	assert_int_equal(mail_dir_count(&m, "local.test/ann/new", NULL), 0);
	assert_int_equal(maildir_publish(&f, &why), MAILDIR_PUT);
	assert_true(maildir_sync(&f, &why));
	maildir_end(&f);
	assert_int_equal(mail_dir_count(&m, "local.test/ann/new", found), 1);
	assert_memory_equal(found, name, strlen(name));
	assert_string_equal(found + strlen(name), ",S=18,W=21");
	mail_dir_read(&m, "local.test/ann/new", text, sizeof(text));
	assert_string_equal(text, "Subject: x\n\nhello\n");
	assert_int_equal(mail_dir_count(&m, "local.test/ann/tmp", NULL), 0);
	assert_true(faccessat(m.fd, "local.test/ann/cur", F_OK, 0) == 0);
	mail_dir_end(&m);
}

static void what_has_been_seen_stands_in_cur_with_the_flag(void **state)
{
	struct maildir_folder sent = {
		.path = SLICE("local.test/ann/.sent"), .root_length = 14, .seen = true};
	struct maildir_file f;
	struct mail_dir m;
	char name[320], found[256];

	(void)state;
	mail_dir_begin(&m);
	make_name("ann@local.test", name);
	for (int attempt = 0; attempt < 2; attempt++) {
		assert_true(maildir_has(m.fd, &sent, name) == (attempt > 0));
		write_sealed(&m, &f, &sent, name);
		assert_int_equal(maildir_publish(&f, NULL),
				 attempt ? MAILDIR_WAS_THERE : MAILDIR_PUT);
		maildir_end(&f);
		assert_int_equal(mail_dir_count(&m, "local.test/ann/.sent/new", NULL), 0);
		assert_int_equal(mail_dir_count(&m, "local.test/ann/.sent/tmp", NULL), 0);
		assert_int_equal(mail_dir_count(&m, "local.test/ann/.sent/cur", found), 1);
		assert_string_equal(found + strlen(name), ",S=18,W=21:2,S");
	}
	write_sealed(&m, &f, ANN, name);
	assert_int_equal(maildir_link(&f, &sent, "other", NULL), MAILDIR_PUT);
	assert_int_equal(mail_dir_count(&m, "local.test/ann/.sent/cur", NULL), 2);
	maildir_withdraw(&f, &sent, "other");
	assert_int_equal(mail_dir_count(&m, "local.test/ann/.sent/cur", NULL), 1);
	maildir_end(&f);
	mail_dir_end(&m);
}

static void new_folders_names_are_durable_before_the_file_is(void **state)
{
	struct maildir_file f;
	struct mail_dir m;
	char name[320];

	(void)state;
	mail_dir_begin(&m);
	make_name("ann@local.test", name);
	write_sealed(&m, &f, ANN, name);
	assert_int_equal(disk.n_fsyncs, 5); /* local.test, ann, tmp, new, cur */
	maildir_end(&f);
	disk.n_fsyncs = 0;
	write_sealed(&m, &f, ANN, name);
	assert_int_equal(disk.n_fsyncs, 0);
	maildir_end(&f);
	disk.fsync = EIO;
	assert_false(maildir_begin(&f, m.fd, BOB, name, NULL));
	maildir_end(&f);
	mail_dir_end(&m);
}

static void what_is_not_published_is_removed(void **state)
{
	struct maildir_file f;
	struct fault why = {0};
	struct mail_dir m;
	char name[320];

	(void)state;
	mail_dir_begin(&m);
	make_name("ann@local.test", name);
	write_sealed(&m, &f, ANN, name);
	maildir_end(&f);
	assert_int_equal(mail_dir_count(&m, "local.test/ann/tmp", NULL), 0);
	write_sealed(&m, &f, ANN, name);
	disk.renameat2 = ENOSPC;
	assert_int_equal(maildir_publish(&f, &why), MAILDIR_FAILED);
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_string_equal(why.status, "4.3.1");
	maildir_end(&f);
	maildir_end(&f);
	assert_int_equal(mail_dir_count(&m, "local.test/ann/tmp", NULL), 0);
	mail_dir_end(&m);
}

static void what_a_dead_process_left_in_tmp_is_written_anew(void **state)
{
	struct maildir_file dead, f;
	struct mail_dir m;
	char name[320], text[100];

	(void)state;
	mail_dir_begin(&m);
	make_name("ann@local.test", name);
	assert_true(maildir_begin(&dead, m.fd, ANN, name, NULL));
	assert_true(maildir_write(&dead, SLICE("half a mess"), NULL));
	write_sealed(&m, &f, ANN, name);
	assert_int_equal(maildir_publish(&f, NULL), MAILDIR_PUT);
	maildir_end(&f);
	mail_dir_read(&m, "local.test/ann/new", text, sizeof(text));
	assert_string_equal(text, "Subject: x\n\nhello\n");
	fd_close(&dead.fd);
	mail_dir_end(&m);
}

static void second_attempt_finds_the_first(void **state)
{
	struct maildir_file f;
	struct mail_dir m;
	char name[320], other[320];

	(void)state;
	mail_dir_begin(&m);
	make_name("ann@local.test", name);
	make_name("bob@local.test", other);
	for (int attempt = 0; attempt < 2; attempt++) {
		write_sealed(&m, &f, ANN, name);
		disk.n_fsyncs = 0;
		assert_int_equal(maildir_link(&f, BOB, other, NULL),
				 attempt ? MAILDIR_WAS_THERE : MAILDIR_PUT);
		assert_int_equal(maildir_publish(&f, NULL),
				 attempt ? MAILDIR_WAS_THERE : MAILDIR_PUT);
		assert_int_equal(disk.n_fsyncs, attempt ? 2 : 4); /* what was there is synced now; a
								     new Maildir when it is made */
		maildir_end(&f);
	}
	assert_int_equal(mail_dir_count(&m, "local.test/ann/new", NULL), 1);
	assert_int_equal(mail_dir_count(&m, "local.test/bob/new", NULL), 1);
	assert_int_equal(mail_dir_count(&m, "local.test/ann/tmp", NULL), 0);
	mail_dir_end(&m);
}

static void what_was_there_and_cannot_be_made_durable_goes(void **state)
{
	struct maildir_file f;
	struct fault why = {0};
	struct mail_dir m;
	char name[320];

	(void)state;
	mail_dir_begin(&m);
	make_name("ann@local.test", name);
	write_sealed(&m, &f, ANN, name);
	assert_int_equal(maildir_publish(&f, NULL), MAILDIR_PUT);
	maildir_end(&f);
	write_sealed(&m, &f, ANN, name);
	disk.fsync = EIO;
	assert_int_equal(maildir_publish(&f, &why), MAILDIR_FAILED);
	maildir_end(&f);
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_int_equal(mail_dir_count(&m, "local.test/ann/new", NULL), 0);
	mail_dir_end(&m);
}

static void file_system_that_cannot_rename_without_replacing_has_link(void **state)
{
	struct maildir_file f;
	struct mail_dir m;
	char name[320];

	(void)state;
	mail_dir_begin(&m);
	make_name("ann@local.test", name);
	disk.renameat2 = EINVAL;
	for (int attempt = 0; attempt < 2; attempt++) {
		write_sealed(&m, &f, ANN, name);
		assert_int_equal(maildir_publish(&f, NULL),
				 attempt ? MAILDIR_WAS_THERE : MAILDIR_PUT);
		maildir_end(&f);
		assert_int_equal(mail_dir_count(&m, "local.test/ann/new", NULL), 1);
		assert_int_equal(mail_dir_count(&m, "local.test/ann/tmp", NULL), 0);
	}
	mail_dir_end(&m);
}

static void maildir_that_lacks_new_is_mended(void **state)
{
	struct maildir_file f;
	struct mail_dir m;
	char name[320];

	(void)state;
	mail_dir_begin(&m);
	make_name("ann@local.test", name);
	write_sealed(&m, &f, ANN, name);
	assert_int_equal(unlinkat(m.fd, "local.test/ann/new", AT_REMOVEDIR), 0);
	assert_int_equal(maildir_publish(&f, NULL), MAILDIR_PUT);
	maildir_end(&f);
	assert_int_equal(mail_dir_count(&m, "local.test/ann/new", NULL), 1);
	mail_dir_end(&m);
}

static void link_that_cannot_be_made_is_told_from_one_that_failed(void **state)
{
	static const int impossible[] = {EXDEV, EMLINK, EPERM, EOPNOTSUPP};
	struct maildir_file f;
	struct fault why = {0};
	struct mail_dir m;
	char name[320];

	(void)state;
	mail_dir_begin(&m);
	make_name("ann@local.test", name);
	write_sealed(&m, &f, ANN, name);
	for (size_t i = 0; i < sizeof(impossible) / sizeof(*impossible); i++) {
		disk.linkat = impossible[i];
		assert_int_equal(maildir_link(&f, BOB, name, &why), MAILDIR_IMPOSSIBLE);
	}
	assert_string_equal(why.text, "");
	disk.linkat = EACCES;
	assert_int_equal(maildir_link(&f, BOB, name, &why), MAILDIR_FAILED);
	assert_non_null(strstr(why.text, "local.test/bob"));
	maildir_end(&f);
	mail_dir_end(&m);
}

static void symbolic_link_in_place_of_the_file_is_not_followed(void **state)
{
	struct maildir_file f;
	struct mail_dir m;
	char name[320], path[512];

	(void)state;
	mail_dir_begin(&m);
	make_name("ann@local.test", name);
	write_sealed(&m, &f, ANN, name);
	maildir_end(&f);
	snprintf(path, sizeof(path), "local.test/ann/tmp/%s", name);
	assert_int_equal(symlinkat("/tmp/mail_dir.elsewhere", m.fd, path), 0);
	write_sealed(&m, &f, ANN, name);
	assert_int_equal(maildir_publish(&f, NULL), MAILDIR_PUT);
	maildir_end(&f);
	assert_int_not_equal(access("/tmp/mail_dir.elsewhere", F_OK), 0);
	mail_dir_end(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_fits_into_a_file_system_whatever_the_host_is_called),
		cmocka_unit_test(file_is_published_with_its_sizes_and_nothing_stays_in_tmp),
		cmocka_unit_test(what_has_been_seen_stands_in_cur_with_the_flag),
		cmocka_unit_test(new_folders_names_are_durable_before_the_file_is),
		cmocka_unit_test(what_is_not_published_is_removed),
		cmocka_unit_test(what_a_dead_process_left_in_tmp_is_written_anew),
		cmocka_unit_test(second_attempt_finds_the_first),
		cmocka_unit_test(what_was_there_and_cannot_be_made_durable_goes),
		cmocka_unit_test(file_system_that_cannot_rename_without_replacing_has_link),
		cmocka_unit_test(maildir_that_lacks_new_is_mended),
		cmocka_unit_test(link_that_cannot_be_made_is_told_from_one_that_failed),
		cmocka_unit_test(symbolic_link_in_place_of_the_file_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
