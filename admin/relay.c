/* `tassis relay …`. A network has a row for each domain that it may send as; without a domain, one for all. */
#include <stdio.h>
#include <string.h>

#include "admin/listing.h"
#include "admin/names.h"
#include "admin/objects.h"
#include "common/base/fault.h"

#define INSERT_SQL "INSERT INTO relays (network, domain) VALUES ($1::cidr, $2) ON CONFLICT DO NOTHING"

/* NULL: it is all of them. */
static bool read_domain(struct task *t, const char *text, char name[NAMES_DOMAIN_MAX], const char **out, struct fault *why)
{
	if (!names_domain_or_all(text, name, why))
		return false;
	*out = strcmp(name, "*") == 0 ? NULL : name;
	return *out == NULL || task_needs_domain(t, name, why);
}

/* Runs sql with the network and each domain of the command line, or once with NULL where none is named; *n is how many rows were changed. */
static bool each_domain(struct task *t, const char *network, const char *sql, uint64_t *n, struct fault *why)
{
	const char *text = "*", *domain = NULL;
	char name[NAMES_DOMAIN_MAX];
	size_t at = 0;
	uint64_t one;

	*n = 0;
	if (arguments_has(&t->args, "--domain"))
		text = arguments_next(&t->args, "--domain", &at);
	for (; text != NULL; text = at > 0 ? arguments_next(&t->args, "--domain", &at) : NULL) {
		if (!read_domain(t, text, name, &domain, why) || !database_change(&t->db, &one, why, sql, PARAMS(network, domain)))
			return false;
		*n += one;
	}
	return true;
}

bool relay_add(struct task *t, struct fault *why)
{
	char network[NAMES_NETWORK_MAX];
	uint64_t n;

	if (!names_network(task_word(t, 0), network, why) || !database_begin(&t->db, why) || !each_domain(t, network, INSERT_SQL, &n, why) ||
	    !database_commit(&t->db, why))
		return false;
	if (n == 0)
		return task_there(t, "relay", network, why);
	task_say("added relay %s", network);
	return true;
}

bool relay_change(struct task *t, struct fault *why)
{
	char network[NAMES_NETWORK_MAX];
	uint64_t n;

	if (!names_network(task_word(t, 0), network, why) || !database_begin(&t->db, why) ||
	    !database_change(&t->db, &n, why, "DELETE FROM relays WHERE network = $1::cidr", PARAMS(network)))
		return false;
	if (n == 0)
		return task_not_there(t, "relay", network, why);
	if (!each_domain(t, network, INSERT_SQL, &n, why) || !database_commit(&t->db, why))
		return false;
	task_say("changed relay %s", network);
	return true;
}

bool relay_delete(struct task *t, struct fault *why)
{
	bool all = !arguments_has(&t->args, "--domain");
	char network[NAMES_NETWORK_MAX];
	uint64_t n;

	if (!names_network(task_word(t, 0), network, why) || !database_begin(&t->db, why) ||
	    !(all ? database_change(&t->db, &n, why, "DELETE FROM relays WHERE network = $1::cidr", PARAMS(network))
		  : each_domain(t, network, "DELETE FROM relays WHERE network = $1::cidr AND domain IS NOT DISTINCT FROM $2", &n, why)) ||
	    !database_commit(&t->db, why))
		return false;
	if (n == 0)
		return task_not_there(t, "relay", network, why);
	task_say("deleted relay %s", network);
	return true;
}

bool relay_list(struct task *t, struct fault *why)
{
	const char *which = task_word(t, 0), *client = NULL, *domain = NULL;
	char name[NAMES_DOMAIN_MAX], address[IP_TEXT_MAX];
	struct ip ip;

	if (ip_parse(slice_of_cstr(which), &ip))
		client = ip_text(&ip, address);
	else if (which[0] != '\0') {
		if (!names_domain(which, name, why))
			return false;
		domain = name;
	}
	return listing_print(&t->db, arguments_has(&t->args, "--json"), why,
			     "SELECT network::text, coalesce(domain, '*') AS domain FROM relays "
			     "WHERE ($1::inet IS NULL OR network >>= $1) AND ($2::text IS NULL OR domain = $2 OR domain IS NULL) "
			     "ORDER BY relays.network, relays.domain NULLS FIRST",
			     PARAMS(client, domain));
}

bool relay_show(struct task *t, struct fault *why)
{
	char network[NAMES_NETWORK_MAX];
	bool found;

	if (!names_network(task_word(t, 0), network, why) ||
	    !listing_print_one(&t->db, arguments_has(&t->args, "--json"), &found, why,
			       "SELECT network::text, host(network::inet) AS first, host(broadcast(network)) AS last, "
			       "array_agg(id::text ORDER BY id) AS ids, array_agg(coalesce(domain, '*')::text ORDER BY id) AS domains "
			       "FROM relays WHERE network = $1::cidr GROUP BY network",
			       PARAMS(network)))
		return false;
	return found || task_not_there(t, "relay", network, why);
}
