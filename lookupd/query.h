/* lookupd/query.h: every question to PostgreSQL, once: name, how many parameters, the default SQL. The setting query_NAME replaces the
 * SQL; tassis-schema(7) says what each parameter and column is. A column that a replaced query leaves out is as if NULL.
 * Touches: nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

#define QUERY_PARAMS_MAX 2
#define QUERY_ROWS_MAX 10001
#define QUERY_ANSWER_MAX (4u << 20) /* octets of one answer */

/*	Q(name, n_params, sql) */
#define QUERIES(Q)                                                                                             \
	/* domain → kind, enabled, recipients */                                                               \
	Q(domain, 1, "SELECT kind, enabled, recipients FROM domains WHERE name = $1")                          \
	/* local part, domain → password, folder, quota_bytes, enabled, addresses to send as (a line each), quota_messages, mailboxes (a line \
	 * each), password_fixed */                                                                           \
	Q(user, 2,                                                                                             \
	  "SELECT u.password, u.folder, u.quota_bytes, u.enabled, "                                            \
	  "(SELECT string_agg(s.address, E'\\n') FROM sender_addresses s WHERE s.user_id = u.id), "            \
	  "u.quota_messages, (SELECT string_agg(m.name, E'\\n') FROM mailboxes m WHERE m.user_id = u.id), "    \
	  "u.password_fixed "                                                                                  \
	  "FROM users u WHERE u.local_part = $1 AND u.domain = $2")                                            \
	/* local part ('': the catch-all), domain → target; a row each */                                      \
	Q(alias, 2,                                                                                            \
	  "SELECT target FROM aliases WHERE local_part = $1 AND domain = $2 AND enabled ORDER BY id LIMIT 10001") \
	/* client's address → domain, or '*' for all; a row each */                                            \
	Q(relay, 1, "SELECT coalesce(domain, '*') FROM relays WHERE network >>= $1::inet LIMIT 10001")         \
	/* domain, sender's domain → host, port, mx, tls, username, password */                                \
	Q(route, 2,                                                                                            \
	  "SELECT host, port, mx, tls, username, password FROM routes "                                        \
	  "WHERE domain IN ($1, '*') AND sender_domain IN ($2, '*') "                                          \
	  "ORDER BY domain = '*', sender_domain = '*' LIMIT 1")                                                \
	/* domain → selector, algorithm, private key in PEM; a row each */                                     \
	Q(dkim, 1,                                                                                             \
	  "SELECT selector, algorithm, private_key FROM dkim_keys "                                            \
	  "WHERE domain = $1 AND state = 'active' ORDER BY algorithm DESC, selector LIMIT 8")

/* What the explanation of an address asks beside (explain.h), where the query of that name is not replaced: then nobody knows which rows there are.
 *	Q(name, n_params, sql, of) */
#define QUERIES_EXPLAIN(Q)                                                                                     \
	/* domain → network, domain or '*' */                                                                  \
	Q(relays_of, 1,                                                                                        \
	  "SELECT network::text, coalesce(domain, '*') FROM relays WHERE domain = $1 OR domain IS NULL "       \
	  "ORDER BY domain IS NULL, network LIMIT 101",                                                        \
	  relay)                                                                                               \
	/* domain of a recipient or sender → domain, sender's domain, host, port, mx, tls, username */         \
	Q(routes_of, 1,                                                                                        \
	  "SELECT domain, sender_domain, host, port, mx, tls, username FROM routes "                           \
	  "WHERE domain IN ($1, '*') AND sender_domain = '*' OR domain = $1 OR sender_domain = $1 "            \
	  "ORDER BY domain = '*', sender_domain = '*', domain, sender_domain LIMIT 101",                       \
	  route)                                                                                               \
	/* address, '@domain' → users who may send as it beside the user of that name */                       \
	Q(senders_of, 2,                                                                                       \
	  "SELECT u.local_part || '@' || u.domain FROM sender_addresses s JOIN users u ON u.id = s.user_id "   \
	  "WHERE s.address IN ($1, $2) ORDER BY 1 LIMIT 101",                                                  \
	  user)

enum query {
#define Q(name, ...) QUERY_##name,
	QUERIES(Q)
	QUERIES_EXPLAIN(Q)
#undef Q
	N_QUERIES
};

enum column_domain { DOMAIN_KIND, DOMAIN_ENABLED, DOMAIN_RECIPIENTS };
enum column_user { USER_PASSWORD, USER_FOLDER, USER_QUOTA_BYTES, USER_ENABLED, USER_SENDERS, USER_QUOTA_MESSAGES, USER_MAILBOXES, USER_PASSWORD_FIXED };
enum column_relays_of { RELAYS_OF_NETWORK, RELAYS_OF_DOMAIN };
enum column_routes_of {
	ROUTES_OF_DOMAIN, ROUTES_OF_SENDER_DOMAIN, ROUTES_OF_HOST, ROUTES_OF_PORT, ROUTES_OF_MX, ROUTES_OF_TLS, ROUTES_OF_USERNAME
};
enum column_dkim { DKIM_SELECTOR, DKIM_ALGORITHM, DKIM_PRIVATE_KEY };
enum column_route { ROUTE_HOST, ROUTE_PORT, ROUTE_MX, ROUTE_TLS, ROUTE_USERNAME, ROUTE_PASSWORD };

struct query_description {
	const char *name;
	unsigned n_params;
	const char *sql;
	enum query of; /* itself, or that which it explains */
};
extern const struct query_description query_descriptions[N_QUERIES];

/* One question. The parameters hold no NUL. */
struct query_key {
	enum query query;
	struct slice params[QUERY_PARAMS_MAX];
};

#define QUERY_KEY_MAX 2304 /* a letter and two parameters of at most 1,024 octets each */
/* The question as octets, unlike every other's; 0: a parameter is too long. */
size_t query_key_write(const struct query_key *key, char out[QUERY_KEY_MAX]);

/* An answer: no rows is an answer too. One allocation; free() ends it. */
struct rows {
	size_t n_rows, n_columns;
	size_t size; /* octets of the allocation */
	struct slice cells[]; /* p NULL: SQL's NULL */
};

/* n cells as copies; NULL: memory is out, or it passes QUERY_ANSWER_MAX, or n_columns is 0 and n_rows is not. */
MUST_USE struct rows *rows_create(size_t n_rows, size_t n_columns, const struct slice *cells);
/* The cell, or the empty slice with p NULL where there is no such row or column. */
struct slice rows_cell(const struct rows *r, size_t row, size_t column);
/* The cell as SQL prints a boolean or number; otherwise (NULL, anything else) what otherwise says. */
bool rows_flag(const struct rows *r, size_t row, size_t column, bool otherwise);
uint64_t rows_number(const struct rows *r, size_t row, size_t column, uint64_t otherwise);
