/* deliverd/remote/extensions.h: what the far end says in its reply to EHLO (RFC 5321 4.1.1.1).
 * Touches: nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

struct extensions {
	bool pipelining, eight_bit_mime, starttls, smtputf8, dsn;
	bool auth_plain, auth_login; /* RFC 4954 */
	uint64_t size_max;	     /* RFC 1870; 0: it names no limit */
};

/* Reads the lines of the reply (text as reply_read leaves it): a keyword and its parameters a line,
 * behind the first. */
struct extensions extensions_read(struct slice text);
