/* queued/control.h: the administrator's asks: list, show, flush, status.
 * Touches: message files (read, in the pool); the schedule. */
#pragma once

struct ipc_message;
struct ipc_request;
struct queued;

#define CONTROL_PAGE_MAX 1000u

/* queue_list_ask: at most CONTROL_PAGE_MAX messages behind a place; their order stays while others come and go. A file that is gone or cannot be read is left out. */
void control_list(struct queued *q, struct ipc_request *request, const struct ipc_message *m);
/* queue_show_ask. */
void control_show(struct queued *q, struct ipc_request *request, const struct ipc_message *m);
/* queue_flush_ask: all that wait are due now, or those with a recipient of one domain still to be reached: then every waiting file is read, page by page. */
void control_flush(struct queued *q, struct ipc_request *request, const struct ipc_message *m);
/* control_ask: "status". */
void control_status(struct queued *q, struct ipc_request *request, const struct ipc_message *m);
