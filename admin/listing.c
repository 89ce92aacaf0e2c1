#include "admin/listing.h"

#include <stdio.h>
#include <string.h>

#include "admin/json.h"
#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/base/number.h"
#include "common/conf/pattern.h"

#define PAGE_SQL "FETCH 1000 FROM rows"
#define CELL_MAX (1u << 20)
#define LINE_MAX_BYTES (16u << 20)
#define COLUMNS_MAX 32

/* PostgreSQL's types, by number, as its pg_type.dat has them. */
enum type { TYPE_BOOL = 16, TYPE_BIGINT = 20, TYPE_INTEGER = 23, TYPE_TEXTS = 1009 };

struct listing {
	bool json;
	size_t n_rows;
	int width[COLUMNS_MAX]; /* of the first page, so that the others need not be held */
	struct buf line, cell;
};

bool listing_next_element(struct slice *rest, struct buf *out)
{
	bool quoted;
	size_t i = 1;

	if (rest->n < 2 || rest->p[0] == '}' || (rest->p[0] == '{' && rest->p[1] == '}'))
		return false;
	quoted = rest->p[1] == '"'; /* behind '{' or ',' */
	i += quoted;
	for (; i < rest->n && (quoted ? rest->p[i] != '"' : rest->p[i] != ',' && rest->p[i] != '}'); i++) {
		if (quoted && rest->p[i] == '\\' && i + 1 < rest->n)
			i++;
		buf_append_char(out, rest->p[i]);
	}
	*rest = slice_tail(*rest, i + quoted);
	return true;
}

/* ---- cells ---- */

static struct slice value_of(const PGresult *r, int row, int column)
{
	return PQgetisnull(r, row, column) ? SLICE_EMPTY : slice_of(PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
}

/* What others wrote goes to a terminal: no control characters. */
static void put_clean(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_append_char(out, ascii_is_control(s.p[i]) ? '?' : s.p[i]);
}

static void put_text(struct buf *out, const PGresult *r, int row, int column)
{
	struct slice value = value_of(r, row, column);
	uint64_t n;

	if (value.p == NULL)
		buf_append_char(out, '-');
	else if (PQftype(r, column) == TYPE_BOOL)
		buf_append_cstr(out, value.p[0] == 't' ? "yes" : "no");
	else if (slice_ends(slice_of_cstr(PQfname(r, column)), SLICE("_bytes")) && number_u64(value, UINT64_MAX, &n))
		pattern_print_quantity(SIZE, n, out);
	else
		put_clean(out, value);
}

static void put_json_list(struct buf *out, struct slice rest)
{
	struct buf element;
	bool first = true;

	buf_init(&element, CELL_MAX);
	buf_append_char(out, '[');
	for (; listing_next_element(&rest, &element); first = false, buf_reset(&element)) {
		if (!first)
			buf_append_char(out, ',');
		json_string(out, buf_slice(&element));
	}
	buf_append_char(out, ']');
	buf_fini(&element);
}

static void put_json_value(struct buf *out, const PGresult *r, int row, int column)
{
	struct slice value = value_of(r, row, column);

	if (value.p == NULL) {
		buf_append_cstr(out, "null");
		return;
	}
	switch ((enum type)PQftype(r, column)) {
	case TYPE_BOOL:
		buf_append_cstr(out, value.p[0] == 't' ? "true" : "false");
		return;
	case TYPE_BIGINT:
	case TYPE_INTEGER:
		buf_append(out, value);
		return;
	case TYPE_TEXTS:
		put_json_list(out, value);
		return;
	}
	json_string(out, value);
}

static void put_json_row(struct buf *out, const PGresult *r, int row)
{
	buf_append_char(out, '{');
	for (int i = 0; i < PQnfields(r); i++) {
		json_name(out, PQfname(r, i));
		put_json_value(out, r, row, i);
	}
	buf_append_char(out, '}');
}

/* ---- tables ---- */

/* Letters, not octets: what follows the first of a UTF-8 sequence takes no place. */
static int width_of(struct slice s)
{
	int n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

static void put_padded(struct listing *l, int column, int n_columns, struct slice text)
{
	buf_append(&l->line, text);
	if (column + 1 == n_columns)
		return;
	for (int n = width_of(text); n < l->width[column] + 2; n++)
		buf_append_char(&l->line, ' ');
}

static void measure(struct listing *l, const PGresult *r)
{
	for (int i = 0; i < PQnfields(r) && i < COLUMNS_MAX; i++) {
		l->width[i] = width_of(slice_of_cstr(PQfname(r, i)));
		for (int row = 0; row < PQntuples(r); row++) {
			int width;

			buf_reset(&l->cell);
			put_text(&l->cell, r, row, i);
			width = width_of(buf_slice(&l->cell));
			l->width[i] = width > l->width[i] ? width : l->width[i];
		}
	}
}

static void flush(struct listing *l)
{
	if (buf_length(&l->line) > 0)
		(void)fwrite(buf_slice(&l->line).p, 1, buf_length(&l->line), stdout);
	buf_reset(&l->line);
}

static void print_head(struct listing *l, const PGresult *r)
{
	measure(l, r);
	for (int i = 0; i < PQnfields(r); i++)
		put_padded(l, i, PQnfields(r), slice_of_cstr(PQfname(r, i)));
	buf_append_char(&l->line, '\n');
	flush(l);
}

static void print_row(struct listing *l, const PGresult *r, int row)
{
	if (l->json) {
		buf_append_cstr(&l->line, l->n_rows == 0 ? "\n" : ",\n");
		put_json_row(&l->line, r, row);
	} else {
		for (int i = 0; i < PQnfields(r); i++) {
			buf_reset(&l->cell);
			put_text(&l->cell, r, row, i);
			put_padded(l, i, PQnfields(r), buf_slice(&l->cell));
		}
		buf_append_char(&l->line, '\n');
	}
	l->n_rows++;
	flush(l);
}

static bool written(struct fault *why)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	fault_errno(why, "4.3.0", "cannot write to standard output");
	return false;
}

static bool print_pages(struct listing *l, struct database *db, struct fault *why)
{
	PGresult *r = NULL;
	int n;

	do {
		if (!database_run(db, &r, why, PAGE_SQL, NO_PARAMS))
			return false;
		n = PQntuples(r);
		if (!l->json && l->n_rows == 0 && n > 0)
			print_head(l, r);
		for (int row = 0; row < n; row++)
			print_row(l, r, row);
		PQclear(r);
	} while (n > 0 && !ferror(stdout));
	return true;
}

bool listing_print(struct database *db, bool json, struct fault *why, const char *sql, struct params params)
{
	struct listing l = {.json = json};
	struct buf cursor;
	bool ok = false;

	buf_init(&l.line, LINE_MAX_BYTES);
	buf_init(&l.cell, CELL_MAX);
	buf_init(&cursor, CELL_MAX);
	buf_printf(&cursor, "DECLARE rows NO SCROLL CURSOR FOR %s", sql);
	if (buf_cstr(&cursor) == NULL) {
		fault_set(why, "4.3.1", "out of memory");
		goto out;
	}
	if (!database_begin(db, why) || !database_run(db, NULL, why, buf_cstr(&cursor), params))
		goto out;
	if (json)
		(void)putchar('[');
	ok = print_pages(&l, db, why);
	if (ok && json)
		(void)fputs(l.n_rows > 0 ? "\n]\n" : "]\n", stdout);
	ok = ok && written(why) && database_commit(db, why);
out:
	buf_fini(&cursor);
	buf_fini(&l.line);
	buf_fini(&l.cell);
	return ok;
}

/* ---- one row ---- */

static void print_lines(struct listing *l, const PGresult *r, int column)
{
	struct slice name = slice_of_cstr(PQfname(r, column)), rest = value_of(r, 0, column);
	bool list = PQftype(r, column) == TYPE_TEXTS, more;

	do {
		buf_reset(&l->cell);
		more = list && listing_next_element(&rest, &l->cell);
		if (list && !more && name.n == 0)
			return;
		if (!list)
			put_text(&l->cell, r, 0, column);
		else if (!more)
			buf_append_char(&l->cell, '-');
		put_padded(l, 0, 2, name);
		put_clean(&l->line, buf_slice(&l->cell));
		buf_append_char(&l->line, '\n');
		name.n = 0; /* once */
	} while (more);
}

bool listing_print_one(struct database *db, bool json, bool *found, struct fault *why, const char *sql, struct params params)
{
	struct listing l = {.json = json};
	PGresult *r;

	if (!database_run(db, &r, why, sql, params))
		return false;
	*found = PQntuples(r) > 0;
	buf_init(&l.line, LINE_MAX_BYTES);
	buf_init(&l.cell, CELL_MAX);
	for (int i = 0; i < PQnfields(r); i++) {
		int width = width_of(slice_of_cstr(PQfname(r, i)));

		l.width[0] = width > l.width[0] ? width : l.width[0];
	}
	if (*found && json) {
		put_json_row(&l.line, r, 0);
		buf_append_char(&l.line, '\n');
	}
	for (int i = 0; *found && !json && i < PQnfields(r); i++)
		print_lines(&l, r, i);
	flush(&l);
	buf_fini(&l.line);
	buf_fini(&l.cell);
	PQclear(r);
	return written(why);
}
