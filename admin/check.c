/* `tassis check`: looks for what would keep tassis from working, and says the mend of each; changes nothing.
 * Touches: main.conf, folders, ports (binds and lets go), certificate and key, programs, PostgreSQL under lookupd's account. */
#include "admin/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/address.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/service/layout.h"
#include "common/service/main_conf.h"
#include "common/tls/key.h"

#define PEM_MAX (1u << 20)

struct check {
	const struct settings *settings; /* the effective ones */
	struct accounts accounts;
	bool running;
	unsigned n; /* mistakes found */
};

static void found(void *arg, const struct fault *why)
{
	struct check *c = arg;

	c->n++;
	(void)printf("%s\n", why->text);
}

PRINTF_LIKE(2, 3) static void mistake(struct check *c, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	c->n++;
	(void)printf("%s\n", text);
}

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

static void check_port(struct check *c, struct slice line)
{
	struct fault why = {0};
	struct listener l;
	struct ip ip;
	uint16_t port;

	if (!listener_parse(line, &l, &why) || !ip_port_parse(l.address, &ip, &port, &why)) {
		found(c, &why);
	} else if (!can_bind(&ip, port)) {
		int error = errno;

		mistake(c, "listen = %.*s: %s; %s", SLICE_PRINTF(line), strerror(error),
			error == EADDRINUSE      ? "`ss -ltnp` shows who has the port: stop that program or change the line"
			: error == EACCES        ? "ports below 1024 are root's: run this as root, or take a higher one"
			: error == EADDRNOTAVAIL ? "`ip address` shows which addresses this host has"
						 : "change the line");
	}
}

static void check_ports(struct check *c)
{
	if (c->settings->listen.n == 0)
		mistake(c, "no listen line: nobody can bring mail; for other hosts: listen = 0.0.0.0:25 smtp starttls");
	/* Its own ports are taken by itself. */
	for (size_t i = 0; !c->running && i < c->settings->listen.n; i++)
		check_port(c, c->settings->listen.p[i]);
}

/* ---- certificate and key ---- */

static void check_pair(struct check *c)
{
	struct slice key_name = c->settings->tls_key.n > 0 ? c->settings->tls_key : c->settings->tls_certificate;
	char certificate[PATH_MAX], key[PATH_MAX];
	struct buf chain, private;
	struct fault why = {0};
	struct stat st = {0};

	buf_init_secret(&chain, PEM_MAX); /* the key may stand beside it */
	buf_init_secret(&private, PEM_MAX);
	if (!slice_cstr(c->settings->tls_certificate, certificate, sizeof(certificate), &why) ||
	    !slice_cstr(key_name, key, sizeof(key), &why) || !fd_slurp_path(certificate, &chain, NULL, &why) ||
	    !fd_slurp_path(key, &private, &st, &why)) {
		fault_add(&why, "tls_certificate, tls_key");
		found(c, &why);
		goto out;
	}
	if ((st.st_mode & 077 & ~S_IRGRP) != 0)
		mistake(c, "others may read the private key: `chmod 600 %s`", key);
	if (!tls_pair_matches(buf_slice(&chain), buf_slice(&private), &why)) {
		fault_add(&why, "certificate %s, key %s", certificate, key);
		found(c, &why);
	}
out:
	buf_fini(&chain);
	buf_fini(&private);
}

static void check_certificate(struct check *c)
{
	if (c->settings->tls_certificate.n > 0)
		check_pair(c);
	else if (c->settings->tls_key.n > 0)
		mistake(c, "tls_key is set and tls_certificate is not: set both, or neither for a self-signed pair");
}

/* ---- PostgreSQL ---- */

/* What is wrong with the connection or with what is there, "" for nothing. */
static void ask_database(const char *conninfo, bool own_query, char *out, size_t size)
{
	static const char *const names[] = {"dbname", "connect_timeout", "gssencmode", "application_name", NULL};
	const char *values[] = {conninfo, "5", "disable", "tassis check", NULL};
	PGconn *pg = PQconnectdbParams(names, values, 1);
	PGresult *result = NULL;

	out[0] = '\0';
	if (PQstatus(pg) != CONNECTION_OK) {
		(void)snprintf(out, size, "%s", PQerrorMessage(pg));
	} else if (!own_query) {
		result = PQexec(pg, "SELECT 1 FROM domains LIMIT 1");
		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			(void)snprintf(out, size, "%s`tassis schema upgrade` makes what is missing", PQerrorMessage(pg));
	}
	PQclear(result);
	PQfinish(pg);
}

/* In a process of lookupd's account: PostgreSQL may know who asks by that alone. */
NORETURN static void ask_as_lookupd(const struct check *c, const char *conninfo, int out)
{
	char text[1024];

	if (c->accounts.change &&
	    (setgroups(0, NULL) != 0 || setgid(c->accounts.of[ACCOUNT_LOOKUP].gid) != 0 ||
	     setuid(c->accounts.of[ACCOUNT_LOOKUP].uid) != 0))
		(void)snprintf(text, sizeof(text), "cannot take the account tassis-lookup");
	else
		ask_database(conninfo, c->settings->query_domain.n > 0, text, sizeof(text));
	(void)!fd_write_all(out, text, strlen(text), -1);
	_exit(0);
}

static void check_database(struct check *c)
{
	char conninfo[4096], text[1024];
	struct fault why = {0};
	int pipe_fds[2];
	ssize_t n;
	pid_t pid;

	if (!slice_cstr(c->settings->database, conninfo, sizeof(conninfo), &why)) {
		found(c, &why);
		return;
	}
	(void)fflush(stdout);
	if (pipe2(pipe_fds, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		mistake(c, "cannot ask PostgreSQL: %s", strerror(errno));
		return;
	}
	if (pid == 0)
		ask_as_lookupd(c, conninfo, pipe_fds[1]);
	fd_close(&pipe_fds[1]);
	n = read(pipe_fds[0], text, sizeof(text) - 1);
	fd_close(&pipe_fds[0]);
	(void)waitpid(pid, NULL, 0);
	text[n > 0 ? n : 0] = '\0';
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\n')
			*p = ' ';
	if (text[0] != '\0')
		mistake(c, "database: %s (the setting database in main.conf says where it is)", text);
}

/* ---- the rest ---- */

static void check_programs(struct check *c)
{
	static const char *const programs[] = {"master", "smtpd", "lookupd", "resolvd", "queued", "deliverd-local",
					       "deliverd-remote"};
	const char *libexec = getenv("TASSIS_LIBEXEC");
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LENGTH(programs); i++)
		if (!layout_path(slice_of_cstr(libexec != NULL ? libexec : TASSIS_LIBEXECDIR), programs[i], path,
				 sizeof(path), NULL) ||
		    access(path, X_OK) != 0)
			mistake(c, "the program %s is not there or not executable: `make install`", path);
}

static void check_log(struct check *c)
{
	char path[PATH_MAX], *end;

	if (c->settings->log_to == LOG_TO_SYSLOG && access("/dev/log", F_OK) != 0)
		mistake(c, "log_to = syslog, but this host has no /dev/log: start a syslog daemon, or set log_to = file");
	if (c->settings->log_to != LOG_TO_FILE)
		return;
	if (!slice_cstr(c->settings->log_file, path, sizeof(path), NULL)) {
		mistake(c, "log_file is too long");
	} else if (access(path, F_OK) == 0) {
		if (access(path, W_OK) != 0)
			mistake(c, "log_file: you may not write to %s", path);
	} else if ((end = strrchr(path, '/')) != NULL) {
		*end = '\0';
		if (access(path[0] != '\0' ? path : "/", W_OK) != 0)
			mistake(c, "log_file: no file can be made in %s: %s", path, strerror(errno));
	}
}

static void check_resolver(struct check *c)
{
	if (c->settings->dns_servers.n == 0 && access("/etc/resolv.conf", R_OK) != 0)
		mistake(c, "/etc/resolv.conf cannot be read and no dns_servers are set: MX records cannot be found");
}

/* One fsync is enough on these alone (ARCHITECTURE.md, the spool). */
static void check_spool_file_system(struct check *c)
{
	enum { EXT4 = 0xef53, XFS = 0x58465342, TMPFS = 0x01021994 };
	const unsigned btrfs = 0x9123683e;
	char path[PATH_MAX];
	struct statfs st;

	if (c->settings->spool_sync_directory || !slice_cstr(c->settings->spool_dir, path, sizeof(path), NULL) ||
	    statfs(path, &st) != 0)
		return;
	if (st.f_type != EXT4 && st.f_type != XFS && (unsigned)st.f_type != btrfs && st.f_type != TMPFS)
		(void)printf("note: %s is on a file system that is not ext4, XFS or btrfs; if it needs the folder synced for a "
			     "new name to be durable, set spool_sync_directory = yes\n", path);
	if (st.f_type == TMPFS)
		(void)printf("note: %s is in memory (tmpfs): what waits there is lost with the power\n", path);
}

static void check_all(struct check *c)
{
	struct fault why = {0};

	check_programs(c);
	if (accounts_find(c->settings, &c->accounts, &why)) {
		layout_check(c->settings, &c->accounts, found, c);
		check_database(c);
	} else {
		found(c, &why);
	}
	check_spool_file_system(c);
	check_ports(c);
	check_certificate(c);
	check_log(c);
	check_resolver(c);
}

/* The settings as master would run with them; every mistake is said. */
static bool read_effective(struct check *c, const char *main_conf, struct settings **out)
{
	struct settings *read = NULL;
	struct buf problems, waiting;
	struct fault why = {0};
	struct slice rest, line;
	bool ok = false;

	buf_init(&problems, 65536);
	buf_init(&waiting, 4096);
	if (main_conf_read(main_conf, &read, &problems) && !(ok = main_conf_effective(read, NULL, out, &waiting, &why)))
		found(c, &why);
	rest = slice_trim(buf_slice(&problems));
	while (rest.n > 0 && slice_cut(&rest, '\n', &line))
		mistake(c, "%.*s", SLICE_PRINTF(line));
	settings_destroy(read);
	buf_fini(&problems);
	buf_fini(&waiting);
	return ok;
}

int command_check(const struct admin *a, int argc, char **argv)
{
	struct settings *settings = NULL;
	struct check c = {0};

	(void)argv;
	if (argc > 1)
		return admin_usage("check");
	if (read_effective(&c, a->main_conf, &settings)) {
		c.settings = settings;
		c.running = admin_is_running(settings);
		check_all(&c);
	}
	settings_destroy(settings);
	if (c.n > 0) {
		(void)printf("%u mistake%s with %s\n", c.n, c.n == 1 ? "" : "s", a->main_conf);
		return ADMIN_FAILED;
	}
	(void)printf("%s and what it names are right\n", a->main_conf);
	return ADMIN_DONE;
}
