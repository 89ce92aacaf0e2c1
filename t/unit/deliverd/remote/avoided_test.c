#include "deliverd/remote/avoided.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/address.h"

static struct ip address(uint32_t n)
{
	struct ip ip = {.family = 4, .octets = {10}};

	for (int i = 0; i < 3; i++)
		ip.octets[3 - i] = (uint8_t)(n >> (8 * i));
	return ip;
}

static void address_is_avoided_for_a_day(void **state)
{
	struct ip one = address(1), two = address(2);
	struct avoided a;

	(void)state;
	avoided_init(&a);
	assert_false(avoided_has(&a, &one, 5));
	avoided_add(&a, &one, 5);
	assert_true(avoided_has(&a, &one, 5));
	assert_false(avoided_has(&a, &two, 5));
	assert_true(avoided_has(&a, &one, 5 + AVOIDED_MS - 1));
	assert_false(avoided_has(&a, &one, 5 + AVOIDED_MS));
	avoided_add(&a, &one, 5 + AVOIDED_MS); /* and once more, from then on */
	assert_true(avoided_has(&a, &one, 5 + AVOIDED_MS + 1));
	assert_int_equal(a.addresses.n, 1);
	avoided_fini(&a);
}

static void of_too_many_the_oldest_are_forgotten(void **state)
{
	struct ip ip = address(0);
	struct avoided a;

	(void)state;
	avoided_init(&a);
	for (uint32_t i = 0; i <= AVOIDED_MAX; i++) {
		ip = address(i);
		avoided_add(&a, &ip, i);
	}
	assert_int_equal(a.addresses.n, AVOIDED_MAX);
	assert_true(avoided_has(&a, &ip, AVOIDED_MAX));
	ip = address(0);
	assert_false(avoided_has(&a, &ip, AVOIDED_MAX));
	ip = address(1);
	assert_true(avoided_has(&a, &ip, AVOIDED_MAX));
	avoided_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_is_avoided_for_a_day),
		cmocka_unit_test(of_too_many_the_oldest_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
