#include "common/spool/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void ids_of_one_source_sort_by_time(void **state)
{
	struct spool_id_source s;
	char before[SPOOL_ID_LENGTH + 1] = "", id[SPOOL_ID_LENGTH + 1];
	uint64_t now = 1764088515123456;

	(void)state;
	spool_id_source_init(&s, SLICE("mx.example.org"), 255);
	for (int i = 0; i < 10000; i++) {
		spool_id_make(&s, now += (uint64_t)i % 3, id);
		assert_true(strcmp(before, id) < 0);
		memcpy(before, id, sizeof(id));
	}
}

static void id_is_later_though_the_clock_goes_back(void **state)
{
	struct spool_id_source s;
	char first[SPOOL_ID_LENGTH + 1], second[SPOOL_ID_LENGTH + 1];

	(void)state;
	spool_id_source_init(&s, SLICE("mx.example.org"), 3);
	spool_id_make(&s, 1764088515123456, first);
	spool_id_make(&s, 1764088515123456 - 86400000000, second);
	assert_true(strcmp(first, second) < 0);
}

static void id_says_when_it_was_made(void **state)
{
	struct spool_id_source s;
	char id[SPOOL_ID_LENGTH + 1];

	(void)state;
	spool_id_source_init(&s, SLICE("mx.example.org"), 200);
	spool_id_make(&s, 1764088515123456, id);
	assert_int_equal(strlen(id), SPOOL_ID_LENGTH);
	assert_true(spool_id_is_valid(slice_of_cstr(id)));
	assert_int_equal(spool_id_time_us(slice_of_cstr(id)), 1764088515123456);
	assert_int_equal(spool_id_hash(slice_of_cstr(id)), id[15]);
}

static void hosts_and_workers_make_different_ids_at_the_same_moment(void **state)
{
	struct spool_id_source a, b, c;
	char ids[3][SPOOL_ID_LENGTH + 1];

	(void)state;
	spool_id_source_init(&a, SLICE("mx1.example.org"), 1);
	spool_id_source_init(&b, SLICE("mx2.example.org"), 1);
	spool_id_source_init(&c, SLICE("mx1.example.org"), 2);
	spool_id_make(&a, 1764088515123456, ids[0]);
	spool_id_make(&b, 1764088515123456, ids[1]);
	spool_id_make(&c, 1764088515123456, ids[2]);
	assert_string_not_equal(ids[0] + 16, ids[1] + 16);
	assert_memory_not_equal(ids[0] + 10, ids[2] + 10, 2);
}

static void folders_are_used_evenly(void **state)
{
	struct spool_id_source s;
	char id[SPOOL_ID_LENGTH + 1];
	unsigned seen[256] = {0}, n_folders = 0;

	(void)state;
	spool_id_source_init(&s, SLICE("mx.example.org"), 0);
	for (uint64_t i = 0; i < 32000; i++) {
		spool_id_make(&s, 1764088515123456 + i, id);
		seen[(unsigned char)spool_id_hash(slice_of_cstr(id))]++;
	}
	for (size_t i = 0; i < 256; i++) {
		n_folders += seen[i] > 0;
		assert_true(seen[i] == 0 || (seen[i] > 700 && seen[i] < 1300));
	}
	assert_int_equal(n_folders, 32);
}

static void what_is_no_id_is_refused(void **state)
{
	static const char *const wrong[] = {"", "..", "01hqz6k3v2j0w9xq4mb7t", "01hqz6k3v2j0w9xq4mb7tnn", "01hqz6k3v2j0w9xq4mb7tl", "01HQZ6K3V2J0W9XQ4MB7TN",
					    "01hqz6k3v2j0w9xq4mb/tn", "../../../../etc/passwd"};

	(void)state;
	assert_true(spool_id_is_valid(SLICE("01hqz6k3v2j0w9xq4mb7tn")));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_false(spool_id_is_valid(slice_of_cstr(wrong[i])));
		assert_int_equal(spool_id_time_us(slice_of_cstr(wrong[i])), 0);
	}
	assert_false(spool_id_is_valid(slice_of("01hqz6k3v2j0w9xq4mb7t\0", 22)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_of_one_source_sort_by_time),
		cmocka_unit_test(id_is_later_though_the_clock_goes_back),
		cmocka_unit_test(id_says_when_it_was_made),
		cmocka_unit_test(hosts_and_workers_make_different_ids_at_the_same_moment),
		cmocka_unit_test(folders_are_used_evenly),
		cmocka_unit_test(what_is_no_id_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
