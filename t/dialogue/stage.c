/* t/dialogue/stage.c: a stage for one smtpd: plays master, lookupd, resolvd, queued and deliverd-local
 * for it over common/ipc, by a script that is the addresses themselves:
 *
 *	…@test.com            ours; unknown@, disabled@, failing@ (lookupd fails), silent@ (never answers), else a mailbox
 *	                      small@ with room for 1,000 octets, full@ with none, unsure@ (its deliverd fails), stuck@ (never
 *	                      answers); as sender second@ is the user's own too, failing@ (lookupd fails)
 *	…@relay.example       a domain that we relay for; any other is elsewhere
 *	test@test.com 1111    may log in, for itself and for the authorisation identity authid; away@test.com
 *	                      (lookupd fails), slow@test.com (the refusal is to be held back for 300 ms)
 *
 *	stage SMTPD FOLDER KIND TLS [relay] [no-certificate] [disk-full] [queued=away|busy] [local=away]
 *	      [failures=MS|away] [NAME = VALUE]…
 *
 * disk-full: no file of smtpd's can grow over 60 KiB. failures: what lookupd says of a client's wrong
 * logins; 0 unless it is said.
 * Says "ready PORT" when smtpd is, and lives until its standard input ends; "stop" there tells
 * smtpd to stop. FOLDER gets incoming/, and the log. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/number.h"
#include "common/base/random.h"
#include "common/conf/settings.h"
#include "common/event/loop.h"
#include "common/ipc/link.h"
#include "common/log/log.h"
#include "common/tls/key.h"

#define KEPT_MAX 64

struct stage {
	struct loop *loop;
	const char *folder, *tls;
	pid_t smtpd;
	struct ipc_channel *channel;
	struct ipc_server *lookupd, *resolvd, *queued, *local;
	struct tls_key *key;
	struct buf certificate, settings;
	bool relay, no_certificate, disk_full, queued_away, queued_busy, local_away, failures_away;
	uint64_t failures_ms;
	int listening;
	uint16_t port;
	struct loop_io input;
	struct ipc_request *kept[KEPT_MAX]; /* asks that get no answer */
	size_t n_kept;
};

static NORETURN void die(const char *what, const struct fault *why)
{
	fprintf(stderr, "stage: %s: %s\n", what, why ? why->text : strerror(errno));
	exit(2);
}

static void keep(struct stage *g, struct ipc_request *request)
{
	if (g->n_kept == KEPT_MAX)
		die("too many asks without an answer", NULL);
	g->kept[g->n_kept++] = request;
}

static struct slice domain_of(struct slice path)
{
	size_t at = slice_find_last(path, '@');

	return at == SIZE_MAX ? SLICE_EMPTY : slice_tail(path, at + 1);
}

static void answer_failed(struct ipc_request *request)
{
	struct fault why = {0};

	fault_set(&why, "4.3.0", "the script says so");
	ipc_answer_fault(request, &why);
}

/* ---- lookupd ---- */

static enum rcpt_kind recipient_kind(struct slice path)
{
	if (slice_equal_nocase(domain_of(path), SLICE("relay.example")))
		return RCPT_RELAY_DOMAIN;
	if (!slice_equal_nocase(domain_of(path), SLICE("test.com")))
		return RCPT_REMOTE;
	if (slice_starts(path, SLICE("unknown@")))
		return RCPT_UNKNOWN;
	return slice_starts(path, SLICE("disabled@")) ? RCPT_DISABLED : RCPT_LOCAL;
}

static bool has_quota(struct slice path)
{
	static const char *const names[] = {"small@", "full@", "unsure@", "stuck@"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (slice_starts(path, slice_of_cstr(names[i])))
			return true;
	return false;
}

static void answer_rcpt(struct stage *g, struct ipc_request *request, const struct ipc_rcpt_ask *m)
{
	bool local = slice_equal_nocase(domain_of(m->reverse_path), SLICE("test.com"));
	struct ipc_message a =
		IPC_MESSAGE(rcpt_answer, .recipient = (uint8_t)recipient_kind(m->forward_path),
			    .sender = m->reverse_path.n == 0 ? SENDER_NULL
				      : local		     ? SENDER_LOCAL
							     : SENDER_REMOTE,
			    .relay = g->relay,
			    .sender_owned = m->user.n > 0 &&
					    (slice_equal(m->user, m->reverse_path) ||
					     slice_starts(m->reverse_path, SLICE("second@"))));

	if (has_quota(m->forward_path)) {
		a.rcpt_answer.folder = m->forward_path;
		a.rcpt_answer.quota_messages = 10;
	}
	if (slice_starts(m->forward_path, SLICE("silent@")))
		keep(g, request);
	else if (slice_starts(m->forward_path.n > 0 ? m->forward_path : m->reverse_path,
			      SLICE("failing@")))
		answer_failed(request);
	else
		ipc_answer(request, &a, -1);
}

static void answer_auth(struct ipc_request *request, const struct ipc_auth_ask *m)
{
	bool itself = m->authzid.n == 0 || slice_equal(m->authzid, SLICE("authid"));
	bool good = itself && slice_equal(m->user, SLICE("test@test.com")) &&
		    slice_equal(m->password, SLICE("1111"));
	struct ipc_message a = IPC_MESSAGE(auth_answer, .accepted = good, .user = m->user,
					   .wait_ms = slice_starts(m->user, SLICE("slow@")) ? 300 : 0);

	if (slice_starts(m->user, SLICE("away@")))
		answer_failed(request);
	else
		ipc_answer(request, &a, -1);
}

static void answer_failure(const struct stage *g, struct ipc_request *request)
{
	struct ipc_message a = IPC_MESSAGE(done, .number = g->failures_ms);

	if (g->failures_away)
		answer_failed(request);
	else
		ipc_answer(request, &a, -1);
}

static void answer_sign(struct stage *g, struct ipc_request *request, const struct ipc_sign_ask *m)
{
	struct buf signature;
	struct ipc_message a;
	struct fault why = {0};

	buf_init(&signature, 1024);
	if (!slice_equal(tls_key_id(g->key), m->key_id) ||
	    !tls_key_sign(g->key, (enum ipc_scheme)m->scheme, m->digest, m->input, &signature,
			  &why)) {
		answer_failed(request);
	} else {
		a = IPC_MESSAGE(sign_answer, .signature = buf_slice(&signature));
		ipc_answer(request, &a, -1);
	}
	buf_fini(&signature);
}

static void lookupd_asked(void *arg, struct ipc_request *request, const struct ipc_message *m,
			  int *fd)
{
	struct stage *g = arg;
	struct ipc_message a;
	uint8_t keys[80];

	(void)fd;
	if (m->type == IPC_TYPE_rcpt_ask) {
		answer_rcpt(g, request, &m->rcpt_ask);
	} else if (m->type == IPC_TYPE_auth_ask) {
		answer_auth(request, &m->auth_ask);
	} else if (m->type == IPC_TYPE_failure_ask) {
		answer_failure(g, request);
	} else if (m->type == IPC_TYPE_dkim_keys_ask) { /* nobody signs here */
		a = IPC_MESSAGE(dkim_keys_answer, .keys = SLICE_EMPTY);
		ipc_answer(request, &a, -1);
	} else if (m->type == IPC_TYPE_sign_ask) {
		answer_sign(g, request, &m->sign_ask);
	} else if (m->type == IPC_TYPE_tickets_ask) {
		random_fill(keys, sizeof(keys));
		a = IPC_MESSAGE(tickets_answer, .keys = slice_of(keys, sizeof(keys)),
				.valid_ms = 3600000);
		ipc_answer(request, &a, -1);
	} else {
		answer_failed(request);
	}
}

/* ---- resolvd, queued, deliverd-local ---- */

static void resolvd_asked(void *arg, struct ipc_request *request, const struct ipc_message *m,
			  int *fd)
{
	struct ipc_message a = IPC_MESSAGE(dns_answer, .outcome = DNS_NO_NAME);

	(void)arg;
	(void)m;
	(void)fd;
	ipc_answer(request, &a, -1);
}

static void queued_asked(void *arg, struct ipc_request *request, const struct ipc_message *m,
			 int *fd)
{
	struct stage *g = arg;
	struct ipc_message a = IPC_MESSAGE(done, .number = 1);

	(void)m;
	(void)fd;
	if (g->queued_busy)
		keep(g, request);
	else
		ipc_answer(request, &a, -1);
}

static void local_asked(void *arg, struct ipc_request *request, const struct ipc_message *m,
			int *fd)
{
	struct stage *g = arg;
	bool fits = m->type == IPC_TYPE_quota_ask &&
		    slice_starts(m->quota_ask.folder, SLICE("small@")) &&
		    m->quota_ask.quota_messages == 10 && m->quota_ask.size_bytes <= 1000;
	struct ipc_message a = IPC_MESSAGE(done, .number = fits);

	(void)fd;
	if (slice_starts(m->quota_ask.folder, SLICE("stuck@")))
		keep(g, request);
	else if (slice_starts(m->quota_ask.folder, SLICE("unsure@")))
		answer_failed(request);
	else
		ipc_answer(request, &a, -1);
}

static struct ipc_server *serve(struct stage *g, enum ipc_role role, ipc_handler_fn *fn)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct fault why = {0};
	struct ipc_server *s = ipc_server_create(
		g->loop, role, role == IPC_ROLE_QUEUED && g->queued_busy ? 1 : 64, fn, g, &why);

	if (snprintf(to.sun_path, sizeof(to.sun_path), "%s/%s", g->folder, ipc_role_name(role)) >=
	    (int)sizeof(to.sun_path))
		die("the folder's name is too long", NULL);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(fd, 16) < 0)
		die(to.sun_path, NULL);
	if (s == NULL || !ipc_server_listen(s, fd, false, &why))
		die("cannot serve", &why);
	return s;
}

/* ---- master ---- */

static void connect_asked(struct stage *g, struct ipc_request *request,
			  const struct ipc_connect_ask *m)
{
	struct ipc_message a = IPC_MESSAGE(connect_answer, .n_workers = 2);
	char path[200];
	struct fault why = {0};
	int fd;

	if ((m->role == IPC_ROLE_QUEUED && g->queued_away) ||
	    (m->role == IPC_ROLE_LOCAL && g->local_away)) {
		answer_failed(request);
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/%s", g->folder,
		       ipc_role_name((enum ipc_role)m->role));
	fd = ipc_connect_unix(path, &why);
	if (fd < 0 || !ipc_hello_send(fd, IPC_ROLE_SMTPD, 0, &why))
		die("cannot connect", &why);
	ipc_answer(request, &a, fd);
	fd_close(&fd);
}

static void master_asked(void *arg, struct ipc_request *request, const struct ipc_message *m,
			 int *fd)
{
	struct stage *g = arg;

	(void)fd;
	if (m->type == IPC_TYPE_connect_ask && request != NULL)
		connect_asked(g, request, &m->connect_ask);
	if (m->type == IPC_TYPE_ready) {
		printf("ready %u\n", g->port);
		fflush(stdout);
	}
}

static void gone(void *arg)
{
	struct stage *g = arg;

	loop_stop(g->loop);
}

static void give(struct stage *g, const struct ipc_message *m, int fd)
{
	struct fault why = {0};

	if (!ipc_channel_send(g->channel, m, fd, &why))
		die("cannot send", &why);
}

static int open_in(const struct stage *g, const char *name, int flags)
{
	char path[200];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", g->folder, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path, NULL);
	return fd;
}

static void give_octets(struct stage *g, const struct ipc_message *m, const char *name,
			struct slice octets)
{
	int fd = open_in(g, name, O_RDWR | O_CREAT | O_TRUNC);

	if (!fd_write_all(fd, octets.p, octets.n, 0))
		die(name, NULL);
	give(g, m, fd);
	fd_close(&fd);
}

/* What master sends, in its order. */
static void give_all(struct stage *g, const char *kind)
{
	struct ipc_message log = IPC_MESSAGE(log, .log_to = LOG_TO_FILE, .level = LOG_LEVEL_DEBUG);
	struct ipc_message settings = IPC_MESSAGE(settings, .generation = 1),
			   folder = IPC_MESSAGE(folder, .name = SLICE("incoming"));
	struct ipc_message account = IPC_MESSAGE(account, .change = false),
			   begin = IPC_MESSAGE(begin, .generation = 1), listener;
	struct ipc_message file =
		IPC_MESSAGE(file, .name = SLICE("certificate"), .path = SLICE("certificate.pem"));
	char line[100];
	int fd = open_in(g, "log", O_WRONLY | O_CREAT | O_APPEND);

	give(g, &log, fd);
	fd_close(&fd);
	give_octets(g, &settings, "settings", buf_slice(&g->settings));
	fd = open_in(g, "incoming", O_RDONLY | O_DIRECTORY);
	give(g, &folder, fd);
	fd_close(&fd);
	give(g, &account, -1);
	(void)snprintf(line, sizeof(line), "127.0.0.1:%u %s %s", g->port, kind, g->tls);
	listener = IPC_MESSAGE(listener, .kind = 0, .line = slice_of_cstr(line));
	give(g, &listener, g->listening);
	if (!g->no_certificate)
		give_octets(g, &file, "certificate", buf_slice(&g->certificate));
	give(g, &begin, -1);
}

/* ---- beginning and end ---- */

static void listen_somewhere(struct stage *g)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);

	g->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (g->listening < 0 || bind(g->listening, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(g->listening, 64) < 0 ||
	    getsockname(g->listening, (struct sockaddr *)&at, &n) < 0)
		die("cannot listen", NULL);
	g->port = ntohs(at.sin_port);
}

static int start_smtpd(struct stage *g, const char *program, const char *kind)
{
	const struct rlimit small = {61440, 61440};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || (g->smtpd = fork()) < 0)
		die("cannot start smtpd", NULL);
	if (g->smtpd == 0) {
		if (pair[1] == 3 ? fcntl(3, F_SETFD, 0) < 0 : dup2(pair[1], 3) < 0)
			_exit(127);
		if (g->disk_full &&
		    (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &small) < 0))
			_exit(127);
		execl(program, program, kind, "0", (char *)NULL);
		_exit(127);
	}
	fd_close(&pair[1]);
	return pair[0];
}

static void make_certificate(struct stage *g)
{
	struct buf key;
	struct fault why = {0};

	buf_init(&key, 1 << 16);
	buf_init(&g->certificate, 1 << 16);
	if (!tls_make_self_signed(SLICE("mx.test.com"), &g->certificate, &key, &why) ||
	    !tls_key_load(buf_slice(&key), &g->key, &why))
		die("cannot make a certificate", &why);
	buf_fini(&key);
}

static void on_input(void *arg, unsigned ready)
{
	struct stage *g = arg;
	struct ipc_message stop = IPC_MESSAGE(stop, .within_ms = 5000);
	char words[256];
	ssize_t n = read(STDIN_FILENO, words, sizeof(words));

	(void)ready;
	if (n > 0 && slice_starts(slice_of(words, (size_t)n), SLICE("stop")))
		give(g, &stop, -1);
	else if (n <= 0)
		loop_stop(g->loop);
}

static void read_failures(struct stage *g, struct slice said)
{
	g->failures_away = slice_equal(said, SLICE("away"));
	if (!g->failures_away && !number_u64(said, 60000, &g->failures_ms))
		die("failures= wants a number or away", NULL);
}

static void read_options(struct stage *g, int argc, char **argv)
{
	buf_init(&g->settings, 1 << 16);
	for (int i = 0; i < argc; i++) {
		g->relay |= strcmp(argv[i], "relay") == 0;
		g->no_certificate |= strcmp(argv[i], "no-certificate") == 0;
		g->disk_full |= strcmp(argv[i], "disk-full") == 0;
		g->queued_away |= strcmp(argv[i], "queued=away") == 0;
		g->local_away |= strcmp(argv[i], "local=away") == 0;
		g->queued_busy |= strcmp(argv[i], "queued=busy") == 0;
		if (slice_starts(slice_of_cstr(argv[i]), SLICE("failures=")))
			read_failures(g, slice_of_cstr(argv[i] + 9));
		if (strstr(argv[i], " = ") != NULL)
			buf_printf(&g->settings, "%s\n", argv[i]);
	}
}

static int end(struct stage *g)
{
	int status = 0;

	loop_io_fini(&g->input);
	ipc_server_destroy(g->lookupd);
	ipc_server_destroy(g->resolvd);
	ipc_server_destroy(g->queued);
	ipc_server_destroy(g->local);
	for (size_t i = 0; i < g->n_kept; i++)
		answer_failed(g->kept[i]);
	ipc_channel_destroy(g->channel); /* smtpd ends by itself */
	if (waitpid(g->smtpd, &status, 0) < 0)
		die("waitpid", NULL);
	tls_key_destroy(g->key);
	buf_fini(&g->certificate);
	buf_fini(&g->settings);
	fd_close(&g->listening);
	loop_destroy(g->loop);
	if (WIFSIGNALED(status))
		fprintf(stderr, "stage: smtpd died of signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	struct stage g = {0};
	struct fault why = {0};
	int fd;

	if (argc < 5) {
		fprintf(stderr, "usage: stage SMTPD FOLDER KIND TLS [OPTION]...\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	g.folder = argv[2];
	g.tls = argv[4];
	read_options(&g, argc - 5, argv + 5);
	if ((g.loop = loop_create(&why)) == NULL)
		die("loop", &why);
	listen_somewhere(&g);
	make_certificate(&g);
	fd = start_smtpd(&g, argv[1], argv[3]);
	g.lookupd = serve(&g, IPC_ROLE_LOOKUPD, lookupd_asked);
	g.resolvd = serve(&g, IPC_ROLE_RESOLVD, resolvd_asked);
	g.queued = serve(&g, IPC_ROLE_QUEUED, queued_asked);
	g.local = serve(&g, IPC_ROLE_LOCAL, local_asked);
	if (!fd_nonblocking(fd, &why) ||
	    (g.channel = ipc_channel_create(g.loop, fd, IPC_ROLE_MASTER, IPC_ROLE_SMTPD,
					    master_asked, gone, &g, &why)) == NULL)
		die("channel", &why);
	loop_io_init(&g.input, g.loop, STDIN_FILENO, on_input, &g);
	if (!loop_io_want(&g.input, LOOP_READ))
		die("standard input", NULL);
	give_all(&g, argv[3]);
	(void)loop_run(g.loop);
	return end(&g);
}
