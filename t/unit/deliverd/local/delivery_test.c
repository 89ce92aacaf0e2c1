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
	bool alone;
	struct delivery_rules rules;
	struct delivery *delivery;
};

/* A committed spool file with that content. */
static void begin_with(struct fixture *f, struct slice content)
{
	struct spool_header h;
	struct buf file;
	int fd;

	*f = (struct fixture){.alone = true};
	mail_dir_begin(&f->mail);
	f->rules = (struct delivery_rules){.root = f->mail.fd, .hostname = SLICE("mx.test")};
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

static void put(struct fixture *f, const struct ipc_deliver_recipient *r)
{
	f->alone = buf_length(&f->recipients) == 0;
	assert_true(ipc_put_deliver_recipient(&f->recipients, r));
}

static void add(struct fixture *f, uint32_t index, const char *forward_path, const char *folder)
{
	put(f, &(struct ipc_deliver_recipient){.index = index,
					       .forward_path = slice_of_cstr(forward_path),
					       .folder = slice_of_cstr(folder)});
}

/* ann, to a mailbox of theirs. */
static void add_ann(struct fixture *f, const char *mailbox, uint64_t quota_bytes)
{
	put(f, &(struct ipc_deliver_recipient){.forward_path = SLICE("ann@local.test"),
					       .folder = SLICE("local.test/ann/"),
					       .mailbox = slice_of_cstr(mailbox),
					       .quota_bytes = quota_bytes});
}

static bool create(struct fixture *f, int flags, struct fault *why)
{
	struct ipc_deliver_ask ask = {.id = SLICE(COMPOSE_ID),
				      .received_us = 1764088515123456,
				      .reverse_path = SLICE("ann@example.org"),
				      .recipients = buf_slice(&f->recipients),
				      .alone = f->alone};
	int fd = open(f->spool, flags | O_CLOEXEC);
	bool ok;

	delivery_destroy(f->delivery);
	f->delivery = NULL;
	ok = delivery_create(&ask, &fd, &f->rules, &f->delivery, why);
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
		assert_true((r->why->class == FAULT_PERMANENT) == r->refused);
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

/* The first lines of the only file of folder. */
static const char *head_of(const struct fixture *f, const char *folder)
{
	static char text[300];
	char *end;

	mail_dir_read(&f->mail, folder, text, sizeof(text));
	end = strstr(text, "Subject");
	assert_non_null(end);
	*end = '\0';
	return text;
}

#define RETURN_PATH "Return-Path: <ann@example.org>\n"

static void delivered_to_stands_in_copies_as_the_setting_says(void **state)
{
	struct fixture f;

	(void)state;
	for (unsigned choice = DELIVERED_TO_ONE; choice <= DELIVERED_TO_NEVER; choice++) {
		begin(&f);
		f.rules.delivered_to = choice;
		add(&f, 0, "bob@local.test", "local.test/bob");
		assert_int_equal(run(&f), 1);
		assert_string_equal(head_of(&f, "local.test/bob/new"),
				    choice == DELIVERED_TO_NEVER ? RETURN_PATH
								 : RETURN_PATH
					    "Delivered-To: bob@local.test\n");
		end(&f);
		begin(&f);
		f.rules.delivered_to = choice;
		add(&f, 0, "eve@local.test", "local.test/eve");
		add(&f, 1, "bob@local.test", "local.test/bob");
		assert_int_equal(run(&f), 2);
		assert_string_equal(head_of(&f, "local.test/bob/new"),
				    choice == DELIVERED_TO_ALWAYS ? RETURN_PATH
					    "Delivered-To: bob@local.test\n"
								  : RETURN_PATH);
		assert_true((inode(&f, "local.test/bob/new") == inode(&f, "local.test/eve/new")) ==
			    (choice != DELIVERED_TO_ALWAYS));
		end(&f);
	}
}

/* Of several recipients one alone is left, or is here: their copy is as the others'. */
static void last_of_several_recipients_is_not_told_apart(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	add(&f, 0, "bob@local.test", "local.test/bob");
	f.alone = false;
	assert_int_equal(run(&f), 1);
	assert_string_equal(head_of(&f, "local.test/bob/new"), RETURN_PATH);
	end(&f);
}

static void copy_in_sent_has_been_seen_and_was_delivered_to_nobody(void **state)
{
	struct fixture f;
	char name[256];

	(void)state;
	for (unsigned choice = DELIVERED_TO_ONE; choice <= DELIVERED_TO_NEVER; choice++) {
		begin(&f);
		f.rules.delivered_to = choice;
		add(&f, 0, "bob@local.test", "local.test/bob");
		add_ann(&f, "sent", 0);
		f.alone = true; /* the message has one recipient; its sender's copy is none */
		for (int attempt = 0; attempt < 2; attempt++) {
			assert_int_equal(run(&f), 2);
			assert_int_equal(mail_dir_count(&f.mail, "local.test/ann/.sent/new", NULL),
					 0);
			assert_int_equal(mail_dir_count(&f.mail, "local.test/ann/.sent/cur", name),
					 1);
		}
		assert_non_null(strstr(name, ":2,S"));
		assert_string_equal(head_of(&f, "local.test/ann/.sent/cur"), RETURN_PATH);
		assert_int_equal(mail_dir_count(&f.mail, "local.test/ann/new", NULL), 0);
		end(&f);
	}
}

static void mailbox_by_name_is_a_folder_and_inbox_the_root(void **state)
{
	struct fixture f;
	char in_spam[256], in_root[256];

	(void)state;
	begin(&f);
	add_ann(&f, "spam", 0);
	add_ann(&f, "INBOX", 0);
	add_ann(&f, "Lists/Entw\u00fcrfe", 0);
	assert_int_equal(run(&f), 3);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/ann/.spam/new", in_spam), 1);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/ann/new", in_root), 1);
	assert_string_not_equal(in_spam, in_root); /* so that one may be moved to the other */
	assert_int_equal(mail_dir_count(&f.mail, "local.test/ann/.Lists.Entw&APw-rfe/new", NULL),
			 1);
	end(&f);
}

static void mailbox_that_would_leave_the_maildir_is_deferred(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	add_ann(&f, "../../bob", 0);
	add_ann(&f, "x/..", 0);
	add_ann(&f, "spam", 0);
	assert_int_equal(run(&f), 1);
	assert_string_equal(delivery_result(f.delivery, 0)->why->status, "4.3.5");
	assert_int_equal(mail_dir_count(&f.mail, "local.test", NULL), 1);
	end(&f);
}

static const char *sizes_of_ann(const struct fixture *f)
{
	static char text[300];
	int fd = openat(f->mail.fd, "local.test/ann/maildirsize", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	fd_close(&fd);
	return text;
}

static void make_sizes_of_ann(const struct fixture *f, const char *text)
{
	int fd = openat(f->mail.fd, "local.test/ann/maildirsize",
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd_write_all(fd, text, strlen(text), -1));
	fd_close(&fd);
}

static void what_is_delivered_counts_in_the_quota_whatever_its_mailbox(void **state)
{
	struct fixture f;
	char expected[100];
	size_t n = strlen(STORED);

	(void)state;
	begin(&f);
	add_ann(&f, "", 0);
	assert_int_equal(run(&f), 1); /* without a limit there is no file */
	assert_string_equal(sizes_of_ann(&f), "");
	make_sizes_of_ann(&f, "100000S\n0 0\n");
	buf_reset(&f.recipients);
	add_ann(&f, "a", 100000);
	add_ann(&f, "spam", 100000);
	add(&f, 0, "bob@local.test", "local.test/bob");
	assert_int_equal(run(&f), 3);
	snprintf(expected, sizeof(expected), "100000S\n0 0\n%zu 1\n%zu 1\n", n, n);
	assert_string_equal(sizes_of_ann(&f), expected);
	assert_int_equal(run(&f), 3); /* the same again is there, and counted */
	assert_string_equal(sizes_of_ann(&f), expected);
	end(&f);
}

static void what_was_taken_back_does_not_count(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	add_ann(&f, "", 100000);
	assert_int_equal(run(&f), 1);
	make_sizes_of_ann(&f, "100000S\n0 0\n");
	buf_reset(&f.recipients);
	add(&f, 0, "robert@local.test", "local.test/ann");
	disk.fsync = EIO;
	assert_int_equal(run(&f), 0);
	assert_string_equal(sizes_of_ann(&f), "100000S\n0 0\n");
	end(&f);
}

static void full_mailbox_is_deferred_with_4_2_2_and_holds_up_nobody(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	add_ann(&f, "", 100);
	add(&f, 1, "bob@local.test", "local.test/bob");
	assert_int_equal(run(&f), 2);
	make_sizes_of_ann(&f, "100S\n100 1\n");
	buf_reset(&f.recipients);
	add_ann(&f, "spam", 100);
	add(&f, 1, "robert@local.test", "local.test/bob");
	assert_int_equal(run(&f), 1);
	assert_string_equal(delivery_result(f.delivery, 0)->why->status, "4.2.2");
	assert_string_equal(delivery_result(f.delivery, 0)->why->text, "the mailbox is full");
	assert_false(delivery_result(f.delivery, 0)->refused);
	f.rules.quota_full = QUOTA_FULL_PERMANENT;
	assert_int_equal(run(&f), 1);
	assert_string_equal(delivery_result(f.delivery, 0)->why->status, "5.2.2");
	assert_true(delivery_result(f.delivery, 0)->refused);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/ann/.spam/new", NULL), 0);
	end(&f);
}

/* It filled the mailbox itself, and its result was not recorded. */
static void first_attempts_copy_is_found_in_a_full_mailbox(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	f.rules.quota_full = QUOTA_FULL_PERMANENT;
	add_ann(&f, "", 10);
	assert_int_equal(run(&f), 1);
	make_sizes_of_ann(&f, "10S\n60 1\n");
	assert_int_equal(run(&f), 1);
	assert_int_equal(mail_dir_count(&f.mail, "local.test/ann/new", NULL), 1);
	end(&f);
}

/* RCPT was asked about less: trace fields came to it since. */
static void message_that_rcpt_let_in_is_not_put_off_for_what_we_added(void **state)
{
	struct fixture f;
	struct buf content;

	(void)state;
	buf_init(&content, 64 << 20);
	buf_append_cstr(&content, "Subject: large\r\n\r\n");
	while (buf_length(&content) < 100000)
		buf_append_cstr(&content, "the quick brown fox\r\n");
	begin_with(&f, buf_slice(&content));
	add_ann(&f, "", 80000);
	assert_int_equal(run(&f), 0);
	buf_reset(&f.recipients);
	add_ann(&f, "", 99000);
	assert_int_equal(run(&f), 1);
	buf_fini(&content);
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
		cmocka_unit_test(delivered_to_stands_in_copies_as_the_setting_says),
		cmocka_unit_test(last_of_several_recipients_is_not_told_apart),
		cmocka_unit_test(copy_in_sent_has_been_seen_and_was_delivered_to_nobody),
		cmocka_unit_test(mailbox_by_name_is_a_folder_and_inbox_the_root),
		cmocka_unit_test(mailbox_that_would_leave_the_maildir_is_deferred),
		cmocka_unit_test(what_is_delivered_counts_in_the_quota_whatever_its_mailbox),
		cmocka_unit_test(what_was_taken_back_does_not_count),
		cmocka_unit_test(full_mailbox_is_deferred_with_4_2_2_and_holds_up_nobody),
		cmocka_unit_test(first_attempts_copy_is_found_in_a_full_mailbox),
		cmocka_unit_test(message_that_rcpt_let_in_is_not_put_off_for_what_we_added),
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
