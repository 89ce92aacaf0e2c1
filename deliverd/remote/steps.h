/* deliverd/remote/steps.h: a session from the inside: its steps, one list, and what they use. For
 * session.c, which runs them, greeting.c, auth.c and transaction.c.
 * Touches: what session.h says. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/address.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/event/loop.h"
#include "common/mail/reply.h"
#include "common/tls/stream.h"
#include "deliverd/remote/body.h"
#include "deliverd/remote/extensions.h"
#include "deliverd/remote/idle.h"
#include "deliverd/remote/way.h"

struct fault;
struct job;
struct remote;

#define QUIT_TIMEOUT_MS 5000

enum wake { WAKE_NOTHING, WAKE_CONNECTED, WAKE_TLS, WAKE_REPLY, WAKE_DRAINED };

/*	  step           woken by        limit (a setting, or ms) */
/* clang-format off */
#define SESSION_STEPS(X)                                                       \
	X(connected,     WAKE_CONNECTED, connect_limit_ms(s))                  \
	X(tls_up,        WAKE_TLS,       tls_limit_ms(s))                      \
	X(greeting,      WAKE_REPLY,     settings->delivery_greeting_timeout)  \
	X(ehlo_sent,     WAKE_REPLY,     settings->delivery_greeting_timeout)  \
	X(helo_sent,     WAKE_REPLY,     settings->delivery_greeting_timeout)  \
	X(starttls_sent, WAKE_REPLY,     settings->delivery_greeting_timeout)  \
	X(auth,          WAKE_NOTHING,   0)                                    \
	X(auth_sent,     WAKE_REPLY,     settings->delivery_greeting_timeout)  \
	X(ready,         WAKE_NOTHING,   0)                                    \
	X(group,         WAKE_REPLY,     group_limit_ms(s))                    \
	X(rset_sent,     WAKE_REPLY,     settings->delivery_mail_timeout)      \
	X(body,          WAKE_DRAINED,   settings->delivery_block_timeout)     \
	X(body_sent,     WAKE_DRAINED,   settings->delivery_block_timeout)     \
	X(body_ended,    WAKE_REPLY,     settings->delivery_end_timeout)       \
	X(done,          WAKE_NOTHING,   0)                                    \
	X(idle,          WAKE_REPLY,     settings->delivery_reuse_idle)        \
	X(quit_sent,     WAKE_REPLY,     QUIT_TIMEOUT_MS)
/* clang-format on */

enum step {
#define X(name, wake, limit) STEP_##name,
	SESSION_STEPS(X)
#undef X
};

/* What a step wants done next. */
enum next { NEXT_GO, NEXT_WAIT, NEXT_END };

struct session {
	uint32_t magic;
	struct list node;
	struct idle_place idle;
	struct remote *remote;
	struct job *job; /* NULL: idle */
	struct stream stream;
	struct loop_timer limit;
	enum step step;
	struct ip ip;
	struct way way;
	char host[256];
	struct buf key; /* the next hop, under which it is kept */
	struct extensions can;
	bool reused; /* nothing was received since it was idle */
	bool spent;  /* no further message goes over it */
	unsigned n_messages;
	enum { AUTH_PLAIN, AUTH_LOGIN } mechanism;
	size_t n_auth_said; /* of what it asks: PLAIN everything at once; LOGIN user, password */
	/* the transaction */
	size_t n_recipients;	  /* the job's first ones, which have no result yet */
	size_t n_sent, n_replied; /* commands of the group: MAIL, RCPTs, DATA */
	bool mail_refused;
	size_t n_accepted;
	struct reply refusal; /* of MAIL; of the first way, whatever it refused first */
	struct body body;
	size_t n_unsent; /* of the body, when it was looked at last */
	bool end_sent;	 /* the dot is under way: from here on nothing is tried twice */
	struct reply reply;
};

/* Each step does one thing; its reply, if it waits for one, is in s->reply. */
#define X(name, wake, limit) enum next step_##name(struct session *s);
SESSION_STEPS(X)
#undef X

/* These alone change the step: it runs at once, or when it is woken or its time is over. */
enum next session_go(struct session *s, enum step step);
enum next session_wait(struct session *s, enum step step);
/* Sends a command, with CRLF. False: the stream has failed already, which it reports. */
bool session_say(struct session *s, const char *template, ...) PRINTF_LIKE(2, 3);
/* The same with a secret behind it, in base64; the log does not have it. */
bool session_say_secret(struct session *s, const char *before, struct slice secret);
/* With delivery_debug: lines that the far end has sent. */
void session_heard(const struct session *s, struct slice octets);
/* A password is to be said, which goes over TLS alone; or not, where the route says so or the host
 * is this one. */
bool session_needs_tls(const struct session *s);
/* The far end, or the connection, has failed: the job is told, and the session ends. */
enum next session_fail(struct session *s, const struct fault *failure);
/* The same; what was answered by s->reply. */
enum next session_fail_reply(struct session *s, const char *what);
