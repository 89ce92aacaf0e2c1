/* t/unit/lookupd/fake.h: a database in memory for the tests: rows by key, answered when the test says so. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/fault.h"
#include "common/event/loop.h"
#include "lookupd/cache.h"
#include "lookupd/lookup.h"

struct fake_row {
	enum query query;
	const char *key;   /* parameters with a space between */
	const char *cells; /* columns with '|' between, "" is NULL; several rows: several of these */
};

#define FAKE_PENDING_MAX 32768
struct fake {
	struct loop *loop;
	struct cache *cache;
	const struct fake_row *rows;
	size_t n_rows;
	struct {
		struct cache_entry *fill;
		enum query query;
		char key[600];
	} *pending;
	size_t n_pending, n_answered; /* of the array: the first n_answered are done */
	size_t n_asked;
	bool away;   /* fetch says no at once */
	bool fails;  /* answers are faults */
	bool by_ttl;
};

static bool fake_fetch(void *arg, const struct query_key *key, struct cache_entry *fill, struct fault *why)
{
	struct fake *f = arg;
	size_t at = f->n_answered + f->n_pending;
	int n;

	if (f->away) {
		fault_set(why, "4.3.0", "the fake is away");
		return false;
	}
	assert_true(at < FAKE_PENDING_MAX);
	f->pending[at].fill = fill;
	f->pending[at].query = key->query;
	n = snprintf(f->pending[at].key, sizeof(f->pending[0].key), "%.*s%s%.*s", SLICE_PRINTF(key->params[0]),
		     query_descriptions[key->query].n_params > 1 ? " " : "", SLICE_PRINTF(key->params[1]));
	assert_true(n > 0);
	f->n_pending++;
	f->n_asked++;
	return true;
}

static struct rows *fake_rows(const struct fake *f, enum query query, const char *key)
{
	size_t n_rows = 0, n_columns = 1, most = f->n_rows * 8 + 8;
	struct slice *cells = calloc(most, sizeof(*cells));
	struct rows *rows;

	for (size_t i = 0; i < f->n_rows && n_rows < QUERY_ROWS_MAX; i++) {
		struct slice rest = slice_of_cstr(f->rows[i].cells), cell;
		size_t column = 0;

		if (f->rows[i].query != query || strcmp(f->rows[i].key, key) != 0)
			continue;
		if (n_rows == 0)
			for (size_t c = 0; c < rest.n; c++)
				n_columns += rest.p[c] == '|';
		while (slice_cut(&rest, '|', &cell) && column < n_columns)
			cells[n_rows * n_columns + column++] = cell.n > 0 ? cell : SLICE_EMPTY;
		n_rows++;
	}
	rows = rows_create(n_rows, n_columns, cells);
	free(cells);
	assert_non_null(rows);
	return rows;
}

/* Answers the oldest question. */
static void fake_answer_one(struct fake *f)
{
	size_t at = f->n_answered++;
	struct cache_entry *fill = f->pending[at].fill;
	struct fault why = {0};
	struct rows *rows;

	assert_true(f->n_pending > 0);
	fault_set(&why, "4.3.0", "the fake fails");
	rows = f->fails ? NULL : fake_rows(f, f->pending[at].query, f->pending[at].key);
	if (--f->n_pending == 0)
		f->n_answered = 0;
	cache_filled(f->cache, fill, rows, f->by_ttl, f->fails ? &why : NULL);
}

static void fake_answer_all(struct fake *f)
{
	while (f->n_pending > 0) {
		while (f->n_pending > 0)
			fake_answer_one(f);
		loop_turn(f->loop, false);
	}
}

static struct fake *fake_create(const struct fake_row *rows, size_t n_rows, size_t cache_bytes)
{
	struct fake *f = calloc(1, sizeof(*f));
	struct cache_limits limits = {.max_bytes = cache_bytes, .ttl_ms = 60000, .stale_max_ms = 3600000};
	struct fault why = {0};

	assert_non_null(f);
	f->pending = calloc(FAKE_PENDING_MAX, sizeof(f->pending[0]));
	f->rows = rows;
	f->n_rows = n_rows;
	f->loop = loop_create(&why);
	assert_non_null(f->loop);
	f->cache = cache_create(f->loop, &limits, fake_fetch, f, &why);
	assert_non_null(f->cache);
	return f;
}

static void fake_destroy(struct fake *f)
{
	fake_answer_all(f);
	cache_destroy(f->cache);
	loop_destroy(f->loop);
	free(f->pending);
	free(f);
}
