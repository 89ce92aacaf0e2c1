/* queued/intake.h: a message comes: from an smtpd that has committed it, or a notice of our own.
 * Touches: the file's name, where it has to wait at once; else nothing yet. */
#pragma once

#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "queued/files.h"

struct fault;
struct ipc_message;
struct ipc_request;
struct queued;

/* How long an smtpd waits for the answer about one message, which holds a place in its window: after this the file is moved to queue/, and the answer given, whatever
 * the attempt does. A slow next hop must not hold the window. */
#define INTAKE_PATIENCE_MS 2000u

/* message_ask. The answer `done` comes when the message's first attempt is over, when it waits in queue/, or at the end of patience. One that is known
 * already (the connection ended before the answer) is not taken twice. */
void intake_ask(struct queued *q, struct ipc_request *request, const struct ipc_message *m);
/* again_ask: what an earlier queued made of the message stands in its file, so it is taken as the scan
 * takes what it finds. The answer `done` comes when that has happened, or as for message_ask when
 * the message is known already. */
void intake_again(struct queued *q, struct ipc_request *request, const struct ipc_message *m);
/* A message that stands committed in place p; envelope is its block. Fails: temporary, the message stays where it is and the scan will find it. */
MUST_USE bool intake_take(struct queued *q, place p, struct slice id, struct slice envelope, uint64_t received_us, uint64_t size_bytes,
			  struct ipc_request *request, struct fault *why);
/* The patience timer. */
void intake_patience(void *queued);
