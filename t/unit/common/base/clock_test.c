#include "common/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* 2026-11-25 16:00:15.123456 UTC */
#define MOMENT_US 1795622415123456u

static void check_rfc5322(const char *zone, uint64_t wall_us, const char *wanted)
{
	struct buf b;

	assert_int_equal(setenv("TZ", zone, 1), 0);
	tzset();
	buf_init(&b, 100);
	assert_true(clock_append_rfc5322(&b, wall_us));
	assert_string_equal(buf_cstr(&b), wanted);
	buf_fini(&b);
}

static void a_date_is_in_the_host_s_zone(void **state)
{
	(void)state;
	check_rfc5322("UTC0", MOMENT_US, "Wed, 25 Nov 2026 16:00:15 +0000");
	check_rfc5322("XYZ-5:30", MOMENT_US, "Wed, 25 Nov 2026 21:30:15 +0530");
	check_rfc5322("XYZ9:30", MOMENT_US, "Wed, 25 Nov 2026 06:30:15 -0930");
	check_rfc5322("XYZ0:30", MOMENT_US, "Wed, 25 Nov 2026 15:30:15 -0030");
	check_rfc5322("UTC0", 0, "Thu, 01 Jan 1970 00:00:00 +0000");
	check_rfc5322("UTC0", 1709164800000000, "Thu, 29 Feb 2024 00:00:00 +0000");
}

static void a_log_s_time_is_utc_with_microseconds(void **state)
{
	struct buf b;

	(void)state;
	assert_int_equal(setenv("TZ", "XYZ-5:30", 1), 0);
	tzset();
	buf_init(&b, 100);
	assert_true(clock_append_rfc3339(&b, MOMENT_US));
	assert_string_equal(buf_cstr(&b), "2026-11-25T16:00:15.123456Z");
	buf_reset(&b);
	assert_true(clock_append_rfc3339(&b, 7));
	assert_string_equal(buf_cstr(&b), "1970-01-01T00:00:00.000007Z");
	buf_fini(&b);
}

static void no_room_is_said(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_false(clock_append_rfc3339(&b, MOMENT_US));
	assert_false(clock_append_rfc5322(&b, MOMENT_US));
	assert_int_equal(buf_length(&b), 0);
	buf_fini(&b);
}

static void the_latest_moment_is_printed(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_true(clock_append_rfc3339(&b, UINT64_MAX)); /* the year 586524 */
	buf_fini(&b);
}

static void clocks_go_on(void **state)
{
	struct timespec pause = {.tv_nsec = 3000000};
	uint64_t wall = clock_wall_us(), monotonic = clock_monotonic_ms();

	(void)state;
	nanosleep(&pause, NULL);
	assert_true(clock_monotonic_ms() >= monotonic + 2);
	assert_true(clock_wall_us() > wall);
	assert_true(wall / 1000000 >= (uint64_t)time(NULL) - 10 && wall / 1000000 <= (uint64_t)time(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_date_is_in_the_host_s_zone),
		cmocka_unit_test(a_log_s_time_is_utc_with_microseconds),
		cmocka_unit_test(no_room_is_said),
		cmocka_unit_test(the_latest_moment_is_printed),
		cmocka_unit_test(clocks_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
