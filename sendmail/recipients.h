/* sendmail/recipients.h: whom a message is for, and what became of that.
 * Touches: the heap. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/base/table.h"

struct buf;
struct fault;

enum recipient_state {
	RECIPIENT_OPEN,	   /* nothing yet */
	RECIPIENT_NOTED,   /* the server has taken it for the transaction under way */
	RECIPIENT_SENT,	   /* the message is somebody else's to deliver: smtpd's or queued's */
	RECIPIENT_LATER,   /* not now, said the server */
	RECIPIENT_REFUSED, /* for good */
};

struct recipient {
	struct table_node by_mailbox;
	struct recipient *next;
	struct slice mailbox; /* user@host, without <> */
	enum recipient_state state;
};

struct recipients {
	struct arena arena;
	struct table known;
	struct recipient *first, **end;
	size_t n;
	struct slice hostname; /* of those that have none */
};

void recipients_init(struct recipients *r, struct slice hostname);
void recipients_fini(struct recipients *r);

/* Appends address as a mailbox can be passed on; without a domain, hostname's is added.
 * empty_is_null: "" and "<>" are the null reverse-path. Fails, permanent, 5.1.3. */
MUST_USE bool mailbox_complete(struct slice address, struct slice hostname, bool empty_is_null,
			       struct buf *out, struct fault *why);
/* Adds the addresses of a list (of the command line, or a field's value), each once. Fails:
 * permanent, one is no address; temporary, no memory. */
MUST_USE bool recipients_add(struct recipients *r, struct slice list, struct fault *why);
/* Adds those of To, Cc and Bcc, or of Resent-To, Resent-Cc and Resent-Bcc where there is one of
 * those (RFC 5322 3.6.6). Fails as above. */
MUST_USE bool recipients_add_of_header(struct recipients *r, struct slice header,
				       struct fault *why);
/* The next one in that state behind after (NULL: from the first), or NULL. */
struct recipient *recipients_next(const struct recipients *r, const struct recipient *after,
				  enum recipient_state state);
/* Those in one state are in another from here on. */
void recipients_move(struct recipients *r, enum recipient_state from, enum recipient_state to);
