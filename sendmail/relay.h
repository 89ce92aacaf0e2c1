/* sendmail/relay.h: -bs: SMTP on standard input and output, spoken by an smtpd at public/submit.
 * Touches: standard input and output, that socket. */
#pragma once

struct where;

/* Carries octets both ways until the smtpd closes. Returns EX_OK; EX_TEMPFAIL nobody answers there
 * (said by 421, too); EX_IOERR. */
int relay(const struct where *where);
