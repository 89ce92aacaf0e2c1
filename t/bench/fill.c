/* t/bench/fill.c: makes a spool in which many messages wait, by the code that smtpd and queued
 * write it with, but for the fsyncs.
 *
 *	fill SPOOL N DUE FROM TO...    N files in SPOOL/queue, each with an id of its own, received
 * one after the other in the last hour, due at DUE (seconds since 1970). FROM is the reverse-path;
 * the TO take turns, and # in one is the message's number. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/crc32c.h"
#include "common/base/fd.h"
#include "common/base/number.h"
#include "common/spool/envelope.h"
#include "common/spool/file.h"

#define HOUR_US 3600000000ull

static const char content[] =
	"From: bulk@example.com\r\nTo: you@example.com\r\nSubject: News\r\n\r\nThere is none.\r\n";

static _Noreturn void usage(void)
{
	fprintf(stderr, "fill SPOOL N DUE FROM TO...\n");
	exit(2);
}

static void envelope_put(struct buf *out, const char *from, const char *to, uint64_t n)
{
	struct envelope_recipient recipient = {0};
	struct envelope e = {
		.reverse_path = slice_of_cstr(from), .recipients = &recipient, .n_recipients = 1};
	const char *number = strchr(to, '#');
	char path[ENVELOPE_PATH_MAX];

	if (number == NULL)
		(void)snprintf(path, sizeof(path), "%s", to);
	else
		(void)snprintf(path, sizeof(path), "%.*s%llu%s", (int)(number - to), to,
			       (unsigned long long)n, number + 1);
	recipient.forward_path = slice_of_cstr(path);
	if (!envelope_encode(&e, out))
		abort();
}

/* A whole file, in one write. */
static void file_put(struct buf *out, const char *id, uint64_t received_us, struct slice envelope)
{
	struct spool_header h = {.received_us = received_us,
				 .envelope_offset = SPOOL_HEADER_SIZE,
				 .envelope_length = envelope.n,
				 .envelope_crc = crc32c(0, envelope.p, envelope.n),
				 .content_length = sizeof(content) - 1,
				 .extents = {{SPOOL_HEADER_SIZE + envelope.n, sizeof(content) - 1}},
				 .n_extents = 1,
				 .tail_offset =
					 SPOOL_HEADER_SIZE + envelope.n + sizeof(content) - 1};
	char block[SPOOL_HEADER_SIZE];

	memcpy(h.id, id, sizeof(h.id));
	h.content_crc = crc32c(h.envelope_crc, content, sizeof(content) - 1);
	spool_header_encode(&h, block);
	if (!buf_append(out, slice_of(block, sizeof(block))) || !buf_append(out, envelope) ||
	    !buf_append(out, slice_of(content, sizeof(content) - 1)))
		abort();
}

static bool message_put(int queue, const char *id, struct slice file, time_t due)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = due}};
	char path[SPOOL_ID_LENGTH + 8];
	int fd;

	(void)snprintf(path, sizeof(path), "%c", spool_id_hash(slice_of_cstr(id)));
	(void)mkdirat(queue, path, 0700);
	(void)snprintf(path, sizeof(path), "%c/%s", spool_id_hash(slice_of_cstr(id)), id);
	fd = openat(queue, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || !fd_write_all(fd, file.p, file.n, 0) || futimens(fd, times) != 0) {
		perror(path);
		return false;
	}
	return close(fd) == 0;
}

int main(int argc, char **argv)
{
	struct spool_id_source ids;
	struct timespec now;
	uint64_t n, due, first_us;
	struct buf envelope, file;
	int spool, queue;

	if (argc < 6 || !number_u64(slice_of_cstr(argv[2]), UINT32_MAX, &n) ||
	    !number_u64(slice_of_cstr(argv[3]), UINT32_MAX, &due))
		usage();
	(void)mkdir(argv[1], 0755);
	if ((spool = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    (mkdirat(spool, "queue", 0700),
	     queue = openat(spool, "queue", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		perror(argv[1]);
		return 1;
	}
	(void)clock_gettime(CLOCK_REALTIME, &now);
	first_us = (uint64_t)now.tv_sec * 1000000 - HOUR_US;
	spool_id_source_init(&ids, SLICE("fill"), 77);
	buf_init(&envelope, SPOOL_ENVELOPE_MAX);
	buf_init(&file, SPOOL_ENVELOPE_MAX);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t received_us = first_us + i * (HOUR_US / n);
		char id[SPOOL_ID_LENGTH + 1];

		spool_id_make(&ids, received_us, id);
		buf_reset(&envelope);
		buf_reset(&file);
		envelope_put(&envelope, argv[4], argv[5 + i % (uint64_t)(argc - 5)], i);
		file_put(&file, id, received_us, buf_slice(&envelope));
		if (!message_put(queue, id, buf_slice(&file), (time_t)due))
			return 1;
	}
	buf_fini(&envelope);
	buf_fini(&file);
	close(queue);
	close(spool);
	return 0;
}
