#include "master/sockets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/address.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/conf/settings.h"
#include "master/master.h"

#define BACKLOG 4096
#define AGAIN_AFTER_MS 100
#define AGAIN_MAX 100

/* ---- ports ---- */

static bool port_socket(const struct ip *ip, uint16_t port, int *out)
{
	struct sockaddr_storage address;
	socklen_t n = ip_to_sockaddr(ip, port, &address);
	int on = 1, saved;
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return false;
	/* Without V6ONLY, [::] would take the IPv4 port of a line of its own. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    (address.ss_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	    bind(fd, (const struct sockaddr *)&address, n) == 0 && listen(fd, BACKLOG) == 0) {
		*out = fd;
		return true;
	}
	saved = errno;
	fd_close(&fd);
	errno = saved;
	return false;
}

/* errno says what was wrong. */
static void port_fault(struct fault *why, const struct listener *l)
{
	const char *mend = "";

	if (errno == EADDRINUSE)
		mend = " (`ss -ltnp` shows who has it: stop that program or change the line)";
	else if (errno == EACCES)
		mend = " (ports below 1024 are root's: start as root, or take a higher one)";
	else if (errno == EADDRNOTAVAIL)
		mend = " (`ip address` shows which addresses this host has)";
	fault_errno(why, "4.3.5", "cannot listen on %.*s%s", SLICE_PRINTF(l->address), mend);
}

static bool port_bind(struct master *m, const struct listener *l, int *fd, struct fault *why)
{
	struct ip ip;
	uint16_t port;
	int again = m->after_a_crash ? AGAIN_MAX : 0;

	if (!ip_port_parse(l->address, &ip, &port, why))
		return false;
	while (!port_socket(&ip, port, fd)) {
		if (errno == EAFNOSUPPORT && ip.family == 6) {
			(void)fprintf(stderr, "this host has no IPv6: nobody listens on %.*s\n",
				      SLICE_PRINTF(l->address));
			return true;
		}
		if (errno != EADDRINUSE || again-- == 0) {
			port_fault(why, l);
			return false;
		}
		(void)usleep(AGAIN_AFTER_MS * 1000);
	}
	return true;
}

/* Takes fd. */
static struct port *port_add(struct master *m, struct slice line, enum listener_kind kind, int fd)
{
	struct port *p = memory_alloc_at_start(1, sizeof(*p));

	p->fd = fd;
	p->kind = kind;
	p->line = memory_alloc_at_start(line.n + 1, 1);
	memcpy(p->line, line.p, line.n);
	list_append(&m->ports, &p->node);
	return p;
}

static bool port_open(struct master *m, struct slice line, struct fault *why)
{
	struct listener l;
	int fd = -1;

	if (!listener_parse(line, &l, why) || !port_bind(m, &l, &fd, why))
		return false;
	if (fd >= 0)
		(void)port_add(m, line, l.kind, fd);
	return true;
}

bool sockets_bind_ports(struct master *m, struct fault *why)
{
	for (size_t i = 0; i < m->settings->listen.n; i++)
		if (!port_open(m, m->settings->listen.p[i], why))
			return false;
	return true;
}

/* ---- UNIX sockets ---- */

static bool unix_address(const struct settings *s, const char *folder, const char *name, struct sockaddr_un *out,
			 struct fault *why)
{
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	return layout_socket_path(s, folder, name, out->sun_path, why);
}

bool sockets_bind_unix(const struct settings *s, const char *folder, const char *name, int *fd, struct fault *why)
{
	struct sockaddr_un address;
	int made;

	if (!unix_address(s, folder, name, &address, why))
		return false;
	made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)unlink(address.sun_path);
	if (made < 0 || bind(made, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    chmod(address.sun_path, 0666) != 0 || listen(made, BACKLOG) != 0) {
		fault_errno(why, "4.3.5", "cannot listen on %s", address.sun_path);
		fd_close(&made);
		return false;
	}
	*fd = made;
	return true;
}

bool sockets_bind_submit(struct master *m, struct fault *why)
{
	int fd;

	if (!sockets_bind_unix(m->settings, LAYOUT_SUBMIT_FOLDER, LAYOUT_SUBMIT_NAME, &fd, why))
		return false;
	port_add(m, SLICE(LAYOUT_SUBMIT_LINE), LISTENER_SUBMISSION, fd)->local = true;
	return true;
}

bool sockets_connect_unix(const struct settings *s, const char *folder, const char *name, int *fd, struct fault *why)
{
	struct sockaddr_un address;
	int made;

	if (!unix_address(s, folder, name, &address, why))
		return false;
	made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (made < 0 || connect(made, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		fault_errno(why, "4.3.0", "cannot connect to %s", address.sun_path);
		fd_close(&made);
		return false;
	}
	*fd = made;
	return true;
}

/* ---- the end of all ---- */

static void unix_remove(struct master *m, const char *folder, const char *name, int *fd)
{
	char path[LAYOUT_SOCKET_PATH_MAX];

	if (*fd < 0)
		return;
	if (layout_socket_path(m->settings, folder, name, path, NULL))
		(void)unlink(path);
	fd_close(fd);
}

void sockets_remove(struct master *m)
{
	LIST_EACH(node, &m->ports) {
		struct port *p = LIST_ENTRY(node, struct port, node);

		list_remove(&p->node);
		if (p->local)
			unix_remove(m, LAYOUT_SUBMIT_FOLDER, LAYOUT_SUBMIT_NAME, &p->fd);
		fd_close(&p->fd);
		free(p->line);
		free(p);
	}
	LIST_EACH(node, &m->slots) {
		struct slot *slot = LIST_ENTRY(node, struct slot, node);
		char name[32];

		(void)snprintf(name, sizeof(name), "%s.%u", ipc_role_name(slot->kind->role), slot->number);
		unix_remove(m, "private", name, &slot->private_fd);
		unix_remove(m, "control", name, &slot->control_fd);
	}
	unix_remove(m, "control", "master", &m->control_fd);
}
