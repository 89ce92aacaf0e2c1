/* admin/records.h: the DNS records that a domain of ours should have, for `tassis domain dns`,
 * `domain check` and the end of `tassis setup`.
 * Touches: the certificate's file, the host's network
 * interfaces; no DNS. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/address.h"
#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;
struct settings;

enum record_kind {
	RECORD_MX,	/* the domain's mail comes to us */
	RECORD_ADDRESS, /* where our host is */
	RECORD_SPF,	/* who may send as the domain */
	RECORD_SPF_HOST,
	RECORD_DKIM,
	RECORD_DMARC,
	RECORD_TLSRPT,
	RECORD_SERVICE, /* SRV, for mail programs */
	RECORD_PTR,	/* the way back from our address */
	RECORD_TLSA,
};

struct record {
	struct record *next;
	enum record_kind kind;
	struct slice name, type, value; /* as a zone file has them: names end in a dot */
	struct slice note;		/* a sentence for people; may be empty */
	struct slice text;		/* RECORD_DKIM: the record's text */
	bool remark;			/* not to be published as it stands: the note says why */
};

struct records {
	struct arena arena;
	struct record *first, **last;
	struct slice hostname, domain; /* borrowed */
};

void records_init(struct records *r, struct slice hostname, struct slice domain);
void records_fini(struct records *r);
/* All but the keys' records. Fails, temporary: memory. */
MUST_USE bool records_make(struct records *r, const struct settings *s, struct fault *why);
/* A key's: name without a dot at its end, text as `tassis dkim publish` has it. */
MUST_USE bool records_add_key(struct records *r, struct slice name, struct slice text,
			      struct fault *why);
/* As the lines of a zone file. */
void records_append_zone(const struct records *r, struct buf *out);
/* One of them as a line, without its note; no LF. */
void record_append(const struct record *record, struct buf *out);
