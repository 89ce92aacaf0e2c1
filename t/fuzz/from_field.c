/* t/fuzz/from_field.c: a header, whatever it holds: the mailbox that it is from is a mailbox as it is passed on, or none; and a field fits the
 * rule that is made of it. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/mail/from_field.h"
#include "common/mail/header.h"
#include "common/mail/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n);

static void take(void *arg, struct slice name, struct slice value, bool cut)
{
	struct buf rule;

	buf_init(&rule, 1 << 20);
	assert(buf_append(&rule, name) && buf_append_char(&rule, ':') && buf_append(&rule, value));
	assert(header_field_begins(buf_slice(&rule), name, value) || slice_find(value, '\r') != SIZE_MAX || slice_find(value, '\n') != SIZE_MAX);
	(void)header_field_begins(value, name, value);
	from_field_take(arg, name, value, cut);
	buf_fini(&rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n)
{
	struct from_field f;
	struct header h;
	struct path p;
	struct slice mailbox;
	struct buf again;

	from_field_init(&f);
	header_init(&h, 1000, take, &f);
	header_feed(&h, slice_of(octets, n));
	header_end(&h);
	header_fini(&h);
	mailbox = from_field_mailbox(&f);
	buf_init(&again, 4096);
	if (mailbox.n > 0)
		assert(mailbox_parse(mailbox, 0, &p, NULL) && path_append(&p, &again) && slice_equal(buf_slice(&again), mailbox));
	buf_fini(&again);
	from_field_fini(&f);
	return 0;
}
