/* deliverd/local/maildir.h: files in Maildirs (Maildir++, as Dovecot reads them), durable. All calls block: for the pool.
 * Touches: files below the given folder, by paths relative to it.
 *
 * The order (a power cut after fsync-then-rename leaves the file in tmp/): write tmp/N, begin its write-back, rename to
 * new/N, fsync. The fsync makes data and name durable, on ext4, XFS and btrfs. Names are made of the message's id and the recipient, so a second
 * attempt finds the first: the rename does not replace, and says so. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

/* A file being written in folder's tmp/. */
struct maildir_file {
	int root;             /* mail_dir, borrowed */
	struct slice folder;  /* relative to root, without a slash at its end; borrowed */
	int fd;
	char name[320];       /* in tmp/; "" once it is published */
	char sizes[64];       /* what stands behind the name in new/ */
};

/* Is folder a path that stays below mail_dir: relative, without empty, "." and ".." parts, without NUL, at most 1,000 octets? */
bool maildir_folder_is_valid(struct slice folder);
/* The file's name without sizes: seconds, microseconds and id of the message, a hash of the recipient, the host. */
MUST_USE bool maildir_name(uint64_t received_us, struct slice id, struct slice recipient, struct slice hostname, char *out, size_t size, struct fault *why);
/* Makes tmp/NAME, and the Maildir where there is none yet (its names are durable before this returns). What a dead process left under that name goes. Fails:
 * temporary. */
MUST_USE bool maildir_begin(struct maildir_file *f, int root, struct slice folder, const char *name, struct fault *why);
MUST_USE bool maildir_write(struct maildir_file *f, struct slice octets, struct fault *why);
/* All is written: its sizes (Maildir++'s S= and W=) become part of its names, and its data is on the way to the disk. */
void maildir_seal(struct maildir_file *f, uint64_t size_bytes, uint64_t virtual_bytes);
/* The same file, sealed and not yet published, under name in another folder's new/. A file with that name from an earlier attempt counts as this one, and is
 * durable when this returns. Fails: temporary. */
MUST_USE bool maildir_link(const struct maildir_file *f, struct slice folder, const char *name, struct fault *why);
/* Gives it its final name in new/. It shows from here on and is not durable yet. An earlier attempt's file with that name counts as this one. Fails: temporary, the
 * file is gone. */
MUST_USE bool maildir_publish(struct maildir_file *f, struct fault *why);
/* Everything published and linked is durable when this returns. Fails: temporary. */
MUST_USE bool maildir_sync(struct maildir_file *f, struct fault *why);
/* Closes; removes what was not published. Safe on one that was not begun (fd -1). */
void maildir_end(struct maildir_file *f);
