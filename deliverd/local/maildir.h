/* deliverd/local/maildir.h: files in Maildirs (Maildir++, as Dovecot reads them), durable. All
 * calls block: for the pool.
 * Touches: files below the given folder, by paths relative to it.
 *
 * The order (a power cut after fsync-then-rename leaves the file in tmp/): write tmp/N, begin its
 * write-back, rename to new/N, fsync. The fsync makes data and name durable, on ext4, XFS and
 * btrfs. Names are made of the message's id and the recipient, so a second attempt finds the first:
 * the rename does not replace, and says so. What a power cut left there may have its name and its
 * size and be full of zeros, for another file's fsync makes names durable too: so an earlier file
 * counts when it is the same to the octet, and is replaced when it is not. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "deliverd/local/folder.h"

struct fault;

/* A file being written in folder's tmp/. */
struct maildir_file {
	int root; /* mail_dir, borrowed */
	const struct maildir_folder *folder;
	int fd;
	char name[320]; /* in tmp/; "" once it is published */
	char sizes[64]; /* what stands behind the name in new/ */
	uint64_t size_bytes;
};

/* What became of a file that was to get its name in new/ (or, where folder->seen says so, in cur/
 * with the flag S; what is said of new/ is true of that). */
enum maildir_put {
	MAILDIR_FAILED, /* why says: temporary */
	MAILDIR_PUT, /* it shows from here on, and is durable when maildir_sync has returned true */
	MAILDIR_WAS_THERE,  /* an earlier attempt's file has that name, is the same as this one, and
			       is durable */
	MAILDIR_IMPOSSIBLE, /* no link can be made there (another file system, too many links): a
			       file of its own can */
};

/* The file's name without sizes: seconds, microseconds and id of the message, a hash of the
 * recipient and of the folder's name in the Maildir ("": the root), the host (its first 128 octets:
 * a file's name has room for 255, and the id is unique without it). */
MUST_USE bool maildir_name(uint64_t received_us, struct slice id, struct slice recipient,
			   struct slice folder, struct slice hostname, char *out, size_t size,
			   struct fault *why);
/* Does a file of that name stand in folder, of whatever sizes: did an earlier attempt get so far?
 */
bool maildir_has(int root, const struct maildir_folder *folder, const char *name);
/* Makes tmp/NAME, and the Maildir or the folder where there is none yet (its names are durable
 * before this returns). folder is borrowed until maildir_end. What a dead process left under that
 * name goes. Fails: temporary. */
MUST_USE bool maildir_begin(struct maildir_file *f, int root, const struct maildir_folder *folder,
			    const char *name, struct fault *why);
MUST_USE bool maildir_write(struct maildir_file *f, struct slice octets, struct fault *why);
/* All is written: its sizes (Maildir++'s S= and W=) become part of its names, and its data is on
 * the way to the disk. */
void maildir_seal(struct maildir_file *f, uint64_t size_bytes, uint64_t virtual_bytes);
/* The same file, sealed and not yet published, under name in another folder's new/, whose Maildir
 * is made where there is none. */
MUST_USE enum maildir_put maildir_link(const struct maildir_file *f,
				       const struct maildir_folder *folder, const char *name,
				       struct fault *why);
/* Gives it its final name in new/. Never MAILDIR_IMPOSSIBLE. */
MUST_USE enum maildir_put maildir_publish(struct maildir_file *f, struct fault *why);
/* What was put and published of it is durable when this returns true. False, temporary: nothing of
 * it may be kept (a second fsync would say that all is well), so each name is to be withdrawn. */
MUST_USE bool maildir_sync(struct maildir_file *f, struct fault *why);
/* Removes the name again that was put in folder. */
void maildir_withdraw(const struct maildir_file *f, const struct maildir_folder *folder,
		      const char *name);
/* Closes; removes what was not published. Safe on one that was not begun (fd -1). */
void maildir_end(struct maildir_file *f);
