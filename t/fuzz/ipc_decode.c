/* t/fuzz/ipc_decode.c: octets as a frame and as a list of each kind of record. What is taken can be written again, and reads the same then. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ipc/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n);

static void as_frame(struct slice frame)
{
	struct buf words, once, twice;
	struct ipc_message m;
	uint32_t request;
	size_t length;

	if (ipc_frame_length(frame, &length, NULL))
		assert(length <= IPC_FRAME_MAX && (length == 0 || length >= IPC_FRAME_HEADER));
	if (!ipc_decode(frame, &m, &request, NULL))
		return;
	buf_init(&words, 300);
	buf_init(&once, IPC_FRAME_MAX);
	buf_init(&twice, IPC_FRAME_MAX);
	ipc_print(&m, &words);
	assert(ipc_encode(&m, request, &once, NULL));
	/* Only the sentence of a fault may differ from what came: what cannot be printed is replaced, once. */
	assert(ipc_decode(buf_slice(&once), &m, &request, NULL));
	assert(ipc_encode(&m, request, &twice, NULL));
	assert(slice_equal(buf_slice(&once), buf_slice(&twice)));
	buf_fini(&words);
	buf_fini(&once);
	buf_fini(&twice);
}

#define R(name, fields)                                                    \
	static void as_##name(struct slice list)                           \
	{                                                                  \
		struct ipc_##name record;                                  \
		bool broken = false;                                       \
		size_t before = list.n;                                    \
		struct buf again;                                          \
		buf_init(&again, 1u << 20);                                \
		while (ipc_next_##name(&list, &record, &broken)) {         \
			assert(!broken && list.n < before);                \
			before = list.n;                                   \
			assert(ipc_put_##name(&again, &record));           \
			buf_reset(&again);                                 \
		}                                                          \
		assert(broken || list.n == 0);                             \
		buf_fini(&again);                                          \
	}
IPC_RECORDS(R)
#undef R

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n)
{
	struct slice input = slice_of(octets, n);

	as_frame(input);
#define R(name, fields) as_##name(input);
	IPC_RECORDS(R)
#undef R
	return 0;
}
