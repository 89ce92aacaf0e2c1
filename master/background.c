#include "master/background.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

void background_verdict(int *verdict)
{
	static const char ready = READY;

	if (*verdict >= 0 && write(*verdict, &ready, 1) == 1)
		fd_close(verdict);
}
