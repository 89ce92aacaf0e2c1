/* smtpd/session.h: one SMTP session: its steps, its one loop, what it holds as long as it lives.
 * Touches: its connection. It asks other daemons through asks that lie in it.
 *
 * Invariants (tests cite them):
 *  1. session_run is the only loop; it alone runs steps, ends sessions on loss, and lets others
 *     on after 64 steps.
 *  2. session_go, session_wait and session_wait_on alone set the next step.
 *  3. A libevent or IPC callback notes what happened and calls session_run; it replies to
 *     nobody.
 *  4. Input is read only in a step that wants it; a line is dead when its step returns.
 *  5. session_end cancels every ask of the session; a late answer finds nobody.
 *  6. An idle plain session has no buffer, no transaction and no ask; all of it is below 4,000
 *     octets.
 *
 *	connected ─┬─(implicit TLS)→ encrypted ─┐
 *	           └────────────────────────────┴→ command ←──────────────── skip_line
 *	command → rcpt_answered [→ spf_answered] [→ quota_answered] → command  RCPT
 *	command → auth_response → auth_answered → command     AUTH PLAIN
 *	command → auth_user → auth_password → auth_answered → command     AUTH LOGIN
 *	auth_answered → auth_counted → auth_held → command    a wrong login
 *	command → encrypted → command                         STARTTLS
 *	command → content ⇄ content_full [→ verified] [→ sender_answered] [→ signed] → committed → handed → command   DATA
 *	any → closing → lingering → (end) */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/address.h"
#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/conf/settings.h"
#include "common/event/loop.h"
#include "common/ipc/link.h"
#include "common/mail/reply.h"
#include "common/spool/id.h"
#include "common/tls/stream.h"

struct client;
struct client_name;
struct handover;
struct smtpd;
struct transaction;

#define HANDSHAKE_LIMIT_MS 60000
#define QUEUED_LIMIT_MS 1000 /* how long 250 waits for a window at queued */
#define QUOTA_LIMIT_MS 2000  /* a client is not kept waiting for what delivery tells, too */
#define COUNT_LIMIT_MS 2000  /* how long lookupd may take to count a wrong login */
#define AUTH_HOLD_MAX_MS 600000 /* auth_failure_wait_max ends there */
#define CLOSING_LIMIT_MS 30000
#define LINGER_LIMIT_MS 3000

/* What wakes a step that was waited for. WAKE_ANSWER's limit is given to the ask itself. */
enum wake { WAKE_LINE, WAKE_INPUT, WAKE_NOTED, WAKE_ANSWER, WAKE_SENT };
/* What is done when a step's limit is over: 421 4.4.2 to the client, the end, or the step itself is
 * run (s->limit_over is set). */
enum over { OVER_TELL, OVER_END, OVER_RUN };

/*	X(step, woken by, limit_ms (0: none), when it is over); conf: the settings, s: the session */
#define SESSION_STEPS(X)                                                                           \
	X(connected, WAKE_NOTED, 0, OVER_END)                                                      \
	X(encrypted, WAKE_NOTED, HANDSHAKE_LIMIT_MS, OVER_END)                                     \
	X(command, WAKE_LINE, conf->smtp_command_timeout, OVER_TELL)                               \
	X(skip_line, WAKE_INPUT, conf->smtp_command_timeout, OVER_TELL)                            \
	X(rcpt_answered, WAKE_ANSWER, conf->smtp_lookup_timeout, OVER_RUN)                         \
	X(spf_answered, WAKE_NOTED, conf->smtp_lookup_timeout, OVER_RUN)                           \
	X(quota_answered, WAKE_ANSWER, QUOTA_LIMIT_MS, OVER_RUN)                                   \
	X(auth_response, WAKE_LINE, conf->smtp_command_timeout, OVER_TELL)                         \
	X(auth_user, WAKE_LINE, conf->smtp_command_timeout, OVER_TELL)                             \
	X(auth_password, WAKE_LINE, conf->smtp_command_timeout, OVER_TELL)                         \
	X(auth_answered, WAKE_ANSWER, conf->smtp_lookup_timeout, OVER_RUN)                         \
	X(auth_counted, WAKE_ANSWER, COUNT_LIMIT_MS, OVER_RUN)                                     \
	X(auth_held, WAKE_NOTED, s->hold_ms, OVER_RUN)                                             \
	X(content, WAKE_INPUT, conf->smtp_data_timeout, OVER_TELL)                                 \
	X(content_full, WAKE_NOTED, 0, OVER_END)                                                   \
	X(verified, WAKE_NOTED, conf->smtp_lookup_timeout, OVER_RUN)                               \
	X(sender_answered, WAKE_ANSWER, conf->smtp_lookup_timeout, OVER_RUN)                       \
	X(signed, WAKE_ANSWER, conf->smtp_lookup_timeout, OVER_RUN)                                \
	X(committed, WAKE_NOTED, 0, OVER_END)                                                      \
	X(handed, WAKE_NOTED, QUEUED_LIMIT_MS, OVER_RUN)                                           \
	X(closing, WAKE_SENT, CLOSING_LIMIT_MS, OVER_END)                                          \
	X(lingering, WAKE_INPUT, LINGER_LIMIT_MS, OVER_END)

enum session_step {
#define X(name, wake, limit_ms, over) STEP_##name,
	SESSION_STEPS(X)
#undef X
};

enum next {
	NEXT_GO,   /* runs at once */
	NEXT_WAIT, /* until what wakes it */
	NEXT_END,  /* the session is over; s->ending says why */
};

enum login { LOGIN_UNKNOWN, LOGIN_REFUSED, LOGIN_ACCEPTED };

struct session {
	uint32_t magic;
	struct list node; /* smtpd's sessions */
	struct smtpd *smtpd;
	struct stream stream;
	struct loop_timer timer; /* the step's limit, or yielded */
	uint64_t limit_at_ms;	 /* 0: none */
	struct arena arena; /* as long as the session: what the client called itself, who it is */
	struct buf replies; /* gathered while the next command is there already (RFC 2920 3.2) */
	struct ipc_ask ask; /* to lookupd or deliverd: there is one at a time */
	struct transaction *transaction; /* from MAIL to its end */
	struct handover *handover;	 /* a message that is being committed */
	struct client *client;
	struct client_name *name_lookup;      /* while DNS is asked */
	struct slice helo, user, client_name; /* in arena; empty: not known, not logged in, none */
	struct slice tried;		      /* the user who tries to log in, in arena */
	const char *mechanism;		      /* by which: "PLAIN", "LOGIN" */
	const char *ending;		      /* why it ends */
	struct ip address;
	uint16_t port;
	uint16_t n_errors;
	uint32_t hold_ms;     /* how long the refusal of a login is held back */
	uint32_t taken_bytes; /* of input, consumed when the step returns */
	enum session_step step;
	enum listener_tls tls;
	enum login login; /* what lookupd says */
	bool waiting, noted, limit_over, eof, lost;
	bool trusted;	/* a program of this host, at public/submit: may send anything anywhere */
	uint32_t uid;	/* with trusted: its user, as the kernel says */
	bool extended;	/* EHLO, not HELO */
	bool running;	/* session_run is on the stack */
	bool names_other; /* the login came with somebody else's authorisation identity */
	bool auth_line; /* the line that is skipped was an AUTH response */
	bool yielded;	/* others have their turn; the timer brings ours */
	bool lingers;	/* reads on after its last reply */
	char id[SPOOL_ID_LENGTH + 1];
};

/* Who has come, and where. */
struct session_origin {
	struct ip address; /* family 0 with trusted */
	uint16_t port;
	struct client *client; /* has counted it already and is given back at the end; NULL with trusted */
	enum listener_tls tls;
	struct slice listener; /* its line */
	bool trusted;
	uint32_t uid;
};

/* A session on fd (takes it); the greeting is under way when this returns. False: no memory; fd is
 * closed. */
MUST_USE bool session_create(struct smtpd *d, int fd, const struct session_origin *from);
/* Runs its steps until it must wait. s may be gone when this returns. */
void session_run(struct session *s);
/* Ends it from outside; logged with why. */
void session_end(struct session *s, const char *why);
struct session *session_of(void *arg);
struct session *session_of_node(struct list *node);

/* ---- for steps ---- */

typedef enum next session_step_fn(struct session *s);
#define X(name, wake, limit_ms, over) session_step_fn step_##name;
SESSION_STEPS(X)
#undef X

/* The next step: at once; when what wakes it comes, its limit from now; the same step again, its
 * limit as before. */
enum next session_go(struct session *s, enum session_step step);
enum next session_wait(struct session *s, enum session_step step);
enum next session_wait_on(struct session *s);
/* Back to the client's next command. */
enum next session_command(struct session *s);
/* Queues a reply; sent when the client must have it. */
void session_reply(struct session *s, const struct reply *r);
/* Sends what was queued at the end of this turn, whatever comes behind. */
void session_send_replies(struct session *s);
/* Replies, counts a permanent one as a mistake, and goes to the next command; at smtp_max_errors
 * says 421 4.7.0 instead, and ends. */
enum next session_refuse(struct session *s, const struct reply *r);
/* Replies and ends; why is for the log. What the client still sends is read and thrown away for a
 * moment, so that it sees the reply. */
enum next session_close(struct session *s, const struct reply *r, const char *why);
/* Notes that what a WAKE_NOTED or WAKE_ANSWER step waits for has come, and runs. For callbacks. */
void session_note(struct session *s);
/* The limit of a step, for the ask it waits for. */
uint64_t session_limit_ms(const struct session *s, enum session_step step);

enum session_line {
	SESSION_LINE,	       /* *line is one, without CR LF */
	SESSION_LINE_BARE,     /* it ends in LF alone */
	SESSION_LINE_TOO_LONG, /* the rest is skipped by STEP_skip_line */
};
/* The line that woke a WAKE_LINE step. */
enum session_line session_take_line(struct session *s, struct slice *line);
enum next session_refuse_line(struct session *s, enum session_line what);
/* Everything received and not yet taken is thrown away (RFC 3207 4.2). */
void session_discard_input(struct session *s);
/* *kept is a copy of value in the session's arena; what is equal already stays. Fails:
 * temporary, 4.3.1. */
MUST_USE bool session_keep(struct session *s, struct slice value, struct slice *kept,
			   struct fault *why);
/* Is AUTH offered here now? And would it be after STARTTLS? */
bool session_offers_auth(const struct session *s);
bool session_could_offer_auth(const struct session *s);
/* Ends the transaction, if there is one. */
void session_reset(struct session *s);
struct slice session_id(const struct session *s);
