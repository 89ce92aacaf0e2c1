/* admin/test_message.h: the message that a check of `tassis test` reads: a file, or standard input.
 * Touches: that file. */
#pragma once

#include "common/auth/canon.h"
#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/mail/fields.h"

struct answers;
struct fault;
struct test_options;

struct test_message {
	struct buf octets; /* lines end in CR LF: an LF without a CR before it counts as one */
	struct arena arena;
	struct fields fields;
};

/* One check of a message: what is its own. Each gets arg. */
struct message_check {
	/* Looks at the header, before the body. Fails: a sentence for the user. */
	bool (*begin)(void *arg, const struct test_message *m, struct canon_bodies *bodies,
		      struct answers *answers, struct arena *arena, struct fault *why);
	/* After the body; a test_run_fn. */
	bool (*run)(void *arg, struct answers *answers);
	void (*print_json)(const void *arg, struct buf *out);
	void (*print_text)(const void *arg, struct buf *out);
	bool (*passed)(const void *arg);
};
/* Reads the message, runs the check, prints its result. The exit status of test.h. */
int test_message(const struct test_options *o, const struct message_check *check, void *arg);
