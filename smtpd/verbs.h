/* smtpd/verbs.h: what each SMTP command does: one function a verb, called by STEP_command with
 * the argument. Each says the next step.
 * Touches: the session. */
#pragma once

#include "common/base/slice.h"
#include "common/mail/command.h"
#include "smtpd/session.h"

typedef enum next verb_fn(struct session *s, struct slice argument);

verb_fn verb_ehlo, verb_helo, verb_noop, verb_rset, verb_quit, verb_vrfy, verb_help; /* command.c */
verb_fn verb_mail;								     /* sender.c */
verb_fn verb_rcpt;     /* recipient.c */
verb_fn verb_data;     /* reception.c */
verb_fn verb_starttls; /* encryption.c */
verb_fn verb_auth;     /* authentication.c */

/* What the EHLO reply offers now, as a mask of enum smtp_extension. */
unsigned session_extensions(const struct session *s);
/* Refuses a command that is no MAIL, RCPT or AUTH, and logs it. */
enum next session_refuse_command(struct session *s, const struct reply *no);
