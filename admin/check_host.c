/* What of this host tassis needs: its programs, ports, log, and a file system that keeps what it was given.
 * Touches: ports (binds and lets go), the log's file, nothing else but looks. */
#include "admin/check.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/address.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"

#define SPOOL_FREE_BYTES (1u << 30)
#define SPOOL_FREE_INODES 10000u

/* ---- ports ---- */

static bool can_bind(const struct ip *ip, uint16_t port)
{
	struct sockaddr_storage address;
	socklen_t n = ip_to_sockaddr(ip, port, &address);
	int on = 1, saved, fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	if (fd < 0)
		return errno == EAFNOSUPPORT;
	ok = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	     (address.ss_family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	     bind(fd, (const struct sockaddr *)&address, n) == 0 && listen(fd, 1) == 0;
	saved = errno;
	fd_close(&fd);
	errno = saved;
	return ok;
}

/* A login needs encryption; on loopback whoever stands before us may have seen to it. */
static void check_login(struct check *c, const struct listener *l, const struct ip *ip)
{
	if (l->kind != LISTENER_SUBMISSION)
		return;
	if (!c->settings->smtp_auth)
		check_warning(c, "ports", "listen = %.*s is a port of users, but smtp_auth = no: nobody can log in there, so nobody can send; "
			      "set smtp_auth = yes, or leave the line out", SLICE_PRINTF(l->text));
	else if (l->tls == LISTENER_TLS_NONE && !ip_is_loopback(ip))
		check_warning(c, "ports", "listen = %.*s: there is no TLS on this port, and without it nobody can log in there; "
			      "say required (STARTTLS) or implicit instead of none", SLICE_PRINTF(l->text));
}

static void check_port(struct check *c, struct slice line)
{
	struct fault why = {0};
	struct listener l;
	struct ip ip;
	uint16_t port;
	int error;

	if (!listener_parse(line, &l, &why) || !ip_port_parse(l.address, &ip, &port, &why)) {
		check_fault(c, "ports", &why);
		return;
	}
	check_login(c, &l, &ip);
	/* Its own ports are taken by itself. */
	if (c->running || can_bind(&ip, port))
		return;
	error = errno;
	check_error(c, "ports", "listen = %.*s: %s; %s", SLICE_PRINTF(line), strerror(error),
		    error == EADDRINUSE      ? "`ss -ltnp` shows who has the port: stop that program or change the line"
		    : error == EACCES        ? "ports below 1024 are root's: run this as root, or take a higher one"
		    : error == EADDRNOTAVAIL ? "`ip address` shows which addresses this host has"
					     : "change the line");
}

void check_ports(struct check *c)
{
	if (c->settings->listen.n == 0)
		check_error(c, "ports", "no listen line: nobody can bring mail; for other hosts: listen = 0.0.0.0:25 smtp starttls");
	for (size_t i = 0; i < c->settings->listen.n; i++)
		check_port(c, c->settings->listen.p[i]);
}

/* ---- programs, log ---- */

void check_programs(struct check *c)
{
	static const char *const programs[] = {"master", "smtpd", "lookupd", "resolvd", "queued", "deliverd-local",
					       "deliverd-remote"};
	const char *libexec = getenv("TASSIS_LIBEXEC");
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LENGTH(programs); i++)
		if (!layout_path(slice_of_cstr(libexec != NULL ? libexec : TASSIS_LIBEXECDIR), programs[i], path,
				 sizeof(path), NULL) ||
		    access(path, X_OK) != 0)
			check_error(c, "programs", "the program %s is not there or not executable: `make install`", path);
}

void check_log(struct check *c)
{
	char path[PATH_MAX], *end;

	if (c->settings->log_to == LOG_TO_SYSLOG && access("/dev/log", F_OK) != 0)
		check_error(c, "log", "log_to = syslog, but this host has no /dev/log: start a syslog daemon, or set log_to = file");
	if (c->settings->log_to != LOG_TO_FILE)
		return;
	if (!slice_cstr(c->settings->log_file, path, sizeof(path), NULL)) {
		check_error(c, "log", "log_file is too long");
	} else if (access(path, F_OK) == 0) {
		if (access(path, W_OK) != 0)
			check_error(c, "log", "log_file: you may not write to %s", path);
	} else if ((end = strrchr(path, '/')) != NULL) {
		*end = '\0';
		if (access(path[0] != '\0' ? path : "/", W_OK) != 0)
			check_error(c, "log", "log_file: no file can be made in %s: %s; `mkdir -p %s`, or change log_file", path,
				    strerror(errno), path);
	}
}

/* ---- the spool's file system ---- */

/* One fsync is enough on these alone (ARCHITECTURE.md, the spool). */
static void check_kind_of_file_system(struct check *c, const char *path)
{
	enum { EXT4 = 0xef53, XFS = 0x58465342, TMPFS = 0x01021994 };
	const unsigned btrfs = 0x9123683e;
	struct statfs st;

	if (statfs(path, &st) != 0)
		return;
	if (st.f_type != EXT4 && st.f_type != XFS && (unsigned)st.f_type != btrfs && st.f_type != TMPFS &&
	    !c->settings->spool_sync_directory)
		check_warning(c, "spool", "%s is on a file system that is not ext4, XFS or btrfs; if it needs the folder synced for a "
			      "new name to be durable, set spool_sync_directory = yes", path);
	if (st.f_type == TMPFS)
		check_warning(c, "spool", "%s is in memory (tmpfs): what waits there is lost with the power; name a folder on a disk", path);
}

/* The folder, or the nearest above it that is there. */
static bool nearest(char *path)
{
	char *end;

	while (access(path, F_OK) != 0) {
		if ((end = strrchr(path, '/')) == NULL || end == path)
			return false;
		*end = '\0';
	}
	return true;
}

void check_spool_file_system(struct check *c)
{
	char path[PATH_MAX];
	struct statvfs st;

	if (!slice_cstr(c->settings->spool_dir, path, sizeof(path), NULL) || !nearest(path))
		return;
	check_kind_of_file_system(c, path);
	if (statvfs(path, &st) != 0)
		return;
	if ((uint64_t)st.f_bavail * st.f_frsize < c->settings->message_size_max)
		check_error(c, "spool", "%s has no room for one message of message_size_max: senders hear 452; make room", path);
	else if ((uint64_t)st.f_bavail * st.f_frsize < SPOOL_FREE_BYTES)
		check_warning(c, "spool", "%s has less than 1 GB of room; when it is full, senders hear 452", path);
	if (st.f_files > 0 && st.f_favail < SPOOL_FREE_INODES)
		check_warning(c, "spool", "%s has room for %llu more files only (inodes); each waiting message is one", path,
			      (unsigned long long)st.f_favail);
}
