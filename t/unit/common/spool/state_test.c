#include "common/spool/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/fault.h"

static struct arena arena;
static struct buf tail;
static struct spool_recipient_state states[3];

static void line(enum spool_result_kind kind, uint32_t recipient, const char *forward_path, uint64_t at_us)
{
	struct spool_result r = {.kind = kind,
				 .recipient = recipient,
				 .forward_path = slice_of_cstr(forward_path),
				 .at_us = at_us,
				 .status = SLICE("4.4.1"),
				 .host = SLICE("mx.example.net"),
				 .reply = SLICE("451 later")};

	assert_true(spool_result_encode(&r, &tail));
}

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 20);
	buf_init(&tail, 1 << 20);
	for (size_t i = 0; i < ARRAY_LENGTH(states); i++)
		states[i] = (struct spool_recipient_state){0};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_reset(&arena);
	buf_fini(&tail);
	return 0;
}

static void read_all(void)
{
	struct fault why;

	assert_true(spool_states_read(buf_slice(&tail), &arena, states, ARRAY_LENGTH(states), &why));
}

static void attempts_are_counted_and_the_last_words_kept(void **state)
{
	(void)state;
	line(SPOOL_RESULT_DEFERRED, 1, "", 10);
	line(SPOOL_RESULT_DEFERRED, 1, "", 20);
	line(SPOOL_RESULT_DELIVERED, 0, "", 25);
	read_all();
	assert_int_equal(states[1].n_attempts, 2);
	assert_false(states[1].done);
	assert_int_equal(states[1].last.at_us, 20);
	assert_true(slice_equal(states[1].last.reply, SLICE("451 later")));
	assert_true(states[0].done);
	assert_false(states[2].has_last);
}

static void a_failed_recipient_is_done_only_when_the_sender_was_told(void **state)
{
	(void)state;
	line(SPOOL_RESULT_FAILED, 0, "", 10);
	line(SPOOL_RESULT_FAILED, 1, "", 10);
	line(SPOOL_RESULT_BOUNCED, 1, "", 11);
	line(SPOOL_RESULT_DROPPED, 2, "", 11);
	read_all();
	assert_true(states[0].failed && !states[0].done);
	assert_true(states[1].done && !states[1].failed);
	assert_true(states[2].done);
}

static void parts_of_a_list_are_found_each_with_its_latest_line(void **state)
{
	(void)state;
	line(SPOOL_RESULT_FAILED, 0, "zoe@example.net", 10);
	line(SPOOL_RESULT_DELIVERED, 0, "ann@example.net", 10);
	line(SPOOL_RESULT_FAILED, 0, "bob@example.net", 10);
	line(SPOOL_RESULT_BOUNCED, 0, "zoe@example.net", 5); /* the clock went back between: it is told all the same */
	read_all();
	assert_int_equal(states[0].n_parts, 3);
	assert_false(states[0].done);
	assert_int_equal(spool_state_part(&states[0], SLICE("zoe@example.net"))->kind, SPOOL_RESULT_BOUNCED);
	assert_int_equal(spool_state_part(&states[0], SLICE("bob@example.net"))->kind, SPOOL_RESULT_FAILED);
	assert_int_equal(spool_state_part(&states[0], SLICE("ann@example.net"))->kind, SPOOL_RESULT_DELIVERED);
	assert_null(spool_state_part(&states[0], SLICE("eve@example.net")));
	assert_null(spool_state_part(&states[1], SLICE("ann@example.net")));
}

static void a_line_about_nobody_is_left_out(void **state)
{
	(void)state;
	line(SPOOL_RESULT_DELIVERED, 3, "", 10);
	line(SPOOL_RESULT_DELIVERED, UINT32_MAX, "", 10);
	read_all();
	for (size_t i = 0; i < ARRAY_LENGTH(states); i++)
		assert_false(states[i].done);
}

static void a_full_arena_is_a_fault_not_a_forgotten_line(void **state)
{
	struct fault why = {0};

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		line(SPOOL_RESULT_DELIVERED, 0, "ann%example.net", i);
	arena_init(&arena, 64);
	assert_false(spool_states_read(buf_slice(&tail), &arena, states, ARRAY_LENGTH(states), &why));
	assert_int_equal(why.class, FAULT_TEMPORARY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(attempts_are_counted_and_the_last_words_kept),
		TEST(a_failed_recipient_is_done_only_when_the_sender_was_told),
		TEST(parts_of_a_list_are_found_each_with_its_latest_line),
		TEST(a_line_about_nobody_is_left_out),
		TEST(a_full_arena_is_a_fault_not_a_forgotten_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
