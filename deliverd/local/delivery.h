/* deliverd/local/delivery.h: one message to all its mailboxes: the job that runs in the pool.
 * Touches: the spool file's descriptor, files below mail_dir. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/conf/settings.h"
#include "common/ipc/frame.h"
#include "deliverd/local/folder.h"
#include "deliverd/local/quota.h"

struct delivery;
struct fault;

/* What is the same for all deliveries. */
struct delivery_rules {
	int root;	       /* mail_dir */
	struct slice hostname; /* as it stands in files' names */
	enum delivered_to_choice delivered_to;
	enum quota_full_choice quota_full;
};

struct delivery_result {
	uint32_t index; /* queued's number of the recipient */
	bool delivered;
	bool refused; /* for good: the mailbox is full, and quota_full says so; else not delivered
			 is deferred */
	bool put;     /* within delivery_run: it stands in the mailbox and is not durable yet */
	struct slice forward_path;
	struct slice delivered_to; /* of the copy's field; "": it has none */
	struct maildir_folder folder;
	struct quota quota;
	struct fault *why; /* not delivered */
};

/* Copies what it needs of ask; takes *fd (the spool file) on success. rules are borrowed until
 * delivery_destroy. Fails: temporary (memory), or permanent (what queued sent is wrong: no regular
 * file, a descriptor that can be written, a list that is broken). */
MUST_USE bool delivery_create(const struct ipc_deliver_ask *ask, int *fd,
			      const struct delivery_rules *rules, struct delivery **out,
			      struct fault *why);
void delivery_destroy(struct delivery *d);
/* Stores the message for every recipient whose mailbox has room for it. Blocks: for the pool.
 * Afterwards each result is set; what says delivered is durable, and counts in the quota. */
void delivery_run(struct delivery *d);

size_t delivery_n_results(const struct delivery *d);
const struct delivery_result *delivery_result(const struct delivery *d, size_t i);
struct slice delivery_id(const struct delivery *d);
