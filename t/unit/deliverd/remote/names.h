/* t/unit/deliverd/remote/names.h: a resolvd that knows what the test told it, in the test's own
 * loop, at the other end of a real socket. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/fault.h"
#include "common/dns/message.h"
#include "common/ipc/link.h"

#define NAMES_MAX 512

struct name_record {
	char name[64], target[64];
	uint16_t type, preference;
	enum dns_outcome outcome; /* else than DNS_OK: instead of records */
};

struct names {
	struct loop *loop;
	struct ipc_server *server;
	struct ipc_peer *peer; /* to it */
	char path[64];
	struct name_record records[NAMES_MAX];
	size_t n_records;
	unsigned n_asked;
	bool silent; /* no answers: the requests are kept */
	struct ipc_request *held[64];
	size_t n_held;
};

/* A listening socket at path. */
static inline int listen_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static inline void names_answer(struct ipc_request *request, enum dns_outcome outcome,
				const struct buf *records)
{
	ipc_answer(request,
		   &IPC_MESSAGE(dns_answer, .outcome = (uint8_t)outcome, .ttl_s = 60,
				.records = buf_slice(records)),
		   -1);
}

static inline void names_handler(void *arg, struct ipc_request *request,
				 const struct ipc_message *m, int *fd)
{
	struct names *n = arg;
	enum dns_outcome outcome = DNS_NO_NAME;
	struct buf records;

	(void)fd;
	n->n_asked++;
	if (n->silent) {
		n->held[n->n_held++] = request;
		return;
	}
	buf_init(&records, 262144);
	for (size_t i = 0; i < n->n_records; i++) {
		const struct name_record *r = &n->records[i];
		struct ipc_dns_record out = {.type = r->type, .preference = r->preference};

		if (!slice_equal_nocase(slice_of_cstr(r->name), m->dns_ask.name))
			continue;
		if (outcome == DNS_NO_NAME)
			outcome = DNS_NO_DATA;
		if (r->type != m->dns_ask.type)
			continue;
		outcome = r->outcome;
		if (r->outcome == DNS_OK && r->type == DNS_MX)
			out.name = slice_of_cstr(r->target);
		else if (r->outcome == DNS_OK)
			assert_true(ip_parse(slice_of_cstr(r->target), &out.address));
		assert_true(r->outcome != DNS_OK || ipc_put_dns_record(&records, &out));
	}
	names_answer(request, outcome, &records);
	buf_fini(&records);
}

static inline void names_connect(void *arg, enum ipc_role role, unsigned worker,
				 struct ipc_peer *peer)
{
	struct names *n = arg;
	int fd = ipc_connect_unix(n->path, NULL);

	(void)role;
	(void)worker;
	if (fd >= 0)
		assert_true(ipc_hello_send(fd, IPC_ROLE_REMOTE, 0, NULL));
	ipc_peer_connected(peer, fd);
}

static inline void names_begin(struct names *n, struct loop *loop)
{
	memset(n, 0, sizeof(*n));
	n->loop = loop;
	snprintf(n->path, sizeof(n->path), "/tmp/names.%d", (int)getpid());
	n->server = ipc_server_create(loop, IPC_ROLE_RESOLVD, 1000, names_handler, n, NULL);
	assert_true(ipc_server_listen(n->server, listen_unix(n->path), false, NULL));
	n->peer = ipc_peer_create(loop, IPC_ROLE_REMOTE, IPC_ROLE_RESOLVD, 0, 1000, names_connect,
				  n, NULL);
	assert_non_null(n->peer);
}

static inline void names_end(struct names *n)
{
	ipc_peer_destroy(n->peer);
	ipc_server_destroy(n->server);
	for (size_t i = 0; i < n->n_held; i++)
		ipc_answer_fault(n->held[i], &(struct fault){0});
	unlink(n->path);
}

/* target: a host's name with MX, an address with A and AAAA. */
static inline void names_say(struct names *n, const char *name, uint16_t type, uint16_t preference,
			     const char *target)
{
	struct name_record *r = &n->records[n->n_records++];

	assert_true(n->n_records <= NAMES_MAX);
	*r = (struct name_record){.type = type, .preference = preference};
	snprintf(r->name, sizeof(r->name), "%s", name);
	snprintf(r->target, sizeof(r->target), "%s", target);
}

static inline void names_fail(struct names *n, const char *name, uint16_t type,
			      enum dns_outcome outcome)
{
	names_say(n, name, type, 0, "");
	n->records[n->n_records - 1].outcome = outcome;
}
