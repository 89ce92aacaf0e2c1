#include "common/spool/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/event/loop.h"
#include "common/event/pool.h"

#define ID "01hqz6k3v2j0w9xq4mb7tn"
#define ENVELOPE SLICE("from ann@example.org\nto bob@example.com\n")
#define FRONT SLICE("Received: from client.example.org\r\n")

/* ---- the calls of the pool's thread, seen and made to fail ---- */

struct call {
	char name; /* o pen, w rite, s ync, r ange, u nlink, t runcate */
	off_t offset;
	size_t length;
};

static struct {
	struct call calls[256];
	size_t n;
	size_t fail_at, n_failing; /* this call, from 1, and so many (0: one) from it on */
	int error;
	bool short_writes;
} trace;

static bool fails(char name, off_t offset, size_t length)
{
	if (trace.n < sizeof(trace.calls) / sizeof(*trace.calls))
		trace.calls[trace.n] = (struct call){name, offset, length};
	trace.n++;
	if (trace.fail_at == 0 || trace.n < trace.fail_at || trace.n >= trace.fail_at + (trace.n_failing ? trace.n_failing : 1))
		return false;
	errno = trace.error;
	return true;
}

/* These take the place of the C library's in this program. */
int openat(int folder, const char *name, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	return fails('o', 0, 0) ? -1 : (int)syscall(SYS_openat, folder, name, flags, mode);
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t offset)
{
	size_t length = 0;

	for (int i = 0; i < n; i++)
		length += parts[i].iov_len;
	if (fails('w', offset, length))
		return -1;
	if (trace.short_writes && length > 1) {
		struct iovec half = {parts[0].iov_base, parts[0].iov_len > 1 ? parts[0].iov_len / 2 : 1};

		return syscall(SYS_pwritev, fd, &half, 1, offset, 0);
	}
	return syscall(SYS_pwritev, fd, parts, n, offset, 0);
}

int fsync(int fd)
{
	return fails('s', 0, 0) ? -1 : (int)syscall(SYS_fsync, fd);
}

int sync_file_range(int fd, off_t offset, off_t length, unsigned flags)
{
	return fails('r', offset, (size_t)length) ? -1 : (int)syscall(SYS_sync_file_range, fd, offset, length, flags);
}

int unlinkat(int folder, const char *name, int flags)
{
	return fails('u', 0, 0) ? -1 : (int)syscall(SYS_unlinkat, folder, name, flags);
}

int ftruncate(int fd, off_t length)
{
	return fails('t', length, 0) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

/* ---- */

struct fixture {
	struct loop *loop;
	struct spool_place place;
	char path[64];
	unsigned n_ready;
	unsigned n_done;
	bool ok;
	struct fault why;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){.path = "/tmp/spool-writer-XXXXXX"};
	memset(&trace, 0, sizeof(trace));
	if (mkdtemp(f.path) == NULL || (f.loop = loop_create(NULL)) == NULL || (f.place.pool = pool_create(f.loop, 1, 8, NULL)) == NULL)
		return 1;
	f.place.folder = open(f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &f;
	return f.place.folder < 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pool_destroy(f->place.pool);
	loop_destroy(f->loop);
	memset(&trace, 0, sizeof(trace));
	(void)unlinkat(f->place.folder, ID, 0);
	fd_close(&f->place.folder);
	return rmdir(f->path);
}

static void on_ready(void *arg)
{
	((struct fixture *)arg)->n_ready++;
}

static void on_done(void *arg, const struct fault *why)
{
	struct fixture *f = arg;

	f->n_done++;
	f->ok = why == NULL;
	if (why != NULL)
		f->why = *why;
}

static struct spool_writer *begin(struct fixture *f)
{
	struct spool_writer *w;

	assert_true(spool_writer_begin(&f->place, ID, 1764088515123456, ENVELOPE, on_ready, f, &w, NULL));
	return w;
}

static void wait_for_pool(struct fixture *f)
{
	while (pool_under_way(f->place.pool) > 0)
		loop_turn(f->loop, true);
}

static void append_all(struct fixture *f, struct spool_writer *w, struct slice octets)
{
	while (octets.n > 0) {
		struct slice part = slice_head(octets, 10000);
		unsigned before = f->n_ready;

		while (!spool_writer_append(w, part))
			while (f->n_ready == before)
				loop_turn(f->loop, true);
		octets = slice_tail(octets, part.n);
	}
}

static void commit(struct fixture *f, struct spool_writer *w, struct slice front, uint64_t skip)
{
	spool_writer_commit(w, front, skip, on_done, f);
	assert_int_equal(f->n_done, 0);
	while (f->n_done == 0)
		loop_turn(f->loop, pool_under_way(f->place.pool) > 0);
}

static size_t n_files(struct fixture *f)
{
	DIR *d = opendir(f->path);
	size_t n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

/* Committed, and its message is front, then content. */
static void assert_message(struct fixture *f, struct slice front, struct slice content, size_t n_extents)
{
	struct spool_header h;
	struct buf envelope;
	struct stat st;
	size_t size = front.n + content.n, n;
	char *out = malloc(size + 1);
	int fd = (int)syscall(SYS_openat, f->place.folder, ID, O_RDONLY);

	buf_init(&envelope, 4096);
	assert_true(spool_header_read(fd, SLICE(ID), &h, NULL) && spool_envelope_read(fd, &h, &envelope, NULL) && spool_content_check(fd, &h, NULL));
	assert_int_equal(h.received_us, 1764088515123456);
	assert_true(slice_equal(buf_slice(&envelope), ENVELOPE));
	assert_int_equal(h.n_extents, n_extents);
	assert_int_equal(h.content_length, size);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, h.tail_offset);
	assert_true(spool_content_read(fd, &h, 0, out, size + 1, &n, NULL));
	assert_int_equal(n, size);
	assert_memory_equal(out, front.p, front.n);
	if (content.n > 0)
		assert_memory_equal(out + front.n, content.p, content.n);
	free(out);
	buf_fini(&envelope);
	fd_close(&fd);
}

static struct slice noise(size_t n)
{
	static char octets[5 << 20];

	for (size_t i = 0; octets[1] == 0 && i < sizeof(octets); i++)
		octets[i] = (char)(i * 2654435761u >> 13);
	assert_true(n <= sizeof(octets));
	return slice_of(octets, n);
}

static void calls_are(const char *names)
{
	char seen[sizeof(trace.calls) / sizeof(*trace.calls) + 1] = "";

	for (size_t i = 0; i < trace.n && i < sizeof(seen) - 1; i++)
		seen[i] = trace.calls[i].name;
	assert_string_equal(seen, names);
}

/* Invariant 3. */
static void small_message_is_one_job_of_four_calls_and_one_extent(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w = begin(f);

	append_all(f, w, noise(3000));
	assert_int_equal(spool_writer_length(w), 3000);
	assert_int_equal(pool_under_way(f->place.pool), 0);
	commit(f, w, FRONT, 0);
	assert_true(f->ok);
	calls_are("ows");
	assert_message(f, FRONT, noise(3000), 1);
}

static void message_of_just_one_chunk_is_small(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w = begin(f);

	append_all(f, w, noise(SPOOL_CHUNK_BYTES));
	commit(f, w, FRONT, 0);
	calls_are("ows");
	assert_message(f, FRONT, noise(SPOOL_CHUNK_BYTES), 1);
}

static void empty_message_is_written(void **state)
{
	struct fixture *f = *state;

	commit(f, begin(f), FRONT, 0);
	assert_true(f->ok);
	assert_message(f, FRONT, SLICE_EMPTY, 1);
}

/* Invariants 1 and 2. */
static void large_message_gets_its_header_block_last(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w = begin(f);
	size_t n = 4 << 20;

	append_all(f, w, noise(n));
	assert_int_equal(spool_writer_length(w), n);
	commit(f, w, FRONT, 0);
	assert_true(f->ok);
	assert_message(f, FRONT, noise(n), 2);
	assert_int_equal(trace.calls[0].name, 'o');
	for (size_t i = 1; i < trace.n - 2; i++)
		assert_true(trace.calls[i].name == 'r' || (trace.calls[i].name == 'w' && trace.calls[i].offset >= SPOOL_HEADER_SIZE));
	assert_int_equal(trace.calls[trace.n - 2].name, 'w');
	assert_int_equal(trace.calls[trace.n - 2].offset, 0);
	assert_int_equal(trace.calls[trace.n - 2].length, SPOOL_HEADER_SIZE);
	assert_int_equal(trace.calls[trace.n - 1].name, 's');
}

static void write_back_of_a_large_message_begins_early(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w = begin(f);
	size_t n_ranges = 0;
	off_t end = 0;

	append_all(f, w, noise(4 << 20));
	commit(f, w, FRONT, 0);
	for (size_t i = 0; i < trace.n; i++)
		if (trace.calls[i].name == 'r') {
			assert_int_equal(trace.calls[i].offset, end);
			end += (off_t)trace.calls[i].length;
			n_ranges++;
		}
	assert_in_range(n_ranges, 3, 4);
	assert_true(end >= 3 << 20);
}

static void skipped_octets_are_no_part_of_the_message(void **state)
{
	struct fixture *f = *state;

	for (size_t n = 2000; n <= 200000; n *= 10) {
		struct spool_writer *w = begin(f);

		append_all(f, w, noise(n));
		commit(f, w, FRONT, 1500);
		f->n_done = 0;
		assert_message(f, FRONT, slice_tail(noise(n), 1500), n > SPOOL_CHUNK_BYTES ? 2 : 1);
		assert_int_equal(syscall(SYS_unlinkat, f->place.folder, ID, 0), 0);
	}
}

static void front_may_be_empty_and_all_may_be_skipped(void **state)
{
	struct fixture *f = *state;

	for (size_t n = 2000; n <= 200000; n *= 10) {
		struct spool_writer *w = begin(f);

		append_all(f, w, noise(n));
		commit(f, w, SLICE_EMPTY, n);
		f->n_done = 0;
		assert_message(f, SLICE_EMPTY, SLICE_EMPTY, 1);
		assert_int_equal(syscall(SYS_unlinkat, f->place.folder, ID, 0), 0);
	}
}

/* What a header says, of a large message too, may change it. */
static void envelope_may_be_another_one_at_the_end(void **state)
{
	struct slice other = SLICE("from ann@example.org\nspam yes\nto bob@example.com\n");
	struct fixture *f = *state;
	struct spool_header h;
	struct buf envelope;

	buf_init(&envelope, 4096);
	for (size_t n = 2000; n <= 200000; n *= 10) {
		struct spool_writer *w = begin(f);
		int fd;

		append_all(f, w, noise(n));
		assert_true(spool_writer_set_envelope(w, SLICE("from nobody\nto nobody\n")));
		assert_true(spool_writer_set_envelope(w, other));
		commit(f, w, FRONT, 0);
		f->n_done = 0;
		fd = (int)syscall(SYS_openat, f->place.folder, ID, O_RDONLY);
		assert_true(spool_header_read(fd, SLICE(ID), &h, NULL) && spool_envelope_read(fd, &h, &envelope, NULL) &&
			    spool_content_check(fd, &h, NULL));
		assert_true(slice_equal(buf_slice(&envelope), other));
		assert_int_equal(h.content_length, FRONT.n + n);
		fd_close(&fd);
		assert_int_equal(syscall(SYS_unlinkat, f->place.folder, ID, 0), 0);
	}
	buf_fini(&envelope);
}

/* Invariant 4. */
static void full_writer_takes_nothing_until_it_is_ready(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w = begin(f);
	struct slice chunk = noise(SPOOL_CHUNK_BYTES);
	char *twice = malloc(2 * SPOOL_CHUNK_BYTES + 1);

	assert_true(spool_writer_append(w, chunk));
	assert_true(spool_writer_append(w, chunk)); /* the first is in the pool now */
	assert_false(spool_writer_append(w, slice_head(chunk, 1)));
	assert_int_equal(spool_writer_length(w), 2 * SPOOL_CHUNK_BYTES);
	assert_int_equal(f->n_ready, 0);
	wait_for_pool(f);
	assert_int_equal(f->n_ready, 1);
	assert_true(spool_writer_append(w, slice_head(chunk, 1)));
	commit(f, w, FRONT, 0);
	memcpy(twice, chunk.p, chunk.n);
	memcpy(twice + chunk.n, chunk.p, chunk.n);
	twice[2 * chunk.n] = chunk.p[0];
	assert_message(f, FRONT, slice_of(twice, 2 * chunk.n + 1), 2);
	assert_int_equal(f->n_ready, 1);
	free(twice);
}

static void short_writes_are_gone_on_with(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w = begin(f);

	trace.short_writes = true;
	append_all(f, w, noise(200000));
	commit(f, w, FRONT, 0);
	assert_true(f->ok);
	assert_message(f, FRONT, noise(200000), 2);
}

/* Each call failing in turn: what is said is temporary, and nothing stays. Invariant 5. */
static void each_call_failing_leaves_nothing_and_is_temporary(void **state)
{
	struct fixture *f = *state;
	static const struct {
		int error;
		const char *status;
	} errors[] = {{ENOSPC, "4.3.1"}, {EDQUOT, "4.3.1"}, {EFBIG, "4.3.1"}, {EIO, "4.3.0"}};
	bool ended = false;

	f->place.sync_directory = true;
	for (size_t size = 1000; size <= 300000; size *= 300)
		for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++, ended = false)
			for (size_t at = 1; !ended; at++) {
				struct spool_writer *w;

				memset(&trace, 0, sizeof(trace));
				trace.fail_at = at;
				trace.error = errors[i].error;
				f->n_done = 0;
				w = begin(f);
				append_all(f, w, noise(size));
				commit(f, w, FRONT, 0);
				ended = trace.n < at;
				if (!ended && trace.calls[at - 1].name == 'r') { /* fsync tells, not this */
					assert_true(f->ok);
					assert_int_equal(syscall(SYS_unlinkat, f->place.folder, ID, 0), 0);
					continue;
				}
				assert_int_equal(f->ok, ended);
				assert_int_equal(n_files(f), ended ? 1 : 0);
				if (ended) {
					assert_int_equal(syscall(SYS_unlinkat, f->place.folder, ID, 0), 0);
					continue;
				}
				assert_int_equal(f->why.class, FAULT_TEMPORARY);
				assert_string_equal(fault_status(&f->why), errors[i].status);
			}
}

/* fsync and unlink fail: the file is emptied. */
static void file_that_cannot_be_removed_is_not_committed(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w = begin(f);
	struct stat st;

	append_all(f, w, noise(1000));
	trace.fail_at = 3;
	trace.n_failing = 2;
	trace.error = EIO;
	commit(f, w, FRONT, 0);
	assert_false(f->ok);
	calls_are("owsut");
	assert_int_equal(fstatat(f->place.folder, ID, &st, 0), 0);
	assert_int_equal(st.st_size, 0);
}

static void name_that_exists_is_not_touched(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w;

	commit(f, begin(f), FRONT, 0);
	f->n_done = 0;
	w = begin(f);
	append_all(f, w, noise(100));
	commit(f, w, FRONT, 0);
	assert_false(f->ok);
	assert_int_equal(f->why.class, FAULT_TEMPORARY);
	assert_message(f, FRONT, SLICE_EMPTY, 1);
}

static void abort_of_a_small_message_touches_no_file(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w = begin(f);

	append_all(f, w, noise(1000));
	spool_writer_abort(w);
	spool_writer_abort(NULL);
	assert_int_equal(trace.n, 0);
	assert_int_equal(pool_under_way(f->place.pool), 0);
}

static void abort_of_a_large_message_removes_its_file(void **state)
{
	struct fixture *f = *state;

	for (int waits = 0; waits < 2; waits++) {
		struct spool_writer *w = begin(f);

		append_all(f, w, noise(200000));
		if (waits)
			wait_for_pool(f);
		spool_writer_abort(w);
		wait_for_pool(f);
		assert_int_equal(n_files(f), 0);
	}
}

static void disowned_message_still_counts(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w = begin(f);

	append_all(f, w, noise(1000));
	spool_writer_commit(w, FRONT, 0, on_done, f);
	spool_writer_disown(w);
	wait_for_pool(f);
	assert_int_equal(f->n_done, 0);
	assert_message(f, FRONT, noise(1000), 1);
}

static void commit_waits_for_the_chunk_under_way(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w = begin(f);

	assert_true(spool_writer_append(w, noise(SPOOL_CHUNK_BYTES)));
	assert_true(spool_writer_append(w, noise(5)));
	commit(f, w, FRONT, 0);
	assert_true(f->ok);
}

static void failed_writer_swallows_until_commit(void **state)
{
	struct fixture *f = *state;
	struct spool_writer *w = begin(f);

	trace.fail_at = 2;
	trace.error = ENOSPC;
	append_all(f, w, noise(SPOOL_CHUNK_BYTES + 1));
	wait_for_pool(f);
	append_all(f, w, noise(1 << 20));
	assert_int_equal(spool_writer_length(w), SPOOL_CHUNK_BYTES + 1 + (1 << 20));
	assert_int_equal(pool_under_way(f->place.pool), 0);
	commit(f, w, FRONT, 0);
	assert_string_equal(fault_status(&f->why), "4.3.1");
	assert_int_equal(n_files(f), 0);
}

/* ---- a pool that is full ---- */

static int gate[2];

static void wait_at_gate(struct pool_job *job)
{
	char c;

	(void)job;
	(void)!read(gate[0], &c, 1);
}

static void gate_passed(struct pool_job *job)
{
	(void)job;
}

static void full_pool_gives_the_message_up(void **state)
{
	struct fixture *f = *state;
	struct pool_job jobs[2] = {{wait_at_gate, gate_passed, NULL}, {wait_at_gate, gate_passed, NULL}};

	assert_int_equal(pipe(gate), 0);
	for (int n = 1000; n <= 200000; n *= 200) {
		struct spool_place place = f->place;
		struct spool_writer *w;

		place.pool = pool_create(f->loop, 1, 1, NULL);
		f->n_done = 0;
		f->why = (struct fault){0};
		assert_true(spool_writer_begin(&place, ID, 1, ENVELOPE, on_ready, f, &w, NULL));
		assert_true(pool_submit(place.pool, &jobs[0]));
		while (!pool_submit(place.pool, &jobs[1]))
			;
		append_all(f, w, noise((size_t)n));
		spool_writer_commit(w, FRONT, 0, on_done, f);
		assert_int_equal(f->n_done, 0);
		loop_turn(f->loop, false);
		assert_int_equal(f->n_done, 1);
		assert_string_equal(fault_status(&f->why), "4.3.2");
		assert_int_equal(n_files(f), 0);
		assert_int_equal(write(gate[1], "gogo", 2), 2);
		pool_destroy(place.pool);
	}
	close(gate[0]);
	close(gate[1]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(small_message_is_one_job_of_four_calls_and_one_extent),
		T(message_of_just_one_chunk_is_small),
		T(empty_message_is_written),
		T(large_message_gets_its_header_block_last),
		T(write_back_of_a_large_message_begins_early),
		T(skipped_octets_are_no_part_of_the_message),
		T(front_may_be_empty_and_all_may_be_skipped),
		T(envelope_may_be_another_one_at_the_end),
		T(full_writer_takes_nothing_until_it_is_ready),
		T(short_writes_are_gone_on_with),
		T(each_call_failing_leaves_nothing_and_is_temporary),
		T(file_that_cannot_be_removed_is_not_committed),
		T(name_that_exists_is_not_touched),
		T(abort_of_a_small_message_touches_no_file),
		T(abort_of_a_large_message_removes_its_file),
		T(disowned_message_still_counts),
		T(commit_waits_for_the_chunk_under_way),
		T(failed_writer_swallows_until_commit),
		T(full_pool_gives_the_message_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
