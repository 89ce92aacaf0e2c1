#include "master/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/clock.h"
#include "common/base/fd.h"

/* A path, or with '@' before it a name of the abstract kind. */
static void say(const char *words)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t n = path != NULL ? strlen(path) : 0;
	int fd;

	if (n < 2 || n >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(to.sun_path, path, n);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)sendto(fd, words, strlen(words), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	fd_close(&fd);
}

void notify_ready(void)
{
	say("READY=1");
}

void notify_reloading(void)
{
	char words[64];

	/* Newer ones want to know when, to tell this reload from the last. */
	(void)snprintf(words, sizeof(words), "RELOADING=1\nMONOTONIC_USEC=%llu",
		       (unsigned long long)clock_monotonic_ms() * 1000u);
	say(words);
}

void notify_stopping(void)
{
	say("STOPPING=1");
}
