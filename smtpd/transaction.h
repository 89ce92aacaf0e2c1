/* smtpd/transaction.h: one mail transaction (RFC 5321 3.3), from MAIL to the end of data or what
 * resets it: the envelope, and the message as it streams in.
 * Touches: through the spool writer, one spool file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/slice.h"
#include "common/ipc/frame.h"
#include "common/mail/from_field.h"
#include "common/mail/header.h"
#include "common/mail/lines.h"
#include "common/spool/id.h"

/* A header that is kept and is larger is refused with 552 5.3.4: it is held in memory until its end. */
#define KEPT_HEADER_MAX ((size_t)256 << 10)

struct session;
struct signing;
struct spool_writer;
struct verification;

struct recipient {
	struct recipient *next;
	struct slice forward_path; /* without <> */
	struct slice notify, orcpt;
};

/* What is wrong with the message itself; its data is swallowed, and told at the end. */
enum content_fault { CONTENT_GOOD, CONTENT_TOO_BIG, CONTENT_HEADER_TOO_BIG, CONTENT_LOOPS };

struct transaction {
	struct arena arena; /* all slices below */
	char id[SPOOL_ID_LENGTH + 1];
	struct slice reverse_path; /* without <>; empty: null */
	struct slice ret, envid;
	uint64_t announced_bytes; /* as MAIL said (RFC 1870); 0: not said */
	bool eight_bit;
	struct recipient *first, *last; /* those that were taken, in the client's order */
	uint32_t n_recipients, n_refused;

	struct recipient *asked;       /* the one lookupd is asked about */
	struct ipc_rcpt_answer answer; /* without its texts */
	bool answered;		       /* answer is one */
	struct buf folder;	       /* of the answer */
	bool quota_is_full;	       /* says the folder's deliverd */
	bool from_relay;	       /* a recipient was taken from the client as a relay */
	bool goes_elsewhere;	       /* a recipient was taken whose domain is not ours */

	struct lines lines; /* from DATA on */
	struct header header;
	struct from_field from; /* with envelope_from = header, of a submission */
	bool spam;		/* a field says so */
	struct buf kept_header; /* of a submission, and where it is checked who sent the message: the
				   header as it came, and what came with its end */
	struct signing *signing;	   /* NULL: it is not signed */
	struct verification *verification; /* NULL: it is not checked */
	struct spool_writer *writer; /* NULL: not begun, or what comes is swallowed */
	struct buf envelope;	     /* encoded */
	bool envelope_is_old;	     /* as it was before the header was seen */
	uint64_t received_us, size_bytes;
	size_t held_bytes; /* of input: the run that the writer had no room for */
	enum content_fault content;
};

/* NULL: no memory; why is temporary, 4.3.1. The caller owns it. */
MUST_USE struct transaction *transaction_create(struct session *s, struct fault *why);
/* A message that is not committed is forgotten. NULL does nothing. */
void transaction_destroy(struct transaction *t);
struct slice transaction_id(const struct transaction *t);
