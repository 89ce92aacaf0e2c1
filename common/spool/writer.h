/* common/spool/writer.h: one message on its way into the spool.
 * Touches: one file in the worker's own folder; open, write, fsync and unlink run in the pool. No network, no database.
 *
 * Invariants (tests cite them):
 *  1. The file stands under its final name at once; until its header block is written (last, at offset 0) it is not committed.
 *  2. done(true) comes only after fsync returned; the header block and all it speaks of were written before that fsync began.
 *  3. A small message (all of it within the chunk size) costs open, pwritev, fsync, close: four calls, one job of the pool; its content is one extent.
 *  4. Memory: at most two chunks of 64 KiB a message, whatever its size; only what is held is allocated.
 *  5. Whatever fails, the file is unlinked or never seen as committed. fsync is asked once: what it refused is not tried again.
 *
 *	filling ─append→ filling + writing (a chunk is in the pool) ─commit→ committing (in the pool) → done
 *	   └─abort→ gone                          └─abort→ removing (in the pool) → gone
 *
 * A pool that is full is as a disk that fails: the message is given up, temporary 4.3.2. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/spool/file.h"

struct fault;
struct pool;
struct spool_writer;

#define SPOOL_CHUNK_BYTES 65536

/* Where a worker writes. Files are made 0660: the process's umask must leave the group its bits, for queued appends. */
struct spool_place {
	struct pool *pool;
	int folder;           /* incoming/WORKER, open (not with O_PATH) for as long as any writer lives */
	bool sync_directory;
};

/* why is NULL: the message is ours. It lives as long as the call. */
typedef void spool_done_fn(void *arg, const struct fault *why);

/* Starts a message. id and envelope (an encoded block) are copied. No file yet: it is made with the first chunk. On success the caller owns *out until
 * commit or abort, either of which takes it. ready (may be NULL) is called from the loop when a full writer can take octets again. Fails: temporary. */
MUST_USE bool spool_writer_begin(const struct spool_place *place, const char id[SPOOL_ID_LENGTH + 1], uint64_t received_us, struct slice envelope,
				 void (*ready)(void *arg), void *arg, struct spool_writer **out, struct fault *why);
/* Appends content octets (CRLF line ends, dots unstuffed), at most SPOOL_CHUNK_BYTES a call. Never blocks. False: it is full: nothing was taken, wait for ready. An error of the disk does not show
 * here: octets are then swallowed and commit reports it. */
MUST_USE bool spool_writer_append(struct spool_writer *w, struct slice octets);
/* Content octets so far. */
uint64_t spool_writer_length(const struct spool_writer *w);
/* The envelope is this one instead: what the header of a message says may change it. Copies it. Before commit. False: no memory; the writer is then
 * good for abort alone. */
MUST_USE bool spool_writer_set_envelope(struct spool_writer *w, struct slice envelope);
/* Makes the message durable (RFC 5321 4.2.5: after 250 it is ours), with front before all that was appended (trace fields) and instead of the first
 * skip octets of what was appended (0: all stays). Takes w. Calls done once, from the loop, never before this returns: why is NULL, or temporary (4.3.1 when the disk is
 * full) and the file is gone. */
void spool_writer_commit(struct spool_writer *w, struct slice front, uint64_t skip, spool_done_fn *done, void *arg);
/* Nobody waits any more for done; the commit itself goes on and the message counts. Between commit and done. */
void spool_writer_disown(struct spool_writer *w);
/* Forgets the message; the file, if there is one, is removed in the pool. Takes w. NULL does nothing. */
void spool_writer_abort(struct spool_writer *w);
