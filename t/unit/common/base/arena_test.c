#include "common/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/fault.h"

/* Memory that is out is NULL under the address sanitizer too. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void an_empty_arena_has_no_memory(void **state)
{
	struct arena a, zeroed = {0};

	(void)state;
	arena_init(&a, 1000);
	assert_null(a.blocks);
	arena_reset(&a);
	arena_reset(&zeroed);
}

static void memory_is_zeroed_aligned_and_apart(void **state)
{
	struct arena a;
	char *last = NULL;

	(void)state;
	arena_init(&a, 1 << 20);
	for (size_t size = 1; size < 3000; size += 7) {
		char *p = arena_alloc(&a, size, NULL);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, size);
		assert_true(last == NULL || *last == (char)0xff);
		last = p;
	}
	assert_non_null(arena_alloc(&a, 0, NULL));
	arena_reset(&a);
}

static void a_full_arena_is_a_temporary_4_3_1(void **state)
{
	struct fault why = {0};
	struct arena a;

	(void)state;
	arena_init(&a, 1024);
	assert_non_null(arena_alloc(&a, 1024, &why));
	assert_null(arena_alloc(&a, 1, &why));
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_string_equal(why.status, "4.3.1");
	arena_reset(&a);
	assert_non_null(arena_alloc(&a, 1024, &why));
	arena_reset(&a);
}

static void no_size_overflows(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, SIZE_MAX);
	for (size_t less = 0; less < 64; less++)
		assert_null(arena_alloc(&a, SIZE_MAX - less, NULL));
	assert_non_null(arena_alloc(&a, 1, NULL));
	arena_reset(&a);
}

static void a_large_allocation_leaves_the_rest_of_the_first_block_in_use(void **state)
{
	struct arena a;
	char *before, *large, *after;

	(void)state;
	arena_init(&a, 1 << 20);
	before = arena_alloc(&a, 16, NULL);
	large = arena_alloc(&a, 100000, NULL);
	after = arena_alloc(&a, 16, NULL);
	assert_non_null(before);
	assert_non_null(large);
	assert_ptr_equal(after, before + 16);
	memset(large, 1, 100000);
	arena_reset(&a);
}

static void a_copy_is_its_own(void **state)
{
	char text[] = "forward-path";
	struct slice copy = SLICE_EMPTY;
	struct arena a;

	(void)state;
	arena_init(&a, 1000);
	assert_true(arena_copy(&a, slice_of_cstr(text), &copy, NULL));
	text[0] = 'F';
	assert_true(slice_equal(copy, SLICE("forward-path")));
	assert_true(arena_copy(&a, SLICE_EMPTY, &copy, NULL));
	assert_int_equal(copy.n, 0);
	assert_non_null(copy.p);
	assert_false(arena_copy(&a, slice_of(text, 2000), &copy, NULL));
	arena_reset(&a);
}

struct called {
	int *counter, order;
};

static void note(void *arg)
{
	struct called *c = arg;

	c->order = ++*c->counter;
}

static void hooks_run_once_the_last_first_before_the_memory_goes(void **state)
{
	int counter = 0;
	struct called outside = {.counter = &counter}, *inside;
	struct arena a;

	(void)state;
	arena_init(&a, 1000);
	assert_true(arena_defer(&a, note, &outside, NULL));
	assert_non_null(inside = arena_alloc(&a, sizeof(*inside), NULL));
	inside->counter = &counter;
	assert_true(arena_defer(&a, note, inside, NULL));
	arena_reset(&a);
	assert_int_equal(counter, 2);
	assert_int_equal(outside.order, 2);
	arena_reset(&a);
	assert_int_equal(counter, 2);
}

static void a_hook_that_does_not_fit_is_not_kept(void **state)
{
	int counter = 0;
	struct called c = {.counter = &counter};
	struct fault why = {0};
	struct arena a;

	(void)state;
	arena_init(&a, 8);
	assert_false(arena_defer(&a, note, &c, &why));
	assert_string_equal(why.status, "4.3.1");
	arena_reset(&a);
	assert_int_equal(counter, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_arena_has_no_memory),
		cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
		cmocka_unit_test(a_full_arena_is_a_temporary_4_3_1),
		cmocka_unit_test(no_size_overflows),
		cmocka_unit_test(a_large_allocation_leaves_the_rest_of_the_first_block_in_use),
		cmocka_unit_test(a_copy_is_its_own),
		cmocka_unit_test(hooks_run_once_the_last_first_before_the_memory_goes),
		cmocka_unit_test(a_hook_that_does_not_fit_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
