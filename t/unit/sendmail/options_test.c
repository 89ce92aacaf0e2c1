#include "sendmail/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/attributes.h"
#include "common/base/fault.h"

/* The words of line, apart at blanks; "''" is an empty one. */
static struct options parse(const char *line, bool good)
{
	static char words[512];
	static char *argv[32];
	struct options o;
	struct fault why = {0};
	size_t n = 0;

	(void)strncat(memset(words, 0, sizeof(words)), line, sizeof(words) - 1);
	for (char *rest = words, *word; (word = strsep(&rest, " ")) != NULL;)
		argv[n++] = strcmp(word, "''") == 0 ? word + 2 : word;
	argv[n] = NULL;
	assert_int_equal(options_parse(argv, &o, &why), good);
	assert_int_equal(why.text[0] != '\0', !good);
	assert_true(good || why.class == FAULT_PERMANENT);
	return o;
}

static void expect_operands(const struct options *o, const char *first, const char *second)
{
	assert_string_equal(o->operands[0], first);
	if (second == NULL)
		assert_null(o->operands[1]);
	else
		assert_string_equal(o->operands[1], second);
}

static void cron_calls_with_F_oem_and_the_recipient(void **state)
{
	struct options o = parse("sendmail -FCronDaemon -i -B8BITMIME -oem root", true);

	(void)state;
	assert_string_equal(o.full_name, "CronDaemon");
	assert_true(o.dot_is_text);
	assert_false(o.from_header);
	expect_operands(&o, "root", NULL);
}

static void mutt_calls_with_dashes_before_the_recipients(void **state)
{
	struct options o = parse(
		"/usr/sbin/sendmail -oem -oi -f ann@a.example -- -bob@b.example carl@c.example",
		true);

	(void)state;
	assert_true(o.dot_is_text);
	assert_string_equal(o.sender, "ann@a.example");
	expect_operands(&o, "-bob@b.example", "carl@c.example");
}

static void php_and_git_call_with_t_and_i(void **state)
{
	struct options o = parse("sendmail -t -i", true);

	(void)state;
	assert_true(o.from_header && o.dot_is_text && o.operands[0] == NULL);
	o = parse("sendmail -ti -fann@a.example", true);
	assert_true(o.from_header && o.dot_is_text);
	assert_string_equal(o.sender, "ann@a.example");
	o = parse("sendmail -i bob@b.example -t", true);
	assert_false(o.from_header); /* behind a recipient nothing is an option */
	expect_operands(&o, "bob@b.example", "-t");
}

static void an_empty_sender_is_one(void **state)
{
	struct options o = parse("sendmail -f '' bob@b.example", true);

	(void)state;
	assert_string_equal(o.sender, "");
	expect_operands(&o, "bob@b.example", NULL);
}

static void what_mattered_elsewhere_is_taken_and_ignored(void **state)
{
	struct options o = parse("sendmail -Am -G -h 5 -L tag -m -n -O DeliveryMode=b -odb -oee "
				 "-o8 -p smtp -U -v -x -X /dev/null -d8 bob",
				 true);

	(void)state;
	assert_int_equal(o.mode, MODE_SUBMIT);
	assert_false(o.dot_is_text);
	expect_operands(&o, "bob", NULL);
}

static void names_and_b_say_what_is_to_be_done(void **state)
{
	(void)state;
	assert_int_equal(parse("/usr/bin/mailq", true).mode, MODE_QUEUE);
	assert_int_equal(parse("tassis-mailq -v", true).mode, MODE_QUEUE);
	assert_int_equal(parse("newaliases", true).mode, MODE_NOTHING);
	assert_int_equal(parse("sendmail -bi", true).mode, MODE_NOTHING);
	assert_int_equal(parse("sendmail -I", true).mode, MODE_NOTHING);
	assert_int_equal(parse("sendmail -q", true).mode, MODE_NOTHING);
	assert_int_equal(parse("sendmail -q15m", true).mode, MODE_NOTHING);
	assert_int_equal(parse("sendmail -bp", true).mode, MODE_QUEUE);
	assert_int_equal(parse("sendmail -bs", true).mode, MODE_SMTP);
	assert_int_equal(parse("sendmail -bm bob", true).mode, MODE_SUBMIT);
}

static void notices_are_asked_for_as_dsn_has_it(void **state)
{
	struct options o = parse("sendmail -N success,failure -R hdrs -V id/7 bob", true);

	(void)state;
	assert_string_equal(o.notify, "success,failure");
	assert_string_equal(o.ret, "hdrs");
	assert_string_equal(o.envid, "id/7");
	(void)parse("sendmail -N never,failure bob", false);
	(void)parse("sendmail -N sometimes bob", false);
	(void)parse("sendmail -R some bob", false);
}

static void what_is_no_option_is_a_mistake(void **state)
{
	(void)state;
	(void)parse("sendmail -Z bob", false);
	(void)parse("sendmail -bd", false);
	(void)parse("sendmail -f", false);
	(void)parse("sendmail --help", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cron_calls_with_F_oem_and_the_recipient),
		cmocka_unit_test(mutt_calls_with_dashes_before_the_recipients),
		cmocka_unit_test(php_and_git_call_with_t_and_i),
		cmocka_unit_test(an_empty_sender_is_one),
		cmocka_unit_test(what_mattered_elsewhere_is_taken_and_ignored),
		cmocka_unit_test(names_and_b_say_what_is_to_be_done),
		cmocka_unit_test(notices_are_asked_for_as_dsn_has_it),
		cmocka_unit_test(what_is_no_option_is_a_mistake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
