#include "common/mail/address_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/attributes.h"

/* The addresses of list, each with "|" behind it; "!" for one that is none. */
static void expect(const char *list, const char *addresses)
{
	struct slice rest = slice_of_cstr(list);
	struct buf one, all;
	enum address_found found;

	buf_init(&one, 1024);
	buf_init(&all, 4096);
	while ((found = address_list_next(&rest, &one)) != ADDRESS_NONE)
		assert_true(found == ADDRESS_BAD ? buf_append_cstr(&all, "!|")
						 : buf_printf(&all, "%s|", buf_cstr(&one)));
	assert_string_equal(buf_cstr(&all), addresses);
	buf_fini(&one);
	buf_fini(&all);
}

static void addresses_are_found_with_and_without_names(void **state)
{
	(void)state;
	expect("ann@a.example", "ann@a.example|");
	expect("Ann Other <ann@a.example>, bob@b.example (Bob, the other), root",
	       "ann@a.example|bob@b.example|root|");
	expect("\"Other, Ann\" <ann@a.example>,\r\n\t<bob@b.example>",
	       "ann@a.example|bob@b.example|");
	expect("=?UTF-8?Q?J=C3=BCrgen?= <j@a.example>", "j@a.example|");
	expect("J. R. Other <j@a.example>", "j@a.example|");
	expect("(all (of them)) ann (me) @ (there) a . example", "ann@a.example|");
}

static void quoted_local_parts_keep_their_quotes(void **state)
{
	(void)state;
	expect("\"a, b\\\"c\"@a.example", "\"a, b\\\"c\"@a.example|");
	expect("x <\"a <b>\"@a.example>", "\"a <b>\"@a.example|");
}

static void groups_are_opened_and_empty_ones_passed_over(void **state)
{
	(void)state;
	expect("undisclosed-recipients:;", "");
	expect("Us: ann@a.example, Bob <bob@b.example>; carl@c.example",
	       "ann@a.example|bob@b.example|carl@c.example|");
	expect(", ,ann@a.example,,", "ann@a.example|");
}

static void routes_stay_within_their_brackets(void **state)
{
	(void)state;
	expect("<@a.example,@b.example:ann@c.example>", "@a.example,@b.example:ann@c.example|");
}

static void what_is_no_address_is_said(void **state)
{
	(void)state;
	expect("ann bob", "!|");
	expect("<ann@a.example> bob, carl", "!|carl|");
	expect("<ann@a.example", "!|");
	expect("ann>", "!|");
	expect("<>", "!|");
	expect("<<ann@a.example>>", "!|");
	expect("\"ann", "!|");
	expect("(ann", "!|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_found_with_and_without_names),
		cmocka_unit_test(quoted_local_parts_keep_their_quotes),
		cmocka_unit_test(groups_are_opened_and_empty_ones_passed_over),
		cmocka_unit_test(routes_stay_within_their_brackets),
		cmocka_unit_test(what_is_no_address_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
