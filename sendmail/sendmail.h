/* sendmail/sendmail.h: the program sendmail (mailq, newaliases): what its files share.
 * Touches: nothing; the files do. It runs as whoever calls it, with no right that the caller has
 * not.
 *
 * Files in reading order: options (the command line), where (the spool and the host's name),
 * message (standard input), recipients, client (to an smtpd at public/submit), drop (into maildrop/
 * while none answers), main; relay and mailq beside them. */
#pragma once

#include <sysexits.h>

#include "common/base/attributes.h"

/* Writes "sendmail: " and the sentence to standard error; returns status, one of sysexits.h. */
int say(int status, const char *template, ...) PRINTF_LIKE(2, 3);
