#include "deliverd/local/delivery.h"

#include "common/base/fault.h"
#include "t/unit/common/spool/compose.h"
#include "t/unit/deliverd/local/mail_dir.h"

#define CONTENT "Return-Path: <x@example.net>\r\nSubject: Lunch\r\n\r\nAt noon?\r\n"
#define STORED "Return-Path: <ann@example.org>\nSubject: Lunch\n\nAt noon?\n"

struct fixture {
	struct mail_dir mail;
	char spool[64];
	struct buf recipients;
	struct delivery *delivery;
};

/* A committed spool file with that content. */
static void begin_with(struct fixture *f, struct slice content)
{
	struct spool_header h;
	struct buf file;
	int fd;

	*f = (struct fixture){0};
	mail_dir_begin(&f->mail);
	buf_init(&f->recipients, 1 << 20);
	buf_init(&file, 64 << 20);
	compose(&file, COMPOSE_ID, SLICE("from ann@example.org\nto bob@local.test\n"), content, &h);
	snprintf(f->spool, sizeof(f->spool), "/tmp/delivery_test.XXXXXX");
	fd = mkstemp(f->spool);
	assert_true(fd_write_all(fd, buf_slice(&file).p, buf_length(&file), -1));
	fd_close(&fd);
	buf_fini(&file);
}

static void begin(struct fixture *f)
{
	begin_with(f, SLICE(CONTENT));
}

static void end(struct fixture *f)
{
	delivery_destroy(f->delivery);
	buf_fini(&f->recipients);
	unlink(f->spool);
	mail_dir_end(&f->mail);
}

static void add(struct fixture *f, uint32_t index, const char *forward_path, const char *folder)
{
	struct ipc_deliver_recipient r = {.index = index,
					  .forward_path = slice_of_cstr(forward_path),
					  .folder = slice_of_cstr(folder)};

	assert_true(ipc_put_deliver_recipient(&f->recipients, &r));
}

static bool create(struct fixture *f, int flags, struct fault *why)
{
	struct ipc_deliver_ask ask = {.id = SLICE(COMPOSE_ID),
				      .received_us = 1764088515123456,
				      .reverse_path = SLICE("ann@example.org"),
				      .recipients = buf_slice(&f->recipients)};
	int fd = open(f->spool, flags | O_CLOEXEC);
	bool ok;

	delivery_destroy(f->delivery);
	f->delivery = NULL;
	ok = delivery_create(&ask, &fd, f->mail.fd, SLICE("mx.test"), &f->delivery, why);
	assert_true(ok == (fd == -1)); /* taken on success alone */
	fd_close(&fd);
	return ok;
}

/* An attempt; how many recipients have the message afterwards. */
static size_t run(struct fixture *f)
{
	size_t n = 0;

	assert_true(create(f, O_RDONLY, NULL));
	delivery_run(f->delivery);
	for (size_t i = 0; i < delivery_n_results(f->delivery); i++) {
		const struct delivery_result *r = delivery_result(f->delivery, i);

		assert_false(r->put);
		assert_true(r->delivered == (r->why->text[0] == '\0'));
		assert_int_equal(r->why->class, FAULT_TEMPORARY);
		n += r->delivered;
	}
	return n;
}

static ino_t inode(const struct fixture *f, const char *folder)
{
	char name[256], path[512];
	struct stat st;

	assert_int_equal(mail_dir_count(&f->mail, folder, name), 1);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(fstatat(f->mail.fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_ino;
}

static void one_recipient_gets_a_copy_that_says_whose_it_is(void **state)
{
	struct fixture f;
	char text[300];

	(void)state;
	begin(&f);
	add(&f, 7, "bob@local.test", "local.test/bob/");
	assert_int_equal(run(&f), 1);
	assert_int_equal(delivery_result(f.delivery, 0)->index, 7);
	mail_dir_read(&f.mail, "local.test/bob/new", text, sizeof(text));
	assert_string_equal(text, "Return-Path: <ann@example.org>\nDelivered-To: "
				  "bob@local.test\nSubject: Lunch\n\nAt noon?\n");
	end(&f);
}

static void several_recipients_share_one_file_and_one_fsync(void **state)
{
	struct fixture f;
	char text[300];

	(void)state;
	begin(&f);
	add(&f, 0, "bob@local.test", "local.test/bob");
	add(&f, 1, "eve@local.test", "local.test/eve");
	add(&f, 2, "eve+x@local.test", "local.test/eve/.x");
	assert_int_equal(run(&f), 3);
	mail_dir_read(&f.mail, "local.test/eve/new", text, sizeof(text));
	assert_string_equal(text, STORED);
	assert_int_equal(inode(&f, "local.test/bob/new"), inode(&f, "local.test/eve/new"));
	assert_int_equal(inode(&f, "local.test/bob/new"), inode(&f, "local.test/eve/.x/new"));
	assert_int_equal(mail_dir_count(&f.mail, "local.test/bob/tmp", NULL), 0);
	disk.n_fsyncs = 0;
	buf_reset(&f.recipients);
	add(&f, 0, "new@local.test", "local.test/bob"); /* the Maildirs are there now */
	add(&f, 1, "newer@local.test", "local.test/eve");
	assert_int_equal(run(&f), 2);
	assert_int_equal(disk.n_fsyncs, 1);
	end(&f);
}

static void recipients_with_one_mailbox_have_a_file_each(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	add(&f, 0, "bob@local.test", "local.test/bob");
	add(&f, 1, "robert@local.test", "local.test/bob");
	assert_int_equal(run(&f), 2);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/bob/new", NULL), 2);
	end(&f);
}

static void second_attempt_finds_the_first(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	add(&f, 0, "bob@local.test", "local.test/bob");
	add(&f, 1, "eve@local.test", "local.test/eve");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run(&f), 2);
		assert_int_equal(mail_dir_count(&f.mail, "local.test/bob/new", NULL), 1);
		assert_int_equal(mail_dir_count(&f.mail, "local.test/eve/new", NULL), 1);
		assert_int_equal(mail_dir_count(&f.mail, "local.test/bob/tmp", NULL), 0);
	}
	end(&f);
}

/* A reader has moved the first attempt's file to cur/ before its result was recorded: it is
 * delivered again, not lost; and what is new then is synced, though another recipient's file was
 * there already. */
static void copy_that_was_read_meanwhile_comes_again(void **state)
{
	struct fixture f;
	char name[256], from[512], to[512];

	(void)state;
	begin(&f);
	add(&f, 0, "bob@local.test", "local.test/bob");
	add(&f, 1, "eve@local.test", "local.test/eve");
	assert_int_equal(run(&f), 2);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/eve/new", name), 1);
	snprintf(from, sizeof(from), "local.test/eve/new/%s", name);
	snprintf(to, sizeof(to), "local.test/eve/cur/%s:2,S", name);
	assert_int_equal(renameat(f.mail.fd, from, f.mail.fd, to), 0);
	disk.n_fsyncs = 0;
	assert_int_equal(run(&f), 2);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/eve/new", NULL), 1);
	assert_int_equal(disk.n_fsyncs, 2); /* bob's of the first attempt, eve's of this one */
	end(&f);
}

/* After a power cut the name may be durable, with the right size in it, and the octets not. */
static void file_of_the_right_name_with_other_octets_is_replaced(void **state)
{
	struct fixture f;
	char text[300];

	(void)state;
	for (int length = 0; length < 2; length++) {
		begin(&f);
		add(&f, 0, "bob@local.test", "local.test/bob");
		add(&f, 1, "eve@local.test", "local.test/eve");
		assert_int_equal(run(&f), 2);
		for (const char *folder = "local.test/bob/new\0local.test/eve/new\0"; *folder;
		     folder += strlen(folder) + 1) {
			char name[256], path[512];
			int fd;

			assert_int_equal(mail_dir_count(&f.mail, folder, name), 1);
			snprintf(path, sizeof(path), "%s/%s", folder, name);
			assert_int_equal(unlinkat(f.mail.fd, path, 0), 0);
			fd = openat(f.mail.fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
			assert_int_equal(ftruncate(fd, length ? (off_t)strlen(STORED) : 0), 0);
			fd_close(&fd);
		}
		assert_int_equal(run(&f), 2);
		mail_dir_read(&f.mail, "local.test/bob/new", text, sizeof(text));
		assert_string_equal(text, STORED);
		mail_dir_read(&f.mail, "local.test/eve/new", text, sizeof(text));
		assert_string_equal(text, STORED);
		end(&f);
	}
}

static void folder_that_cannot_be_written_stops_nobody_else(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(mkdirat(f.mail.fd, "local.test", 0700), 0);
	close(openat(f.mail.fd, "local.test/first", O_CREAT | O_WRONLY,
		     0600)); /* a file where a folder should be */
	close(openat(f.mail.fd, "local.test/third", O_CREAT | O_WRONLY, 0600));
	add(&f, 0, "first@local.test", "local.test/first");
	add(&f, 1, "second@local.test", "local.test/second");
	add(&f, 2, "third@local.test", "local.test/third");
	add(&f, 3, "fourth@local.test", "local.test/fourth");
	add(&f, 4, "fifth@local.test", "../fifth");
	assert_int_equal(run(&f), 2);
	assert_true(delivery_result(f.delivery, 1)->delivered &&
		    delivery_result(f.delivery, 3)->delivered);
	assert_int_equal(inode(&f, "local.test/second/new"), inode(&f, "local.test/fourth/new"));
	assert_non_null(strstr(delivery_result(f.delivery, 2)->why->text, "third"));
	end(&f);
}

static void recipients_on_another_file_system_get_a_file_of_their_own(void **state)
{
	struct fixture f;
	char text[300];

	(void)state;
	begin(&f);
	add(&f, 0, "bob@local.test", "local.test/bob");
	add(&f, 1, "eve@local.test", "local.test/eve");
	add(&f, 2, "ann@local.test", "local.test/ann");
	disk.linkat = EXDEV;
	assert_int_equal(run(&f), 3);
	assert_int_not_equal(inode(&f, "local.test/bob/new"), inode(&f, "local.test/eve/new"));
	mail_dir_read(&f.mail, "local.test/ann/new", text, sizeof(text));
	assert_string_equal(text, STORED);
	end(&f);
}

static void what_could_not_be_synced_is_taken_back_and_written_anew(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	add(&f, 0, "bob@local.test", "local.test/bob");
	add(&f, 1, "eve@local.test", "local.test/eve");
	assert_int_equal(run(&f), 2);
	buf_reset(&f.recipients);
	add(&f, 0, "new@local.test", "local.test/bob");
	add(&f, 1, "newer@local.test", "local.test/eve");
	disk.fsync = EIO;
	assert_int_equal(run(&f), 0);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/bob/new", NULL), 1);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/eve/new", NULL), 1);
	disk.fsync = 0;
	assert_int_equal(run(&f), 2);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/eve/new", NULL), 2);
	end(&f);
}

static void full_disk_defers_and_leaves_nothing(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	add(&f, 0, "bob@local.test", "local.test/bob");
	add(&f, 1, "eve@local.test", "local.test/eve");
	disk.write = ENOSPC;
	assert_int_equal(run(&f), 0);
	assert_string_equal(delivery_result(f.delivery, 0)->why->status, "4.3.1");
	disk.write = 0;
	assert_int_equal(mail_dir_count(&f.mail, "local.test/bob/tmp", NULL), 0);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/bob/new", NULL), 0);
	assert_int_equal(run(&f), 2);
	end(&f);
}

static void spool_file_that_is_broken_defers_all(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	add(&f, 0, "bob@local.test", "local.test/bob");
	add(&f, 1, "eve@local.test", "local.test/eve");
	assert_int_equal(truncate(f.spool, SPOOL_HEADER_SIZE + 20), 0);
	assert_true(create(&f, O_RDONLY, NULL));
	delivery_run(f.delivery);
	for (size_t i = 0; i < 2; i++) {
		assert_false(delivery_result(f.delivery, i)->delivered);
		assert_true(delivery_result(f.delivery, i)->why->text[0]);
	}
	assert_int_equal(mail_dir_count(&f.mail, "local.test/bob/new", NULL), 0);
	end(&f);
}

static void large_message_arrives_whole(void **state)
{
	struct fixture f;
	struct buf content;
	char name[256], sizes[64];
	struct stat st;
	size_t lines = 0;

	(void)state;
	buf_init(&content, 64 << 20);
	buf_append_cstr(&content, "Subject: large\r\n\r\n");
	for (; buf_length(&content) < 1000000; lines++)
		buf_printf(&content, "%zu: the quick brown fox\r\n", lines);
	begin_with(&f, buf_slice(&content));
	add(&f, 0, "bob@local.test", "local.test/bob");
	add(&f, 1, "eve@local.test", "local.test/eve");
	assert_int_equal(run(&f), 2);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/bob/new", name), 1);
	snprintf(sizes, sizeof(sizes), "local.test/bob/new");
	assert_true(fchdir(f.mail.fd) == 0 && chdir(sizes) == 0 && stat(name, &st) == 0 &&
		    chdir("/") == 0);
	assert_int_equal(st.st_size, buf_length(&content) - lines - 2 +
					     strlen("Return-Path: <ann@example.org>\n"));
	snprintf(sizes, sizeof(sizes), ",S=%lld,W=%lld", (long long)st.st_size,
		 (long long)st.st_size + (long long)lines + 3);
	assert_non_null(strstr(name, sizes));
	buf_fini(&content);
	end(&f);
}

static void what_queued_may_not_send_is_refused(void **state)
{
	struct fixture f;
	struct fault why = {0};

	(void)state;
	begin(&f);
	assert_false(create(&f, O_RDONLY, &why)); /* no recipient */
	add(&f, 0, "bob@local.test", "local.test/bob");
	assert_false(create(&f, O_RDWR, &why)); /* a descriptor that can be written */
	assert_int_equal(why.class, FAULT_PERMANENT);
	buf_append(&f.recipients, SLICE("torn"));
	assert_false(create(&f, O_RDONLY, &why));
	assert_int_equal(why.class, FAULT_PERMANENT);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_recipient_gets_a_copy_that_says_whose_it_is),
		cmocka_unit_test(several_recipients_share_one_file_and_one_fsync),
		cmocka_unit_test(recipients_with_one_mailbox_have_a_file_each),
		cmocka_unit_test(second_attempt_finds_the_first),
		cmocka_unit_test(copy_that_was_read_meanwhile_comes_again),
		cmocka_unit_test(file_of_the_right_name_with_other_octets_is_replaced),
		cmocka_unit_test(folder_that_cannot_be_written_stops_nobody_else),
		cmocka_unit_test(recipients_on_another_file_system_get_a_file_of_their_own),
		cmocka_unit_test(what_could_not_be_synced_is_taken_back_and_written_anew),
		cmocka_unit_test(full_disk_defers_and_leaves_nothing),
		cmocka_unit_test(spool_file_that_is_broken_defers_all),
		cmocka_unit_test(large_message_arrives_whole),
		cmocka_unit_test(what_queued_may_not_send_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
