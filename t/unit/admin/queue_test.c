#include "admin/commands.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/crc32c.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/spool/envelope.h"
#include "common/spool/file.h"
#include "common/spool/id.h"

/* admin/main.c, where it stands, is the program and not linked here. */
int admin_usage(const char *command)
{
	assert_string_equal(command, "queue");
	return ADMIN_USAGE;
}

static char dir[64], output[65536], complaints[65536];
static struct settings *settings;
static struct spool_id_source ids;

static int set_up(void **state)
{
	static const char *const folders[] = {"incoming", "incoming/0", "queue", "queue/x", "control"};
	char text[128], path[160];
	struct buf problems;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/queue-test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_LENGTH(folders); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	(void)snprintf(text, sizeof(text), "hostname = mail.example.org\nspool_dir = %s\n", dir);
	buf_init(&problems, 65536);
	assert_true(settings_parse(slice_of_cstr(text), "main.conf", &settings, &problems));
	buf_fini(&problems);
	spool_id_source_init(&ids, SLICE("mail.example.org"), 0);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	settings_destroy(settings);
	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static void message_put(const char *folder, const char *from, const char *to, const struct spool_result *result, char id[SPOOL_ID_LENGTH + 1])
{
	struct envelope_recipient recipients[2] = {{.forward_path = slice_of_cstr(to)}, {.forward_path = SLICE("eve@far.test")}};
	struct envelope e = {.reverse_path = slice_of_cstr(from), .recipients = recipients, .n_recipients = 2};
	struct spool_header h = {.received_us = 1795622415000000, .n_extents = 1};
	struct buf envelope, lines;
	char block[SPOOL_HEADER_SIZE], path[160];
	uint64_t end;
	int fd;

	spool_id_make(&ids, h.received_us, id);
	buf_init(&envelope, 4096);
	buf_init(&lines, 4096);
	assert_true(envelope_encode(&e, &envelope));
	memcpy(h.id, id, sizeof(h.id));
	h.envelope_offset = SPOOL_HEADER_SIZE;
	h.envelope_length = buf_length(&envelope);
	h.envelope_crc = crc32c(0, buf_slice(&envelope).p, h.envelope_length);
	h.content_length = 4;
	h.content_crc = crc32c(h.envelope_crc, "a\r\nb", 4);
	h.extents[0] = (struct spool_extent){SPOOL_HEADER_SIZE + h.envelope_length, 4};
	h.tail_offset = end = SPOOL_HEADER_SIZE + h.envelope_length + 4;
	spool_header_encode(&h, block);
	(void)snprintf(path, sizeof(path), "%s/%s/%s", dir, folder, id);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd_write_all(fd, block, sizeof(block), 0) && fd_write_all(fd, buf_slice(&envelope).p, h.envelope_length, SPOOL_HEADER_SIZE) &&
		    fd_write_all(fd, "a\r\nb", 4, (off_t)h.extents[0].offset));
	if (result != NULL) {
		assert_true(spool_result_encode(result, &lines));
		assert_true(spool_tail_append(fd, slice_of_cstr(id), &end, buf_slice(&lines), NULL));
	}
	close(fd);
	buf_fini(&envelope);
	buf_fini(&lines);
}

static void slurp(int fd, char *out, size_t size)
{
	ssize_t n = pread(fd, out, size - 1, 0);

	out[n < 0 ? 0 : n] = '\0';
	close(fd);
}

/* The command with its output caught; its exit status. */
static int run(int argc, char **argv)
{
	const struct admin a = {.settings = settings};
	int out = memfd_create("out", 0), err = memfd_create("err", 0), old_out, old_err, status;

	(void)fflush(stdout);
	old_out = dup(1);
	old_err = dup(2);
	dup2(out, 1);
	dup2(err, 2);
	status = command_queue(&a, argc, argv);
	(void)fflush(stdout);
	dup2(old_out, 1);
	dup2(old_err, 2);
	close(old_out);
	close(old_err);
	slurp(out, output, sizeof(output));
	slurp(err, complaints, sizeof(complaints));
	return status;
}

#define RUN(...) run((int)ARRAY_LENGTH(((char *[]){__VA_ARGS__})), (char *[]){__VA_ARGS__})
static char queue_[] = "queue", list_[] = "list", show_[] = "show", flush_[] = "flush", json_[] = "--json";

static const struct spool_result deferred = {.kind = SPOOL_RESULT_DEFERRED,
					     .at_us = 1795622416000000,
					     .status = {"4.2.1", 5},
					     .host = {"mx.far.test", 11},
					     .reply = {"450 4.2.1 come \x1b[31magain", 25}};

static void without_queued_the_files_are_listed_the_oldest_first(void **state)
{
	char first[SPOOL_ID_LENGTH + 1], second[SPOOL_ID_LENGTH + 1];

	(void)state;
	message_put("queue/x", "carol@far.test", "bob@far.test", &deferred, first);
	message_put("incoming/0", "", "ann@local.test", NULL, second);
	assert_int_equal(RUN(queue_, list_), ADMIN_DONE);
	assert_non_null(strstr(complaints, "this is what the spool's files say"));
	assert_ptr_equal(strstr(output, first), output);
	assert_true(strstr(output, second) > output);
	assert_non_null(strstr(output, "carol@far.test to bob@far.test and 1 more\n    450 4.2.1 come ?[31magain\n"));
	assert_non_null(strstr(output, "<> to ann@local.test"));
	assert_non_null(strstr(output, "\n2 messages wait.\n"));
}

static void a_message_is_shown_with_each_recipient(void **state)
{
	char id[SPOOL_ID_LENGTH + 1];

	(void)state;
	message_put("queue/x", "carol@far.test", "bob@far.test", &deferred, id);
	assert_int_equal(RUN(queue_, show_, id), ADMIN_DONE);
	assert_non_null(strstr(output, "bob@far.test: deferred, 1 attempt, the last at "));
	assert_non_null(strstr(output, "mx.far.test said: 450 4.2.1 come ?[31magain"));
	assert_non_null(strstr(output, "eve@far.test: waits\n"));
	assert_int_equal(RUN(queue_, show_, json_, id), ADMIN_DONE);
	assert_non_null(strstr(output, "\"to\":\"bob@far.test\",\"state\":\"deferred\",\"attempts\":1,"));
	assert_non_null(strstr(output, "come \\u001b[31magain\"},{\"to\":\"eve@far.test\""));
}

static void json_is_an_object_a_line(void **state)
{
	char id[SPOOL_ID_LENGTH + 1];

	(void)state;
	message_put("queue/x", "carol@far.test", "bob@far.test", &deferred, id);
	assert_int_equal(RUN(queue_, list_, json_), ADMIN_DONE);
	assert_ptr_equal(strstr(output, "{\"id\":\""), output);
	assert_ptr_equal(strchr(output, '\n'), output + strlen(output) - 1);
	assert_non_null(strstr(output, "\"received\":\"2026-11-25T16:00:15.000000Z\""));
	assert_non_null(strstr(output, "\"size\":4,\"from\":\"carol@far.test\",\"recipients\":2,\"first_recipient\":\"bob@far.test\""));
}

static void the_list_from_the_files_knows_patterns_and_holds(void **state)
{
	char first[SPOOL_ID_LENGTH + 1], second[SPOOL_ID_LENGTH + 1], path[160], to[] = "--to", pattern[] = "BOB@*", from[] = "--from", null[] = "<>",
		held[] = "--held", older[] = "--older", soon[] = "soon";

	(void)state;
	message_put("queue/x", "carol@far.test", "bob@far.test", &deferred, first);
	message_put("incoming/0", "", "ann@local.test", NULL, second);
	assert_int_equal(RUN(queue_, list_, to, pattern), ADMIN_DONE);
	assert_non_null(strstr(output, "1 message waits."));
	assert_non_null(strstr(output, first));
	assert_int_equal(RUN(queue_, list_, from, null), ADMIN_DONE);
	assert_non_null(strstr(output, second));
	assert_null(strstr(output, first));
	assert_int_equal(RUN(queue_, list_, held), ADMIN_DONE);
	assert_string_equal(output, "No message is like that.\n");
	(void)snprintf(path, sizeof(path), "%s/queue/x/%s", dir, first);
	assert_int_equal(chmod(path, 0600 | SPOOL_HELD_MODE), 0);
	assert_int_equal(RUN(queue_, list_, held), ADMIN_DONE);
	assert_non_null(strstr(output, "held"));
	assert_non_null(strstr(output, "1 message waits."));
	assert_int_equal(RUN(queue_, list_, older, soon), ADMIN_USAGE);
}

static void cat_writes_the_message_with_lf(void **state)
{
	char id[SPOOL_ID_LENGTH + 1], cat[] = "cat";

	(void)state;
	message_put("incoming/0", "carol@far.test", "bob@far.test", NULL, id);
	assert_int_equal(RUN(queue_, cat, id), ADMIN_DONE);
	assert_string_equal(output, "a\nb");
}

/* Nothing happens to all of a queue by a word that was forgotten. */
static void steering_wants_to_know_which(void **state)
{
	char delete[] = "delete", id[] = "01hqz0a0a0a0a0a0a0a0a0", all[] = "--all", hold[] = "hold", nonsense[] = "x";

	(void)state;
	assert_int_equal(RUN(queue_, delete), ADMIN_USAGE);
	assert_non_null(strstr(complaints, "which messages?"));
	assert_int_equal(RUN(queue_, delete, id, all), ADMIN_USAGE);
	assert_int_equal(RUN(queue_, hold, nonsense), ADMIN_USAGE);
	assert_int_equal(RUN(queue_, hold, id), ADMIN_NOT_RUNNING);
}

static void an_empty_queue_says_so(void **state)
{
	(void)state;
	assert_int_equal(RUN(queue_, list_), ADMIN_DONE);
	assert_string_equal(output, "The queue is empty.\n");
}

static void what_is_not_there_or_wrong_has_its_exit_status(void **state)
{
	char nobody[] = "01hqz0a0a0a0a0a0a0a0a0", nonsense[] = "../passwd", option[] = "--yes";

	(void)state;
	assert_int_equal(RUN(queue_, show_, nobody), ADMIN_FAILED);
	assert_non_null(strstr(complaints, "there is no message 01hqz0a0a0a0a0a0a0a0a0"));
	assert_int_equal(RUN(queue_, show_, nonsense), ADMIN_FAILED);
	assert_int_equal(RUN(queue_, flush_), ADMIN_NOT_RUNNING);
	assert_int_equal(RUN(queue_), ADMIN_USAGE);
	assert_int_equal(RUN(queue_, show_), ADMIN_USAGE);
	assert_int_equal(RUN(queue_, list_, option), ADMIN_USAGE);
	assert_int_equal(RUN(queue_, nonsense), ADMIN_USAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_queued_the_files_are_listed_the_oldest_first),
		TEST(a_message_is_shown_with_each_recipient),
		TEST(json_is_an_object_a_line),
		TEST(the_list_from_the_files_knows_patterns_and_holds),
		TEST(cat_writes_the_message_with_lf),
		TEST(steering_wants_to_know_which),
		TEST(an_empty_queue_says_so),
		TEST(what_is_not_there_or_wrong_has_its_exit_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
