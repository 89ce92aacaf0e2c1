/* master/kinds.h: the daemons: program, account, chroot, what each is handed, once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/ipc/frame.h"
#include "common/service/layout.h"

struct daemon_kind {
	enum ipc_role role;
	const char *program; /* below the folder of programs */
	const char *kind;    /* its first argument, "-": none */
	enum layout_account account;
	bool in_empty;     /* its chroot is empty/ */
	bool keep_fowner;
	bool in_place;     /* takes new settings as it runs; else a new process takes its place */
	bool has_sockets;  /* listens in private/ and control/ */
	const char *folder; /* the folder it works in: its name in the message, NULL: none */
};

extern const struct daemon_kind daemon_kinds[];
extern const size_t n_daemon_kinds;

struct settings;
/* How many of them shall run. */
unsigned daemon_kind_count(const struct daemon_kind *k, const struct settings *s);
/* Among the workers of role is there a worker? Only of the roles that listen in private/. */
bool daemon_worker_exists(enum ipc_role role, unsigned worker, const struct settings *s);
unsigned daemon_role_count(enum ipc_role role, const struct settings *s);
