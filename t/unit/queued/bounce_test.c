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
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "queued/template.h"

#define MADE_US 1795622415123456u

static struct buf words_text;
static struct template words;

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

static const struct bounce_recipient late[] = {
	{.action = BOUNCE_DELAYED,
	 .forward_path = {"bob@example.com", 15},
	 .original_path = {"bob@example.com", 15},
	 .orcpt = {"rfc822;Bob+2Bx@example.com", 26},
	 .status = {"4.2.1", 5},
	 .reply = {"450 4.2.1 <bob@example.com>: come again", 39},
	 .host = {"mx1.example.com", 15},
	 .at_us = MADE_US - 1000000},
	{.action = BOUNCE_DELAYED,
	 .forward_path = {"ann@example.net", 15},
	 .original_path = {"ann@example.net", 15},
	 .status = {"4.4.1", 5},
	 .reply = {"mx.example.net: Connection refused", 34},
	 .host = {"mx.example.net", 14},
	 .at_us = MADE_US - 2000000},
};

static const struct bounce_recipient delivered[] = {
	{.action = BOUNCE_DELIVERED,
	 .forward_path = {"bob@example.org", 15},
	 .original_path = {"robert@example.org", 18},
	 .status = {"2.0.0", 5},
	 .at_us = MADE_US - 1000000},
	{.action = BOUNCE_RELAYED,
	 .forward_path = {"ann@example.net", 15},
	 .original_path = {"ann@example.net", 15},
	 .status = {"2.6.0", 5},
	 .reply = {"250 2.6.0 queued as 4711", 24},
	 .host = {"mx.example.net", 14},
	 .at_us = MADE_US - 2000000},
	{.action = BOUNCE_EXPANDED,
	 .forward_path = {"all@example.org", 15},
	 .original_path = {"all@example.org", 15},
	 .status = {"2.0.0", 5},
	 .at_us = MADE_US - 3000000},
};

static void words_load(const char *name)
{
	char path[200];
	struct fault why;

	(void)snprintf(path, sizeof(path), "etc/templates/%s.txt", name);
	buf_fini(&words_text);
	buf_init(&words_text, TEMPLATE_MAX);
	if (!fd_slurp_path(path, &words_text, NULL, &why) || !template_read(buf_slice(&words_text), &words, &why))
		fail_msg("%s: %s", path, why.text);
}

static struct bounce bounce_about(const char *name, const struct bounce_recipient *recipients, size_t n)
{
	words_load(name);
	return (struct bounce){.words = &words,
			       .hostname = SLICE("mail.example.org"),
			       .postmaster = SLICE("postmaster"),
			       .id = SLICE("01hqz3v5k2m7n8p9r4s6t0"),
			       .made_us = MADE_US,
			       .about = SLICE("01hqz0a0a0a0a0a0a0a0a0"),
			       .received_us = MADE_US - 60000000,
			       .to = SLICE("carol@example.org"),
			       .content = SLICE("From: carol@example.org\r\nSubject: Lunch\r\n"),
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

static void reads_as(const struct bounce *b, const char *path)
{
	struct buf out;

	buf_init(&out, 65536);
	assert_true(bounce_compose(b, &out));
	compare_with(path, buf_slice(&out));
	buf_fini(&out);
}

static void a_notice_reads_as_the_golden_file(void **state)
{
	struct bounce b = bounce_about("en/failure", several, ARRAY_LENGTH(several));

	(void)state;
	reads_as(&b, "t/vectors/bounce/01-several.eml");
}

static void envelope_id_and_postmaster_are_named(void **state)
{
	struct bounce b = bounce_about("en/failure", several, 1);

	(void)state;
	b.postmaster = SLICE("hostmaster@example.net");
	b.envid = SLICE("QQ+2B314159");
	reads_as(&b, "t/vectors/bounce/02-one.eml");
}

static void a_delay_says_until_when_it_is_tried(void **state)
{
	struct bounce b = bounce_about("en/delay", late, ARRAY_LENGTH(late));

	(void)state;
	b.until_us = MADE_US + 400000000000;
	reads_as(&b, "t/vectors/bounce/03-delay.eml");
}

static void a_success_is_delivered_relayed_or_expanded(void **state)
{
	struct bounce b = bounce_about("en/success", delivered, ARRAY_LENGTH(delivered));

	(void)state;
	reads_as(&b, "t/vectors/bounce/04-success.eml");
}

static void another_language_is_quoted_printable(void **state)
{
	struct bounce b = bounce_about("de/failure", several, 2);

	(void)state;
	words.subject = SLICE("Zur\xc3\xbc" "ck: die Nachricht k\xc3\xb6nnte nicht zugestellt werden, weil der Empf\xc3\xa4nger fehlt");
	reads_as(&b, "t/vectors/bounce/05-german.eml");
}

static void an_address_in_utf8_makes_it_global(void **state)
{
	const struct bounce_recipient juergen = {.forward_path = SLICE("j\xc3\xbcrgen@example.com"),
						 .original_path = SLICE("j\xc3\xbcrgen@example.com"),
						 .status = SLICE("5.1.1"),
						 .reply = SLICE("550 5.1.1 nobody"),
						 .host = SLICE("mx1.example.com"),
						 .at_us = MADE_US};
	struct bounce b = bounce_about("en/failure", &juergen, 1);

	(void)state;
	b.utf8 = true;
	b.content = SLICE("From: carol@example.org\r\nSubject: Gr\xc3\xbc\xc3\x9f" "e\r\n");
	assert_true(bounce_is_utf8(&b));
	reads_as(&b, "t/vectors/bounce/06-utf8.eml");
}

static void the_whole_message_is_a_part(void **state)
{
	struct bounce b = bounce_about("en/failure", several, 1);

	(void)state;
	b.whole = true;
	b.content = SLICE("From: carol@example.org\r\nSubject: Lunch\r\n\r\nAt noon?\r\n");
	reads_as(&b, "t/vectors/bounce/07-whole.eml");
}

/* Whatever others said: CRLF line ends and no other CR or LF, no line over 998 octets, no field of theirs among ours. */
static void what_others_said_cannot_break_the_form(void **state)
{
	char reply[4000];
	struct bounce_recipient evil = {.forward_path = SLICE("x\r\nBcc: y@example.org"),
					.original_path = SLICE("x\ny"),
					.orcpt = SLICE("rfc822;a+0D+0Ab"),
					.status = SLICE("5.0.0\r\n\r\n"),
					.host = SLICE("mx\r\n\r\n--notice-"),
					.at_us = 1};
	struct bounce b = bounce_about("en/failure", &evil, 1);
	struct slice text, line;
	struct buf out;

	(void)state;
	memset(reply, 'x', sizeof(reply));
	memcpy(reply, "550 \r\nSubject: \xff\x01\x80 ", 20);
	evil.reply = slice_of(reply, sizeof(reply));
	b.to = SLICE("a\r\nTo: b");
	b.envid = SLICE("1+0D+0A2");
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
	struct bounce b = bounce_about("en/failure", several, 1);
	struct buf out;

	(void)state;
	b.content = SLICE("Subject: Gr\xc3\xbc\xc3\x9f" "e\r\n");
	buf_init(&out, 65536);
	assert_true(bounce_compose(&b, &out));
	assert_int_not_equal(slice_find_slice(buf_slice(&out), SLICE("Content-Transfer-Encoding: 8bit\r\n")), SIZE_MAX);
	assert_int_equal(slice_find_slice(buf_slice(&out), SLICE("message/global")), SIZE_MAX);
	buf_fini(&out);
}

static void without_room_there_is_no_half_a_notice(void **state)
{
	struct bounce b = bounce_about("en/failure", several, 1);
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
		cmocka_unit_test(envelope_id_and_postmaster_are_named),
		cmocka_unit_test(a_delay_says_until_when_it_is_tried),
		cmocka_unit_test(a_success_is_delivered_relayed_or_expanded),
		cmocka_unit_test(another_language_is_quoted_printable),
		cmocka_unit_test(an_address_in_utf8_makes_it_global),
		cmocka_unit_test(the_whole_message_is_a_part),
		cmocka_unit_test(what_others_said_cannot_break_the_form),
		cmocka_unit_test(letters_outside_ascii_in_the_message_make_it_8bit),
		cmocka_unit_test(without_room_there_is_no_half_a_notice),
	};

	int status;

	(void)setenv("TZ", "UTC", 1);
	tzset();
	status = cmocka_run_group_tests(tests, NULL, NULL);
	buf_fini(&words_text);
	return status;
}
