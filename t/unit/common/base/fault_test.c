#include "common/base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/attributes.h"

static void a_zeroed_fault_is_temporary(void **state)
{
	struct fault why = {0};

	(void)state;
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_string_equal(fault_status(&why), "4.3.0");
	why.class = FAULT_PERMANENT;
	assert_string_equal(fault_status(&why), "5.0.0");
}

static void the_first_digit_says_the_class(void **state)
{
	struct fault why = {0};

	(void)state;
	fault_set(&why, "5.1.1", "there is no mailbox %s", "bob");
	assert_int_equal(why.class, FAULT_PERMANENT);
	assert_string_equal(fault_status(&why), "5.1.1");
	assert_string_equal(why.text, "there is no mailbox bob");
	fault_set(&why, "4.4.1", "x");
	assert_int_equal(why.class, FAULT_TEMPORARY);
	fault_set(&why, "", "x");
	assert_int_equal(why.class, FAULT_TEMPORARY);
	fault_set(&why, "2.0.0", "x");
	assert_int_equal(why.class, FAULT_TEMPORARY);
}

static void a_null_fault_is_ignored(void **state)
{
	(void)state;
	fault_set(NULL, "5.1.1", "x");
	fault_errno(NULL, "4.3.0", "x");
	fault_add(NULL, "x");
}

static void a_long_sentence_is_cut(void **state)
{
	struct fault why = {0};
	char text[1001];

	(void)state;
	memset(text, 'x', 1000);
	text[1000] = '\0';
	fault_set(&why, "4.3.0", "%s", text);
	assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
	fault_add(&why, "said by %s", "whom");
	assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
	assert_memory_equal(why.text, "said by whom: xxx", 17);
	fault_add(&why, "%s", text);
	assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
	errno = EACCES;
	fault_errno(&why, "4.3.0", "%s", text);
	assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
}

static void no_control_and_no_broken_utf_8_stands_in_a_sentence(void **state)
{
	static const char *const pairs[][2] = {
		{"a\r\nb\tc\x7f", "a??b?c?"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"\xe2\x82\xac \xf0\x9f\x93\xa8", "\xe2\x82\xac \xf0\x9f\x93\xa8"},
		{"\xc3", "?"},			 /* cut short */
		{"\xe2\x82", "??"},
		{"\xc0\xaf", "??"},		 /* longer than needed */
		{"\xe0\x80\x80", "???"},
		{"\xf0\x80\x80\x80", "????"},
		{"\xed\xa0\x80", "???"},	 /* a surrogate */
		{"\xf4\x90\x80\x80", "????"},	 /* past U+10FFFF */
		{"\xff\x80z", "??z"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++) {
		struct fault why = {0};

		fault_set(&why, "4.3.0", "%s", pairs[i][0]);
		assert_string_equal(why.text, pairs[i][1]);
		why.text[0] = '\0';
		fault_add(&why, "%s", pairs[i][0]);
		assert_memory_equal(why.text, pairs[i][1], strlen(pairs[i][1]));
	}
}

static void errno_s_words_follow_and_errno_is_kept(void **state)
{
	struct fault why = {0};

	(void)state;
	errno = ENOENT;
	fault_errno(&why, "4.3.5", "cannot open %s", "a file");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(why.text, "cannot open a file: No such file or directory");
	assert_string_equal(why.status, "4.3.5");
}

static void an_errno_is_always_temporary_and_a_full_disk_is_4_3_1(void **state)
{
	static const int full[] = {ENOSPC, EDQUOT};
	struct fault why = {0};

	(void)state;
	errno = EIO;
	fault_errno(&why, "5.3.5", "cannot write");
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_string_equal(why.status, "4.3.5");
	for (size_t i = 0; i < ARRAY_LENGTH(full); i++) {
		errno = full[i];
		fault_errno(&why, "4.3.0", "cannot write");
		assert_string_equal(why.status, "4.3.1");
	}
}

static void a_caller_s_words_stand_before(void **state)
{
	struct fault why = {0};

	(void)state;
	fault_set(&why, "5.5.4", "it is wrong");
	fault_add(&why, "line %d", 7);
	assert_string_equal(why.text, "line 7: it is wrong");
	assert_string_equal(why.status, "5.5.4");
	assert_int_equal(why.class, FAULT_PERMANENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_zeroed_fault_is_temporary),
		cmocka_unit_test(the_first_digit_says_the_class),
		cmocka_unit_test(a_null_fault_is_ignored),
		cmocka_unit_test(a_long_sentence_is_cut),
		cmocka_unit_test(no_control_and_no_broken_utf_8_stands_in_a_sentence),
		cmocka_unit_test(errno_s_words_follow_and_errno_is_kept),
		cmocka_unit_test(an_errno_is_always_temporary_and_a_full_disk_is_4_3_1),
		cmocka_unit_test(a_caller_s_words_stand_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
