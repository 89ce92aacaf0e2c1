#include "queued/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/fault.h"
#include "common/base/random.h"

#define HORIZON 15000u

/* The n-th of many ids that sort as they are numbered. */
static struct slice id_make(uint32_t n, char out[SPOOL_ID_LENGTH + 1])
{
	static const char letters[] = "0123456789abcdefghjkmnpqrstvwxyz";

	memset(out, '0', SPOOL_ID_LENGTH);
	out[SPOOL_ID_LENGTH] = '\0';
	memcpy(out, "01hqz", 5);
	for (size_t i = SPOOL_ID_LENGTH; n > 0; n >>= 5)
		out[--i] = letters[n & 31];
	return slice_of(out, SPOOL_ID_LENGTH);
}

static uint32_t add(struct schedule *s, uint32_t number, uint32_t due_s)
{
	char id[SPOOL_ID_LENGTH + 1];
	struct fault why;
	uint32_t n;

	assert_true(schedule_add(s, id_make(number, id), 0, &n, &why));
	if (due_s != 0)
		schedule_wait(s, n, due_s);
	return n;
}

static struct schedule *create(void)
{
	struct fault why;
	struct schedule *s = schedule_create(&why);

	assert_non_null(s);
	return s;
}

static void ids_come_back_as_they_went_in(void **state)
{
	struct schedule *s = create();
	char id[SPOOL_ID_LENGTH + 1], back[SPOOL_ID_LENGTH + 1];
	struct fault why;
	uint32_t n;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		static const char letters[] = "0123456789abcdefghjkmnpqrstvwxyz";

		for (size_t k = 0; k < SPOOL_ID_LENGTH; k++)
			id[k] = letters[random_below(32)];
		id[SPOOL_ID_LENGTH] = '\0';
		assert_true(schedule_add(s, slice_of_cstr(id), 0, &n, &why));
		schedule_id(s, n, back);
		assert_string_equal(back, id);
		assert_int_equal(schedule_find(s, slice_of_cstr(id)), n);
	}
	schedule_destroy(s);
}

static void the_earliest_is_due_first_and_of_one_second_the_oldest(void **state)
{
	struct schedule *s = create();
	uint32_t c = add(s, 3, 100), a = add(s, 1, 100), b = add(s, 2, 99), d = add(s, 4, 101);

	(void)state;
	assert_int_equal(schedule_due(s, 98, HORIZON), SCHEDULE_NONE);
	assert_int_equal(schedule_next_s(s), 99);
	const uint32_t order[] = {b, a, c, d};
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(schedule_due(s, 101, HORIZON), order[i]);
		schedule_take(s, order[i]);
	}
	assert_int_equal(schedule_due(s, 101, HORIZON), SCHEDULE_NONE);
	assert_int_equal(schedule_n_known(s), 4);
	schedule_destroy(s);
}

static void a_moment_beyond_the_longest_pause_counts_as_due(void **state)
{
	struct schedule *s = create();
	uint32_t n = add(s, 1, 1000000);

	(void)state;
	assert_int_equal(schedule_due(s, 1000000 - HORIZON, HORIZON), SCHEDULE_NONE);
	assert_int_equal(schedule_due(s, 1000000 - HORIZON - 1, HORIZON), n);
	schedule_destroy(s);
}

static void flush_makes_all_due_in_the_order_of_age(void **state)
{
	struct schedule *s = create();
	uint32_t n[100];

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		n[i] = add(s, i, 1000 - i);
	schedule_take(s, n[50]);
	assert_int_equal(schedule_flush(s, 10), 99);
	for (uint32_t i = 0; i < 100; i++) {
		if (i == 50)
			continue;
		assert_int_equal(schedule_due(s, 10, HORIZON), n[i]);
		schedule_take(s, n[i]);
	}
	schedule_destroy(s);
}

static void many_that_come_and_go_leave_the_order_right(void **state)
{
	enum { MANY = 20000 };
	struct schedule *s = create();
	uint32_t *n = calloc(MANY, sizeof(*n)), last = 0, left = 0;
	char id[SPOOL_ID_LENGTH + 1];

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		n[i] = add(s, i, 1 + random_below(5000));
	for (uint32_t i = 0; i < MANY; i++) {
		if (i % 3 == 0)
			schedule_forget(s, n[i]);
		else if (i % 3 == 1)
			schedule_wait(s, n[i], 1 + random_below(5000));
		left += i % 3 != 0;
	}
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(schedule_find(s, id_make(i, id)), i % 3 == 0 ? SCHEDULE_NONE : n[i]);
	for (uint32_t first; (first = schedule_due(s, 5000, HORIZON)) != SCHEDULE_NONE; left--) {
		assert_true(schedule_due_s(s, first) >= last);
		last = schedule_due_s(s, first);
		schedule_forget(s, first);
	}
	assert_int_equal(left, 0);
	assert_int_equal(schedule_n_known(s), 0);
	free(n);
	schedule_destroy(s);
}

/* Pages of a size, while others come (and the rows double) and go: whoever was there from the beginning is seen once. */
static void list_pages(size_t page)
{
	enum { MANY = 3000 };
	struct schedule *s = create();
	unsigned *seen = calloc(10 * MANY, sizeof(*seen));
	uint32_t *numbers = calloc(page, sizeof(*numbers)), next = MANY, *n = calloc(MANY, sizeof(*n));
	char after[SPOOL_ID_LENGTH + 1] = "";
	size_t got;

	for (uint32_t i = 0; i < MANY; i++)
		n[i] = add(s, i, 1);
	do {
		got = schedule_list(s, slice_of_cstr(after), numbers, page);
		for (size_t i = 0; i < got; i++)
			seen[numbers[i]]++;
		if (got > 0)
			schedule_id(s, numbers[got - 1], after);
		for (unsigned i = 0; i < 20 && next < 10 * MANY; i++)
			add(s, next++, 1);
		if (got > 0 && seen[numbers[got - 1]] == 1 && numbers[got - 1] == n[numbers[got - 1] % MANY] && got > 1)
			schedule_forget(s, numbers[got - 1]); /* the place itself goes: the next page begins behind it all the same */
	} while (got == page);
	for (uint32_t i = 0; i < MANY; i++)
		assert_true(seen[n[i]] >= 1);
	free(numbers);
	free(seen);
	free(n);
	schedule_destroy(s);
}

static void pages_show_whoever_stayed_while_others_came_and_went(void **state)
{
	(void)state;
	list_pages(1000);
	list_pages(64);
	list_pages(7);
}

static void a_page_behind_the_last_is_empty(void **state)
{
	struct schedule *s = create();
	uint32_t numbers[10];
	char last[SPOOL_ID_LENGTH + 1];

	(void)state;
	assert_int_equal(schedule_list(s, SLICE_EMPTY, numbers, 10), 0);
	for (uint32_t i = 0; i < 5; i++)
		add(s, i, 1);
	assert_int_equal(schedule_list(s, SLICE_EMPTY, numbers, 10), 5);
	schedule_id(s, numbers[4], last);
	assert_int_equal(schedule_list(s, slice_of_cstr(last), numbers, 10), 0);
	schedule_destroy(s);
}

/* ---- lines ---- */

static uint32_t line_up(struct schedule *s, uint32_t number, uint32_t group, unsigned flow, uint32_t deadline_s)
{
	uint32_t n = add(s, number, 0);

	schedule_bind(s, n, group, flow);
	assert_true(schedule_line_up(s, n, deadline_s));
	return n;
}

static void in_a_line_flows_take_turns_and_in_a_flow_the_oldest_is_first(void **state)
{
	struct schedule *s = create();
	struct fault why;
	int owner;
	uint32_t g = schedule_group_open(s, &owner, &why), bulk[100], single, few[2];

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		bulk[99 - i] = line_up(s, 99 - i, g, 3, 1000 + 99 - i);
	single = line_up(s, 200, g, 7, 2000);
	few[1] = line_up(s, 302, g, 30, 3000);
	few[0] = line_up(s, 301, g, 30, 3000);
	assert_int_equal(schedule_line_n(s, g), 103);
	assert_int_equal(schedule_n_waiting(s), 103);
	assert_int_equal(schedule_next_s(s), UINT32_MAX); /* no moment makes them due */
	assert_int_equal(schedule_line_urgent(s, g), bulk[0]);
	const uint32_t order[] = {bulk[0], single, few[0], bulk[1], few[1], bulk[2], bulk[3]};
	for (size_t i = 0; i < 7; i++) {
		assert_int_equal(schedule_line_next(s, g), order[i]);
		schedule_take(s, order[i]);
	}
	assert_int_equal(schedule_line_n(s, g), 96);
	schedule_destroy(s);
}

static void who_leaves_a_line_leaves_the_others_in_order(void **state)
{
	enum { MANY = 5000 };
	struct schedule *s = create();
	struct fault why;
	int owner;
	uint32_t g = schedule_group_open(s, &owner, &why), last = 0, n[MANY], left = MANY;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		n[i] = line_up(s, i, g, i % 2, 1 + random_below(100000));
	for (uint32_t i = 0; i < MANY; i += 3, left--) {
		if (i % 2 == 0)
			schedule_forget(s, n[i]);
		else
			schedule_wait(s, n[i], 5);
	}
	assert_int_equal(schedule_line_n(s, g), left);
	for (uint32_t i; (i = schedule_line_urgent(s, g)) != SCHEDULE_NONE;) {
		assert_true(schedule_deadline_s(s, i) >= last);
		last = schedule_deadline_s(s, i);
		schedule_take(s, i);
	}
	assert_int_equal(schedule_line_next(s, g), SCHEDULE_NONE);
	schedule_destroy(s);
}

static void a_group_that_is_closed_leaves_its_messages_due_and_bound_to_none(void **state)
{
	struct schedule *s = create();
	struct fault why;
	int one, two;
	uint32_t g = schedule_group_open(s, &one, &why), a = line_up(s, 1, g, 0, 100), b = add(s, 2, 0), again;

	(void)state;
	schedule_bind(s, b, g, 1);
	schedule_wait(s, b, 50);
	assert_ptr_equal(schedule_group_owner(s, schedule_group(s, b)), &one);
	schedule_group_close(s, g);
	assert_int_equal(schedule_due(s, 1, HORIZON), a);
	again = schedule_group_open(s, &two, &why); /* the same slot */
	assert_int_not_equal(again, g);
	assert_int_equal(schedule_group(s, a), 0);
	assert_int_equal(schedule_group(s, b), 0);
	assert_null(schedule_group_owner(s, g));
	assert_false(schedule_line_up(s, b, 7));
	schedule_group_close(s, g);
	assert_ptr_equal(schedule_group_owner(s, again), &two);
	schedule_destroy(s);
}

static void flush_takes_all_out_of_their_lines_and_they_are_wanted(void **state)
{
	struct schedule *s = create();
	struct fault why;
	int owner;
	uint32_t g = schedule_group_open(s, &owner, &why), n[40];

	(void)state;
	for (uint32_t i = 0; i < 40; i++)
		n[i] = i % 2 == 0 ? line_up(s, i, g, i % 5, 9000) : add(s, i, 500 + i);
	schedule_line_opens(s, g, 777);
	assert_int_equal(schedule_due_s(s, n[0]), 777);
	assert_int_equal(schedule_flush(s, 10), 40);
	assert_int_equal(schedule_line_n(s, g), 0);
	for (uint32_t i = 0; i < 40; i++) {
		assert_int_equal(schedule_due(s, 10, HORIZON), n[i]);
		schedule_take(s, n[i]);
		assert_true(schedule_unwant(s, n[i]));
		assert_false(schedule_unwant(s, n[i]));
	}
	schedule_wait(s, n[0], 20);
	assert_false(schedule_unwant(s, n[0]));
	schedule_wait(s, n[0], 5); /* it waited already: somebody asks for it */
	assert_true(schedule_unwant(s, n[0]));
	schedule_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_come_back_as_they_went_in),
		cmocka_unit_test(the_earliest_is_due_first_and_of_one_second_the_oldest),
		cmocka_unit_test(a_moment_beyond_the_longest_pause_counts_as_due),
		cmocka_unit_test(flush_makes_all_due_in_the_order_of_age),
		cmocka_unit_test(many_that_come_and_go_leave_the_order_right),
		cmocka_unit_test(pages_show_whoever_stayed_while_others_came_and_went),
		cmocka_unit_test(a_page_behind_the_last_is_empty),
		cmocka_unit_test(in_a_line_flows_take_turns_and_in_a_flow_the_oldest_is_first),
		cmocka_unit_test(who_leaves_a_line_leaves_the_others_in_order),
		cmocka_unit_test(a_group_that_is_closed_leaves_its_messages_due_and_bound_to_none),
		cmocka_unit_test(flush_takes_all_out_of_their_lines_and_they_are_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
