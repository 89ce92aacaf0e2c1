/* t/fault/spool_way.c: the spool's way alone, for the fault injector: writes messages as smtpd does and results as queued does, and says of a folder what stands in it.
 *
 *	spool_way write FOLDER N SEED [sync-directory]   N messages, some of them large, many in flight; "acknowledged ID" for each once it is durable, and then
 *	                                                 three results at its tail, not synced
 *	spool_way check FOLDER...                        "folder FOLDER", then a line for each file: committed ID RESULTS, uncommitted ID, or wrong ID and what is wrong
 *
 * A message follows from its id, so check knows what it must be. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/event/loop.h"
#include "common/event/pool.h"
#include "common/spool/writer.h"

#define IN_FLIGHT 8
#define RESULTS 3

struct way {
	struct loop *loop;
	struct spool_place place;
	struct spool_id_source ids;
	unsigned left, under_way, failed;
};

struct message {
	struct way *way;
	struct spool_writer *writer;
	char id[SPOOL_ID_LENGTH + 1];
	struct buf content;
	size_t appended;
};

/* Front, then content: both follow from id. The size does too: one in four is large. */
static size_t content_of(const char *id, struct buf *front, struct buf *content)
{
	uint32_t x = 2166136261u;
	size_t size;

	for (const char *p = id; *p != '\0'; p++)
		x = (x ^ (unsigned char)*p) * 16777619u;
	size = x % 4 == 0 ? 66000 + x / 4 % 200000 : 100 + x / 4 % 5000;
	buf_printf(front, "Received: by spool_way with id %s\r\n", id);
	buf_printf(content, "Subject: %s\r\n\r\n", id);
	while (buf_length(content) < size) {
		x = x * 1664525u + 1013904223u;
		buf_printf(content, "%08" PRIx32 "%s", x, x % 9 == 0 ? "\r\n" : "");
	}
	return x / 16 % 3 == 0 ? slice_find(buf_slice(content), '\n') + 1 : 0; /* so many octets are skipped */
}

static void results_of(unsigned n, struct buf *lines)
{
	for (uint32_t i = 0; i < n; i++) {
		struct spool_result r = {.kind = SPOOL_RESULT_DEFERRED, .recipient = i, .at_us = 1, .status = SLICE("4.4.1"), .host = SLICE("mx.example.com"),
					 .reply = SLICE("451 4.4.1 later")};
		(void)spool_result_encode(&r, lines);
	}
}

/* ---- write ---- */

static void message_begin(struct way *way);

static void message_end(struct message *m)
{
	m->way->under_way--;
	buf_fini(&m->content);
	message_begin(m->way);
	if (m->way->under_way == 0)
		loop_stop(m->way->loop);
	free(m);
}

static void append_results(const struct message *m)
{
	struct buf lines;
	struct spool_header h;
	uint64_t end;
	int fd = openat(m->way->place.folder, m->id, O_RDWR | O_CLOEXEC);

	buf_init(&lines, 4096);
	results_of(RESULTS, &lines);
	if (fd >= 0 && spool_header_read(fd, slice_of_cstr(m->id), &h, NULL)) {
		end = h.tail_offset;
		(void)!spool_tail_append(fd, slice_of_cstr(m->id), &end, buf_slice(&lines), NULL);
	}
	fd_close(&fd);
	buf_fini(&lines);
}

static void on_done(void *arg, const struct fault *why)
{
	struct message *m = arg;
	char line[64];

	if (why == NULL) {
		int n = snprintf(line, sizeof(line), "acknowledged %s\n", m->id);

		(void)!write(STDOUT_FILENO, line, (size_t)n);
		append_results(m);
	} else {
		m->way->failed++;
		fprintf(stderr, "refused %s %s %s\n", m->id, fault_status(why), why->text);
	}
	message_end(m);
}

static void message_append(void *arg)
{
	struct message *m = arg;
	struct slice rest = slice_tail(buf_slice(&m->content), m->appended);
	struct buf front, content;
	size_t skip;

	while (rest.n > 0) {
		struct slice part = slice_head(rest, 16384);

		if (!spool_writer_append(m->writer, part))
			return;
		m->appended += part.n;
		rest = slice_tail(rest, part.n);
	}
	buf_init(&front, 4096);
	buf_init(&content, 1 << 20);
	skip = content_of(m->id, &front, &content);
	spool_writer_commit(m->writer, buf_slice(&front), skip, on_done, m);
	buf_fini(&front);
	buf_fini(&content);
}

static void message_begin(struct way *way)
{
	struct message *m;
	struct buf front;

	if (way->left == 0)
		return;
	way->left--;
	way->under_way++;
	m = calloc(1, sizeof(*m));
	m->way = way;
	spool_id_make(&way->ids, clock_wall_us(), m->id);
	buf_init(&front, 4096);
	buf_init(&m->content, 1 << 20);
	(void)content_of(m->id, &front, &m->content);
	buf_fini(&front);
	if (!spool_writer_begin(&way->place, m->id, spool_id_time_us(slice_of_cstr(m->id)), SLICE("from ann@example.org\nto bob@example.com\n"), message_append, m,
				&m->writer, NULL))
		abort();
	message_append(m);
}

static int write_messages(const char *folder, unsigned n, unsigned seed, bool sync_directory)
{
	struct way way = {.left = n};

	way.loop = loop_create(NULL);
	way.place = (struct spool_place){.pool = pool_create(way.loop, IN_FLIGHT, 64, NULL),
					 .folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
					 .sync_directory = sync_directory};
	spool_id_source_init(&way.ids, SLICE("mx.example.org"), seed & 255);
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		message_begin(&way);
	if (way.under_way > 0)
		loop_run(way.loop);
	pool_destroy(way.place.pool);
	loop_destroy(way.loop);
	fd_close(&way.place.folder);
	return way.failed > 0;
}

/* ---- check ---- */

/* The message is what its id says. */
static bool message_is_right(int fd, const struct spool_header *h)
{
	struct buf front, content;
	size_t skip, n, size;
	char *out;
	bool ok;

	buf_init(&front, 1 << 20);
	buf_init(&content, 1 << 20);
	skip = content_of(h->id, &front, &content);
	(void)buf_append(&front, slice_tail(buf_slice(&content), skip));
	size = buf_length(&front);
	out = malloc(size + 1);
	ok = h->content_length == size && spool_content_read(fd, h, 0, out, size + 1, &n, NULL) && slice_equal(slice_of(out, n), buf_slice(&front));
	free(out);
	buf_fini(&front);
	buf_fini(&content);
	return ok;
}

/* The results are the first of those that were written; how many, or -1. */
static int results_right(int fd, const struct spool_header *h)
{
	struct buf tail, lines;
	struct slice seen;
	uint64_t end;
	int n = -1;

	buf_init(&tail, 1 << 16);
	buf_init(&lines, 1 << 16);
	if (spool_tail_read(fd, h, 1 << 16, &tail, &end, NULL)) {
		seen = buf_slice(&tail);
		results_of(RESULTS, &lines);
		if (slice_starts(buf_slice(&lines), seen))
			for (n = 0; slice_find(seen, '\n') != SIZE_MAX; n++)
				seen = slice_tail(seen, slice_find(seen, '\n') + 1);
	}
	buf_fini(&tail);
	buf_fini(&lines);
	return n;
}

static void check_file(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC), n;
	struct spool_header h;
	struct buf envelope;
	struct fault why = {0};

	buf_init(&envelope, 4096);
	if (!spool_header_read(fd, slice_of_cstr(name), &h, &why) || !spool_envelope_read(fd, &h, &envelope, &why) || !spool_content_check(fd, &h, &why))
		printf("%s %s %s\n", why.class == FAULT_PERMANENT ? "uncommitted" : "wrong", name, why.text);
	else if (!message_is_right(fd, &h))
		printf("wrong %s committed, with another content\n", name);
	else if ((n = results_right(fd, &h)) < 0)
		printf("wrong %s results that nobody wrote\n", name);
	else
		printf("committed %s %d\n", name, n);
	buf_fini(&envelope);
	fd_close(&fd);
}

static int check_folder(const char *path)
{
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = folder < 0 ? NULL : fdopendir(folder);
	struct dirent *e;

	if (d == NULL) {
		perror(path);
		return 2;
	}
	printf("folder %s\n", path);
	while ((e = readdir(d)) != NULL)
		if (spool_id_is_valid(slice_of_cstr(e->d_name)))
			check_file(dirfd(d), e->d_name);
	closedir(d);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 5 && strcmp(argv[1], "write") == 0)
		return write_messages(argv[2], (unsigned)strtoul(argv[3], NULL, 10), (unsigned)strtoul(argv[4], NULL, 10), argc > 5);
	if (argc >= 3 && strcmp(argv[1], "check") == 0) {
		int status = 0;

		for (int i = 2; i < argc && status == 0; i++)
			status = check_folder(argv[i]);
		return status;
	}
	fprintf(stderr, "usage: spool_way write FOLDER N SEED [sync-directory] | check FOLDER...\n");
	return 2;
}
