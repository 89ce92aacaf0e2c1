#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/ipc/link.h"

int ipc_connect_unix(const char *path, struct fault *why)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	int fd;

	if (n >= sizeof(address.sun_path)) {
		fault_set(why, "4.3.5", "the path %s is longer than the %zu octets that a socket's may have", path, sizeof(address.sun_path) - 1);
		return -1;
	}
	memcpy(address.sun_path, path, n);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0) {
		fault_errno(why, "4.3.0", "cannot make a socket");
		return -1;
	}
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		fault_errno(why, "4.4.1", "cannot connect to %s", path);
		fd_close(&fd);
	}
	return fd;
}

bool ipc_hello_send(int fd, enum ipc_role role, unsigned worker, struct fault *why)
{
	struct ipc_message hello = IPC_MESSAGE(hello, .role = (uint8_t)role, .worker = (uint16_t)worker);
	struct buf frame;
	bool ok;

	buf_init(&frame, 64);
	ok = ipc_encode(&hello, 0, &frame, why);
	/* A new connection has room for a few octets. */
	if (ok && send(fd, buf_slice(&frame).p, buf_length(&frame), MSG_NOSIGNAL) != (ssize_t)buf_length(&frame)) {
		fault_errno(why, "4.4.2", "cannot greet %s", ipc_role_name(role));
		ok = false;
	}
	buf_fini(&frame);
	return ok;
}

static bool wait_ready(int fd, short what, uint64_t until_ms, struct fault *why)
{
	struct pollfd p = {.fd = fd, .events = what};
	uint64_t now = clock_monotonic_ms();
	uint64_t left = until_ms > now ? until_ms - now : 0;
	int n = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);

	if (n > 0 || (n < 0 && errno == EINTR))
		return true;
	if (n == 0)
		fault_set(why, "4.4.1", "no answer came in time");
	else
		fault_errno(why, "4.3.0", "cannot wait for the answer");
	return false;
}

static bool send_all(int fd, struct slice octets, uint64_t until_ms, struct fault *why)
{
	while (octets.n) {
		ssize_t n = send(fd, octets.p, octets.n, MSG_NOSIGNAL);

		if (n >= 0) {
			octets = slice_tail(octets, (size_t)n);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR) {
			fault_errno(why, "4.4.2", "cannot send the question");
			return false;
		}
		if (!wait_ready(fd, POLLOUT, until_ms, why))
			return false;
	}
	return true;
}

/* Reads one frame and unmarks it as an answer. */
static bool receive_frame(int fd, struct buf *frame, uint64_t until_ms, struct fault *why)
{
	size_t length = 0;

	while (length == 0 || buf_length(frame) < length) {
		char *room = buf_reserve(frame, length > buf_length(frame) ? length - buf_length(frame) : 4);
		ssize_t n;

		if (room == NULL) {
			fault_set(why, "4.3.1", "out of memory for the answer");
			return false;
		}
		n = recv(fd, room, length ? length - buf_length(frame) : 4 - buf_length(frame), 0);
		if (n == 0) {
			fault_set(why, "4.4.2", "the daemon closed the connection; its log says why");
			return false;
		}
		if (n > 0)
			buf_commit(frame, (size_t)n);
		else if (errno != EAGAIN && errno != EINTR) {
			fault_errno(why, "4.4.2", "cannot read the answer");
			return false;
		} else if (!wait_ready(fd, POLLIN, until_ms, why))
			return false;
		if (!ipc_frame_length(buf_slice(frame), &length, why))
			return false;
	}
	frame->p[frame->start + 4] &= 0x3f;
	return true;
}

bool ipc_ask_once(const char *path, const struct ipc_message *m, uint64_t within_ms, struct buf *frame, struct ipc_message *answer, struct fault *why)
{
	uint64_t now = clock_monotonic_ms(), until_ms = within_ms > UINT64_MAX - now ? UINT64_MAX : now + within_ms;
	struct buf ask;
	uint32_t request;
	bool ok = false;
	int fd = ipc_connect_unix(path, why);

	buf_init(&ask, IPC_FRAME_MAX);
	buf_init(frame, IPC_FRAME_MAX + 4);
	if (fd < 0 || !ipc_encode(m, 1, &ask, why) || !send_all(fd, buf_slice(&ask), until_ms, why) ||
	    !receive_frame(fd, frame, until_ms, why) || !ipc_decode(buf_slice(frame), answer, &request, why))
		goto out;
	if (answer->type == IPC_TYPE_failed) {
		*why = answer->failed.why;
		goto out;
	}
	ok = true;
out:
	if (!ok)
		buf_fini(frame);
	buf_fini(&ask);
	fd_close(&fd);
	return ok;
}
