/* t/unit/master/stand_in.h: one program that master starts as every daemon: it takes part in what all daemons do, and nothing else.
 * A connection to a port of an smtpd stays until its client sends an octet; then it gets one line, "KIND/WORKER PID ANSWERED", ANSWERED 1 when lookupd/0, reached through
 * master, has answered a recipient's question. STAND_IN_FAILS=PROGRAM in the environment makes that one's start fail,
 * STAND_IN_SLOW=PROGRAM makes it take a second. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/service/service.h"

#define STAND_IN_CLIENTS_MAX 16

struct stand_in_client {
	struct stand_in *daemon;
	struct loop_io io;
	struct ipc_ask ask;
};

struct stand_in {
	struct service *service;
	const char *program;
	struct loop_io listeners[4];
	size_t n_listeners, n_clients;
	struct stand_in_client clients[STAND_IN_CLIENTS_MAX];
	bool stopping, has_folder, has_file;
};

static void stand_in_end_when_idle(struct stand_in *d)
{
	if (d->stopping && d->n_clients == 0)
		service_end(d->service);
}

static void stand_in_close(struct stand_in_client *c)
{
	int fd = c->io.fd;

	ipc_ask_cancel(&c->ask);
	loop_io_fini(&c->io);
	fd_close(&fd);
	*c = (struct stand_in_client){0};
}

static void stand_in_answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct stand_in_client *c = arg;
	struct stand_in *d = c->daemon;
	char line[128];
	int n = snprintf(line, sizeof(line), "%.*s/%u %ld %d\n", SLICE_PRINTF(d->service->kind), d->service->worker,
			 (long)getpid(), answer != NULL && answer->type == IPC_TYPE_rcpt_answer);

	(void)fd, (void)why;
	(void)!write(c->io.fd, line, (size_t)n);
	stand_in_close(c);
	d->n_clients--;
	stand_in_end_when_idle(d);
}

static void stand_in_readable(void *arg, unsigned ready)
{
	struct stand_in_client *c = arg;
	struct ipc_message m = IPC_MESSAGE(rcpt_ask, .forward_path = SLICE("test@test.com"));
	char octet;

	(void)ready;
	loop_io_want(&c->io, 0);
	if (read(c->io.fd, &octet, 1) != 1 ||
	    !ipc_ask(service_peer(c->daemon->service, IPC_ROLE_LOOKUPD, 0), &c->ask, &m, -1, 3000, false,
		     stand_in_answered, c, NULL))
		stand_in_answered(c, NULL, NULL, NULL);
}

static void stand_in_accept(void *arg, unsigned ready)
{
	struct stand_in *d = arg;

	(void)ready;
	for (size_t i = 0; i < d->n_listeners; i++) {
		int fd = accept4(d->listeners[i].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		for (size_t k = 0; fd >= 0 && k < STAND_IN_CLIENTS_MAX; k++) {
			if (d->clients[k].daemon != NULL)
				continue;
			d->clients[k].daemon = d;
			loop_io_init(&d->clients[k].io, d->service->loop, fd, stand_in_readable, &d->clients[k]);
			loop_io_want(&d->clients[k].io, LOOP_READ);
			d->n_clients++;
			break;
		}
	}
}

static void stand_in_folder(void *arg, int fd, struct slice name)
{
	struct stand_in *d = arg;

	/* Kept open, for the locks. */
	(void)fd, (void)name;
	d->has_folder = true;
}

static void stand_in_file(void *arg, int fd, struct slice name, struct slice path)
{
	struct stand_in *d = arg;

	(void)name, (void)path;
	fd_close(&fd);
	d->has_file = true;
}

static bool stand_in_start(struct service *s, void *daemon, struct fault *why)
{
	struct stand_in *d = daemon;
	const char *fails = getenv("STAND_IN_FAILS"), *slow = getenv("STAND_IN_SLOW");
	bool wants_folder = s->callbacks->role == IPC_ROLE_SMTPD || s->callbacks->role == IPC_ROLE_QUEUED;

	d->service = s;
	if (slow != NULL && strcmp(slow, d->program) == 0)
		(void)usleep(999999);
	if ((fails != NULL && strcmp(fails, d->program) == 0) || (wants_folder && !d->has_folder)) {
		fault_set(why, "4.3.0", "it was told to fail");
		return false;
	}
	return true;
}

static void stand_in_listener(void *arg, int fd, struct slice line)
{
	struct stand_in *d = arg;

	(void)line;
	loop_io_init(&d->listeners[d->n_listeners], d->service->loop, fd, stand_in_accept, d);
	loop_io_want(&d->listeners[d->n_listeners++], LOOP_READ);
}

static void stand_in_handler(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct stand_in *d = arg;
	struct ipc_message answer = IPC_MESSAGE(rcpt_answer, .recipient = RCPT_LOCAL);
	struct buf text;

	(void)fd;
	if (m->type == IPC_TYPE_control_ask) {
		buf_init(&text, 4096);
		settings_print_one(d->service->settings, m->control_ask.verb, &text);
		answer = IPC_MESSAGE(control_answer, .text = buf_slice(&text));
		ipc_answer(request, &answer, -1);
		buf_fini(&text);
	} else if (request != NULL) {
		ipc_answer(request, &answer, -1);
	}
}

static void stand_in_reload(void *arg)
{
	(void)arg;
}

static void stand_in_close_listeners(struct stand_in *d)
{
	while (d->n_listeners > 0) {
		struct loop_io *io = &d->listeners[--d->n_listeners];
		int fd = io->fd;

		loop_io_fini(io);
		fd_close(&fd);
	}
}

static void stand_in_stop(void *arg, uint64_t within_ms)
{
	struct stand_in *d = arg;

	(void)within_ms;
	d->stopping = true;
	stand_in_close_listeners(d);
	stand_in_end_when_idle(d);
}

static void stand_in_destroy(void *arg)
{
	struct stand_in *d = arg;

	stand_in_close_listeners(d);
	for (size_t i = 0; i < STAND_IN_CLIENTS_MAX; i++)
		if (d->clients[i].daemon != NULL)
			stand_in_close(&d->clients[i]);
}

/* The exit status, when argv[0] is one of the daemons' names; -1 when not. */
static inline int stand_in_main(int argc, char **argv)
{
	static const struct {
		const char *program;
		enum ipc_role role;
	} programs[] = {
		{"smtpd", IPC_ROLE_SMTPD},	{"lookupd", IPC_ROLE_LOOKUPD},	   {"resolvd", IPC_ROLE_RESOLVD},
		{"queued", IPC_ROLE_QUEUED},	{"deliverd-local", IPC_ROLE_LOCAL}, {"deliverd-remote", IPC_ROLE_REMOTE},
	};
	struct service_callbacks callbacks = {
		.start = stand_in_start, .listener = stand_in_listener, .file = stand_in_file,
		.folder = stand_in_folder, .handler = stand_in_handler, .stop = stand_in_stop,
		.destroy = stand_in_destroy, .window = 16,
	};
	struct stand_in d = {0};

	for (size_t i = 0; i < ARRAY_LENGTH(programs); i++) {
		if (strcmp(argv[0], programs[i].program) != 0)
			continue;
		d.program = programs[i].program;
		callbacks.role = programs[i].role;
		if (i == 1 || i == 2 || i == 3)
			callbacks.reload = stand_in_reload;
		return service_main(argc, argv, &callbacks, &d);
	}
	return -1;
}
