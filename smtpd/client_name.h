/* smtpd/client_name.h: what DNS calls the client: its PTR, whose own address must be the client's
 * again (forward-confirmed).
 * Touches: resolvd, through IPC. Nobody waits for it: a name that comes in time stands in
 * Received and in the log. */
#pragma once

struct session;

/* Begins to ask; the name is put into s->client_name when it is confirmed. Without memory, or with
 * smtp_client_name off, nothing is asked. */
void client_name_begin(struct session *s);
/* The session ends. */
void client_name_cancel(struct session *s);
