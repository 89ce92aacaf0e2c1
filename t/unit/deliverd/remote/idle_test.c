#include "deliverd/remote/idle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/table.h"
#include "deliverd/remote/remote.h"

/* Sessions are only pointers here; any will do. */
struct session {
	struct idle_place place;
};

static void begin(struct remote *r, struct session *sessions, size_t n)
{
	*r = (struct remote){.idle_max = 100};
	table_init(&r->idle);
	memset(sessions, 0, n * sizeof(*sessions));
	for (size_t i = 0; i < n; i++)
		sessions[i].place.session = &sessions[i];
}

static void session_used_last_is_taken_first(void **state)
{
	struct session s[3];
	struct remote r;

	(void)state;
	begin(&r, s, 3);
	for (int i = 0; i < 3; i++)
		assert_true(idle_keep(&r, &s[i].place, SLICE("a.test:25")));
	assert_null(idle_take(&r, SLICE("b.test:25")));
	assert_ptr_equal(idle_take(&r, SLICE("a.test:25")), &s[2]);
	assert_ptr_equal(idle_take(&r, SLICE("a.test:25")), &s[1]);
	assert_ptr_equal(idle_take(&r, SLICE("a.test:25")), &s[0]);
	assert_null(idle_take(&r, SLICE("a.test:25")));
	assert_int_equal(r.idle.n, 0); /* a next hop without sessions is forgotten */
	table_fini(&r.idle);
}

static void session_that_leaves_is_forgotten(void **state)
{
	struct session s[2];
	struct remote r;

	(void)state;
	begin(&r, s, 2);
	idle_forget(&r, &s[0].place); /* not kept: nothing happens */
	assert_true(idle_keep(&r, &s[0].place, SLICE("a.test:25")));
	assert_true(idle_keep(&r, &s[1].place, SLICE("a.test:25")));
	idle_forget(&r, &s[1].place);
	idle_forget(&r, &s[1].place);
	assert_ptr_equal(idle_take(&r, SLICE("a.test:25")), &s[0]);
	assert_int_equal(r.n_idle, 0);
	assert_int_equal(r.idle.n, 0);
	table_fini(&r.idle);
}

static void no_more_are_kept_than_the_limit_says(void **state)
{
	struct session s[3];
	struct remote r;

	(void)state;
	begin(&r, s, 3);
	r.idle_max = 2;
	assert_true(idle_keep(&r, &s[0].place, SLICE("a.test:25")));
	assert_true(idle_keep(&r, &s[1].place, SLICE("b.test:25")));
	assert_false(idle_keep(&r, &s[2].place, SLICE("c.test:25")));
	assert_null(s[2].place.queue);
	assert_ptr_equal(idle_take(&r, SLICE("a.test:25")), &s[0]);
	assert_true(idle_keep(&r, &s[2].place, SLICE("c.test:25")));
	idle_forget(&r, &s[1].place);
	idle_forget(&r, &s[2].place);
	table_fini(&r.idle);
}

static void session_without_a_next_hop_is_not_kept(void **state)
{
	struct session s[1];
	struct remote r;

	(void)state;
	begin(&r, s, 1);
	assert_false(idle_keep(&r, &s[0].place, SLICE_EMPTY)); /* memory for its name was out */
	table_fini(&r.idle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(session_used_last_is_taken_first),
		cmocka_unit_test(session_that_leaves_is_forgotten),
		cmocka_unit_test(no_more_are_kept_than_the_limit_says),
		cmocka_unit_test(session_without_a_next_hop_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
