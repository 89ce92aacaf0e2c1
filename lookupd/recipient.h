/* lookupd/recipient.h: the facts about one recipient and its sender (rcpt_ask). What follows from them is smtpd's.
 * Touches: the cache, through lookup_get. */
#pragma once

#include "common/base/address.h"
#include "common/ipc/messages.h"
#include "lookupd/lookup.h"
#include "lookupd/resident.h"

struct recipient {
	/* the ask; borrowed */
	const struct local_names *names;
	struct ip client;
	struct slice user, reverse_path, forward_path;
	/* the answer */
	enum rcpt_kind recipient;
	enum sender_kind sender;
	bool relay, sender_owned;
	bool needed; /* it failed because nobody takes the mail for this postmaster or abuse */
	struct slice folder; /* in folder_octets */
	uint64_t quota_bytes, quota_messages; /* 0: none */
	struct name name; /* of the recipient, after aliases */
	char folder_octets[FOLDER_MAX + 1];
};

/* A lookup_evaluate_fn with a struct recipient. Fails, permanent, when the forward-path is no address; that is smtpd's to see before.
 *
 * A domain that we relay for counts as local for a sender only where the client is a relay for it: its own hosts may send through us,
 * while others receive its mail as anybody's. */
void recipient_evaluate(struct lookup *l, void *arg);
