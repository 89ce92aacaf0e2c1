/* lookupd/routing.h: where a recipient's mail goes (route_ask): aliases opened, mailboxes, next hops.
 * Touches: the cache, through lookup_get.
 *
 * Lists and lists in lists are opened breadth first; an address is opened once, so loops end; a target that is the alias itself is the user of that
 * name; +detail is not handed on to targets. At most ROUTING_DEPTH_MAX aliases one behind the other and ROUTING_TARGETS_MAX targets; beyond, the rest is refused, 5.4.6. */
#pragma once

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/table.h"
#include "lookupd/lookup.h"
#include "lookupd/resident.h"

#define ROUTING_DEPTH_MAX 10
#define ROUTING_TARGETS_MAX 10000

struct routing_item;
/* Who an address on the way is, for whoever explains it: n is the path's name, depth aliases were before it. */
typedef void routing_look_fn(void *arg, unsigned depth, const struct name *n, const struct resident *found);

struct routing {
	/* the ask; borrowed */
	const struct local_names *names;
	struct slice reverse_path, forward_path;
	struct slice mailbox; /* not empty: forward_path is a user, and it goes there, past aliases */
	bool spam;            /* it goes to the mailbox spam of those who have one */
	bool detail_mailbox;  /* the setting */
	routing_look_fn *look; /* NULL: nobody wants to know */
	void *look_arg;
	/* the answer: route_target records */
	struct buf targets;
	size_t n_targets;
	bool needed; /* it failed because nobody takes the mail for this postmaster or abuse */
	/* while it is made */
	struct arena arena;
	struct table seen;
	struct routing_item *first, **last;
	struct slice sender_domain;
	struct name sender;
};

void routing_init(struct routing *r);
void routing_fini(struct routing *r);
/* A lookup_evaluate_fn with a struct routing. */
void routing_evaluate(struct lookup *l, void *arg);
