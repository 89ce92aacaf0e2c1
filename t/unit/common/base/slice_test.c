#include "common/base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/attributes.h"
#include "common/base/fault.h"

static void slices_are_equal_by_their_octets(void **state)
{
	(void)state;
	assert_true(slice_equal(SLICE("abc"), SLICE("abc")));
	assert_true(slice_equal(SLICE_EMPTY, SLICE("")));
	assert_false(slice_equal(SLICE("abc"), SLICE("abC")));
	assert_false(slice_equal(SLICE("abc"), SLICE("ab")));
	assert_true(slice_equal(SLICE("a\0b"), SLICE("a\0b")));
	assert_false(slice_equal(SLICE("a\0b"), SLICE("a\0c")));
	assert_true(slice_equal(slice_of_cstr(NULL), SLICE_EMPTY));
	assert_true(slice_equal_nocase(SLICE("Mail.Example"), SLICE("mAIL.eXAMPLE")));
	assert_false(slice_equal_nocase(SLICE("a"), SLICE("ab")));
	assert_false(slice_equal_nocase(SLICE("\xc3\x84"), SLICE("\xc3\xa4"))); /* Ä, ä: not ASCII */
	assert_false(slice_equal_nocase(SLICE("["), SLICE("{")));
}

static void slices_are_ordered_by_octets_a_prefix_first(void **state)
{
	static const struct slice ordered[] = {
		{"", 0}, {"A", 1}, {"a", 1}, {"a\0", 2}, {"ab", 2}, {"b", 1}, {"\xff", 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(ordered); i++)
		for (size_t j = 0; j < ARRAY_LENGTH(ordered); j++) {
			int order = slice_compare(ordered[i], ordered[j]);

			assert_true(i < j ? order < 0 : i > j ? order > 0 : order == 0);
		}
	assert_int_equal(slice_compare(SLICE_EMPTY, SLICE("")), 0);
}

static void beginnings_and_ends_are_seen(void **state)
{
	struct slice s = SLICE("RCPT TO:");

	(void)state;
	assert_true(slice_starts(s, SLICE("RCPT")));
	assert_false(slice_starts(s, SLICE("rcpt")));
	assert_true(slice_starts_nocase(s, SLICE("rcpt to:")));
	assert_false(slice_starts_nocase(s, SLICE("rcpt to:<")));
	assert_true(slice_starts(s, SLICE_EMPTY));
	assert_true(slice_ends(s, SLICE("TO:")));
	assert_false(slice_ends(s, SLICE("to:")));
	assert_true(slice_ends_nocase(s, SLICE("to:")));
	assert_false(slice_ends(s, SLICE("xRCPT TO:")));
	assert_true(slice_ends(s, SLICE_EMPTY));
	assert_true(slice_starts(SLICE_EMPTY, SLICE_EMPTY));
	assert_false(slice_starts(SLICE_EMPTY, s));
}

static void a_place_is_found_or_size_max(void **state)
{
	struct slice s = SLICE("a@b@c\0d");

	(void)state;
	assert_int_equal(slice_find(s, '@'), 1);
	assert_int_equal(slice_find_last(s, '@'), 3);
	assert_int_equal(slice_find(s, '\0'), 5);
	assert_int_equal(slice_find(s, 'x'), SIZE_MAX);
	assert_int_equal(slice_find_last(s, 'x'), SIZE_MAX);
	assert_int_equal(slice_find(SLICE_EMPTY, 'x'), SIZE_MAX);
	assert_int_equal(slice_find_slice(s, SLICE("b@")), 2);
	assert_int_equal(slice_find_slice(s, SLICE("c\0d")), 4);
	assert_int_equal(slice_find_slice(s, SLICE("c\0dx")), SIZE_MAX);
	assert_int_equal(slice_find_slice(s, SLICE_EMPTY), 0);
	assert_int_equal(slice_find_slice(SLICE_EMPTY, SLICE("x")), SIZE_MAX);
}

static void heads_and_tails_stop_at_the_end(void **state)
{
	struct slice s = SLICE("abc");

	(void)state;
	assert_true(slice_equal(slice_head(s, 2), SLICE("ab")));
	assert_true(slice_equal(slice_head(s, SIZE_MAX), s));
	assert_true(slice_equal(slice_tail(s, 2), SLICE("c")));
	assert_int_equal(slice_tail(s, SIZE_MAX).n, 0);
	assert_int_equal(slice_tail(SLICE_EMPTY, 3).n, 0);
	assert_null(slice_tail(SLICE_EMPTY, 3).p);
}

static void only_blanks_at_the_edges_are_trimmed(void **state)
{
	(void)state;
	assert_true(slice_equal(slice_trim(SLICE(" \t\r\na b\r\n ")), SLICE("a b")));
	assert_int_equal(slice_trim(SLICE(" \r\n")).n, 0);
	assert_true(slice_equal(slice_trim(SLICE("\0 ")), SLICE("\0")));
	assert_int_equal(slice_trim(SLICE_EMPTY).n, 0);
}

static void parts_are_handed_out_and_the_last_too(void **state)
{
	struct slice rest = SLICE("a,,b,"), part;
	static const char *const wanted[] = {"a", "", "b", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
		assert_true(slice_cut(&rest, ',', &part));
		assert_true(slice_equal(part, slice_of_cstr(wanted[i])));
	}
	assert_false(slice_cut(&rest, ',', &part));
	assert_false(slice_cut(&rest, ',', &part));
	rest = SLICE("");
	assert_true(slice_cut(&rest, ',', &part));
	assert_int_equal(part.n, 0);
	assert_false(slice_cut(&rest, ',', &part));
}

static void words_are_what_blanks_part(void **state)
{
	struct slice rest = SLICE(" \ta  b\tc\r "), word;

	(void)state;
	assert_true(slice_word(&rest, &word) && slice_equal(word, SLICE("a")));
	assert_true(slice_word(&rest, &word) && slice_equal(word, SLICE("b")));
	assert_true(slice_word(&rest, &word) && slice_equal(word, SLICE("c\r")));
	assert_false(slice_word(&rest, &word));
	assert_int_equal(word.n, 0);
	rest = SLICE_EMPTY;
	assert_false(slice_word(&rest, &word));
}

static void a_c_string_is_whole_or_refused(void **state)
{
	struct fault why = {0};
	char out[4] = "zzz";

	(void)state;
	assert_true(slice_cstr(SLICE("abc"), out, sizeof(out), &why));
	assert_string_equal(out, "abc");
	assert_false(slice_cstr(SLICE("abcd"), out, sizeof(out), &why));
	assert_string_equal(out, "");
	assert_int_equal(why.class, FAULT_PERMANENT);
	assert_false(slice_cstr(SLICE("a\0"), out, sizeof(out), &why));
	assert_string_equal(out, "");
	assert_non_null(strstr(why.text, "NUL"));
	assert_true(slice_cstr(SLICE_EMPTY, out, 1, &why));
	assert_false(slice_cstr(SLICE_EMPTY, out, 0, &why));
}

static void a_length_for_printf_never_turns_negative(void **state)
{
	(void)state;
	assert_int_equal(slice_int(5), 5);
	assert_int_equal(slice_int(SIZE_MAX), 0x7fffffff);
	assert_int_equal(slice_int((size_t)0x80000000), 0x7fffffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_are_equal_by_their_octets),
		cmocka_unit_test(slices_are_ordered_by_octets_a_prefix_first),
		cmocka_unit_test(beginnings_and_ends_are_seen),
		cmocka_unit_test(a_place_is_found_or_size_max),
		cmocka_unit_test(heads_and_tails_stop_at_the_end),
		cmocka_unit_test(only_blanks_at_the_edges_are_trimmed),
		cmocka_unit_test(parts_are_handed_out_and_the_last_too),
		cmocka_unit_test(words_are_what_blanks_part),
		cmocka_unit_test(a_c_string_is_whole_or_refused),
		cmocka_unit_test(a_length_for_printf_never_turns_negative),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
