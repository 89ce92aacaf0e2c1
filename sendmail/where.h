/* sendmail/where.h: where the spool is, and what the host is called, for a program that may read no
 * secrets.
 * Touches: main.conf, sendmail.conf, public/settings, reading.
 *
 * Of the file given (-C), or else the first of SYSCONFDIR/main.conf and SYSCONFDIR/sendmail.conf
 * that the caller may read and that has no mistakes, spool_dir counts; without any, the default
 * does. main.conf may be closed to users; so where spool_dir is another than the default, the
 * administrator writes that one line to sendmail.conf. The rest stands in the spool itself, in
 * public/settings, where master put it. */
#pragma once

#include <limits.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/service/layout.h"

struct fault;

struct where {
	char spool[PATH_MAX];
	char submit[LAYOUT_SOCKET_PATH_MAX]; /* public/submit */
	char queued[LAYOUT_SOCKET_PATH_MAX]; /* control/queued.0 */
	char hostname[256];
	uint64_t message_size_max, max_recipients;
};

/* conf: -C's, or NULL. folder: of main.conf and sendmail.conf. Fails, permanent: conf cannot be
 * read or has mistakes; spool_dir is too long. */
MUST_USE bool where_find(const char *conf, const char *folder, struct where *out,
			 struct fault *why);
