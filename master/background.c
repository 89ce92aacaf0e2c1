#include "master/background.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"

#define READY 'r'

/* Copies what is there. False: nobody writes any more. */
static bool copy(int from, int to)
{
	char octets[4096];
	ssize_t n = read(from, octets, sizeof(octets));

	if (n > 0)
		(void)!fd_write_all(to, octets, (size_t)n, -1);
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

/* In the process that was started: 0 when the other said that it is ready. An ended master closes the pipe. */
static int wait_for_verdict(int verdict, int errors)
{
	struct pollfd fds[2] = {{.fd = verdict, .events = POLLIN}, {.fd = errors, .events = POLLIN}};
	char said = 0;
	int flags = fcntl(errors, F_GETFL);

	(void)fcntl(errors, F_SETFL, flags | O_NONBLOCK);
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return 1;
		if (fds[1].revents != 0 && !copy(errors, STDERR_FILENO))
			fds[1].fd = -1;
		if (fds[0].revents != 0 && (fds[1].revents & POLLIN) == 0) {
			if (read(verdict, &said, 1) == 1 && said == READY)
				return 0;
			return 1;
		}
	}
}

bool background_enter(int *verdict, struct fault *why)
{
	int said[2] = {-1, -1}, errors[2] = {-1, -1};
	pid_t pid;

	if (pipe2(said, O_CLOEXEC) != 0 || pipe2(errors, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		fault_errno(why, "4.3.0", "cannot go into the background");
		return false;
	}
	if (pid > 0) {
		fd_close(&said[1]);
		fd_close(&errors[1]);
		_exit(wait_for_verdict(said[0], errors[0]));
	}
	fd_close(&said[0]);
	fd_close(&errors[0]);
	(void)setsid();
	(void)dup2(errors[1], STDERR_FILENO);
	(void)dup2(errors[1], STDOUT_FILENO);
	fd_close(&errors[1]);
	*verdict = said[1];
	return true;
}

/* sd_notify(3) in what we need of it, without the library. */
static void tell_systemd(void)
{
	static const char ready[] = "READY=1";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t n = path != NULL ? strlen(path) : 0;
	int fd;

	if (n < 2 || n >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, n);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)sendto(fd, ready, sizeof(ready) - 1, MSG_NOSIGNAL, (const struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	fd_close(&fd);
}

void background_verdict(int *verdict)
{
	static const char ready = READY;

	if (*verdict < 0)
		tell_systemd();
	else if (write(*verdict, &ready, 1) == 1)
		fd_close(verdict);
}
