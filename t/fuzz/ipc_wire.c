/* t/fuzz/ipc_wire.c: octets and descriptors from a hostile daemon, to a server and to a channel. Whatever comes, no descriptor is left over and every request
 * can be answered. The first octet: bit 0 channel or server, bit 1 a hello first. Then pieces: one octet of length (7 bits; the high bit: with a descriptor), so many octets. */
#include <assert.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/ipc/link.h"
#include "common/log/log.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n);

#define HELD_MAX 8

struct world {
	struct ipc_request *held[HELD_MAX]; /* the first of them answered at the end */
	size_t n_held;
};

static void handler(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct world *w = arg;
	const struct fault why = {0};

	(void)fd;
	(void)m;
	if (request && w->n_held < HELD_MAX)
		w->held[w->n_held++] = request;
	else
		ipc_answer_fault(request, &why);
}

static void gone(void *arg)
{
	(void)arg;
}

static void send_piece(int socket, struct slice piece, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_len = piece.n};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	memcpy(&part.iov_base, &piece.p, sizeof(piece.p));
	if (fd >= 0) {
		message.msg_control = control.space;
		message.msg_controllen = sizeof(control.space);
		control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	}
	(void)!sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void play(struct loop *l, int socket, struct slice rest)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	while (rest.n > 1) {
		unsigned char head = (unsigned char)rest.p[0];
		struct slice piece = slice_head(slice_tail(rest, 1), (head & 0x7f) + 1u);

		send_piece(socket, piece, head & 0x80 ? null : -1);
		loop_turn(l, false);
		rest = slice_tail(rest, 1 + piece.n);
	}
	close(null);
	loop_turn(l, false);
}

static void to_channel(struct loop *l, struct world *w, struct slice input)
{
	int fds[2], error = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
	struct ipc_channel *c = error ? NULL : ipc_channel_create(l, fds[0], IPC_ROLE_QUEUED, IPC_ROLE_MASTER, handler, gone, w, NULL);

	assert(c);
	play(l, fds[1], input);
	ipc_channel_destroy(c);
	close(fds[1]);
}

static void to_server(struct loop *l, struct world *w, struct slice input, bool greets)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX}; /* an abstract name that the kernel chooses */
	socklen_t size = sizeof(sa_family_t);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ipc_server *s = ipc_server_create(l, IPC_ROLE_LOOKUPD, 3, handler, w, NULL);

	assert(s && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 1) == 0);
	size = sizeof(address);
	assert(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
	assert(ipc_server_listen(s, fd, !greets, NULL));
	assert(connect(client, (struct sockaddr *)&address, size) == 0);
	if (greets)
		assert(ipc_hello_send(client, IPC_ROLE_SMTPD, 0, NULL));
	loop_turn(l, false);
	loop_turn(l, false);
	play(l, client, input);
	ipc_server_destroy(s);
	close(client);
}

/* At debug level, so that what comes is printed too. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_open("fuzz", open("/dev/null", O_WRONLY | O_CLOEXEC), false, LOG_LEVEL_DEBUG);
	return 0;
}

/* The lowest free number is the same before and after: none is lost. */
static int lowest_free(void)
{
	int fd = dup(0), number = fd;

	fd_close(&fd);
	return number;
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t n)
{
	struct slice input = slice_of(octets, n);
	struct world w = {0};
	struct loop *l;
	int before = lowest_free();

	if (n < 2)
		return 0;
	l = loop_create(NULL);
	assert(l);
	if (octets[0] & 1)
		to_channel(l, &w, slice_tail(input, 1));
	else
		to_server(l, &w, slice_tail(input, 1), octets[0] & 2);
	for (size_t i = 0; i < w.n_held; i++)
		ipc_answer_fault(w.held[i], &(struct fault){0});
	loop_destroy(l);
	assert(lowest_free() == before);
	return 0;
}
