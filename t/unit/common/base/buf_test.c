#include "common/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Memory that is out is NULL under the address sanitizer too. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static bool holds(const struct buf *b, const char *text)
{
	return slice_equal(buf_slice(b), slice_of_cstr(text));
}

static void an_empty_buf_has_no_memory(void **state)
{
	struct buf b, zeroed = {0};

	(void)state;
	buf_init(&b, 100);
	assert_null(b.p);
	assert_true(buf_append(&b, SLICE_EMPTY));
	assert_int_equal(buf_slice(&b).n, 0);
	buf_fini(&b);
	buf_fini(&zeroed);
	assert_false(buf_append_char(&zeroed, 'x'));
}

static void an_append_is_whole_or_nothing_at_the_maximum(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_true(buf_append_cstr(&b, "12345678"));
	assert_false(buf_append_cstr(&b, "abc"));
	assert_true(b.failed);
	assert_true(holds(&b, "12345678"));
	assert_true(buf_append_cstr(&b, "9a"));
	assert_true(b.failed);
	assert_false(buf_append_char(&b, 'b'));
	assert_false(buf_printf(&b, "%d", 1));
	assert_null(buf_reserve(&b, 1));
	assert_true(holds(&b, "123456789a"));
	buf_reset(&b);
	assert_false(b.failed);
	assert_int_equal(buf_length(&b), 0);
	assert_true(buf_append_cstr(&b, "0123456789"));
	buf_fini(&b);
	assert_int_equal(b.max, 10);
}

static void no_length_overflows(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, SIZE_MAX);
	assert_true(buf_append_char(&b, 'x'));
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_null(buf_reserve(&b, SIZE_MAX - 1));
	assert_true(b.failed);
	assert_true(holds(&b, "x"));
	buf_fini(&b);
}

static void printed_text_may_be_long(void **state)
{
	char text[1001];
	struct buf b;

	(void)state;
	memset(text, 'x', 1000);
	text[1000] = '\0';
	buf_init(&b, 2005);
	assert_true(buf_printf(&b, "%s,%d", "a", 7));
	assert_true(buf_printf(&b, "%s", text));
	assert_true(buf_printf(&b, "%s", text));
	assert_false(buf_printf(&b, "%s", text));
	assert_int_equal(buf_length(&b), 2003);
	assert_true(slice_ends(buf_slice(&b), SLICE("xxx")));
	text[2] = '\0';
	assert_true(buf_printf(&b, "%s", text));
	buf_fini(&b);
}

static void printed_text_of_every_length_near_the_small_limit_is_whole(void **state)
{
	struct buf b;

	(void)state;
	for (int n = 250; n < 260; n++) {
		buf_init(&b, (size_t)n);
		assert_true(buf_printf(&b, "%*d", n, 5));
		assert_int_equal(buf_length(&b), n);
		assert_true(slice_ends(buf_slice(&b), SLICE(" 5")));
		buf_fini(&b);
	}
}

static void reserved_room_is_filled_by_the_caller(void **state)
{
	struct buf b;
	char *p;

	(void)state;
	buf_init(&b, 100);
	assert_non_null(buf_reserve(&b, 0));
	assert_true(buf_append_cstr(&b, "ab"));
	assert_non_null(p = buf_reserve(&b, 50));
	memcpy(p, "cdefg", 5);
	buf_commit(&b, 3);
	assert_true(holds(&b, "abcde"));
	buf_fini(&b);
}

static void consumed_octets_give_their_room_back(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	assert_true(buf_append_cstr(&b, "12345678"));
	buf_consume(&b, 3);
	assert_true(holds(&b, "45678"));
	assert_false(buf_append_cstr(&b, "abcd"));
	assert_true(buf_append_cstr(&b, "abc"));
	assert_true(holds(&b, "45678abc"));
	buf_consume(&b, 100);
	assert_int_equal(buf_length(&b), 0);
	assert_true(buf_append_cstr(&b, "x"));
	assert_true(holds(&b, "x"));
	buf_fini(&b);
}

/* A queue of octets that keeps n of them, whatever n and the pieces are. */
static void a_queue_of_octets_stays_in_order(void **state)
{
	struct buf b;

	(void)state;
	for (size_t kept = 0; kept < 200; kept += 13) {
		unsigned char in = 0, out = 0;

		buf_init(&b, 300);
		for (size_t round = 0; round < 500; round++) {
			for (size_t i = 0; i < round % 90; i++)
				assert_true(buf_append_char(&b, (char)in++));
			while (buf_length(&b) > kept) {
				assert_int_equal((unsigned char)buf_slice(&b).p[0], out++);
				buf_consume(&b, 1);
			}
		}
		assert_true(b.capacity <= 300);
		buf_fini(&b);
	}
}

static void what_is_cut_off_is_gone(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_true(buf_append_cstr(&b, "0123456789"));
	buf_consume(&b, 2);
	buf_truncate(&b, 3);
	assert_true(holds(&b, "234"));
	buf_truncate(&b, 50);
	assert_true(holds(&b, "234"));
	buf_fini(&b);
}

static void the_terminator_fits_behind_the_maximum(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 64);
	for (int i = 0; i < 64; i++)
		assert_true(buf_append_char(&b, 'x'));
	assert_int_equal(strlen(buf_cstr(&b)), 64);
	assert_int_equal(buf_length(&b), 64);
	assert_false(buf_append_char(&b, 'y'));
	buf_consume(&b, 60);
	assert_string_equal(buf_cstr(&b), "xxxx");
	buf_fini(&b);
	assert_string_equal(buf_cstr(&b), "");
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_buf_has_no_memory),
		cmocka_unit_test(an_append_is_whole_or_nothing_at_the_maximum),
		cmocka_unit_test(no_length_overflows),
		cmocka_unit_test(printed_text_may_be_long),
		cmocka_unit_test(printed_text_of_every_length_near_the_small_limit_is_whole),
		cmocka_unit_test(reserved_room_is_filled_by_the_caller),
		cmocka_unit_test(consumed_octets_give_their_room_back),
		cmocka_unit_test(a_queue_of_octets_stays_in_order),
		cmocka_unit_test(what_is_cut_off_is_gone),
		cmocka_unit_test(the_terminator_fits_behind_the_maximum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
