/* smtpd/listener.h: the ports, and public/submit: accepts clients, few at a time, within the limits,
 * and counts them by address. Who comes to public/submit is known by the kernel (SO_PEERCRED) and
 * not counted.
 * Touches: the listening sockets, which all workers share and master never closes. */
#pragma once

#include <stdbool.h>

#include "common/base/slice.h"

struct client;
struct smtpd;

/* Listens on fd (takes it) as the listen line says. A line that is not of our kind is logged and
 * left. */
void listener_create(struct smtpd *d, int fd, struct slice line);
/* Accepts nobody any more; the other workers go on. */
void listeners_close(struct smtpd *d);
void listeners_destroy(struct smtpd *d);
/* A session of this client has ended. */
void client_left(struct smtpd *d, struct client *c);
