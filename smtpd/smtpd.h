/* smtpd/smtpd.h: one smtpd: thousands of SMTP sessions in one loop. What all of them share.
 * Touches: nothing by itself; the sockets are sessions' and listeners', the spool folder is the
 * writer's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/base/table.h"
#include "common/event/loop.h"
#include "common/service/service.h"
#include "common/spool/id.h"
#include "common/spool/writer.h"
#include "smtpd/encryption.h"

struct fault;
struct pool;
struct psl_ctx_st;

struct smtpd {
	struct service *service;
	struct loop *loop;
	struct pool *pool;	  /* fsync and other calls on spool files */
	struct spool_place place; /* its folder carries a lock as long as we live: queued asks the
				     lock whether we do */
	int folder;		  /* as it came from master, until start takes it for place */
	struct spool_id_source ids;
	struct encryption encryption;
	struct list listeners;
	struct list sessions;
	size_t n_sessions;
	struct table clients;  /* connections by address */
	struct psl_ctx_st *public_suffixes; /* NULL: there is no list of them */
	struct list handovers; /* messages that are being committed or handed to queued */
	bool submission;       /* the ports of users: AUTH is offered here and nowhere else */
	bool stopping;            /* no new sessions */
	bool hurried;             /* and idle ones are told to leave */
	struct loop_timer stop_limit;
};

extern const struct service_callbacks smtpd_service;

static inline const struct settings *smtpd_settings(const struct smtpd *d)
{
	return d->service->settings;
}
/* After stop: ends the process when nothing is left to do. Called whenever something has ended. */
void smtpd_ended_something(struct smtpd *d);
