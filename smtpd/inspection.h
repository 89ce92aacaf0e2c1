/* smtpd/inspection.h: what a message's header says that changes its envelope, noted while it
 * streams by: that it is spam (spam_header), and who it is from (envelope_from).
 * Touches: the
 * transaction. */
#pragma once

#include "common/base/slice.h"

struct session;

/* DATA: begins the transaction's header, and looks for what the settings say. Mail of users and of
 * programs of this host is never spam; who else's mail is from is not asked unless the client is
 * a relay. */
void inspection_begin(struct session *s);
/* After the header: the reverse-path that it gives instead of MAIL's; empty: MAIL's stays. It
 * lives as long as the transaction. */
struct slice inspection_reverse_path(const struct session *s);
