/* master/notify.h: a word to systemd, where that started us: sd_notify(3) in what we need of it, without the library.
 * Touches: the socket in NOTIFY_SOCKET; nothing where that is not set. */
#pragma once

/* Each is one datagram; whether it arrives does not matter to us. */
void notify_ready(void);     /* all daemons are ready, at the start or after a reload */
void notify_reloading(void); /* until notify_ready */
void notify_stopping(void);
