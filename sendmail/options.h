/* sendmail/options.h: the command line, as sendmail has been called for forty years.
 * Touches: nothing. What it points to is argv's. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"

struct fault;

enum sendmail_mode {
	MODE_SUBMIT,  /* a message comes on standard input */
	MODE_SMTP,    /* -bs: an SMTP client does */
	MODE_QUEUE,   /* -bp, mailq */
	MODE_NOTHING, /* newaliases, -bi, -I, -q: nothing is to be done */
};

struct options {
	enum sendmail_mode mode;
	const char *conf;		  /* -C; NULL: the usual places */
	const char *sender;		  /* -f, -r; NULL: the caller's own address */
	const char *full_name;		  /* -F; NULL: the account's */
	bool from_header;		  /* -t: recipients stand in the header too */
	bool dot_is_text;		  /* -i: a lone dot is a line like any other */
	const char *notify, *ret, *envid; /* -N, -R, -V; NULL: not given */
	char **operands;		  /* recipients, NULL behind the last */
};

/* Reads argv, whose first is the name the program was called by. Options end with -- or the first
 * that is none, so that an address behind it may begin with a dash. Fails, permanent: what is
 * wrong. */
MUST_USE bool options_parse(char **argv, struct options *out, struct fault *why);
