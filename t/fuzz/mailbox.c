/* t/fuzz/mailbox.c: a mailbox's name, whatever it holds: its folder is one step below the Maildir, hidden, in printable ASCII, and no "." or "..";
 * or there is none, and what stood before it is all that is there. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/fault.h"
#include "deliverd/local/folder.h"
#include "deliverd/local/mailbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n)
{
	struct fault why = {0};
	struct slice name;
	struct buf out;

	buf_init(&out, 4096);
	buf_append_cstr(&out, "a/");
	if (mailbox_folder_name(slice_of(octets, n), &out, &why)) {
		name = slice_tail(buf_slice(&out), 2);
		assert(name.n == 0 || (name.n >= 2 && name.n <= 255 && name.p[0] == '.' && name.p[1] != '.' && name.p[name.n - 1] != '.'));
		assert(name.n == 0 || (maildir_folder_is_valid(buf_slice(&out)) && memchr(name.p, '/', name.n) == NULL));
		for (size_t i = 0; i < name.n; i++)
			assert(name.p[i] >= 0x20 && name.p[i] < 0x7f);
	} else {
		assert(why.text[0] && why.class == FAULT_TEMPORARY);
	}
	buf_fini(&out);
	return 0;
}
