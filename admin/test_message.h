/* admin/test_message.h: the message that a check of `tassis test` reads: a file, or standard input.
 * Touches: that file. */
#pragma once

#include "common/auth/canon.h"
#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/mail/fields.h"

struct test_message {
	struct buf octets; /* lines end in CR LF: an LF without a CR before it counts as one */
	struct arena arena;
	struct fields fields;
};

/* False: it cannot be read; a sentence is on standard error. test_message_fini frees it in any
 * case. */
MUST_USE bool test_message_read(const char *path, struct test_message *m);
void test_message_fini(struct test_message *m);
/* Runs the body through bodies, to its end. */
void test_message_body(const struct test_message *m, struct canon_bodies *bodies);
