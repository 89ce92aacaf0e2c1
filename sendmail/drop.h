/* sendmail/drop.h: a message into maildrop/, in the form of the spool, for queued to take over; for
 * the time in which no smtpd answers.
 * Touches: new files in maildrop/, which anybody may write to
 * and nobody but queued may list. */
#pragma once

struct submission_request;
struct where;

/* Writes a message for the recipients that wait for later, one file for each max_recipients of
 * them, durably; they are sent then. Returns EX_OK, or says why not: EX_CANTCREAT there is no such
 * folder, or not for us; EX_TEMPFAIL the disk refused; EX_OSERR. */
int drop_message(const struct where *where, const struct submission_request *r);
