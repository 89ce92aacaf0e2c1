/* t/fuzz/smtp_reply.c: what a far end says, whatever it is: replies one behind the other; each is taken whole, and its lines are read as those of EHLO. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/mail/reply.h"
#include "deliverd/remote/extensions.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n)
{
	struct slice rest = slice_of(octets, n), before = rest;
	struct extensions e;
	struct reply r;
	struct buf text;

	while (reply_read(&rest, &r) == REPLY_DONE) {
		assert(rest.n < before.n && rest.p + rest.n == before.p + before.n);
		assert(r.code >= 200 && r.code <= 599 && strlen(r.text) < sizeof(r.text));
		e = extensions_read(slice_of_cstr(r.text));
		assert(!e.auth_plain || strlen(r.text) > 10);
		buf_init(&text, 8192);
		assert(reply_print(&r, &text));
		buf_fini(&text);
		before = rest;
	}
	return 0;
}
