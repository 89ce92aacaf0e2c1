#include "lookupd/cache.h"

#include "t/unit/lookupd/fake.h"

static const struct fake_row first[] = {{QUERY_domain, "a.example", "local|t|list"}};
static const struct fake_row second[] = {{QUERY_domain, "a.example", "relay|t|any"}};
static const struct query_key key_a = {QUERY_domain, {{"a.example", 9}}};
static const struct query_key key_b = {QUERY_domain, {{"b.example", 9}}};

static struct fake *f;

struct waiting {
	struct cache_waiter waiter;
	bool answered;
	char kind[16]; /* "" without a row, "?" without an answer */
};

static void note(char kind[16], const struct rows *rows)
{
	snprintf(kind, 16, "%.*s", SLICE_PRINTF(rows != NULL ? rows_cell(rows, 0, DOMAIN_KIND) : SLICE("?")));
}

static void answered(struct cache_waiter *w, const struct rows *rows, const struct fault *why)
{
	struct waiting *waiting = CONTAINER_OF(w, struct waiting, waiter);

	assert_true(rows != NULL || why != NULL);
	waiting->answered = true;
	note(waiting->kind, rows);
}

/* Asks; true: it is answered at once. */
static bool ask(struct waiting *w, const struct query_key *key)
{
	const struct rows *rows = cache_known(f->cache, key);
	struct fault why = {0};
	enum cache_outcome outcome = CACHE_KNOWN;

	*w = (struct waiting){0};
	if (rows == NULL)
		outcome = cache_get(f->cache, key, &w->waiter, answered, &rows, &why);
	if (outcome == CACHE_WAIT)
		return false;
	note(w->kind, outcome == CACHE_KNOWN ? rows : NULL);
	return true;
}

static void let_go(struct waiting *w)
{
	cache_release(f->cache, &w->waiter);
}

/* Fills key_a with what the fake says now. */
static void fill(void)
{
	struct waiting w;

	assert_false(ask(&w, &key_a));
	fake_answer_all(f);
	assert_true(w.answered);
	let_go(&w);
}

static int set_up(void **state)
{
	(void)state;
	f = fake_create(first, 1, 1 << 20);
	loop_advance(f->loop, 1000000);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_destroy(f);
	return 0;
}

static void a_known_answer_asks_nobody(void **state)
{
	struct waiting w;

	(void)state;
	fill();
	assert_true(ask(&w, &key_a));
	assert_string_equal(w.kind, "local");
	assert_int_equal(f->n_asked, 1);
}

static void a_negative_answer_is_known_too(void **state)
{
	struct waiting w;

	(void)state;
	assert_false(ask(&w, &key_b));
	fake_answer_all(f);
	let_go(&w);
	assert_true(ask(&w, &key_b));
	assert_string_equal(w.kind, "");
	assert_int_equal(f->n_asked, 1);
}

static void those_who_wait_for_one_key_share_one_query(void **state)
{
	struct waiting w[3];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_false(ask(&w[i], &key_a));
	assert_int_equal(f->n_asked, 1);
	fake_answer_all(f);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(w[i].kind, "local");
		let_go(&w[i]);
	}
}

static void one_who_went_away_is_not_told(void **state)
{
	struct waiting w, stays;

	(void)state;
	assert_false(ask(&w, &key_a));
	assert_false(ask(&stays, &key_a));
	let_go(&w);
	fake_answer_all(f);
	assert_false(w.answered);
	assert_true(stays.answered);
	let_go(&stays);
}

static void without_notifications_an_answer_lives_ttl(void **state)
{
	struct waiting w;

	(void)state;
	fill();
	loop_advance(f->loop, 30000);
	assert_true(ask(&w, &key_a));
	loop_advance(f->loop, 30001);
	assert_false(ask(&w, &key_a));
	fake_answer_all(f);
	let_go(&w);
}

static void with_notifications_an_answer_lives_on(void **state)
{
	struct waiting w;

	(void)state;
	cache_notified(f->cache, true);
	fill();
	loop_advance(f->loop, 86400000);
	assert_true(ask(&w, &key_a));
}

static void what_was_filled_before_notifications_worked_is_doubted(void **state)
{
	struct waiting w;

	(void)state;
	fill();
	cache_notified(f->cache, true);
	f->rows = second;
	assert_false(ask(&w, &key_a));
	fake_answer_all(f);
	assert_string_equal(w.kind, "relay");
	let_go(&w);
}

static void a_fill_that_began_before_notifications_worked_is_doubted(void **state)
{
	struct waiting w, again;

	(void)state;
	assert_false(ask(&w, &key_a));
	cache_notified(f->cache, true);
	fake_answer_all(f);
	assert_true(w.answered);
	let_go(&w);
	assert_false(ask(&again, &key_a));
	fake_answer_all(f);
	let_go(&again);
}

static void after_the_loss_of_notifications_ttl_counts_from_their_last(void **state)
{
	struct waiting w;

	(void)state;
	cache_notified(f->cache, true);
	fill();
	loop_advance(f->loop, 500000);
	cache_notification_seen(f->cache);
	loop_advance(f->loop, 10000);
	cache_notified(f->cache, false);
	loop_advance(f->loop, 25000);
	assert_true(ask(&w, &key_a));
	loop_advance(f->loop, 30001);
	assert_false(ask(&w, &key_a));
	fake_answer_all(f);
	let_go(&w);
}

static void a_told_change_drops_the_key(void **state)
{
	struct waiting w;

	(void)state;
	cache_notified(f->cache, true);
	fill();
	f->rows = second;
	cache_drop(f->cache, &key_a);
	assert_false(ask(&w, &key_a));
	fake_answer_all(f);
	assert_string_equal(w.kind, "relay");
	let_go(&w);
}

static void a_change_told_during_the_query_discards_its_answer(void **state)
{
	struct waiting before, after, later;

	(void)state;
	cache_notified(f->cache, true);
	assert_false(ask(&before, &key_a));
	cache_drop(f->cache, &key_a);
	assert_false(ask(&after, &key_a)); /* asks again: the answer under way may be the old one */
	assert_int_equal(f->n_asked, 2);
	fake_answer_one(f);
	assert_true(before.answered);
	assert_false(after.answered);
	f->rows = second;
	fake_answer_all(f);
	assert_string_equal(before.kind, "local");
	assert_string_equal(after.kind, "relay");
	assert_true(ask(&later, &key_a));
	assert_string_equal(later.kind, "relay");
	let_go(&before);
	let_go(&after);
}

static void a_generation_that_moved_during_the_query_discards_its_answer(void **state)
{
	struct waiting before, later;

	(void)state;
	cache_notified(f->cache, true);
	assert_false(ask(&before, &key_a));
	cache_drop_all(f->cache);
	fake_answer_all(f);
	assert_string_equal(before.kind, "local");
	let_go(&before);
	assert_false(ask(&later, &key_a));
	fake_answer_all(f);
	let_go(&later);
}

static void a_kind_is_dropped_alone(void **state)
{
	struct waiting w;

	(void)state;
	fill();
	cache_drop_kind(f->cache, QUERY_route);
	assert_true(ask(&w, &key_a));
	cache_drop_kind(f->cache, QUERY_domain);
	assert_false(ask(&w, &key_a));
	fake_answer_all(f);
	let_go(&w);
}

static void while_there_is_no_asking_the_known_is_served(void **state)
{
	struct waiting w;

	(void)state;
	fill();
	f->away = true;
	loop_advance(f->loop, 3600000 - 60000); /* real time goes on beside the test's: a minute is enough for it */
	assert_true(ask(&w, &key_a));
	assert_string_equal(w.kind, "local");
	loop_advance(f->loop, 60001);
	assert_true(ask(&w, &key_a));
	assert_string_equal(w.kind, "?");
	assert_true(ask(&w, &key_b));
	assert_string_equal(w.kind, "?");
}

static void a_dropped_key_is_not_served_while_there_is_no_asking(void **state)
{
	struct waiting w;

	(void)state;
	cache_notified(f->cache, true);
	fill();
	cache_drop(f->cache, &key_a);
	f->away = true;
	assert_true(ask(&w, &key_a));
	assert_string_equal(w.kind, "?");
}

static void a_query_that_fails_leaves_the_old_answer(void **state)
{
	struct waiting w;

	(void)state;
	fill();
	loop_advance(f->loop, 60000);
	f->fails = true;
	assert_false(ask(&w, &key_a));
	fake_answer_all(f);
	assert_string_equal(w.kind, "local");
	let_go(&w);
	assert_false(ask(&w, &key_b));
	fake_answer_all(f);
	assert_string_equal(w.kind, "?");
	let_go(&w);
}

static void a_standby_s_answer_lives_ttl(void **state)
{
	struct waiting w;

	(void)state;
	cache_notified(f->cache, true);
	f->by_ttl = true;
	fill();
	loop_advance(f->loop, 30000);
	assert_true(ask(&w, &key_a));
	loop_advance(f->loop, 30001);
	assert_false(ask(&w, &key_a));
	fake_answer_all(f);
	let_go(&w);
}

static void a_replaced_query_s_answer_lives_ttl(void **state)
{
	struct cache_limits limits = {.max_bytes = 1 << 20, .ttl_ms = 1000, .stale_max_ms = 0, .replaced = {[QUERY_domain] = true}};
	struct waiting w;

	(void)state;
	cache_set_limits(f->cache, &limits);
	cache_notified(f->cache, true);
	fill();
	loop_advance(f->loop, 1000);
	assert_false(ask(&w, &key_a));
	fake_answer_all(f);
	let_go(&w);
}

static void memory_stays_within_the_limit_and_the_least_used_goes(void **state)
{
	struct cache_counts counts;
	struct waiting w;
	char name[64];

	(void)state;
	fill();
	for (unsigned i = 0; i < 20000; i++) {
		struct query_key key = {QUERY_domain, {slice_of(name, (size_t)snprintf(name, sizeof(name), "d%u.example", i))}};

		if (!ask(&w, &key)) {
			fake_answer_one(f);
			let_go(&w);
		}
		if (i % 100 == 0) {
			loop_turn(f->loop, false);
			assert_true(ask(&w, &key_a)); /* used, so it stays */
		}
	}
	loop_turn(f->loop, false);
	cache_count(f->cache, &counts);
	assert_true(counts.bytes <= 1 << 20);
	assert_true(counts.entries > 1000);
	assert_true(counts.evicted > 1000);
	assert_true(ask(&w, &key_a));
}

static void a_pinned_answer_outlives_everything(void **state)
{
	struct waiting w;
	const struct rows *rows;

	(void)state;
	assert_false(ask(&w, &key_a));
	fake_answer_one(f);
	cache_drop(f->cache, &key_a);
	cache_drop_all(f->cache);
	rows = cache_pinned(&w.waiter);
	assert_true(slice_equal(rows_cell(rows, 0, DOMAIN_KIND), SLICE("local")));
	let_go(&w);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_known_answer_asks_nobody),
		T(a_negative_answer_is_known_too),
		T(those_who_wait_for_one_key_share_one_query),
		T(one_who_went_away_is_not_told),
		T(without_notifications_an_answer_lives_ttl),
		T(with_notifications_an_answer_lives_on),
		T(what_was_filled_before_notifications_worked_is_doubted),
		T(a_fill_that_began_before_notifications_worked_is_doubted),
		T(after_the_loss_of_notifications_ttl_counts_from_their_last),
		T(a_told_change_drops_the_key),
		T(a_change_told_during_the_query_discards_its_answer),
		T(a_generation_that_moved_during_the_query_discards_its_answer),
		T(a_kind_is_dropped_alone),
		T(while_there_is_no_asking_the_known_is_served),
		T(a_dropped_key_is_not_served_while_there_is_no_asking),
		T(a_query_that_fails_leaves_the_old_answer),
		T(a_standby_s_answer_lives_ttl),
		T(a_replaced_query_s_answer_lives_ttl),
		T(memory_stays_within_the_limit_and_the_least_used_goes),
		T(a_pinned_answer_outlives_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
