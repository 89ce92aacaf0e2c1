#include "admin/listing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* The elements of an array as PostgreSQL writes it, each in angle brackets. */
static void elements_are(struct slice array, const char *expected)
{
	struct buf all, one;

	buf_init(&all, 4096);
	buf_init(&one, 4096);
	buf_append_cstr(&all, "");
	for (; listing_next_element(&array, &one); buf_reset(&one)) {
		buf_append_char(&all, '<');
		buf_append(&all, buf_slice(&one));
		buf_append_char(&all, '>');
	}
	assert_string_equal(buf_cstr(&all), expected);
	buf_fini(&all);
	buf_fini(&one);
}

static void elements_of_an_array_come_one_by_one(void **state)
{
	(void)state;
	elements_are(SLICE("{}"), "");
	elements_are(SLICE("{a}"), "<a>");
	elements_are(SLICE("{a,b@c.example,d}"), "<a><b@c.example><d>");
}

static void quotes_and_backslashes_are_taken_off(void **state)
{
	(void)state;
	elements_are(SLICE("{\"a b\",\"c,d\",\"{}\",\"\"}"), "<a b><c,d><{}><>");
	elements_are(SLICE("{\"say \\\"x\\\"\",\"back\\\\slash\"}"), "<say \"x\"><back\\slash>");
	elements_are(SLICE("{\"x\",y}"), "<x><y>");
}

static void array_that_is_cut_off_ends(void **state)
{
	(void)state;
	elements_are(SLICE_EMPTY, "");
	elements_are(SLICE("{"), "");
	elements_are(SLICE("{\"a\\"), "<a\\>");
	elements_are(SLICE("{a,"), "<a>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_of_an_array_come_one_by_one),
		cmocka_unit_test(quotes_and_backslashes_are_taken_off),
		cmocka_unit_test(array_that_is_cut_off_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
