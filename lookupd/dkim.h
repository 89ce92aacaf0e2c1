/* lookupd/dkim.h: the keys that sign a domain's mail (RFC 6376): which there are, and signatures by
 * them. The private keys leave lookupd never.
 * Touches: the cache, through lookup_get; signatures
 * are made in the pool. */
#pragma once

#include "common/base/slice.h"
#include "lookupd/lookup.h"
#include "lookupd/name.h"

struct dkim_lookup {
	/* the ask; borrowed */
	struct slice domain;
	/* the answer: rows of QUERY_dkim, none where the domain is no domain */
	const struct rows *rows;
	struct name name;
};

struct ipc_request;
struct lookupd;

/* A lookup_evaluate_fn with a struct dkim_lookup. */
void dkim_evaluate(struct lookup *l, void *arg);
/* Answers dkim_keys_ask, and dkim_sign_ask: that one later, from the pool. Temporary where there is
 * no such key. */
void dkim_answer_keys(struct ipc_request *request, const struct dkim_lookup *d);
void dkim_answer_signature(struct lookupd *daemon, struct ipc_request *request,
			   const struct dkim_lookup *d, struct slice selector, struct slice digest);
