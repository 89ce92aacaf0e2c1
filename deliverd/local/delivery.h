/* deliverd/local/delivery.h: one message to all its mailboxes: the job that runs in the pool.
 * Touches: the spool file's descriptor, files below mail_dir. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/ipc/frame.h"

struct delivery;
struct fault;

struct delivery_result {
	uint32_t index; /* queued's number of the recipient */
	bool delivered; /* else deferred: nothing local is refused for good */
	bool put;	/* within delivery_run: it stands in the mailbox and is not durable yet */
	struct slice forward_path, folder;
	struct fault *why; /* not delivered */
};

/* Copies what it needs of ask; takes *fd (the spool file) on success. root: mail_dir, borrowed
 * until delivery_destroy. Fails: temporary (memory), or permanent (what queued sent is wrong: no
 * regular file, a descriptor that can be written, a list that is broken). */
MUST_USE bool delivery_create(const struct ipc_deliver_ask *ask, int *fd, int root,
			      struct slice hostname, struct delivery **out, struct fault *why);
void delivery_destroy(struct delivery *d);
/* Stores the message for every recipient. Blocks: for the pool. Afterwards each result is set; what
 * says delivered is durable. */
void delivery_run(struct delivery *d);

size_t delivery_n_results(const struct delivery *d);
const struct delivery_result *delivery_result(const struct delivery *d, size_t i);
struct slice delivery_id(const struct delivery *d);
