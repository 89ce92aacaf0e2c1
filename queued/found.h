/* queued/found.h: one file of incoming/ that nobody told queued of: what it is, and what becomes of it (the rule stands in scan.h).
 * Touches: the file, and its name in incoming/, queue/ and corrupt/, in the pool. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/spool/id.h"
#include "queued/files.h"

struct fault;

enum found_fate {
	FOUND_LEFT,    /* alone */
	FOUND_TAKEN,   /* it stands in queue/ now */
	FOUND_REMOVED, /* not committed */
	FOUND_CORRUPT, /* set aside; why says what is wrong */
	FOUND_FAILED,  /* a call failed; why. It is looked at again */
};

struct found {
	char id[SPOOL_ID_LENGTH + 1];
	enum found_fate fate;
	uint32_t due_s;    /* its mtime: in queue/, when it is due */
	bool held;         /* its mode says so */
	struct fault *why; /* of the heap, its holder's; NULL also when there was no memory for it */
};

/* Takes the file over when it is committed. is_dead: its worker lives no more and can commit no other. check: the content's CRC is read too. Sets fate and why. */
void found_take(struct found *f, int spool, place p, bool is_dead, bool check);
