/* common/spool/file.h: the format of a spool file. It is frozen: version 1 files are read for ever.
 * Touches: the given descriptor only (pread, pwrite).
 *
 *	octets 0 to 511    the header block: text lines, padded with spaces, the last octet LF
 *	512 …              the envelope (envelope.h)
 *	…                  the content, in extents: message order is the order of the header's list, not of the file
 *	tail               one line for each result, appended as they come
 *
 *	tassis-spool 1
 *	id 01hqz…                    must be the file's name
 *	received MICROSECONDS        since 1970
 *	envelope OFFSET LENGTH CRC32C
 *	content LENGTH CRC32C        of all extents in message order
 *	extent OFFSET LENGTH         1 to 8 of these
 *	tail OFFSET
 *	check CRC32C                 of the header block up to this line
 *
 * Committed means: `check`, the envelope's and the content's CRC are right. A block of zeros, of ones, or of an older file is never committed.
 * A tail line:  KIND RECIPIENT TIME … CRC32C LF, see results below; a torn or wrong last line is ignored and overwritten. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/spool/id.h"

struct fault;

#define SPOOL_HEADER_SIZE 512
#define SPOOL_EXTENTS_MAX 8

struct spool_extent {
	uint64_t offset, length;
};

struct spool_header {
	char id[SPOOL_ID_LENGTH + 1];
	uint64_t received_us;
	uint64_t envelope_offset, envelope_length;
	uint32_t envelope_crc;
	uint64_t content_length; /* octets of the message, CRLF line ends */
	uint32_t content_crc;
	struct spool_extent extents[SPOOL_EXTENTS_MAX];
	size_t n_extents;
	uint64_t tail_offset;
};

/* Writes the 512 octets. The header's numbers are our own and must be consistent. */
void spool_header_encode(const struct spool_header *h, char out[SPOOL_HEADER_SIZE]);
/* Fails, permanent: no header, a wrong check, numbers that contradict each other (overlaps, past 2^62, extents that do not add up). */
MUST_USE bool spool_header_decode(struct slice block, struct spool_header *out, struct fault *why);
/* Reads and checks the header of fd; id must be the file's name. Fails: permanent when it is not committed or broken (by header), temporary when reading failed. */
MUST_USE bool spool_header_read(int fd, struct slice id, struct spool_header *out, struct fault *why);
/* Reads the envelope block into out and checks its CRC. Fails as above. */
MUST_USE bool spool_envelope_read(int fd, const struct spool_header *h, struct buf *out, struct fault *why);
/* Reads the whole content once and checks its CRC (after an unclean stop, before first use). Blocks: for the pool. */
MUST_USE bool spool_content_check(int fd, const struct spool_header *h, struct fault *why);
/* Copies up to size octets of the message, from octet `from` of it, to out; *n is 0 at its end. Fails: temporary. */
MUST_USE bool spool_content_read(int fd, const struct spool_header *h, uint64_t from, void *out, size_t size, size_t *n, struct fault *why);

/* ---- results ---- */

enum spool_result_kind {
	SPOOL_RESULT_DELIVERED, /* done with this recipient */
	SPOOL_RESULT_FAILED,    /* refused for good, not yet told the sender */
	SPOOL_RESULT_DEFERRED,  /* an attempt that did not succeed */
	SPOOL_RESULT_BOUNCED,   /* the sender was told; done */
	SPOOL_RESULT_DROPPED,   /* done without anybody being told: null sender, or an administrator deleted it */
};

struct spool_result {
	enum spool_result_kind kind;
	uint32_t recipient; /* its place in the envelope, from 0 */
	/* Which of the mailboxes that an alias made of it; empty: the recipient as a whole. Recorded so that a list is not delivered twice. */
	struct slice forward_path;
	uint64_t at_us;
	struct slice status; /* RFC 3463 */
	struct slice host;   /* who said it */
	struct slice reply;  /* its words, cut to 1,000 octets when written */
};

/* Appends the line. False: no room. */
bool spool_result_encode(const struct spool_result *r, struct buf *out);
/* The next whole and right line of a tail; slices point into the tail or into arena-less scratch of the caller's, unescaped. False: the end, or the first line that is
 * torn or wrong; *rest then begins at it (which is where the next append must go). */
struct arena;
bool spool_result_next(struct slice *rest, struct arena *arena, struct spool_result *out);
/* Reads the tail (at most max octets) into out; *end is the file offset where the next line must be written. Fails: temporary. */
MUST_USE bool spool_tail_read(int fd, const struct spool_header *h, size_t max, struct buf *out, uint64_t *end, struct fault *why);
/* Writes lines at offset. Not synced. Fails: temporary. */
MUST_USE bool spool_tail_append(int fd, uint64_t offset, struct slice lines, struct fault *why);
