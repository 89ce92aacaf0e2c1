/* deliverd/remote/job.h: one message for one next hop: its recipients, where it is tried, and what
 * came of it.
 * Touches: what search.h and session.h touch.
 *
 *	created ─→ an idle session to the next hop? ─→ session ─→ answered
 *	   └─→ search ─→ the first address ─→ session ─┬→ answered
 *	                  the next address ←───────────┤ (could not be used before MAIL)
 *	                  the same, its other way ←────┘ (refused, or failed, before the end of
 * data)
 *
 * Invariants:
 * 1. A recipient's result is set once; DELIVER_WAITING is not set yet.
 * 2. A job has at most one session, a session at most one job.
 * 3. A recipient that the first of two ways (way.h) has accepted is not tried on the other.
 * 4. Whatever happens, queued gets one answer with a result for each recipient. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/address.h"
#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/ipc/frame.h"
#include "common/mail/reply.h"
#include "common/spool/file.h"
#include "deliverd/remote/search.h"
#include "deliverd/remote/way.h"

struct extensions;
struct fault;
struct ipc_request;
struct remote;
struct session;

#define JOB_NEXT_HOP_MAX 1024

struct job_recipient {
	uint32_t index; /* queued's number */
	struct slice forward_path;
	enum deliver_outcome outcome;
	struct slice notify, orcpt; /* RFC 3461 4.1, 4.2; empty: not given */
	bool accepted;		    /* RCPT was; the end of data decides */
	bool dsn;		    /* the host that took it was told of notify */
	char status[REPLY_STATUS_MAX];
	struct slice reply, host;
};

struct job {
	struct list node;
	struct remote *remote;
	struct ipc_request *request;
	struct arena arena;
	int fd; /* the spool file, read-only */
	struct spool_header header;
	struct slice id, reverse_path, host, ret, envid;
	struct slice username; /* "": none */
	struct buf password;
	uint16_t port;
	bool mx, eight_bit, utf8;
	enum route_tls tls;
	struct job_recipient *recipients;
	size_t n_recipients;
	struct search search;
	size_t next_address;
	bool without_tls;	 /* the handshake failed at this address: now in the clear */
	struct ip without_first; /* where the first of two ways has failed; family 0: nowhere yet */
	bool unreachable;	 /* the last address tried could not be used; none was found */
	bool fresh;		 /* no idle session any more: one of them failed us already */
	struct fault last;	 /* what the last address said */
	struct slice last_host;	 /* who said it */
	struct session *session;
};

/* Takes an ask from queued and *fd; request is answered now or later. */
void job_begin(struct remote *r, struct ipc_request *request, const struct ipc_deliver_ask *ask,
	       int *fd);

enum job_next {
	JOB_NEXT_ADDRESS,
	JOB_WITHOUT_TLS, /* the same address in the clear */
	JOB_OTHER_WAY,	 /* the same address on the second of its two ways */
};
/* From its session to ip, which is the job's no more: it could not be used, before MAIL was sent;
 * on the first of two ways, before the end of data. What is to be tried next for those who have no
 * result yet. */
void job_session_unusable(struct job *j, enum job_next next, const struct ip *ip,
			  const struct fault *why);
/* From its idle session: it had died before it could be used again. The job begins anew. */
void job_session_stale(struct job *j);
/* From its session: every recipient that has no result yet fails or waits, as why says. Then queued
 * is answered and the job is gone. */
void job_end(struct job *j, const struct fault *why);

/* The recipients that have no result yet become the first ones, and none of them is accepted. Their
 * number. */
size_t job_begin_transaction(struct job *j);
/* Is there a recipient without a result? */
bool job_waits(const struct job *j);
/* Can a host with these extensions take it at all? False, permanent: why not; we need not ask. */
MUST_USE bool job_is_deliverable(const struct job *j, const struct extensions *can,
				 struct fault *why);
/* Sets the result of one recipient from the far end's reply: 2yz delivered, 4yz deferred, 5yz
 * failed. */
void job_result(struct job *j, struct job_recipient *r, const struct reply *reply,
		struct slice host);
/* Ends a daemon that is to stop, when it has no job and nobody will bring another. */
void job_end_if_last(struct remote *r);
/* The daemon ends: whatever is under way waits. */
void job_abandon(struct job *j);
/* The key under which sessions are shared: host, port, TLS, user. In the job's arena. */
struct slice job_next_hop(struct job *j);
