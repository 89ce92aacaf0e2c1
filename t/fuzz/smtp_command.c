/* t/fuzz/smtp_command.c: a client's line: verb, arguments, paths, and what is made of them again.
 * Also a server's replies. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/mail/command.h"

#define ALL                                                                                        \
	(EXTENSION_SIZE | EXTENSION_8BITMIME | EXTENSION_AUTH | EXTENSION_SMTPUTF8 | EXTENSION_DSN)

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n);

/* What is passed on is a path again, and stays what it is. */
static void pass_on(const struct path *p)
{
	struct buf once, twice;
	struct path again;

	buf_init(&once, 4096);
	buf_init(&twice, 4096);
	if (path_append(p, &once) && p->mailbox.n > 0) {
		assert(mailbox_parse(buf_slice(&once), PATH_UTF8 | PATH_POSTMASTER, &again, NULL));
		assert(path_append(&again, &twice));
		assert(slice_equal(buf_slice(&once), buf_slice(&twice)));
	}
	buf_reset(&twice);
	assert(local_part_fold(p->local_part, &twice));
	buf_fini(&once);
	buf_fini(&twice);
}

static void read_replies(struct slice input)
{
	struct reply r;
	struct buf out;

	buf_init(&out, 1 << 17);
	while (reply_read(&input, &r) == REPLY_DONE)
		assert(reply_encode(&r, &out) && reply_print(&r, &out));
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n)
{
	struct slice line = slice_of(octets, n);
	struct smtp_command c;
	struct mail_argument m;
	struct rcpt_argument r;
	struct reply no;

	read_replies(line);
	if (!smtp_command_parse(line, &c, &no))
		return 0;
	if (c.verb == SMTP_MAIL && mail_argument_parse(c.argument, ALL, &m, &no))
		pass_on(&m.reverse_path);
	if (c.verb == SMTP_RCPT && rcpt_argument_parse(c.argument, ALL, &r, &no))
		pass_on(&r.forward_path);
	return 0;
}
