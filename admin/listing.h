/* admin/listing.h: rows of PostgreSQL for people (a table, or a line for each column) and for programs (JSON, RFC 8259).
 * Touches: PostgreSQL; standard output. A listing holds 1,000 rows at a time, however many there are. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "admin/database.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

/* Prints what the query gives, a line each under the columns' names, or as one array of objects. Columns called …_bytes are shown with their unit to people. */
MUST_USE bool listing_print(struct database *db, bool json, struct fault *why, const char *sql, struct params params);
/* Prints the one row of the query, a line for each column and for each element of a list, or as one object; *found says whether there was one. */
MUST_USE bool listing_print_one(struct database *db, bool json, bool *found, struct fault *why, const char *sql, struct params params);

/* The next element of an array as PostgreSQL writes it, {a,"b c"}, appended to out; *rest begins as the whole and goes on behind it. False: no more. */
bool listing_next_element(struct slice *rest, struct buf *out);
