/* admin/names.h: domains, addresses and networks of a command line, as the tables keep them: domains as lower-case A-labels, local parts
 * without quotes and lower-case, networks without host bits.
 * Touches: nothing. Every call fails, permanent, 5.5.4, with what would be right. */
#pragma once

#include <stdbool.h>

#include "common/base/address.h"
#include "common/base/attributes.h"
#include "common/mail/path.h"

struct fault;

#define NAMES_DOMAIN_MAX 256
#define NAMES_WHOLE_MAX 576

struct names_address {
	char local_part[LOCAL_PART_MAX_BYTES + 1]; /* "" with NAMES_CATCH_ALL */
	char domain[NAMES_DOMAIN_MAX];
	char whole[NAMES_WHOLE_MAX]; /* local-part@domain */
};

/* "Example.ORG", "bücher.example". */
MUST_USE bool names_domain(const char *text, char out[NAMES_DOMAIN_MAX], struct fault *why);
/* The same, or "*". */
MUST_USE bool names_domain_or_all(const char *text, char out[NAMES_DOMAIN_MAX], struct fault *why);
enum names_flag { NAMES_CATCH_ALL = 1 /* "@example.org" is one too */ };
MUST_USE bool names_address(const char *text, unsigned flags, struct names_address *out, struct fault *why);
/* "192.0.2.0/24", "192.0.2.1", "2001:db8::/32", as PostgreSQL's cidr writes it. One with host bits, and one that is everybody, are refused. */
#define NAMES_NETWORK_MAX (IP_TEXT_MAX + 4)
MUST_USE bool names_network(const char *text, char out[NAMES_NETWORK_MAX], struct fault *why);

/* What a list is narrowed by: a domain, or an address or a pattern with * and ? as one of SQL's LIKE; both NULL with the empty text. */
#define NAMES_PATTERN_MAX 1200
struct names_filter {
	const char *domain, *pattern;
	char text[NAMES_PATTERN_MAX];
};
MUST_USE bool names_filter(const char *text, struct names_filter *out, struct fault *why);
