/* master/sockets.h: all listening sockets: bound before the first daemon starts, never closed while master lives.
 * Touches: ports, private/, control/ and public/. */
#pragma once

#include <stdbool.h>

#include "common/base/attributes.h"

struct fault;
struct master;
struct settings;

/* One port for each listen line, into m->ports. Where the last master crashed, its smtpd may hold them for some seconds more: then it tries for ten. A line with an IPv6 address is
 * left out, with a word on standard error, on a host that has no IPv6. Fails: which line, why, and the mend. */
MUST_USE bool sockets_bind_ports(struct master *m, struct fault *why);
/* The socket public/submit for programs of this host, into m->ports too. */
MUST_USE bool sockets_bind_submit(struct master *m, struct fault *why);
/* A UNIX socket under its name in private/, control/ or public/, anew; anybody may connect, who is let in the daemon decides by SO_PEERCRED. */
MUST_USE bool sockets_bind_unix(const struct settings *s, const char *folder, const char *name, int *fd, struct fault *why);
/* A connection to it. */
MUST_USE bool sockets_connect_unix(const struct settings *s, const char *folder, const char *name, int *fd, struct fault *why);
/* Takes the names of all sockets away and closes them, ports too. */
void sockets_remove(struct master *m);
