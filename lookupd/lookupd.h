/* lookupd/lookupd.h: the context of the daemon, and the asks that it answers.
 * Touches: everything that lookupd has; nothing here is another process's. */
#pragma once

#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/event/loop.h"
#include "common/ipc/link.h"
#include "common/service/service.h"
#include "lookupd/cache.h"
#include "lookupd/resident.h"

struct database;
struct fault;
struct keys;
struct changes;
struct failures;
struct pool;

struct lookupd {
	struct service *service;
	struct cache *cache;
	struct database *database;
	struct changes *changes;
	struct keys *keys;
	struct pool *passwords;  /* crypt(3) and its like */
	struct pool *signatures; /* RSA, and the names of PostgreSQL's hosts */
	struct failures *failed_accounts, *failed_clients;
	struct list asks;        /* those that wait */
	char hostname[256];
	struct local_names names; /* the present ones */
	struct aliases *aliases;
	struct rows *postmaster_rows;
	uint64_t warned_ms;       /* of mail for postmaster that nobody takes; 0: never */
	struct buf typical;      /* what is kept of the password of the last user who was looked for: unknown ones cost as much */
	struct buf sources;      /* the settings from which the connections were made */
	uint64_t n_asks;
	uint64_t stop_at_ms; /* 0: not stopping */
	struct loop_timer drain;
};

/* Each answers request, at once or later. */
void ask_recipient(struct lookupd *d, struct ipc_request *request, const struct ipc_rcpt_ask *m);
void ask_route(struct lookupd *d, struct ipc_request *request, const struct ipc_route_ask *m);
void ask_login(struct lookupd *d, struct ipc_request *request, const struct ipc_auth_ask *m);
void ask_dkim_keys(struct lookupd *d, struct ipc_request *request, const struct ipc_dkim_keys_ask *m);
void ask_dkim_signature(struct lookupd *d, struct ipc_request *request, const struct ipc_dkim_sign_ask *m);
void ask_failure(struct lookupd *d, struct ipc_request *request, const struct ipc_failure_ask *m);
/* With what `tassis explain` shows: explain.h's lines. */
void ask_explain(struct lookupd *d, struct ipc_request *request, struct slice address);
/* Ends those that wait, with a temporary fault. */
void asks_end(struct lookupd *d);
