/* t/fuzz/maildirsize.c: a file maildirsize, whatever it holds: what is believed of it says the same when it is written anew. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "deliverd/local/maildirsize.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n)
{
	struct maildirsize m, again;
	struct buf out;

	if (!maildirsize_parse(slice_of(octets, n), &m))
		return 0;
	buf_init(&out, MAILDIRSIZE_MAX);
	assert(maildirsize_format(&m, &out) && maildirsize_parse(buf_slice(&out), &again));
	assert(again.limit.bytes == m.limit.bytes && again.limit.messages == m.limit.messages);
	assert(again.used.bytes == m.used.bytes && again.used.messages == m.used.messages && again.n_lines == 1);
	buf_fini(&out);
	return 0;
}
