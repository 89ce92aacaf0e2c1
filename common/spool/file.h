/* common/spool/file.h: the format of a spool file. It is frozen: version 1 files are read for ever. tassis-spool(5) tells it to administrators.
 * Touches: the given descriptor only (pread, pwrite, ftruncate).
 *
 *	octets 0 to 511    the header block: text lines, padded with spaces, the last octet LF
 *	512 …              envelope (envelope.h) and content, in any order; content may lie in several extents, and octets may lie
 *	                   there that are part of nothing any more (a header field as it came, before it was changed)
 *	tail               one line for each result, appended as they come
 *
 *	tassis-spool 1
 *	id 01hqz…                    must be the file's name
 *	received MICROSECONDS        since 1970
 *	envelope OFFSET LENGTH CRC32C
 *	content LENGTH CRC32C        LENGTH of the message; the CRC is of all octets from 512 to the tail, in the file's order
 *	extent OFFSET LENGTH         1 to 8 of these: the message is these pieces in the order of this list
 *	tail OFFSET
 *	check CRC32C                 of the header block up to this line
 *
 * Numbers are decimal and below 2^48 (the time below 2^53), CRCs eight lower-case hexadecimal digits. Lines that a later version adds stand between `tail` and
 * `check`; who does not know them leaves them out.
 *
 * Committed means: `check`, the envelope's and the content's CRC are right, and `id` is the name. A block of zeros, of ones, or of an older file is never
 * committed. The content's CRC follows the file's order, not the message's: so a writer needs one pass though it knows the trace fields last, and what a
 * power cut left of the octets between extents counts too.
 *
 * A line of the tail:
 *
 *	KIND RECIPIENT TIME FORWARD-PATH STATUS HOST REPLY… CRC32C
 *
 * "-" stands for nothing; escapes as in the envelope, and SP as %20 but in REPLY. The CRC goes on from that of the id, over the line up to the space before it: so
 * a line that the file system brings back from another file's old block is not ours. The first line that is torn or wrong ends the tail; the next append cuts it off. */
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
/* This bit of the file's mode, which nothing else uses: an administrator holds the message. */
#define SPOOL_HELD_MODE 0100
/* This file in queue/ says, while `tassis queue adopt` holds its lock, that messages of another spool come there. */
#define SPOOL_ADOPTING "adopting"
#define SPOOL_EXTENTS_MAX 8
#define SPOOL_OFFSET_MAX (((uint64_t)1 << 48) - 1)
#define SPOOL_TIME_MAX_US (((uint64_t)1 << 53) - 1)
#define SPOOL_ENVELOPE_MAX ((size_t)64 << 20) /* octets of an envelope block */

struct spool_extent {
	uint64_t offset, length;
};

struct spool_header {
	char id[SPOOL_ID_LENGTH + 1];
	uint64_t received_us;
	uint64_t envelope_offset, envelope_length;
	uint32_t envelope_crc;
	uint64_t content_length; /* octets of the message, CRLF line ends */
	uint32_t content_crc;    /* of the file's octets from SPOOL_HEADER_SIZE to tail_offset */
	struct spool_extent extents[SPOOL_EXTENTS_MAX];
	size_t n_extents;
	uint64_t tail_offset;
};

/* Writes the 512 octets. The header's numbers are our own and must be consistent. */
void spool_header_encode(const struct spool_header *h, char out[SPOOL_HEADER_SIZE]);
/* Fails, permanent: no header, a wrong check, another version, numbers that contradict each other (overlaps, past the tail, extents that do not add up). */
MUST_USE bool spool_header_decode(struct slice block, struct spool_header *out, struct fault *why);
/* Reads and checks the header of fd; id must be the file's name, and the file as long as it says. Fails: permanent when it is not committed or broken (by header),
 * temporary when reading failed. */
MUST_USE bool spool_header_read(int fd, struct slice id, struct spool_header *out, struct fault *why);
/* Reads the envelope block into out (emptied before) and checks its CRC. Fails as above; temporary also when out has no room. */
MUST_USE bool spool_envelope_read(int fd, const struct spool_header *h, struct buf *out, struct fault *why);
/* Reads all that stands before the tail once and checks its CRC (after an unclean stop, before first use). Blocks: for the pool. Fails as above. */
MUST_USE bool spool_content_check(int fd, const struct spool_header *h, struct fault *why);
/* Copies up to size octets of the message, from octet `from` of it, to out; *n is less than size at its end only. Fails: temporary. */
MUST_USE bool spool_content_read(int fd, const struct spool_header *h, uint64_t from, void *out, size_t size, size_t *n, struct fault *why);

/* ---- results ---- */

enum spool_result_kind {
	SPOOL_RESULT_DELIVERED, /* done with this recipient */
	SPOOL_RESULT_FAILED,    /* refused for good, not yet told the sender */
	SPOOL_RESULT_DEFERRED,  /* an attempt that did not succeed */
	SPOOL_RESULT_BOUNCED,   /* the sender was told; done */
	SPOOL_RESULT_DROPPED,   /* done without anybody being told: null sender, or an administrator deleted it */
	SPOOL_RESULT_WARNED,    /* the sender was told that the message is late; of the message, whatever recipient it names */
	SPOOL_RESULT_REPORTED,  /* the sender was told that it is delivered, as they had asked, or another host tells them */
};

struct spool_result {
	enum spool_result_kind kind;
	uint32_t recipient; /* its place in the envelope, from 0 */
	/* Which of the mailboxes that an alias made of it; empty: the recipient as a whole. Recorded so that a list is not delivered twice. */
	struct slice forward_path;
	uint64_t at_us;
	struct slice status; /* RFC 3463 */
	struct slice host;   /* who said it; cut to 255 octets when written */
	struct slice reply;  /* its words, cut to 1,000 octets when written, line ends as spaces */
};

#define SPOOL_FORWARD_PATH_MAX 1000 /* octets; more than any envelope's (envelope.h) */

/* Appends the line as it stands in memory: without CRC, which spool_tail_append adds. False: no room, or a forward_path or status that is too long. */
bool spool_result_encode(const struct spool_result *r, struct buf *out);
/* The next result of a tail as spool_tail_read gave it; lines of a kind that is not known are passed over. Slices point into the tail, or into arena where
 * something was escaped. False: no more (rest->n is 0), or the arena is full (rest->n is not 0; what was recorded may then not be taken for all). */
struct arena;
bool spool_result_next(struct slice *rest, struct arena *arena, struct spool_result *out);
/* Reads the tail's right lines, without their CRC, into out (emptied before); *end is the file offset where the next line must be written. Fails: temporary: reading
 * failed, or there are more than max octets. */
MUST_USE bool spool_tail_read(int fd, const struct spool_header *h, size_t max, struct buf *out, uint64_t *end, struct fault *why);
/* Writes lines (as spool_result_encode made them) at *end, each with its CRC, and moves *end behind them; what stood there, torn, is cut off. Not synced. Fails:
 * temporary, and *end is as before. */
MUST_USE bool spool_tail_append(int fd, struct slice id, uint64_t *end, struct slice lines, struct fault *why);
