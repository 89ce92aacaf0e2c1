/* t/unit/common/ipc/pair.h: an asking and an answering daemon in one loop, for the tests of this folder.
 * Touches: a socket in /tmp. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/ipc/link.h"

/* Two daemons in one loop: resolvd answers, smtpd asks; their connection goes through a real socket in the file system. */
struct pair {
	struct loop *loop;
	struct ipc_server *server;
	struct ipc_peer *peer;
	char path[64];
	unsigned n_asked, n_answered, n_failed, n_lost, n_presence, n_drained;
	bool hold; /* answers are kept back */
	struct ipc_request *held[16];
	unsigned n_held;
	bool drop; /* kept too, many more */
	struct ipc_request *dropped[256];
	size_t n_dropped;
	int got_fd;
	char last[64];
	struct fault why; /* of the last that was lost */
	unsigned n_connects;
	bool refuse;             /* connecting fails */
	struct ipc_ask *victim;  /* cancelled in the next answer */
	bool destroy_in_answer;  /* the peer */
	bool ask_again;
	struct ipc_ask again;
	int answer_fd;
	struct fault *failure;   /* answered instead */
};

static inline void handler(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct pair *p = arg;
	struct ipc_message answer = IPC_MESSAGE(dns_answer, .ttl_s = 7, .records = m->dns_ask.name);

	p->n_asked++;
	if (*fd >= 0) {
		p->got_fd = *fd;
		*fd = -1;
	}
	if (p->drop)
		p->dropped[p->n_dropped++] = request;
	else if (p->hold)
		p->held[p->n_held++] = request;
	else if (p->failure)
		ipc_answer_fault(request, p->failure);
	else
		ipc_answer(request, &answer, p->answer_fd);
}

static inline void presence(void *arg, enum ipc_role role, unsigned worker, bool there)
{
	struct pair *p = arg;

	assert_int_equal(role, IPC_ROLE_SMTPD);
	assert_int_equal(worker, 3);
	p->n_presence += there ? 1 : 100;
}

static inline ipc_answer_fn answered;
static inline void answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct pair *p = arg;

	if (p->victim)
		ipc_ask_cancel(p->victim);
	if (p->ask_again) {
		struct ipc_message m = IPC_MESSAGE(dns_ask, .name = SLICE("again.test"));

		p->ask_again = false;
		assert_true(ipc_ask(p->peer, &p->again, &m, -1, 0, false, answered, p, NULL));
	}
	if (p->destroy_in_answer) {
		p->destroy_in_answer = false;
		ipc_peer_destroy(p->peer);
		p->peer = NULL;
	}
	if (answer == NULL) {
		assert_non_null(why);
		p->why = *why;
		p->n_lost++;
		return;
	}
	assert_null(why);
	if (*fd >= 0) {
		fd_close(&p->got_fd);
		p->got_fd = *fd;
		*fd = -1;
	}
	if (answer->type == IPC_TYPE_failed) {
		p->why = answer->failed.why;
		p->n_failed++;
		return;
	}
	p->n_answered++;
	assert_int_equal(answer->type, IPC_TYPE_dns_answer);
	snprintf(p->last, sizeof(p->last), "%.*s", SLICE_PRINTF(answer->dns_answer.records));
}

static inline void connect_peer(void *arg, enum ipc_role role, unsigned worker, struct ipc_peer *peer)
{
	struct pair *p = arg;
	int fd = p->refuse ? -1 : ipc_connect_unix(p->path, NULL);

	p->n_connects++;
	(void)role;
	(void)worker;
	if (fd >= 0)
		assert_true(ipc_hello_send(fd, IPC_ROLE_SMTPD, 3, NULL));
	ipc_peer_connected(peer, fd);
}

static inline void serve(struct pair *p, uint32_t window)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(p->path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", p->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	p->server = ipc_server_create(p->loop, IPC_ROLE_RESOLVD, window, handler, p, NULL);
	assert_non_null(p->server);
	ipc_server_on_presence(p->server, presence, p);
	assert_true(ipc_server_listen(p->server, fd, false, NULL));
}

static inline void pair_init(struct pair *p, uint32_t window)
{
	*p = (struct pair){.got_fd = -1, .answer_fd = -1};
	snprintf(p->path, sizeof(p->path), "/tmp/ipc_pair_test.%d", (int)getpid());
	p->loop = loop_create(NULL);
	serve(p, window);
	p->peer = ipc_peer_create(p->loop, IPC_ROLE_SMTPD, IPC_ROLE_RESOLVD, 0, 100000, connect_peer, p, NULL);
	assert_non_null(p->peer);
}

static inline void pair_fini(struct pair *p)
{
	ipc_peer_destroy(p->peer);
	ipc_server_destroy(p->server);
	for (unsigned i = 0; i < p->n_held; i++)
		ipc_answer_fault(p->held[i], &(struct fault){0});
	loop_destroy(p->loop);
	fd_close(&p->got_fd);
	unlink(p->path);
}

static inline void turns(struct pair *p, int n)
{
	while (n--)
		loop_turn(p->loop, false);
}

static inline struct ipc_message question(const char *name)
{
	return IPC_MESSAGE(dns_ask, .name = slice_of_cstr(name), .type = 15);
}
