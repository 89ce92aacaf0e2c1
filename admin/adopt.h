/* admin/adopt.h: one file of another host's spool into ours.
 * Touches: both spools: rename within one file system, else a copy that is durable before the file is removed there. Blocks.
 *
 * Whatever it is killed in the middle of, a message is whole in one of both: where it stands in both, the next run finds it here and removes it there. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;

enum adopted {
	ADOPT_MOVED,  /* it is ours */
	ADOPT_HERE,   /* it was here already, whole: removed there */
	ADOPT_GONE,   /* not there any more */
	ADOPT_UNDONE, /* never acknowledged: left where it is */
	ADOPT_BROKEN, /* it cannot be read as a message: left; why */
	ADOPT_FAILED, /* a call failed; why */
};

struct adoption {
	int spool;        /* ours */
	uid_t queue_uid;  /* whose files in queue/ and maildrop/ are */
	gid_t queue_gid, maildrop_gid;
	bool owns;        /* we are root: files get these owners */
};

/* The message `id` in the folder from goes to our queue/H, with its time and its hold; header, envelope and content are checked before. Synced but for the
 * names, which are with adopt_sync. */
enum adopted adopt_message(const struct adoption *a, int from, struct slice id, struct fault *why);
/* A file of maildrop/, which belongs to a user and is judged by queued, into ours. */
enum adopted adopt_dropped(const struct adoption *a, int from, struct slice name, struct fault *why);
/* Makes the names in our queue/H and maildrop/ durable, and those in from. */
MUST_USE bool adopt_sync(const struct adoption *a, int from, struct fault *why);
