/* A spool file, whatever it holds (another host's, a user's in maildrop/): it is refused or read, within its bounds; what was read can be written and read again. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/crc32c.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/spool/envelope.h"
#include "common/spool/file.h"

#define ID SLICE("01hqz6k3v2j0w9xq4mb7tn")

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
	if (!what)
		abort();
}

/* A CRC cannot be guessed, so the header's check is made right: over all up to the first line that begins with it, or to the end of the text. */
static void block_of(struct slice octets, char block[SPOOL_HEADER_SIZE])
{
	size_t at = slice_find_slice(octets, SLICE("\ncheck ")), n = at == SIZE_MAX ? octets.n : at + 1;
	char check[16];

	memset(block, ' ', SPOOL_HEADER_SIZE);
	if (n > SPOOL_HEADER_SIZE - sizeof(check))
		n = SPOOL_HEADER_SIZE - sizeof(check);
	if (n > 0)
		memcpy(block, octets.p, n);
	snprintf(check, sizeof(check), "check %08x\n", crc32c(0, block, n));
	memcpy(block + n, check, strlen(check));
	block[SPOOL_HEADER_SIZE - 1] = '\n';
}

static void fuzz_header(struct slice octets)
{
	char block[SPOOL_HEADER_SIZE], again[SPOOL_HEADER_SIZE];
	struct spool_header h, back;
	struct fault why = {0};

	(void)!spool_header_decode(octets, &h, &why);
	block_of(octets, block);
	if (!spool_header_decode(slice_of(block, sizeof(block)), &h, &why)) {
		require(why.class == FAULT_PERMANENT);
		return;
	}
	spool_header_encode(&h, again);
	require(spool_header_decode(slice_of(again, sizeof(again)), &back, &why));
	require(memcmp(&h, &back, sizeof(h)) == 0);
}

static void fuzz_envelope(struct slice octets)
{
	struct arena arena, arena2;
	struct envelope e, back;
	struct buf again;
	struct fault why = {0};

	arena_init(&arena, 1 << 20);
	arena_init(&arena2, 1 << 20);
	buf_init(&again, 1 << 20);
	if (envelope_decode(octets, &arena, &e, &why)) {
		require(e.n_recipients > 0 && envelope_encode(&e, &again));
		require(envelope_decode(buf_slice(&again), &arena2, &back, &why));
		require(back.n_recipients == e.n_recipients && slice_equal(back.reverse_path, e.reverse_path));
		for (size_t i = 0; i < e.n_recipients; i++)
			require(slice_equal(back.recipients[i].forward_path, e.recipients[i].forward_path) && slice_equal(back.recipients[i].orcpt, e.recipients[i].orcpt));
	}
	buf_fini(&again);
	arena_reset(&arena);
	arena_reset(&arena2);
}

static void fuzz_results(struct slice rest)
{
	struct arena arena;
	struct spool_result r, back;
	struct slice again;
	struct buf line;

	arena_init(&arena, 1 << 20);
	buf_init(&line, 1 << 20);
	while (spool_result_next(&rest, &arena, &r)) {
		buf_reset(&line);
		if (!spool_result_encode(&r, &line))
			continue;
		again = buf_slice(&line);
		require(spool_result_next(&again, &arena, &back) && again.n == 0);
		require(back.kind == r.kind && back.recipient == r.recipient && slice_equal(back.forward_path, r.forward_path));
	}
	buf_fini(&line);
	arena_reset(&arena);
}

/* What stands in the file is taken for what the header's CRCs are about. */
static void fuzz_file(struct slice octets)
{
	int fd = memfd_create("spool", MFD_CLOEXEC);
	char block[SPOOL_HEADER_SIZE], out[700];
	struct spool_header h;
	struct fault why = {0};
	uint64_t end;
	struct buf b;
	size_t n;

	block_of(slice_head(octets, SPOOL_HEADER_SIZE), block);
	octets = slice_tail(octets, SPOOL_HEADER_SIZE);
	buf_init(&b, 1 << 20);
	require(fd >= 0 && fd_write_all(fd, block, sizeof(block), 0) && (octets.n == 0 || fd_write_all(fd, octets.p, octets.n, sizeof(block))));
	if (spool_header_read(fd, ID, &h, &why)) {
		require(h.tail_offset <= sizeof(block) + octets.n);
		h.content_crc = crc32c(0, octets.p, (size_t)h.tail_offset - sizeof(block));
		h.envelope_crc = crc32c(0, octets.p + (h.envelope_offset - sizeof(block)), (size_t)h.envelope_length);
		require(spool_content_check(fd, &h, &why) && spool_envelope_read(fd, &h, &b, &why));
		for (uint64_t from = 0; spool_content_read(fd, &h, from, out, sizeof(out), &n, &why) && n > 0; from += n)
			require(from + n <= h.content_length);
		require(spool_tail_read(fd, &h, 1 << 16, &b, &end, &why) && end >= h.tail_offset && end <= sizeof(block) + octets.n);
		fuzz_results(buf_slice(&b));
		require(spool_tail_append(fd, ID, &end, SLICE("delivered 0 1 - 2.0.0 - 250\n"), &why));
		n = buf_length(&b);
		require(spool_tail_read(fd, &h, 1 << 16, &b, &end, &why) && buf_length(&b) == n + strlen("delivered 0 1 - 2.0.0 - 250\n"));
	}
	buf_fini(&b);
	fd_close(&fd);
}

/* The first octet says which part of a file the rest is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size);

	if (size == 0)
		return 0;
	rest = slice_tail(rest, 1);
	if (data[0] == 'h')
		fuzz_header(rest);
	else if (data[0] == 'e')
		fuzz_envelope(rest);
	else if (data[0] == 'r')
		fuzz_results(rest);
	else
		fuzz_file(rest);
	return 0;
}
