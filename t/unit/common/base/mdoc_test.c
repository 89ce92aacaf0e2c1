#include "common/base/mdoc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"

static void expect(const char *text, const char *page)
{
	struct buf out;

	buf_init(&out, 1024);
	mdoc_append(&out, text);
	assert_false(out.failed);
	assert_true(slice_equal(buf_slice(&out), slice_of_cstr(page)));
	buf_fini(&out);
}

static void each_sentence_stands_on_a_line(void **state)
{
	(void)state;
	expect("One. Two, 1.5 of it. Three.", "One.\nTwo, 1.5 of it.\nThree.\n");
}

static void nothing_at_a_lines_beginning_is_a_request(void **state)
{
	(void)state;
	expect(".conf files. 'Quoted' too. .Sh", "\\&.conf files.\n\\&'Quoted' too.\n\\&.Sh\n");
	expect("a\\fB", "a\\efB\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sentence_stands_on_a_line),
		cmocka_unit_test(nothing_at_a_lines_beginning_is_a_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
