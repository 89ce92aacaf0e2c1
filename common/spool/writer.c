#include "common/spool/writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/crc32c.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/event/loop.h"
#include "common/event/pool.h"

#define WRITER_MAGIC 0x73706c77u
#define FILE_MODE 0660
#define PARTS_MAX 4

/* Write-back of a large message begins after each of so many octets, so that the fsync at its end finds little left. Smaller steps make more and smaller
 * extents on the disk. */
#define WRITEBACK_BYTES ((uint64_t)1 << 20)

/* What the pool works on. The loop leaves it alone while a job is under way. */
struct file {
	int folder;
	bool sync_directory;
	char id[SPOOL_ID_LENGTH + 1];
	uint64_t received_us;
	struct buf chunk; /* content to be written next */
	struct buf envelope, front;
	uint64_t skip;
	int fd;                 /* -1: not open */
	bool created;           /* the name is ours to remove */
	uint64_t end;           /* octets of the file so far */
	uint64_t writeback_end; /* up to here write-back has begun */
	uint32_t crc;           /* of the octets from SPOOL_HEADER_SIZE to end */
	bool failed;
	struct fault why;
};

struct spool_writer {
	struct pool_job job;
	uint32_t magic;
	struct pool *pool;
	struct file file;
	struct buf filling, envelope, front;
	uint64_t length, skip;
	bool under_way;   /* a job is */
	bool wants_ready; /* an append was refused */
	bool no_memory;   /* octets were lost for it */
	bool failed;      /* nothing more is kept: no_memory, or the loop's copy of file.failed */
	enum { WRITER_OPEN, WRITER_COMMITTING, WRITER_ABORTED } state;
	void (*ready)(void *arg);
	void *ready_arg;
	spool_done_fn *done;
	void *done_arg;
	struct loop_task late; /* tells of a commit that could not be given to the pool */
};

static struct spool_writer *writer_of(void *arg)
{
	struct spool_writer *w = arg;

	assert(w->magic == WRITER_MAGIC);
	return w;
}

static void writer_destroy(struct spool_writer *w)
{
	assert(w->file.fd < 0 && !w->under_way);
	buf_fini(&w->file.envelope);
	buf_fini(&w->file.chunk);
	buf_fini(&w->file.front);
	buf_fini(&w->filling);
	buf_fini(&w->envelope);
	buf_fini(&w->front);
	w->magic = 0;
	free(w);
}

/* ---- in the pool ---- */

static void file_fail(struct file *f, const char *what)
{
	int error = errno;

	f->failed = true;
	errno = error;
	fault_errno(&f->why, error == EFBIG ? "4.3.1" : "4.3.0", "cannot %s message %s", what, f->id);
}

/* Removes what is there. Where not even that is possible, the commit mark goes. */
static void file_discard(struct file *f)
{
	if (f->created && unlinkat(f->folder, f->id, 0) != 0 && errno != ENOENT)
		f->created = ftruncate(f->fd, 0) != 0;
	fd_close(&f->fd);
}

static bool file_open(struct file *f)
{
	if (f->fd >= 0)
		return true;
	f->fd = openat(f->folder, f->id, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (f->fd < 0) {
		file_fail(f, "create");
		return false;
	}
	f->created = true;
	return true;
}

/* pwritev of all of it, at offset. */
static bool write_parts(int fd, struct iovec *parts, int n, uint64_t offset)
{
	while (n > 0) {
		ssize_t written = pwritev(fd, parts, n, (off_t)offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			errno = written == 0 ? ENOSPC : errno;
			return false;
		}
		offset += (uint64_t)written;
		for (; n > 0 && (size_t)written >= parts->iov_len; n--, parts++)
			written -= (ssize_t)parts->iov_len;
		if (n > 0) {
			parts->iov_base = (char *)parts->iov_base + written;
			parts->iov_len -= (size_t)written;
		}
	}
	return true;
}

struct parts {
	struct iovec v[PARTS_MAX];
	int n;
};

static void parts_add(struct parts *parts, const void *p, size_t n)
{
	if (n > 0)
		parts->v[parts->n++] = (struct iovec){.iov_base = (void *)(uintptr_t)p, .iov_len = n};
}

/* A part that stands behind all others so far. */
static void parts_add_data(struct parts *parts, struct file *f, struct slice s)
{
	f->crc = crc32c(f->crc, s.p, s.n);
	f->end += s.n;
	parts_add(parts, s.p, s.n);
}

static void work_chunk(struct pool_job *job)
{
	struct file *f = &writer_of(job)->file;
	struct parts parts = {0};
	uint64_t start = f->end;

	if (f->failed || !file_open(f))
		return;
	parts_add_data(&parts, f, buf_slice(&f->chunk));
	buf_reset(&f->chunk);
	if (!write_parts(f->fd, parts.v, parts.n, start)) {
		file_fail(f, "write");
		return;
	}
	if (f->end - f->writeback_end < WRITEBACK_BYTES)
		return;
	/* Its failure is fsync's to tell. */
	(void)sync_file_range(f->fd, (off_t)f->writeback_end, (off_t)(f->end - f->writeback_end), SYNC_FILE_RANGE_WRITE);
	f->writeback_end = f->end;
}

static struct spool_header file_header(const struct file *f, uint64_t envelope_start)
{
	struct spool_header h = {.received_us = f->received_us, .envelope_offset = envelope_start, .content_crc = f->crc, .tail_offset = f->end};
	struct slice envelope = buf_slice(&f->envelope);

	memcpy(h.id, f->id, sizeof(h.id));
	h.envelope_length = envelope.n;
	h.envelope_crc = crc32c(0, envelope.p, envelope.n);
	return h;
}

static void header_add(struct spool_header *h, uint64_t offset, uint64_t length)
{
	h->extents[h->n_extents++] = (struct spool_extent){offset, length};
	h->content_length += length;
}

/* All of it in one call: the envelope, then the message in its order: front, then what was appended. */
static bool write_small(struct file *f)
{
	char block[SPOOL_HEADER_SIZE];
	struct spool_header h;
	struct parts parts = {0};
	uint64_t start;

	parts_add(&parts, block, sizeof(block));
	parts_add_data(&parts, f, buf_slice(&f->envelope));
	start = f->end;
	parts_add_data(&parts, f, buf_slice(&f->front));
	parts_add_data(&parts, f, slice_tail(buf_slice(&f->chunk), (size_t)f->skip));
	h = file_header(f, SPOOL_HEADER_SIZE);
	header_add(&h, start, f->end - start);
	spool_header_encode(&h, block);
	return write_parts(f->fd, parts.v, parts.n, 0);
}

/* The rest, and front and envelope behind it; then, with all that it speaks of written, the header block. */
static bool write_large(struct file *f)
{
	char block[SPOOL_HEADER_SIZE];
	struct iovec header = {.iov_base = block, .iov_len = sizeof(block)};
	struct spool_header h;
	struct parts parts = {0};
	struct slice front = buf_slice(&f->front);
	uint64_t start = f->end, content_start = SPOOL_HEADER_SIZE, front_start, envelope_start;

	parts_add_data(&parts, f, buf_slice(&f->chunk));
	front_start = f->end;
	parts_add_data(&parts, f, front);
	envelope_start = f->end;
	parts_add_data(&parts, f, buf_slice(&f->envelope));
	if (!write_parts(f->fd, parts.v, parts.n, start))
		return false;
	h = file_header(f, envelope_start);
	if (front.n > 0)
		header_add(&h, front_start, front.n);
	header_add(&h, content_start + f->skip, front_start - content_start - f->skip);
	spool_header_encode(&h, block);
	return write_parts(f->fd, &header, 1, 0);
}

static void work_commit(struct pool_job *job)
{
	struct file *f = &writer_of(job)->file;

	if (f->failed || !file_open(f))
		goto out;
	if (!(f->end == SPOOL_HEADER_SIZE ? write_small(f) : write_large(f)))
		file_fail(f, "write");
	else if (fsync(f->fd) != 0)
		file_fail(f, "sync");
	else if (f->sync_directory && fsync(f->folder) != 0)
		file_fail(f, "sync the folder of");
out:
	if (f->failed)
		file_discard(f);
	fd_close(&f->fd);
}

static void work_remove(struct pool_job *job)
{
	file_discard(&writer_of(job)->file);
}

/* ---- in the loop ---- */

static void writer_report(void *arg)
{
	struct spool_writer *w = writer_of(arg);
	spool_done_fn *done = w->done;
	void *done_arg = w->done_arg;
	struct fault why = w->file.why;
	bool failed = w->file.failed;

	writer_destroy(w);
	if (done != NULL)
		done(done_arg, failed ? &why : NULL);
}

/* For a pool that takes nothing: the two calls that are left to make are short. */
static void writer_give_up(struct spool_writer *w)
{
	file_discard(&w->file);
	if (w->file.failed)
		return;
	w->failed = w->file.failed = true;
	fault_set(&w->file.why, "4.3.2", "too much waits for the disk to take message %s too", w->file.id);
}

static void job_done(struct pool_job *job);

static bool writer_submit(struct spool_writer *w, pool_work_fn *work)
{
	w->job = (struct pool_job){.work = work, .done = job_done};
	w->under_way = pool_submit(w->pool, &w->job);
	return w->under_way;
}

/* Gives what was filled to the pool. No job is under way. */
static void writer_flush(struct spool_writer *w)
{
	struct buf empty = w->file.chunk;

	w->file.chunk = w->filling;
	w->filling = empty;
	if (!writer_submit(w, work_chunk))
		writer_give_up(w);
}

/* The last job; no other is under way. */
static void writer_finish(struct spool_writer *w)
{
	buf_fini(&w->file.chunk);
	w->file.chunk = w->filling;
	w->file.envelope = w->envelope;
	w->file.front = w->front;
	w->file.skip = w->skip;
	buf_init(&w->filling, 0);
	buf_init(&w->envelope, 0);
	buf_init(&w->front, 0);
	if (w->no_memory && !w->file.failed) {
		w->file.failed = true;
		fault_set(&w->file.why, "4.3.1", "no memory for message %s", w->file.id);
	}
	if (writer_submit(w, work_commit))
		return;
	writer_give_up(w);
	loop_task_schedule(&w->late);
}

static void writer_remove(struct spool_writer *w)
{
	if (w->file.created && writer_submit(w, work_remove))
		return;
	file_discard(&w->file);
	writer_destroy(w);
}

static void chunk_done(struct spool_writer *w)
{
	bool wants_ready = w->wants_ready;

	w->failed |= w->file.failed;
	w->wants_ready = false;
	if (w->state == WRITER_COMMITTING)
		writer_finish(w);
	else if (w->state == WRITER_ABORTED)
		writer_remove(w);
	else if (wants_ready && w->ready != NULL)
		w->ready(w->ready_arg);
}

static void job_done(struct pool_job *job)
{
	struct spool_writer *w = writer_of(job);

	w->under_way = false;
	if (job->work == work_commit)
		writer_report(w);
	else if (job->work == work_remove)
		writer_destroy(w);
	else
		chunk_done(w);
}

bool spool_writer_begin(const struct spool_place *place, const char id[SPOOL_ID_LENGTH + 1], uint64_t received_us, struct slice envelope,
			void (*ready)(void *arg), void *arg, struct spool_writer **out, struct fault *why)
{
	struct spool_writer *w = memory_alloc(1, sizeof(*w), why);

	if (w == NULL)
		return false;
	*w = (struct spool_writer){.magic = WRITER_MAGIC, .pool = place->pool, .ready = ready, .ready_arg = arg};
	w->file = (struct file){
		.folder = place->folder, .sync_directory = place->sync_directory, .received_us = received_us, .fd = -1, .end = SPOOL_HEADER_SIZE};
	memcpy(w->file.id, id, sizeof(w->file.id));
	buf_init(&w->file.chunk, SPOOL_CHUNK_BYTES);
	buf_init(&w->envelope, SPOOL_ENVELOPE_MAX);
	buf_init(&w->front, SIZE_MAX);
	buf_init(&w->filling, SPOOL_CHUNK_BYTES);
	loop_task_init(&w->late, pool_loop(place->pool), writer_report, w);
	if (!buf_append(&w->envelope, envelope)) {
		fault_set(why, "4.3.1", "no memory for the envelope of message %s", id);
		writer_destroy(w);
		return false;
	}
	*out = w;
	return true;
}

/* What is filled has room for it. */
static void writer_fill(struct spool_writer *w, struct slice octets)
{
	if (w->failed || buf_append(&w->filling, octets))
		return;
	w->failed = w->no_memory = true;
}

bool spool_writer_append(struct spool_writer *w, struct slice octets)
{
	size_t room = SPOOL_CHUNK_BYTES - buf_length(&w->filling);

	assert(w->state == WRITER_OPEN && octets.n <= SPOOL_CHUNK_BYTES);
	if (octets.n > room && w->under_way && !w->failed) {
		w->wants_ready = true;
		return false;
	}
	writer_fill(w, slice_head(octets, room));
	if (octets.n > room && !w->failed) {
		writer_flush(w);
		writer_fill(w, slice_tail(octets, room));
	}
	w->length += octets.n;
	return true;
}

uint64_t spool_writer_length(const struct spool_writer *w)
{
	return w->length;
}

bool spool_writer_set_envelope(struct spool_writer *w, struct slice envelope)
{
	assert(w->state == WRITER_OPEN);
	buf_reset(&w->envelope);
	return buf_append(&w->envelope, envelope);
}

void spool_writer_commit(struct spool_writer *w, struct slice front, uint64_t skip, spool_done_fn *done, void *arg)
{
	assert(w->state == WRITER_OPEN && skip <= w->length);
	w->state = WRITER_COMMITTING;
	w->done = done;
	w->done_arg = arg;
	w->skip = skip;
	w->no_memory |= !buf_append(&w->front, front);
	if (!w->under_way)
		writer_finish(w);
}

void spool_writer_disown(struct spool_writer *w)
{
	assert(w->state == WRITER_COMMITTING);
	w->done = NULL;
}

void spool_writer_abort(struct spool_writer *w)
{
	if (w == NULL)
		return;
	assert(w->state == WRITER_OPEN);
	w->state = WRITER_ABORTED;
	if (!w->under_way)
		writer_remove(w);
}
