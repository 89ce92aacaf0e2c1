/* deliverd/remote/steps.h: a session from the inside: its steps, one list, and what they use. For
 * session.c, which runs them, greeting.c and transaction.c.
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

struct fault;
struct job;
struct remote;

#define QUIT_TIMEOUT_MS 5000

enum wake { WAKE_NOTHING, WAKE_CONNECTED, WAKE_TLS, WAKE_REPLY, WAKE_DRAINED };

/*	  step           woken by        limit (a setting, or ms) */
/* clang-format off */
#define SESSION_STEPS(X)                                                       \
	X(connected,     WAKE_CONNECTED, settings->delivery_connect_timeout)   \
	X(tls_up,        WAKE_TLS,       settings->delivery_reply_timeout)     \
	X(greeting,      WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(ehlo_sent,     WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(helo_sent,     WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(starttls_sent, WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(ready,         WAKE_NOTHING,   0)                                    \
	X(group,         WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(rset_sent,     WAKE_REPLY,     settings->delivery_reply_timeout)     \
	X(body,          WAKE_DRAINED,   settings->delivery_data_timeout)      \
	X(body_ended,    WAKE_REPLY,     settings->delivery_data_timeout)      \
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
	uint16_t port;
	char host[256];
	struct buf key; /* the next hop, under which it is kept */
	struct extensions can;
	bool reused; /* nothing was received since it was idle */
	bool spent;  /* no further message goes over it */
	unsigned n_messages;
	/* the transaction */
	size_t n_sent, n_replied; /* commands of the group: MAIL, RCPTs, DATA */
	bool mail_refused;
	size_t n_accepted;
	struct reply refusal; /* of MAIL */
	struct body body;
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
/* The far end, or the connection, has failed: the job is told, and the session ends. */
enum next session_fail(struct session *s, const struct fault *failure);
/* The same; what was answered by s->reply. */
enum next session_fail_reply(struct session *s, const char *what);
