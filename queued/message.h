/* queued/message.h: one message while it is worked at: envelope, recipients, where each recipient's mail goes, what became of it.
 * Touches: the heap. All of a message lies in its arena.
 *
 * An attempt at a message goes through these steps (attempt.h); each is left only forwards:
 *
 *	loading → routing → delivering → telling → closing → gone (removed, or waiting in the schedule)
 *
 * Invariants (tests cite them):
 *  1. A message is answered to its smtpd only when its file stands in queue/ or is removed. So whatever dies, the file is found: in queue/ by the scan, in
 *     incoming/ because smtpd asks again, or else by the scan a minute later.
 *  2. A file is removed only when every recipient is done: delivered, told to the sender (the notice is durable before), or dropped.
 *  3. What is final stands in the tail (or the file is gone) before the attempt at it ends: it is not done again.
 *  4. Nothing but a far end's 5yz, a route that lookupd refused for good, or queue_lifetime makes a recipient fail. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/list.h"
#include "common/base/table.h"
#include "common/event/loop.h"
#include "common/spool/envelope.h"
#include "common/spool/id.h"
#include "common/spool/state.h"
#include "queued/files.h"

struct ipc_request;
struct queued;

/* Memory one message may take, whatever its envelope, routes and replies are; past it its recipients wait. */
#define MESSAGE_ARENA_MAX ((size_t)128 << 20)
#define MESSAGE_RECIPIENTS_MAX 65535u

enum target_state {
	TARGET_OPEN,      /* to be delivered */
	TARGET_DELIVERED, /* the next hop has it */
	TARGET_DEFERRED,  /* not in this attempt */
	TARGET_FAILED,    /* refused for good; the sender is to be told */
	TARGET_TOLD,      /* the sender was told, or there is nobody to tell */
};

/* For AUTH at a next hop; many targets share them. The password is overwritten when the message goes. */
struct credentials {
	struct credentials *next;
	struct slice username, password; /* in octets */
	size_t n;
	char octets[];
};

/* Where one recipient's mail goes; several for one recipient where an alias is a list. What was said stands in it too. */
struct target {
	struct target *next; /* of the same recipient */
	struct recipient *recipient;
	uint32_t index; /* the recipient's place, and 65,536 times the target's in lookupd's answer: the same in each attempt */
	uint8_t kind;   /* enum route_kind */
	uint8_t tls;    /* enum route_tls */
	bool mx;
	bool recorded; /* its state stands in the tail, or is on the way there */
	bool expired;  /* failed because of queue_lifetime; reply says what the last attempt met */
	uint16_t port;
	enum target_state state;
	struct slice forward_path, folder, mailbox, host;
	uint64_t quota_bytes, quota_messages;
	const struct credentials *credentials; /* NULL: none */
	struct slice status, reply, by; /* by: who said it, empty for ourselves */
	uint64_t at_us;
};

struct recipient {
	struct slice forward_path; /* as in the envelope */
	struct slice mailbox;      /* as in the envelope; not empty: a copy for that mailbox */
	uint32_t index;
	bool done;   /* nothing is left to do, and the file says so */
	bool routed; /* its targets are all of them */
	bool reported;   /* the sender was told that it is delivered, or another host does it */
	unsigned notify; /* what the sender wants to hear: enum dsn_notify */
	struct target *targets, **targets_end;
	uint32_t n_targets; /* those made, and those the tail says are done */
	uint32_t n_routes;  /* targets in lookupd's answer */
	struct spool_recipient_state past; /* before this attempt */
};

enum message_step { MESSAGE_LOADING, MESSAGE_ROUTING, MESSAGE_DELIVERING, MESSAGE_TELLING, MESSAGE_CLOSING };

struct message {
	uint32_t magic;
	struct queued *queued;
	struct list node;            /* among the active ones */
	struct table_node by_id;
	char id[SPOOL_ID_LENGTH + 1];
	uint32_t entry;              /* its number in the schedule */
	place place;
	uint64_t received_us, size_bytes, began_us;
	struct arena arena;
	size_t counted_bytes;        /* of the arena, in queued's sum */
	struct envelope envelope;
	struct recipient *recipients;
	size_t n_recipients;
	struct credentials *credentials;
	enum message_step step;

	struct ipc_request *request; /* smtpd waits for the answer */
	struct list unanswered;
	uint64_t asked_ms;

	struct list routing;         /* waits for routes */
	size_t next_to_route, n_routing;
	size_t n_deliveries;         /* groups not done */
	struct notice *notice;
	bool warned; /* the sender was told that it is late */

	/* The tail: lines to be appended, and the call on the file that is under way (record.h). */
	struct buf lines;
	uint64_t tail_end; /* 0: not known yet */
	struct record_job *record;
	bool record_move, record_end;
	bool ended;    /* the attempt's end is on the way to the file: nothing is added any more */
	bool returned;   /* to its sender, by the administrator: no delivery is tried */
	struct steer_job *later; /* what the administrator wants done when the attempt has ended (steer.h), or NULL */
	bool given_back; /* the attempt was broken off by a stop: due at once */
	uint32_t line;   /* the group whose line it came from (due.h); 0: it is fresh */
	bool parked;     /* a destination does not take it now: targets stay open */
	uint32_t parked_until_s;
	bool vanished; /* the file is gone */
	bool corrupt;  /* it is no spool file; why says what is wrong */
	struct fault why;
	uint32_t next_due_s;
	unsigned n_record_failures;
	struct loop_timer record_again;
};

/* A message of the given envelope block (copied). It is in none of queued's lists. The caller owns it. Fails, permanent: the envelope is none; temporary: no memory. */
MUST_USE struct message *message_create(struct queued *q, struct slice id, place p, struct slice envelope, struct fault *why);
/* NULL does nothing. */
void message_destroy(struct message *m);
struct message *message_of(void *arg);

struct slice message_id(const struct message *m);
/* A new target of r, at the end of its list, without an index. NULL: the arena is full. */
MUST_USE struct target *message_add_target(struct message *m, struct recipient *r, struct slice forward_path, struct fault *why);
/* The message's own copy of username and password, one of each; *out NULL where username is empty. Fails: the arena is full. */
MUST_USE bool message_credentials(struct message *m, struct slice username, struct slice password, const struct credentials **out,
				  struct fault *why);
/* The one recipient that m has beside copies for a mailbox, and one target of it: naming it in its copy tells nobody of others. */
bool message_is_alone(const struct message *m);
/* What became of t, copied; where the arena is full the words are left out. by: who said it. */
void message_set_target(struct message *m, struct target *t, enum target_state state, struct slice status, struct slice reply, struct slice by);
/* Every target of r is final, and it has all its targets. */
bool recipient_is_final(const struct recipient *r);
/* Attempts at m that were deferred before this one: the most any recipient had. */
uint32_t message_n_attempts(const struct message *m);
