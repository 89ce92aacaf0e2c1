#include "lookupd/aliases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "lookupd/query.h"

static struct aliases *a;
static struct buf text, told;

static void note(void *arg, unsigned line, const struct fault *why)
{
	(void)arg;
	buf_printf(&told, "%u %s\n", line, why->text);
}

static void parse(const char *file)
{
	struct fault why;

	aliases_destroy(a);
	buf_reset(&told);
	assert_true(aliases_parse(slice_of_cstr(file), note, NULL, &a, &why));
}

/* The targets with " | " between; "-": there is no such name. */
static const char *targets(const char *name)
{
	const struct rows *rows = aliases_find(a, slice_of_cstr(name));

	if (rows == NULL)
		return "-";
	buf_reset(&text);
	for (size_t i = 0; i < rows->n_rows; i++)
		buf_printf(&text, "%s%.*s", i > 0 ? " | " : "",
			   SLICE_PRINTF(rows_cell(rows, i, 0)));
	return buf_cstr(&text);
}

static int set_up(void **state)
{
	(void)state;
	buf_init(&text, 1 << 22);
	buf_init(&told, 1 << 22);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	aliases_destroy(a);
	a = NULL;
	buf_fini(&text);
	buf_fini(&told);
	return 0;
}

static void names_have_their_targets(void **state)
{
	(void)state;
	parse("# /etc/aliases\n"
	      "mailer-daemon: postmaster\n"
	      "\n"
	      "Postmaster: root\r\n"
	      "root: ann@example.org, bob\n"
	      "wide :  \t carl ,dora,,\n"
	      "\"with blank: and colon\": ann\n"
	      "plain: \"ann b\"@example.org, \\root # not \"bob\", nor this: @\n"
	      "last: eve");
	assert_int_equal(buf_length(&told), 0);
	assert_string_equal(targets("mailer-daemon"), "postmaster");
	assert_string_equal(targets("postmaster"), "root");
	assert_string_equal(targets("root"), "ann@example.org | bob");
	assert_string_equal(targets("wide"), "carl | dora");
	assert_string_equal(targets("with blank: and colon"), "ann");
	assert_string_equal(targets("plain"), "\"ann b\"@example.org | \\root");
	assert_string_equal(targets("last"), "eve");
	assert_string_equal(targets("nobody"), "-");
	assert_null(aliases_find(NULL, SLICE("root")));
}

static void a_line_that_begins_with_a_blank_goes_on(void **state)
{
	(void)state;
	parse("list: ann,\n  bob\n# between\n\n\tcarl # him too\n  # nobody\n  dora\nother: eve\n");
	assert_string_equal(targets("list"), "ann | bob | carl | dora");
	assert_string_equal(targets("other"), "eve");
	parse("  stray: ann\nempty:\n\tann\n");
	assert_string_equal(targets("stray"), "-");
	assert_string_equal(targets("empty"), "ann");
}

static void what_is_not_done_is_passed_over_and_told(void **state)
{
	(void)state;
	parse("list: |/usr/bin/prog x, ann\n"
	      "vacation: \"|/usr/bin/vacation bob, carl\"\n"
	      "null: /dev/null\n"
	      "many: bob, :include:/etc/list,\n"
	      "  two words, <ann@example.org>, @, a@b@\n"
	      "no colon here\n"
	      " and more of it: x\n"
	      "ann@example.org: bob\n"
	      "two words: bob\n"
	      ": bob\n"
	      "list: carl\n"
	      "\xff: bob\n");
	assert_string_equal(targets("list"), "ann");
	assert_string_equal(targets("vacation"), "-");
	assert_string_equal(targets("null"), "-");
	assert_string_equal(targets("many"), "bob");
	assert_string_equal(
		buf_cstr(&told),
		"1 |/usr/bin/prog x: programs are not run; an address would be right\n"
		"2 \"|/usr/bin/vacation bob, carl\": programs are not run; an address would be "
		"right\n"
		"3 /dev/null: files are not written to; an address would be right\n"
		"4 :include:/etc/list: lists in other files are not read; their addresses here, "
		"with commas between, would be right\n"
		"5 two words: this is no address and no name; targets have commas between them\n"
		"5 <ann@example.org>: this is no address and no name; targets have commas between "
		"them\n"
		"5 @: this is no address and no name; targets have commas between them\n"
		"5 a@b@: this is no address and no name; targets have commas between them\n"
		"6 no colon here: a line reads NAME: TARGET, TARGET\n"
		"8 ann@example.org: names stand without a domain and without blanks here\n"
		"9 two words: names stand without a domain and without blanks here\n"
		"10 : names stand without a domain and without blanks here\n"
		"11 list: this name stands there before; its first line counts\n"
		"12 ?: this is no name\n");
}

static void a_file_without_end_is_bounded(void **state)
{
	struct fault why = {0};
	struct buf big;

	(void)state;
	buf_init(&big, 2 << 20);
	for (unsigned i = 0; i < ALIASES_NAMES_MAX + 2; i++)
		buf_printf(&big, "n%u: ann\n", i);
	parse(buf_cstr(&big));
	assert_string_equal(targets("n9999"), "ann");
	assert_string_equal(targets("n10000"), "-");
	assert_non_null(strstr(buf_cstr(&told), "10002 n10001: there may be 10,000 names\n"));
	buf_reset(&big);
	buf_append_cstr(&big, "list: a0");
	for (unsigned i = 1; i < ALIASES_TARGETS_MAX + 2; i++)
		buf_printf(&big, ",a%u", i);
	parse(buf_cstr(&big));
	assert_int_equal(aliases_find(a, SLICE("list"))->n_rows, ALIASES_TARGETS_MAX);
	assert_string_equal(buf_cstr(&told), "1 a10000: a name may have 10,000 targets\n1 a10001: "
					     "a name may have 10,000 targets\n");
	while (buf_length(&big) <= ALIASES_FILE_MAX)
		buf_append_cstr(&big, "# and so on, and so on\n");
	aliases_destroy(a);
	a = NULL;
	assert_false(aliases_parse(buf_slice(&big), note, NULL, &a, &why));
	assert_int_equal(why.class, FAULT_PERMANENT);
	buf_fini(&big);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(names_have_their_targets),
		T(a_line_that_begins_with_a_blank_goes_on),
		T(what_is_not_done_is_passed_over_and_told),
		T(a_file_without_end_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
