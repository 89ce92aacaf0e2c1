#include "admin/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/fault.h"

#define USAGE "ADDRESS TARGET… --host HOST [--kind local|relay] [--mx] [--send-as ADDRESS…]"

static bool reads(struct arguments *a, char **argv, struct fault *why)
{
	int argc = 0;

	while (argv[argc] != NULL)
		argc++;
	return arguments_parse(a, USAGE, argc, argv, why);
}

#define ARGV(...) ((char *[]){(char[]){"add"}, __VA_ARGS__, NULL})
#define W(text) ((char[]){text})

static void refuses(char **argv, const char *sentence)
{
	struct arguments a;
	struct fault why = {0};

	assert_false(reads(&a, argv, &why));
	assert_string_equal(why.status, "5.5.4");
	assert_string_equal(why.text, sentence);
	arguments_fini(&a);
}

static void parts_of_a_usage_come_in_its_order(void **state)
{
	struct slice rest = slice_of_cstr(USAGE);
	struct usage_part p;

	(void)state;
	assert_true(usage_next(&rest, &p) && slice_equal(p.name, SLICE("ADDRESS")) && !p.optional && !p.repeated);
	assert_true(usage_next(&rest, &p) && slice_equal(p.name, SLICE("TARGET")) && p.repeated && !p.option);
	assert_true(usage_next(&rest, &p) && slice_equal(p.name, SLICE("--host")) && slice_equal(p.value, SLICE("HOST")) && !p.optional);
	assert_true(usage_next(&rest, &p) && slice_equal(p.value, SLICE("local|relay")) && p.optional);
	assert_true(usage_next(&rest, &p) && slice_equal(p.name, SLICE("--mx")) && p.value.n == 0);
	assert_true(usage_next(&rest, &p) && slice_equal(p.value, SLICE("ADDRESS")) && p.repeated);
	assert_false(usage_next(&rest, &p));
}

static void words_and_options_come_in_any_order(void **state)
{
	char **argv = ARGV(W("--send-as"), W("x@y"), W("a@b"), W("--host=h"), W("t1"), W("--send-as=z@y"), W("--mx"), W("--"), W("--t2"));
	struct arguments a;
	struct fault why;
	size_t at = 0;

	(void)state;
	assert_true(reads(&a, argv, &why));
	assert_string_equal(arguments_word(&a, 0), "a@b");
	assert_string_equal(arguments_word(&a, 1), "t1");
	assert_string_equal(arguments_word(&a, 2), "--t2");
	assert_null(arguments_word(&a, 3));
	assert_string_equal(arguments_value(&a, "--host"), "h");
	assert_true(arguments_has(&a, "--mx"));
	assert_false(arguments_has(&a, "--kind"));
	assert_string_equal(arguments_next(&a, "--send-as", &at), "x@y");
	assert_string_equal(arguments_next(&a, "--send-as", &at), "z@y");
	assert_null(arguments_next(&a, "--send-as", &at));
	arguments_fini(&a);
}

static void value_that_looks_like_an_option_is_none(void **state)
{
	char **argv = ARGV(W("--host"), W("--mx"), W("a@b"), W("-"));
	struct arguments a;
	struct fault why;

	(void)state;
	assert_true(reads(&a, argv, &why));
	assert_string_equal(arguments_value(&a, "--host"), "--mx");
	assert_false(arguments_has(&a, "--mx"));
	assert_string_equal(arguments_word(&a, 1), "-");
	arguments_fini(&a);
}

static void mistakes_are_told_by_name(void **state)
{
	(void)state;
	refuses(ARGV(W("--host"), W("h"), W("a@b")), "TARGET is missing");
	refuses(ARGV(W("a@b"), W("t")), "--host is missing");
	refuses(ARGV(W("a@b"), W("t"), W("--host")), "--host wants a value behind it");
	refuses(ARGV(W("a@b"), W("t"), W("--hots"), W("h")), "--hots is no option of this command");
	refuses(ARGV(W("a@b"), W("t"), W("--host"), W("h"), W("--host=i")), "--host is there twice");
	refuses(ARGV(W("a@b"), W("t"), W("--mx=yes"), W("--host=h")), "--mx takes no value");
	refuses(ARGV(W("a@b"), W("t"), W("--kind"), W("local|relay"), W("--host=h")), "--kind local|relay: right would be one of local|relay");
}

static void word_too_many_is_refused(void **state)
{
	struct arguments a;
	struct fault why;

	(void)state;
	assert_false(arguments_parse(&a, "[DOMAIN]", 3, ARGV(W("a"), W("b")), &why));
	assert_string_equal(why.text, "b is one word too many");
	arguments_fini(&a);
	assert_true(arguments_parse(&a, "[DOMAIN]", 1, ARGV(W("")), &why));
	arguments_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_of_a_usage_come_in_its_order),
		cmocka_unit_test(words_and_options_come_in_any_order),
		cmocka_unit_test(value_that_looks_like_an_option_is_none),
		cmocka_unit_test(mistakes_are_told_by_name),
		cmocka_unit_test(word_too_many_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
