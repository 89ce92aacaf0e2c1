/* sendmail/client.h: gives a message to an smtpd of this host at public/submit, by SMTP.
 * Touches: that socket. Blocks, five minutes at most for each step.
 *
 * What is tried later in the other way (drop.h): all for which the server did not say that it has
 * the message, nor that it never will. So when it goes away before its last answer, a message may
 * go twice. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/base/slice.h"

struct message;
struct recipients;
struct where;

struct submission_request {
	struct slice reverse_path; /* without <>; empty: null */
	const struct message *message;
	struct recipients *recipients;
	struct slice notify, ret, envid; /* RFC 3461 4; empty: not given. envid as xtext */
};

/* Sends to all recipients that are open, at most where->max_recipients at a time. Each is sent or
 * refused afterwards, or later. Says what was refused. Returns EX_OK, or why the first was refused.
 */
int client_submit(const struct where *where, const struct submission_request *r);
/* Connects to public/submit, or -1: errno is set. Never waits. */
int client_connect(const struct where *where);
