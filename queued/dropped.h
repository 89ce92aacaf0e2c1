/* queued/dropped.h: one file of maildrop/. Any user of this host may have put it there, in any
 * form, and may change it while it is read: nothing in it is believed that is not checked again on
 * what is copied.
 * Touches: that file, and its name; in the pool.
 *
 * What is asked of it: a regular file with one name, which is an id; a header, envelope and content
 * as in the spool (common/spool/file.h), each CRC right; within the limits that SMTP has; every
 * path and parameter as MAIL and RCPT would take it; lines that end in CR LF. Whose it is says the
 * file's owner, and nothing else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/slice.h"
#include "common/spool/file.h"
#include "common/spool/id.h"

/* A file that says it is committed and is not what it says is left alone so long: it may be half
 * seen. */
#define DROPPED_BROKEN_AGE_S 300u
/* And one that does not say so, for it may be being written. */
#define DROPPED_HALF_AGE_S 3600u
#define DROPPED_WORKER 254u /* of the ids made here */

enum dropped_fate {
	DROPPED_LEFT,	 /* alone, for now; or it is gone */
	DROPPED_REMOVED, /* never committed, and old */
	DROPPED_BROKEN,	 /* set aside in corrupt/ under our id; why */
	DROPPED_FAILED,	 /* a call failed; why. It is looked at again */
	DROPPED_GOOD,	 /* fd, header and envelope are there */
};

struct dropped_rules {
	int spool;
	char hostname[256];
	uint64_t size_max, recipients_max, received_max, now_us;
};

struct dropped {
	char name[SPOOL_ID_LENGTH + 1]; /* in maildrop/ */
	char id[SPOOL_ID_LENGTH + 1];	/* ours: made of what the kernel says of the file, so that
					   after a crash its copy is known */
	uid_t uid;			/* its owner */
	uint64_t dropped_us;		/* when it was written last, as the kernel says */
	int fd;
	struct spool_header header;
	struct buf envelope; /* ours, encoded: client and user are empty */
	struct buf from;     /* its reverse-path */
	struct buf to;	     /* its forward-path where there is one alone, else empty */
	size_t n_recipients;
	enum dropped_fate fate;
	struct fault why;
};

/* d->name is given, the rest zeroed. Sets fate, and does what it says. */
void dropped_judge(struct dropped *d, const struct dropped_rules *r);
/* A name in maildrop (the folder, open) that is no id: it is removed when it is old, unless it is a
 * folder. */
void dropped_stray(int maildrop, const char *name, const struct dropped_rules *r);
/* Closes and frees what it holds. */
void dropped_fini(struct dropped *d);

/* The line rule, over content in any pieces: CR and LF stand together alone, and at the end. Zeroed
 * before the first. */
struct dropped_lines {
	bool after_cr, after_line, bad;
};
void dropped_lines_feed(struct dropped_lines *l, struct slice content);
/* After the last. */
bool dropped_lines_are_good(const struct dropped_lines *l);
