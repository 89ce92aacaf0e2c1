#include "common/mail/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "t/unit/vectors.h"

static void assert_slice(struct slice got, struct slice wanted, struct slice line)
{
	if (slice_equal(wanted, SLICE("-")))
		wanted = SLICE_EMPTY;
	if (!slice_equal(got, wanted))
		fail_msg("%.*s: got \"%.*s\", wanted \"%.*s\"", SLICE_PRINTF(line),
			 SLICE_PRINTF(got), SLICE_PRINTF(wanted));
}

static void check_vector(struct slice line)
{
	struct slice rest = line, column[6] = {{0}}, input;
	unsigned flags = 0;
	struct path path;
	struct fault why = {0};
	struct buf out;

	for (size_t i = 0; i < 6 && slice_cut(&rest, '\t', &column[i]); i++)
		;
	flags |= slice_find(column[0], 'n') != SIZE_MAX ? PATH_NULL : 0u;
	flags |= slice_find(column[0], 'p') != SIZE_MAX ? PATH_POSTMASTER : 0u;
	flags |= slice_find(column[0], 'u') != SIZE_MAX ? PATH_UTF8 : 0u;
	input = column[1];
	if (slice_equal(column[2], SLICE("!"))) {
		if (path_parse(&input, flags, &path, &why))
			fail_msg("%.*s was taken", SLICE_PRINTF(line));
		assert_string_equal(why.status, "5.1.3");
		assert_true(why.class == FAULT_PERMANENT && why.text[0] != '\0');
		return;
	}
	if (!path_parse(&input, flags, &path, &why))
		fail_msg("%.*s: %s", SLICE_PRINTF(line), why.text);
	assert_int_equal(input.n, 0);
	assert_slice(path.mailbox, column[2], line);
	assert_slice(path.local_part, column[3], line);
	assert_slice(path.domain, column[4], line);
	buf_init(&out, 2000);
	assert_true(path_append(&path, &out));
	assert_slice(buf_slice(&out), column[5], line);
	buf_fini(&out);
}

static void paths_are_read_as_the_vectors_say(void **state)
{
	(void)state;
	each_vector("t/vectors/mail/paths", 51, check_vector);
}

static void what_stands_behind_the_path_is_left(void **state)
{
	struct slice rest = SLICE("<a@b.example> SIZE=5");
	struct path path;

	(void)state;
	assert_true(path_parse(&rest, 0, &path, NULL));
	assert_true(slice_equal(rest, SLICE(" SIZE=5")));
}

static void mailbox_parse_wants_all_of_it(void **state)
{
	struct path path;
	struct fault why;

	(void)state;
	assert_true(mailbox_parse(SLICE("a@b.example"), 0, &path, &why));
	assert_true(mailbox_parse(SLICE(""), PATH_NULL, &path, &why));
	assert_false(mailbox_parse(SLICE(""), 0, &path, &why));
	assert_false(mailbox_parse(SLICE("a@b.example>"), 0, &path, &why));
	assert_false(mailbox_parse(SLICE("a@b.example c"), 0, &path, &why));
	assert_false(mailbox_parse(SLICE("\"a\0b\"@b.example"), 0, &path, &why));
}

static void long_local_parts_and_paths_are_refused(void **state)
{
	char text[2048];
	struct path path;
	struct fault why;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text + 256, "@b.example", 10);
	assert_true(mailbox_parse(slice_of(text, 266), 0, &path, &why));
	memset(text, 'a', sizeof(text));
	memcpy(text + 257, "@b.example", 10);
	assert_false(mailbox_parse(slice_of(text, 267), 0, &path, &why));
}

static void utf8_must_be_whole(void **state)
{
	static const char *const wrong[] = {
		"\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe0\x80\x80", "\x80"};
	struct path path;
	struct fault why;
	char text[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		size_t n = strlen(wrong[i]);

		memcpy(text, wrong[i], n);
		memcpy(text + n, "@b.example", 10);
		assert_false(mailbox_parse(slice_of(text, n + 10), PATH_UTF8, &path, &why));
	}
}

static void local_parts_compare_without_quotes_and_case(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_true(local_part_fold(SLICE("\"Bo\\b X\""), &out));
	assert_true(slice_equal(buf_slice(&out), SLICE("bob x")));
	assert_true(local_part_fold(SLICE("ANN"), &out));
	assert_true(slice_equal(buf_slice(&out), SLICE("bob xann")));
	assert_true(local_part_fold(SLICE_EMPTY, &out));
	buf_fini(&out);
}

static void domains_become_lower_case_a_labels(void **state)
{
	struct buf out;
	struct fault why = {0};

	(void)state;
	buf_init(&out, 300);
	assert_true(domain_to_ascii(SLICE("Example.COM."), &out, &why));
	assert_true(slice_equal(buf_slice(&out), SLICE("example.com")));
	buf_reset(&out);
	assert_true(domain_to_ascii(SLICE("B\xc3\xbc"
					  "cher.example"),
				    &out, &why));
	assert_true(slice_equal(buf_slice(&out), SLICE("xn--bcher-kva.example")));
	assert_false(domain_to_ascii(SLICE("a b"), &out, &why));
	assert_false(domain_to_ascii(SLICE(""), &out, &why));
	assert_false(domain_to_ascii(SLICE("\xc3"), &out, &why));
	assert_string_equal(why.status, "5.1.2");
	assert_true(slice_equal(buf_slice(&out), SLICE("xn--bcher-kva.example")));
	buf_fini(&out);
}

static void full_domains_have_a_dot_and_no_number_at_the_end(void **state)
{
	(void)state;
	assert_true(domain_is_full(SLICE("mx.example.com")));
	assert_false(domain_is_full(SLICE("localhost")));
	assert_false(domain_is_full(SLICE("192.0.2.1")));
	assert_false(domain_is_full(SLICE("a.")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_read_as_the_vectors_say),
		cmocka_unit_test(what_stands_behind_the_path_is_left),
		cmocka_unit_test(mailbox_parse_wants_all_of_it),
		cmocka_unit_test(long_local_parts_and_paths_are_refused),
		cmocka_unit_test(utf8_must_be_whole),
		cmocka_unit_test(local_parts_compare_without_quotes_and_case),
		cmocka_unit_test(domains_become_lower_case_a_labels),
		cmocka_unit_test(full_domains_have_a_dot_and_no_number_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
