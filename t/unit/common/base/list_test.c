#include "common/base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
	int number;
	struct list link;
};

/* The numbers in order, as the digits of one. */
static int digits(struct list *l)
{
	int n = 0;

	LIST_EACH(node, l)
		n = n * 10 + LIST_ENTRY(node, struct item, link)->number;
	return n;
}

static void nodes_stand_in_the_order_they_were_put(void **state)
{
	struct item items[] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
	struct list l;

	(void)state;
	list_init(&l);
	assert_true(list_empty(&l));
	assert_null(list_first(&l));
	list_append(&l, &items[0].link);
	list_append(&l, &items[1].link);
	list_prepend(&l, &items[2].link);
	list_insert_before(&items[1].link, &items[3].link);
	assert_int_equal(digits(&l), 3142);
	assert_false(list_empty(&l));
	assert_ptr_equal(LIST_ENTRY(list_first(&l), struct item, link), &items[2]);
}

static void a_node_taken_out_twice_is_out(void **state)
{
	struct item items[] = {{.number = 1}, {.number = 2}, {.number = 3}};
	struct list l;

	(void)state;
	list_init(&l);
	for (size_t i = 0; i < 3; i++)
		list_append(&l, &items[i].link);
	list_remove(&items[1].link);
	list_remove(&items[1].link);
	assert_int_equal(digits(&l), 13);
	assert_true(list_empty(&items[1].link));
	list_append(&l, &items[1].link);
	assert_int_equal(digits(&l), 132);
}

static void a_walk_may_take_out_the_node_it_stands_on(void **state)
{
	struct item items[] = {{.number = 1}, {.number = 2}, {.number = 3}};
	struct list l;
	int seen = 0;

	(void)state;
	list_init(&l);
	for (size_t i = 0; i < 3; i++)
		list_append(&l, &items[i].link);
	LIST_EACH(node, &l) {
		seen++;
		list_remove(node);
	}
	assert_int_equal(seen, 3);
	assert_true(list_empty(&l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nodes_stand_in_the_order_they_were_put),
		cmocka_unit_test(a_node_taken_out_twice_is_out),
		cmocka_unit_test(a_walk_may_take_out_the_node_it_stands_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
