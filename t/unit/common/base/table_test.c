#include "common/base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MANY 5000

struct item {
	char name[16];
	struct table_node node;
};

static void fill(struct table *t, struct item *items)
{
	table_init(t);
	for (int i = 0; i < MANY; i++) {
		snprintf(items[i].name, sizeof(items[i].name), "key %d", i);
		assert_true(table_insert(t, &items[i].node, slice_of_cstr(items[i].name)));
	}
}

static void many_are_found_each_under_its_key(void **state)
{
	static struct item items[MANY];
	struct table t;

	(void)state;
	fill(&t, items);
	assert_int_equal(t.n, MANY);
	assert_true(t.n_buckets >= MANY); /* it grew with them */
	for (int i = 0; i < MANY; i++) {
		char copy[16];

		memcpy(copy, items[i].name, sizeof(copy));
		assert_ptr_equal(table_find(&t, slice_of_cstr(copy)), &items[i].node);
	}
	assert_null(table_find(&t, SLICE("key 5000")));
	assert_null(table_find(&t, SLICE("key ")));
	table_fini(&t);
}

static void a_removed_node_is_not_found(void **state)
{
	static struct item items[MANY];
	struct table t;

	(void)state;
	fill(&t, items);
	for (int i = 0; i < MANY; i += 2)
		table_remove(&t, &items[i].node);
	assert_int_equal(t.n, MANY / 2);
	for (int i = 0; i < MANY; i++)
		assert_ptr_equal(table_find(&t, slice_of_cstr(items[i].name)), i % 2 ? &items[i].node : NULL);
	assert_true(table_insert(&t, &items[0].node, slice_of_cstr(items[0].name)));
	assert_ptr_equal(table_find(&t, SLICE("key 0")), &items[0].node);
	table_fini(&t);
}

static void an_empty_table_finds_nothing(void **state)
{
	struct table_node node = {0};
	struct table t;

	(void)state;
	table_init(&t);
	assert_null(table_find(&t, SLICE("x")));
	assert_null(table_any(&t));
	table_remove(&t, &node);
	table_fini(&t);
	table_fini(&t);
}

static void the_empty_key_is_a_key(void **state)
{
	struct table_node node = {0};
	struct table t;

	(void)state;
	table_init(&t);
	assert_true(table_insert(&t, &node, SLICE_EMPTY));
	assert_ptr_equal(table_find(&t, SLICE("")), &node);
	table_fini(&t);
}

struct walk {
	struct table *t;
	int seen;
};

static void remove_it(struct table_node *node, void *arg)
{
	struct walk *w = arg;

	table_remove(w->t, node);
	w->seen++;
}

static void a_walk_may_remove_the_node_it_was_given(void **state)
{
	static struct item items[MANY];
	struct table t;
	struct walk w = {.t = &t};

	(void)state;
	fill(&t, items);
	table_each(&t, remove_it, &w);
	assert_int_equal(w.seen, MANY);
	assert_int_equal(t.n, 0);
	table_fini(&t);
}

static void a_table_is_emptied_by_taking_any(void **state)
{
	static struct item items[MANY];
	struct table_node *node;
	struct table t;

	(void)state;
	fill(&t, items);
	for (int i = 0; i < 100; i++) {
		assert_non_null(node = table_any(&t));
		table_remove(&t, node);
		assert_null(table_find(&t, node->key));
	}
	assert_int_equal(t.n, MANY - 100);
	table_fini(&t);
}

static void two_tables_have_two_secrets(void **state)
{
	struct table a, b;

	(void)state;
	table_init(&a);
	table_init(&b);
	assert_memory_not_equal(a.secret, b.secret, sizeof(a.secret));
	table_fini(&a);
	table_fini(&b);
}

/* The reference's vectors: the key is 00 to 0f, the text 00, 01, 02… of each length. */
static void siphash_gives_the_reference_s_values(void **state)
{
	static const uint64_t wanted[] = {
		0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
		0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
		0x93f5f5799a932462, 0x9e0082df0ba9e4b0,
	};
	uint8_t octets[16];

	(void)state;
	for (uint8_t i = 0; i < 16; i++)
		octets[i] = i;
	for (size_t n = 0; n < sizeof(wanted) / sizeof(wanted[0]); n++)
		assert_true(siphash(octets, octets, n) == wanted[n]);
	assert_true(siphash(octets, octets, 15) == 0xa129ca6149be45e5);
	assert_true(siphash(octets, NULL, 0) == wanted[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_are_found_each_under_its_key),
		cmocka_unit_test(a_removed_node_is_not_found),
		cmocka_unit_test(an_empty_table_finds_nothing),
		cmocka_unit_test(the_empty_key_is_a_key),
		cmocka_unit_test(a_walk_may_remove_the_node_it_was_given),
		cmocka_unit_test(a_table_is_emptied_by_taking_any),
		cmocka_unit_test(two_tables_have_two_secrets),
		cmocka_unit_test(siphash_gives_the_reference_s_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
