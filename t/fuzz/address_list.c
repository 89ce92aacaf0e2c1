/* t/fuzz/address_list.c: a To field, whatever it holds: every address found has no line end in it
 * and is read as the same one, alone between < and >; and a header's fields put together are what
 * the header began with. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/mail/address_list.h"
#include "common/mail/submission.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n);

static void read_again(struct slice address)
{
	struct buf alone, again;
	struct slice list;

	buf_init(&alone, 1 << 20);
	buf_init(&again, 1 << 20);
	assert(slice_find(address, '\n') == SIZE_MAX && slice_find(address, '\r') == SIZE_MAX);
	assert(buf_append_char(&alone, '<') && buf_append(&alone, address) &&
	       buf_append_char(&alone, '>'));
	list = buf_slice(&alone);
	assert(address_list_next(&list, &again) == ADDRESS_ONE &&
	       slice_equal(buf_slice(&again), address));
	buf_fini(&alone);
	buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n)
{
	struct slice input = slice_of(octets, n), rest = input, field, name;
	struct submission seen = submission_look(input);
	enum address_found found;
	struct buf one;
	size_t length = 0;

	buf_init(&one, 1 << 20);
	while (field_next(&rest, &field, &name)) {
		assert(name.n > 0 && name.n < field.n);
		length += field.n;
	}
	assert(length == seen.header_bytes && length + rest.n == n);
	rest = input;
	while ((found = address_list_next(&rest, &one)) != ADDRESS_NONE)
		if (found == ADDRESS_ONE)
			read_again(buf_slice(&one));
	buf_fini(&one);
	return 0;
}
