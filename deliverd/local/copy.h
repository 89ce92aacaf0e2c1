/* deliverd/local/copy.h: a message as it stands in a Maildir: LF line ends, Return-Path first,
 * foreign ones left out (RFC 5321 4.4).
 * Touches: nothing; octets in, octets out. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

/* One message being copied. */
struct copy {
	struct buf held; /* the beginning of a header line whose name is not whole yet */
	bool in_body;
	bool in_line;	     /* past a line's beginning */
	bool skipping;	     /* within a field that is left out */
	uint64_t size_bytes; /* octets given out: Maildir's S= */
	uint64_t lines;	     /* LF given out: W= is size_bytes + lines */
};

/* Starts with the fields that delivery adds: Return-Path: <reverse_path>, and Delivered-To:
 * delivered_to unless that is empty. Appends them to out. False: no room. */
MUST_USE bool copy_begin(struct copy *c, struct slice reverse_path, struct slice delivered_to,
			 struct buf *out);
/* Takes the next octets of the message (every CR in them stands before an LF, as in the spool) and
 * appends what becomes of them to out. False: no room. */
MUST_USE bool copy_take(struct copy *c, struct slice octets, struct buf *out);
/* The message has ended: what was held comes out. */
MUST_USE bool copy_end(struct copy *c, struct buf *out);
void copy_fini(struct copy *c);
