/* deliverd/local/folder.h: where in a Maildir++ a message goes: its root or a folder in it. What
 * is missing is made. The calls that touch the disk block: for the pool.
 * Touches: folders below mail_dir, and `subscriptions` in a Maildir's root. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;

#define MAILDIR_PATH_OCTETS 1512 /* of a path below mail_dir, and its terminator */

struct maildir_folder {
	struct slice path;  /* relative to mail_dir, without a slash at its end; borrowed */
	size_t root_length; /* of it, the Maildir's root: all of it where that is the folder */
	bool seen;	    /* what is put there goes to cur/ with the flag S, not to new/ */
};

/* Is path one that stays below mail_dir: relative, without empty, "." and ".." parts, without NUL,
 * at most 1,000 octets? */
bool maildir_folder_is_valid(struct slice path);
/* The Maildir's root, and the folder's name in it with the '.' before it: "" for the root. */
struct slice maildir_folder_root(const struct maildir_folder *f);
struct slice maildir_folder_name(const struct maildir_folder *f);
/* FOLDER/SUB/NAME; name may be NULL. Cut where it does not fit, which no valid folder's does. */
void maildir_path(char out[MAILDIR_PATH_OCTETS], struct slice folder, const char *sub,
		  const char *name);
/* Makes what is missing of the Maildir and the folder in it, and the names durable. A folder that
 * was not there is subscribed. root: mail_dir. Fails: temporary. */
MUST_USE bool maildir_folder_make(int root, const struct maildir_folder *f, struct fault *why);
