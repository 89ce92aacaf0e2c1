#include "queued/bounce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/ascii.h"

#define MADE_US 1795622415123456u

static const struct bounce_recipient several[] = {
	{.forward_path = {"bob@example.com", 15},
	 .original_path = {"bob@example.com", 15},
	 .status = {"5.1.1", 5},
	 .reply = {"550 5.1.1 <bob@example.com>: Recipient address rejected: User unknown in virtual mailbox table", 94},
	 .host = {"mx1.example.com", 15},
	 .at_us = MADE_US - 1000000},
	{.forward_path = {"ann@example.net", 15},
	 .original_path = {"all@example.org", 15},
	 .status = {"4.4.1", 5},
	 .reply = {"no address of example.net took a connection", 43},
	 .at_us = MADE_US - 2000000,
	 .expired = true},
	{.forward_path = {"eve@example.org", 15},
	 .original_path = {"EVE@example.org", 15},
	 .status = {"5.1.1", 5},
	 .reply = {"there is no mailbox eve@example.org", 35},
	 .at_us = MADE_US - 3000000},
};

static struct bounce bounce_about(const struct bounce_recipient *recipients, size_t n)
{
	return (struct bounce){.hostname = SLICE("mail.example.org"),
			       .postmaster = SLICE("postmaster"),
			       .id = SLICE("01hqz3v5k2m7n8p9r4s6t0"),
			       .made_us = MADE_US,
			       .about = SLICE("01hqz0a0a0a0a0a0a0a0a0"),
			       .received_us = MADE_US - 60000000,
			       .reverse_path = SLICE("carol@example.org"),
			       .headers = SLICE("From: carol@example.org\r\nSubject: Lunch\r\n"),
			       .recipients = recipients,
			       .n_recipients = n};
}

/* The golden file has LF; a notice has CRLF. */
static void compare_with(const char *path, struct slice text)
{
	char golden[65536], *lines = calloc(1, text.n + 1);
	FILE *file = fopen(path, "r");
	size_t n = 0, got;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '\r')
			lines[n++] = text.p[i];
	if (getenv("TASSIS_GOLDEN") != NULL) {
		FILE *out = fopen(path, "w");

		assert_int_equal(fwrite(lines, 1, n, out), n);
		fclose(out);
	} else {
		assert_non_null(file);
		got = fread(golden, 1, sizeof(golden) - 1, file);
		golden[got] = '\0';
		assert_string_equal(lines, golden);
	}
	if (file != NULL)
		fclose(file);
	free(lines);
}

static void a_notice_reads_as_the_golden_file(void **state)
{
	struct bounce b = bounce_about(several, ARRAY_LENGTH(several));
	struct buf out;

	(void)state;
	buf_init(&out, 65536);
	assert_true(bounce_compose(&b, &out));
	compare_with("t/vectors/bounce/01-several.eml", buf_slice(&out));
	buf_fini(&out);
}

static void one_recipient_is_spoken_of_in_the_singular(void **state)
{
	struct bounce b = bounce_about(several, 1);
	struct buf out;

	(void)state;
	buf_init(&out, 65536);
	b.postmaster = SLICE("hostmaster@example.net");
	b.envid = SLICE("QQ314159");
	assert_true(bounce_compose(&b, &out));
	compare_with("t/vectors/bounce/02-one.eml", buf_slice(&out));
	buf_fini(&out);
}

/* Whatever others said: CRLF line ends and no other CR or LF, no line over 998 octets, no field of theirs among ours. */
static void what_others_said_cannot_break_the_form(void **state)
{
	char reply[4000];
	struct bounce_recipient evil = {.forward_path = SLICE("x\r\nBcc: y@example.org"),
					.original_path = SLICE("x\ny"),
					.orcpt = SLICE("rfc822;a\r\nb"),
					.status = SLICE("5.0.0\r\n\r\n"),
					.host = SLICE("mx\r\n\r\n--notice-"),
					.at_us = 1};
	struct bounce b = bounce_about(&evil, 1);
	struct slice text, line;
	struct buf out;

	(void)state;
	memset(reply, 'x', sizeof(reply));
	memcpy(reply, "550 \r\nSubject: \xff\x01\x80 ", 20);
	evil.reply = slice_of(reply, sizeof(reply));
	b.reverse_path = SLICE("a\r\nTo: b");
	b.envid = SLICE("1\r\n2");
	buf_init(&out, 65536);
	assert_true(bounce_compose(&b, &out));
	text = buf_slice(&out);
	while (slice_cut(&text, '\n', &line)) {
		if (text.p == NULL && line.n == 0)
			break;
		assert_true(line.n > 0 && line.n < 999 && line.p[line.n - 1] == '\r');
		line = slice_head(line, line.n - 1);
		assert_int_equal(slice_find(line, '\r'), SIZE_MAX);
		assert_false(slice_starts(line, SLICE("Bcc:")));
		assert_false(slice_starts(line, SLICE("To: b")));
		for (size_t i = 0; i < line.n; i++)
			assert_false(ascii_is_control(line.p[i]) || (unsigned char)line.p[i] > 126);
	}
	buf_fini(&out);
}

static void letters_outside_ascii_in_the_message_make_it_8bit(void **state)
{
	struct bounce b = bounce_about(several, 1);
	struct buf out;

	(void)state;
	b.headers = SLICE("Subject: Gr\xc3\xbc\xc3\x9f" "e\r\n");
	buf_init(&out, 65536);
	assert_true(bounce_compose(&b, &out));
	assert_int_not_equal(slice_find_slice(buf_slice(&out), SLICE("Content-Transfer-Encoding: 8bit\r\n")), SIZE_MAX);
	assert_int_equal(slice_find_slice(buf_slice(&out), SLICE("Content-Transfer-Encoding: 7bit\r\n")), SIZE_MAX);
	buf_fini(&out);
}

static void without_room_there_is_no_half_a_notice(void **state)
{
	struct bounce b = bounce_about(several, 1);
	struct buf out;

	(void)state;
	buf_init(&out, 500);
	assert_false(bounce_compose(&b, &out));
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_notice_reads_as_the_golden_file),
		cmocka_unit_test(one_recipient_is_spoken_of_in_the_singular),
		cmocka_unit_test(what_others_said_cannot_break_the_form),
		cmocka_unit_test(letters_outside_ascii_in_the_message_make_it_8bit),
		cmocka_unit_test(without_room_there_is_no_half_a_notice),
	};

	(void)setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
