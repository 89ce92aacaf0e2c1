/* deliverd/remote/remote.h: the daemon that carries messages to other hosts: its one context.
 * Touches: DNS through resolvd, other hosts' SMTP ports, spool files through descriptors that
 * queued sends. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/list.h"
#include "common/base/table.h"
#include "deliverd/remote/avoided.h"

struct service;
struct tls_context;

struct remote {
	struct service *service;
	struct tls_context *tls;
	char hostname[256];
	struct list jobs;     /* every job.h job under way */
	struct list sessions; /* every session.h session, idle ones too */
	struct table idle;    /* next hop → the idle sessions to it, see idle.h */
	size_t n_idle, idle_max;
	struct avoided avoided;
	bool stopping;
};
