/* master/master.h: what master knows: its settings, the places that processes fill, the processes, the sockets.
 * Touches: nothing; the files beside this one do. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/list.h"
#include "common/event/loop.h"
#include "common/ipc/link.h"
#include "common/service/layout.h"
#include "master/files.h"
#include "master/kinds.h"

struct master;
struct settings;

/* A place that one process of a kind shall fill. */
struct slot {
	struct list node; /* in master->slots */
	struct master *master;
	const struct daemon_kind *kind;
	unsigned number;       /* among those of its kind; but for smtpd also the worker number */
	int private_fd, control_fd; /* its listening sockets in private/ and control/, -1: none */
	struct child *current; /* the newest process here, NULL while none runs */
	struct loop_timer restart;
	uint64_t pause_ms;     /* before the next start, doubled when it dies young */
	unsigned restarts;
};

enum child_state { CHILD_STARTING, CHILD_READY, CHILD_STOPPING };

/* A process. On reload a slot has two for a while: the newest is slot->current. */
struct child {
	struct list node; /* in master->children */
	struct slot *slot;
	pid_t pid;
	struct ipc_channel *channel;
	enum child_state state;
	unsigned worker;     /* as it calls itself; smtpd: the number of its folder in incoming/ */
	unsigned unanswered; /* pings */
	uint64_t started_ms;
	uint64_t started_us; /* wall clock */
	bool told_to_stop;
	bool stuck;
	uint64_t key_mark; /* a lookupd that was given a key: of the ping behind it, 0 when that is answered */
};

/* A port of main.conf, or the socket for programs of this host. */
struct port {
	struct list node; /* in master->ports */
	char *line;
	unsigned kind; /* enum listener_kind */
	bool local;    /* public/submit */
	int fd;
};

enum master_stage {
	MASTER_STARTING,    /* not all have said ready */
	MASTER_RUNNING,
	MASTER_STOP_SMTPD,  /* the stages of an end, one after the other */
	MASTER_STOP_QUEUED,
	MASTER_STOP_REST,
};

struct master {
	const char *main_conf;
	const char *libexec;
	bool foreground;
	int verdict;  /* the pipe to who started us, -1: none waits */
	int terminal; /* standard error as it was when we were started, for log_to = stderr; -1: let go of */
	int status;   /* what we end with */
	enum master_stage stage;
	struct loop *loop;
	struct settings *settings; /* the effective ones */
	struct accounts accounts;
	struct files files;
	uint64_t generation; /* of the settings */
	uint64_t started_us;
	uint64_t loaded_us; /* when the settings were taken */
	int pid_fd;         /* master.pid, locked */
	int control_fd;
	uint64_t key_mark;  /* the last one given */
	bool smtpd_waits;   /* the new configuration's smtpd start when lookupd have their key */
	bool systemd_waits; /* to hear that all are ready */
	bool after_a_crash; /* the last master left its pid file behind */
	struct list slots, children, ports;
	struct ipc_server *control;
	struct loop_timer ping, look, limit, certificate;
	struct loop_signal signals[5];
};

/* Runs master from its first line to its last; the exit status. */
int master_main(int argc, char **argv);
