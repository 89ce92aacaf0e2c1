#include "common/mail/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "t/unit/vectors.h"

#define ALL                                                                                        \
	(EXTENSION_SIZE | EXTENSION_8BITMIME | EXTENSION_AUTH | EXTENSION_SMTPUTF8 | EXTENSION_DSN)

static void print_pair(struct buf *out, const char *key, struct slice value)
{
	if (value.n > 0)
		buf_printf(out, " %s=%.*s", key, SLICE_PRINTF(value));
}

static bool print_mail(struct slice argument, unsigned extensions, struct buf *out,
		       struct reply *no)
{
	struct mail_argument m;

	if (!mail_argument_parse(argument, extensions, &m, no))
		return false;
	buf_printf(out, "from=%.*s", SLICE_PRINTF(m.reverse_path.mailbox));
	if (m.has_size)
		buf_printf(out, " size=%llu", (unsigned long long)m.size_bytes);
	buf_append_cstr(out, m.eight_bit ? " 8bit" : "");
	buf_append_cstr(out, m.smtputf8 ? " utf8" : "");
	print_pair(out, "auth", m.auth);
	print_pair(out, "ret", m.ret);
	print_pair(out, "envid", m.envid);
	return true;
}

static bool print_rcpt(struct slice argument, unsigned extensions, struct buf *out,
		       struct reply *no)
{
	struct rcpt_argument r;

	if (!rcpt_argument_parse(argument, extensions, &r, no))
		return false;
	buf_printf(out, "to=%.*s", SLICE_PRINTF(r.forward_path.mailbox));
	print_pair(out, "notify", r.notify);
	print_pair(out, "orcpt", r.orcpt);
	return true;
}

static bool understand(struct slice line, unsigned extensions, struct buf *out, struct reply *no)
{
	struct smtp_command c;

	if (!smtp_command_parse(line, &c, no))
		return false;
	if (c.verb == SMTP_MAIL)
		return print_mail(c.argument, extensions, out, no);
	if (c.verb == SMTP_RCPT)
		return print_rcpt(c.argument, extensions, out, no);
	return buf_printf(out, "%s %.*s", smtp_verb_name(c.verb), SLICE_PRINTF(c.argument));
}

static void check_vector(struct slice line)
{
	struct slice all = line, column[3] = {{0}};
	struct reply no = {0};
	char verdict[32] = "ok";
	struct buf out;

	for (size_t i = 0; i < 3; i++)
		(void)slice_cut(&all, '\t', &column[i]);
	buf_init(&out, 2000);
	if (!understand(column[0], ALL, &out, &no))
		(void)snprintf(verdict, sizeof(verdict), "%u %s", no.code, no.status);
	if (!slice_equal(slice_of_cstr(verdict), column[1]))
		fail_msg("%.*s: %s %s", SLICE_PRINTF(line), verdict, no.text);
	if (!slice_equal(slice_trim(buf_slice(&out)), slice_trim(column[2])))
		fail_msg("%.*s: %.*s", SLICE_PRINTF(line), SLICE_PRINTF(buf_slice(&out)));
	buf_fini(&out);
}

static void commands_are_read_as_the_vectors_say(void **state)
{
	(void)state;
	each_vector("t/vectors/mail/commands", 51, check_vector);
}

static void parameters_of_what_was_not_offered_are_unknown(void **state)
{
	static const struct {
		const char *line;
		unsigned extension;
	} cases[] = {
		{"MAIL FROM:<a@b.example> SIZE=1", EXTENSION_SIZE},
		{"MAIL FROM:<a@b.example> BODY=8BITMIME", EXTENSION_8BITMIME},
		{"MAIL FROM:<a@b.example> AUTH=<>", EXTENSION_AUTH},
		{"MAIL FROM:<a@b.example> SMTPUTF8", EXTENSION_SMTPUTF8},
		{"MAIL FROM:<a@b.example> RET=FULL", EXTENSION_DSN},
		{"RCPT TO:<a@b.example> NOTIFY=NEVER", EXTENSION_DSN},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct reply no = {0};
		struct buf out;

		buf_init(&out, 2000);
		assert_true(
			understand(slice_of_cstr(cases[i].line), cases[i].extension, &out, &no));
		assert_false(understand(slice_of_cstr(cases[i].line), ALL & ~cases[i].extension,
					&out, &no));
		assert_int_equal(no.code, 555);
		assert_string_equal(no.status, "5.5.4");
		buf_fini(&out);
	}
}

static void control_characters_make_no_command(void **state)
{
	static const struct slice lines[] = {
		{"NOOP \0", 6}, {"NO\rOP", 5}, {"NOOP\n", 5}, {"NOOP \x7f", 6}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
		struct smtp_command c;
		struct reply no;

		assert_false(smtp_command_parse(lines[i], &c, &no));
		assert_int_equal(no.code, 500);
		assert_string_equal(no.status, "5.5.2");
	}
}

static void a_client_may_call_itself_anything_printable(void **state)
{
	char text[300];

	(void)state;
	assert_true(smtp_client_says_name(SLICE("mx.example.org")));
	assert_true(smtp_client_says_name(SLICE("[192.0.2.1]")));
	assert_true(smtp_client_says_name(SLICE("my_computer")));
	assert_false(smtp_client_says_name(SLICE_EMPTY));
	assert_false(smtp_client_says_name(SLICE("a b")));
	memset(text, 'a', sizeof(text));
	assert_true(smtp_client_says_name(slice_of(text, 255)));
	assert_false(smtp_client_says_name(slice_of(text, 256)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_read_as_the_vectors_say),
		cmocka_unit_test(parameters_of_what_was_not_offered_are_unknown),
		cmocka_unit_test(control_characters_make_no_command),
		cmocka_unit_test(a_client_may_call_itself_anything_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
