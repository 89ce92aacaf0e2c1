#include "common/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/fault.h"

/* Memory that is out is NULL under the address sanitizer too. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void memory_is_zeroed(void **state)
{
	char *p = memory_alloc(10, 10, NULL);

	(void)state;
	assert_non_null(p);
	for (int i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	free(p);
	assert_non_null(p = memory_alloc(0, 0, NULL));
	free(p);
}

static void a_size_that_overflows_is_a_temporary_4_3_1(void **state)
{
	volatile size_t n = SIZE_MAX / 2;
	struct fault why = {0};

	(void)state;
	assert_null(memory_alloc(n, 3, &why));
	assert_int_equal(why.class, FAULT_TEMPORARY);
	assert_string_equal(why.status, "4.3.1");
}

static void memory_at_the_start_is_zeroed(void **state)
{
	char *p = memory_alloc_at_start(3, 5);

	(void)state;
	for (int i = 0; i < 15; i++)
		assert_int_equal(p[i], 0);
	free(p);
}

static void a_wiped_secret_is_gone(void **state)
{
	char secret[] = "password";

	(void)state;
	memory_wipe(secret, 4);
	assert_memory_equal(secret, "\0\0\0\0word", 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed),
		cmocka_unit_test(a_size_that_overflows_is_a_temporary_4_3_1),
		cmocka_unit_test(memory_at_the_start_is_zeroed),
		cmocka_unit_test(a_wiped_secret_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
