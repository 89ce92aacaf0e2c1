/* admin/check.h: what the parts of `tassis check` share: what was found, and how it is told. Each part looks at one thing, changes nothing, and says the mend of what is wrong.
 * Touches: nothing; the parts do. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/service/layout.h"

struct fault;
struct settings;

struct check {
	const struct settings *settings; /* the effective ones */
	struct accounts accounts;
	bool running;  /* a master works on this spool */
	bool json;
	struct buf findings; /* with json: the list */
	unsigned n_errors, n_warnings;
};

/* Tells it. about: the part of tassis that it is about, a word of JSON. An error keeps tassis from working; a warning does not. */
PRINTF_LIKE(3, 4) void check_error(struct check *c, const char *about, const char *template, ...);
PRINTF_LIKE(3, 4) void check_warning(struct check *c, const char *about, const char *template, ...);
/* Those that are faults already. */
void check_fault(struct check *c, const char *about, const struct fault *why);

/* ---- the parts ---- */

void check_programs(struct check *c);
void check_log(struct check *c);
void check_ports(struct check *c);
void check_spool_file_system(struct check *c);
/* The pair that smtpd shows; and the authorities that delivery trusts. */
void check_certificate(struct check *c);
void check_delivery_ca(struct check *c);
/* As lookupd's account and role, then as the schema's owner. */
void check_database(struct check *c);
/* Asks the name servers. */
void check_dns(struct check *c);
/* That who must be reached can be reached: postmaster, the host's own names. */
void check_postmaster(struct check *c);
void check_aliases_file(struct check *c);
