#include "lookupd/query.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/number.h"

const struct query_description query_descriptions[N_QUERIES] = {
#define Q(name, n_params, sql) {#name, n_params, sql, QUERY_##name},
	QUERIES(Q)
#undef Q
#define Q(name, n_params, sql, of) {#name, n_params, sql, QUERY_##of},
	QUERIES_EXPLAIN(Q)
#undef Q
};

size_t query_key_write(const struct query_key *key, char out[QUERY_KEY_MAX])
{
	size_t n = 0;

	out[n++] = (char)('a' + (int)key->query);
	for (unsigned i = 0; i < query_descriptions[key->query].n_params; i++) {
		struct slice p = key->params[i];

		if (p.n > 1024)
			return 0;
		if (p.n > 0)
			memcpy(out + n, p.p, p.n);
		n += p.n;
		out[n++] = '\0';
	}
	return n;
}

struct rows *rows_create(size_t n_rows, size_t n_columns, const struct slice *cells)
{
	size_t n = n_rows * n_columns;
	size_t size = sizeof(struct rows) + n * sizeof(struct slice);
	struct rows *r;
	char *p;

	if (n_columns > 64 || n_rows > QUERY_ROWS_MAX || (n_columns == 0 && n_rows > 0))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (cells[i].n > QUERY_ANSWER_MAX || (size += cells[i].n) > QUERY_ANSWER_MAX)
			return NULL;
	}
	r = calloc(1, size);
	if (r == NULL)
		return NULL;
	r->n_rows = n_rows;
	r->n_columns = n_columns;
	r->size = size;
	p = (char *)&r->cells[n];
	for (size_t i = 0; i < n; i++) {
		if (cells[i].p == NULL)
			continue;
		if (cells[i].n > 0)
			memcpy(p, cells[i].p, cells[i].n);
		r->cells[i] = slice_of(p, cells[i].n);
		p += cells[i].n;
	}
	return r;
}

struct slice rows_cell(const struct rows *r, size_t row, size_t column)
{
	return row < r->n_rows && column < r->n_columns ? r->cells[row * r->n_columns + column] : SLICE_EMPTY;
}

bool rows_flag(const struct rows *r, size_t row, size_t column, bool otherwise)
{
	static const char *const words[][2] = {{"t", "f"}, {"true", "false"}, {"1", "0"}, {"yes", "no"}, {"y", "n"}, {"on", "off"}};
	struct slice cell = rows_cell(r, row, column);

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		if (slice_equal_nocase(cell, slice_of_cstr(words[i][0])))
			return true;
		if (slice_equal_nocase(cell, slice_of_cstr(words[i][1])))
			return false;
	}
	return otherwise;
}

uint64_t rows_number(const struct rows *r, size_t row, size_t column, uint64_t otherwise)
{
	uint64_t n;

	return number_u64(rows_cell(r, row, column), UINT64_MAX, &n) ? n : otherwise;
}
