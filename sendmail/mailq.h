/* sendmail/mailq.h: mailq, -bp: what waits in the queue, in the form that scripts know from
 * Postfix.
 * Touches: queued's socket in control/; standard output. */
#pragma once

struct where;

/* Returns EX_OK; EX_NOPERM the caller is neither root nor who runs tassis; EX_UNAVAILABLE queued
 * does not answer. */
int mailq(const struct where *where);
