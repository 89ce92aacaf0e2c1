/* deliverd/remote/session.h: one connection to another host, as an SMTP client (RFC 5321), and the
 * message it carries.
 * Touches: its socket, the job's spool file (read from the page cache in the loop, a chunk at a
 * time).
 *
 *	connect → [tls] → greeting → ehlo ┬→ [starttls → tls → ehlo] → [auth] → ready
 *	                                  └→ helo ─────────────────────┘
 *	ready → mail … rcpt … data → body → end ┬→ idle → ready
 *	                                        └→ quit
 *
 * Invariants:
 * 1. Before MAIL is sent a failure is the address's (job_session_unusable); from then on it is the
 *    recipients' (job_end). On the first way of two (way.h) it is the way's until the end of data
 * is sent; from then on never.
 * 2. A recipient is delivered only by the reply to the end of data. A reply that comes before it is
 *    asked for is none: the session ends.
 * 3. Nothing here blocks but reads from the page cache; input is bounded by its buffer, output by
 *    one chunk.
 * 4. session_free alone frees.
 * 5. A password is said over TLS alone, unless the route says otherwise or the host is this one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;
struct ip;
struct job;
struct remote;
struct session;
struct way;

/* Connects to ip for j; host is its name (copied). Fails at once, temporary. */
MUST_USE bool session_begin(struct remote *r, struct job *j, struct slice host, const struct ip *ip,
			    const struct way *way, struct fault *why);
/* An idle session gets its next message. */
void session_give(struct session *s, struct job *j);
/* Ends every session, idle or not; the jobs are not told. */
void session_free_all(struct remote *r);
/* Says QUIT on the idle ones. */
void session_quit_idle(struct remote *r);
