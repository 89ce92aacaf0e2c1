/* admin/setup.h: what the parts of `tassis setup` share: the answers, and the steps that make a mail server of them.
 *
 *	answers (setup_ask.c) → cluster → main.conf (setup_conf.c) → schema, domain, user: the commands of those names → check → start → a mail
 *	(setup_mail.c) → the DNS records (setup_dns.c)
 *
 * Each step finds what is done already and leaves it, so setup may be run again.
 * Touches: main.conf and a copy of the old one; what the commands that it runs touch; the network (its own SMTP port). */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "admin/names.h"
#include "admin/usage.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;
struct settings;

#define SETUP_CONNINFO_MAX 2048

enum setup_certificate { SETUP_SELF_SIGNED, SETUP_FILES, SETUP_AS_IS };
enum setup_database { SETUP_PRIVATE, SETUP_GIVEN, SETUP_DATABASE_AS_IS };

struct setup {
	const char *main_conf;
	struct arguments args;
	bool yes;
	bool fresh;        /* main.conf is not there, or as it was shipped */
	struct buf text;   /* of main.conf as it is, or as shipped */
	struct settings *settings; /* what it says */
	char folder[PATH_MAX];     /* all of it lies below this one; "": where main.conf puts it by default */
	/* the answers */
	char hostname[NAMES_DOMAIN_MAX];
	char domain[NAMES_DOMAIN_MAX];
	struct names_address user;
	struct buf password; /* a secret */
	bool password_made;  /* by us, so it is shown */
	enum setup_certificate certificate;
	char certificate_file[PATH_MAX], key_file[PATH_MAX]; /* key_file "": it stands in the other */
	struct buf certificate_password;
	enum setup_database database;
	char conninfo_admin[SETUP_CONNINFO_MAX], conninfo[SETUP_CONNINFO_MAX];
};

/* ---- setup_ask.c ---- */

/* Takes the answers from the options; asks for the rest, or with --yes takes the defaults. Fails: an option is wrong, or nobody answers. */
MUST_USE bool setup_ask(struct setup *s, struct fault *why);

/* ---- setup_conf.c ---- */

/* Reads main.conf into s, or what was shipped where there is none. Fails: it has mistakes; all are on standard error. */
MUST_USE bool setup_conf_read(struct setup *s, struct fault *why);
/* A setting and its lines; n 0: it goes back to its default. */
struct setup_setting {
	const char *name;
	const char *lines[8];
	unsigned n;
};
/* Has main.conf a line of its own for it? */
bool setup_conf_has(const struct setup *s, const char *name);
/* Puts the setting where the file has it, or has its comment, or at the end. Fails: memory. */
MUST_USE bool setup_conf_set(struct buf *text, const struct setup_setting *setting, struct fault *why);
/* Writes main.conf as the answers want it: nothing where it is so already. What is not asked about stays as it is; a line that says something else stays, and this fails, unless force.
 * The old file is kept beside it. */
MUST_USE bool setup_conf_write(struct setup *s, bool force, struct fault *why);

/* ---- setup_mail.c ---- */

/* Sends a mail to the user over our own SMTP port and waits until it lies in the Maildir; path says where. Fails: what was answered, or that it did not come. */
MUST_USE bool setup_mail(const struct setup *s, char path[PATH_MAX], struct fault *why);

/* ---- setup_dns.c ---- */

/* Prints the records to publish, as a zone file has them. */
void setup_dns_print(const struct setup *s);
