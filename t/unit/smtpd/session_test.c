/* Sessions in a loop of the test's own, on socket pairs; resolvd is scripted. What goes over the
 * wire is shown by t/dialogue; here is what only the inside shows. */
#include "smtpd/session.h"

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/event/pool.h"
#include "common/log/log.h"
#include "smtpd/handover.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#endif

/* ---- what service.c is to a daemon ---- */

static struct ipc_peer *peers[IPC_N_ROLES];
static bool ended;

struct ipc_peer *service_peer(struct service *s, enum ipc_role role, unsigned worker)
{
	(void)s;
	(void)worker;
	return peers[role];
}

struct ipc_peer *service_peer_for(struct service *s, enum ipc_role role, struct slice key)
{
	(void)key;
	return service_peer(s, role, 0);
}

void service_end(struct service *s)
{
	(void)s;
	ended = true;
}

/* ---- the fixture ---- */

struct fixture {
	struct loop *loop;
	struct settings *settings;
	struct service service;
	struct smtpd smtpd;
	struct ipc_server *servers[IPC_N_ROLES];
	char folder[64];
	const char *name; /* what PTR says */
	bool confirms;	  /* and its address is the client's */
	unsigned n_asked;
	struct ipc_request *kept; /* queued has not answered */
};

static void no_connection(void *arg, enum ipc_role role, unsigned worker, struct ipc_peer *peer)
{
	(void)arg;
	(void)role;
	(void)worker;
	ipc_peer_connected(peer, -1);
}

static void path_of(const struct fixture *f, enum ipc_role role, char out[100])
{
	(void)snprintf(out, 100, "%s/%s", f->folder, ipc_role_name(role));
}

static void connect_to(void *arg, enum ipc_role role, unsigned worker, struct ipc_peer *peer)
{
	char path[100];
	int fd;

	path_of(arg, role, path);
	fd = ipc_connect_unix(path, NULL);
	assert_true(fd >= 0 && ipc_hello_send(fd, IPC_ROLE_SMTPD, worker, NULL));
	ipc_peer_connected(peer, fd);
}

static void lookupd_asked(void *arg, struct ipc_request *request, const struct ipc_message *m,
			  int *fd)
{
	struct ipc_message a =
		IPC_MESSAGE(rcpt_answer, .recipient = RCPT_LOCAL, .sender = SENDER_REMOTE);
	struct fault why = {0};

	(void)arg;
	(void)fd;
	if (m->type == IPC_TYPE_rcpt_ask)
		ipc_answer(request, &a, -1);
	else
		ipc_answer_fault(request, &why);
}

/* Grants one message, and answers when the test says so. */
static void queued_asked(void *arg, struct ipc_request *request, const struct ipc_message *m,
			 int *fd)
{
	struct fixture *f = arg;

	(void)fd;
	assert_int_equal(m->type, IPC_TYPE_message_ask);
	assert_null(f->kept);
	f->kept = request;
}

static void queued_answers(struct fixture *f)
{
	struct ipc_message a = IPC_MESSAGE(done, .number = 1);

	assert_non_null(f->kept);
	ipc_answer(f->kept, &a, -1);
	f->kept = NULL;
}

static void dns_asked(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct fixture *f = arg;
	struct ipc_dns_record record = {.type = m->dns_ask.type, .name = slice_of_cstr(f->name)};
	struct ipc_message a;
	struct buf list;

	(void)fd;
	f->n_asked++;
	if (m->dns_ask.type == 12)
		assert_true(
			slice_equal(m->dns_ask.name, SLICE("7.2.0.192.in-addr.arpa")) ||
			slice_equal(m->dns_ask.name, SLICE("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
							   "0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa")));
	else
		assert_true(ip_parse(f->confirms ? SLICE("192.0.2.7") : SLICE("192.0.2.8"),
				     &record.address));
	buf_init(&list, 4096);
	assert_true(ipc_put_dns_record(&list, &record));
	a = IPC_MESSAGE(dns_answer, .outcome = DNS_OK, .records = buf_slice(&list));
	ipc_answer(request, &a, -1);
	buf_fini(&list);
}

static void serve(struct fixture *f, enum ipc_role role, ipc_handler_fn *fn)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	path_of(f, role, to.sun_path);
	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
		    listen(fd, 8) == 0);
	f->servers[role] =
		ipc_server_create(f->loop, role, role == IPC_ROLE_QUEUED ? 1 : 64, fn, f, NULL);
	assert_non_null(f->servers[role]);
	assert_true(ipc_server_listen(f->servers[role], fd, false, NULL));
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct buf problems;

	assert_non_null(f);
	buf_init(&problems, 4096);
	assert_true(settings_parse(SLICE("hostname = mx.test.com\n"), "settings", &f->settings,
				   &problems));
	buf_fini(&problems);
	assert_non_null(f->loop = loop_create(NULL));
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/tassis-u.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	serve(f, IPC_ROLE_RESOLVD, dns_asked);
	serve(f, IPC_ROLE_LOOKUPD, lookupd_asked);
	serve(f, IPC_ROLE_QUEUED, queued_asked);
	for (size_t i = 0; i < IPC_N_ROLES; i++)
		peers[i] = ipc_peer_create(f->loop, IPC_ROLE_SMTPD, (enum ipc_role)i, 0, 100,
					   f->servers[i] ? connect_to : no_connection, f, NULL);
	f->service = (struct service){.callbacks = &smtpd_service,
				      .daemon = &f->smtpd,
				      .loop = f->loop,
				      .settings = f->settings,
				      .kind = SLICE("smtp")};
	f->smtpd.folder = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(smtpd_service.start(&f->service, &f->smtpd, NULL));
	ended = false;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	smtpd_service.destroy(&f->smtpd);
	for (size_t i = 0; i < IPC_N_ROLES; i++) {
		char path[100];

		ipc_peer_destroy(peers[i]);
		ipc_server_destroy(f->servers[i]);
		path_of(f, (enum ipc_role)i, path);
		(void)unlink(path);
	}
	if (f->kept)
		queued_answers(f);
	settings_destroy(f->settings);
	loop_destroy(f->loop);
	assert_int_equal(rmdir(f->folder), 0);
	free(f);
	return 0;
}

static void turns(struct fixture *f, int n)
{
	while (n-- > 0) {
		usleep(500);
		loop_turn(f->loop, false);
	}
}

/* A session; the client's end of its connection. */
static int come(struct fixture *f, const char *address)
{
	struct session_origin from = {.port = 4321, .tls = LISTENER_TLS_NONE, .listener = SLICE("test")};
	int pair[2];

	assert_true(ip_parse(slice_of_cstr(address), &from.address));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	assert_true(session_create(&f->smtpd, pair[0], &from));
	return pair[1];
}

static struct session *the_session(struct fixture *f)
{
	assert_int_equal(f->smtpd.n_sessions, 1);
	return session_of_node(list_first(&f->smtpd.sessions));
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* How many lines the client has received by now. */
static size_t lines(int fd)
{
	char octets[65536];
	size_t found = 0;
	ssize_t n;

	while ((n = recv(fd, octets, sizeof(octets), 0)) > 0)
		for (ssize_t i = 0; i < n; i++)
			found += octets[i] == '\n';
	return found;
}

/* ---- tests ---- */

/* Invariant 6. */
static void an_idle_plain_session_is_below_4000_octets(void **state)
{
	enum { SESSIONS = 400 };
	struct fixture *f = *state;
	int fds[SESSIONS];
	size_t before, after;

	/* The loop's own rows, which grow by doubling, are not a session's. */
	for (size_t i = 0; i < SESSIONS; i++)
		fds[i] = come(f, "127.0.0.1");
	turns(f, 5);
	for (size_t i = 0; i < SESSIONS; i++)
		fd_close(&fds[i]);
	turns(f, 5);
	assert_int_equal(f->smtpd.n_sessions, 0);
	before = mallinfo2().uordblks;
	for (size_t i = 0; i < SESSIONS; i++) {
		fds[i] = come(f, "127.0.0.1");
		say(fds[i], "EHLO client.example.org\r\n");
	}
	turns(f, 10);
	after = mallinfo2().uordblks;
	for (size_t i = 0; i < SESSIONS; i++) {
		assert_int_equal(lines(fds[i]), 8);
		fd_close(&fds[i]);
	}
	turns(f, 5);
#ifdef SANITIZED
	(void)before;
	(void)after;
#else
	print_message("an idle session: %zu octets\n", (after - before) / SESSIONS);
	assert_true((after - before) / SESSIONS < 4000);
#endif
	assert_int_equal(f->smtpd.n_sessions, 0);
}

/* Invariant 1. */
static void others_have_their_turn_after_64_steps(void **state)
{
	struct fixture *f = *state;
	int greedy = come(f, "127.0.0.1");
	char *noops = calloc(1, 6001);

	assert_non_null(noops);
	turns(f, 2);
	assert_int_equal(lines(greedy), 1);
	for (size_t i = 0; i < 1000; i++)
		memcpy(noops + i * 6, "NOOP\r\n", 6);
	say(greedy, noops);
	/* One turn runs a step's worth of 64 and what its task brings. */
	for (int i = 0; i < 200 && stream_input(&the_session(f)->stream).n == 0; i++)
		loop_turn(f->loop, false);
	assert_true(stream_input(&the_session(f)->stream).n > 0);
	turns(f, 30);
	assert_int_equal(lines(greedy), 1000);
	fd_close(&greedy);
	free(noops);
	turns(f, 2);
}

static void a_client_that_reads_nothing_is_read_nothing_from(void **state)
{
	struct fixture *f = *state;
	int fd = come(f, "127.0.0.1");
	static char help[64 * 1024];
	size_t sent = 0;

	for (size_t i = 0; i + 6 <= sizeof(help); i += 6)
		memcpy(help + i, "HELP\r\n", 6);
	for (int i = 0; i < 500; i++) {
		ssize_t n = send(fd, help, sizeof(help) / 6 * 6, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		loop_turn(f->loop, false);
	}
	assert_true(sent > 65536);
	assert_true(stream_unsent(&the_session(f)->stream) < 200000);
	assert_true(stream_input(&the_session(f)->stream).n <= 65536);
	fd_close(&fd);
	turns(f, 2);
	assert_int_equal(f->smtpd.n_sessions, 0);
}

static void a_name_that_dns_confirms_is_the_clients(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->name = "MX.Example.org";
	f->confirms = true;
	fd = come(f, "192.0.2.7");
	turns(f, 20);
	assert_int_equal(f->n_asked, 2);
	assert_true(slice_equal(the_session(f)->client_name, SLICE("mx.example.org")));
	assert_null(the_session(f)->name_lookup);
	assert_int_equal(lines(fd), 1);
	fd_close(&fd);
	turns(f, 2);
}

static void a_name_whose_address_is_another_is_none(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->name = "mx.example.org";
	fd = come(f, "192.0.2.7");
	turns(f, 20);
	assert_int_equal(f->n_asked, 2);
	assert_int_equal(the_session(f)->client_name.n, 0);
	fd_close(&fd);
	turns(f, 2);
}

static void a_ptr_that_is_no_domain_is_none(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->name = "not a domain";
	fd = come(f, "2001:db8::1");
	turns(f, 20);
	assert_int_equal(f->n_asked, 1);
	assert_null(the_session(f)->name_lookup);
	fd_close(&fd);
	turns(f, 2);
}

/* Invariant 5. */
static void a_client_may_leave_while_dns_is_asked(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->name = "mx.example.org";
	fd = come(f, "192.0.2.7");
	fd_close(&fd);
	turns(f, 20);
	assert_int_equal(f->smtpd.n_sessions, 0);
}

static void a_session_that_says_nothing_is_told_after_its_limit(void **state)
{
	struct fixture *f = *state;
	int fd = come(f, "127.0.0.1");

	turns(f, 2);
	assert_int_equal(lines(fd), 1);
	loop_advance(f->loop, 299000);
	turns(f, 2);
	assert_int_equal(lines(fd), 0);
	loop_advance(f->loop, 2000);
	turns(f, 2);
	assert_int_equal(lines(fd), 1);
	assert_int_equal(the_session(f)->step, STEP_lingering);
	loop_advance(f->loop, LINGER_LIMIT_MS + 1);
	turns(f, 2);
	assert_int_equal(f->smtpd.n_sessions, 0);
	fd_close(&fd);
}

/* A transaction up to the reply to DATA, 354. */
static void begin_message(struct fixture *f, int fd)
{
	say(fd, "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<bob@test.com>\r\nDATA\r\n");
	turns(f, 20);
	(void)lines(fd);
}

/* The octets of the one message in the folder, which goes with it. */
static size_t take_message(struct fixture *f, struct buf *out)
{
	DIR *folder = opendir(f->folder);
	struct dirent *entry;
	size_t n = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)) != NULL) {
		int fd;

		if (!spool_id_is_valid(slice_of_cstr(entry->d_name)))
			continue;
		fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0 && fd_slurp(fd, out, NULL));
		fd_close(&fd);
		assert_int_equal(unlinkat(dirfd(folder), entry->d_name, 0), 0);
		n++;
	}
	(void)closedir(folder);
	return n;
}

static void wait_for_reply(struct fixture *f, int fd)
{
	for (int i = 0; i < 4000 && lines(fd) == 0; i++)
		turns(f, 1);
}

static void with_no_window_at_queued_250_waits_for_a_second(void **state)
{
	struct fixture *f = *state;
	int one = come(f, "127.0.0.1"), two = come(f, "127.0.0.1"), three = come(f, "127.0.0.1");
	struct buf content;

	begin_message(f, one);
	say(one, ".\r\n");
	wait_for_reply(f, one);
	for (int i = 0; i < 2000 && f->kept == NULL; i++)
		turns(f, 1);
	assert_non_null(f->kept);
	begin_message(f, two);
	say(two, ".\r\n");
	begin_message(f, three);
	say(three, ".\r\n");
	turns(f, 200);
	assert_int_equal(lines(two) + lines(three), 0);
	loop_advance(f->loop, QUEUED_LIMIT_MS + 1);
	turns(f, 3);
	assert_int_equal(lines(two), 1);
	assert_int_equal(lines(three), 1);
	fd_close(&one);
	fd_close(&two);
	fd_close(&three);
	turns(f, 3);
	buf_init(&content, 1 << 16);
	assert_int_equal(take_message(f, &content), 3);
	buf_fini(&content);
}

static void an_answer_of_queued_ends_the_wait_when_there_is_a_window_again(void **state)
{
	struct fixture *f = *state;
	int one = come(f, "127.0.0.1"), two = come(f, "127.0.0.1");
	struct buf content;

	begin_message(f, one);
	say(one, ".\r\n");
	wait_for_reply(f, one);
	begin_message(f, two);
	say(two, ".\r\n");
	turns(f, 200);
	assert_int_equal(lines(two), 0);
	queued_answers(f); /* the second is sent now, and fills the window again */
	turns(f, 20);
	assert_int_equal(lines(two), 0);
	queued_answers(f);
	turns(f, 20);
	assert_int_equal(lines(two), 1);
	fd_close(&one);
	fd_close(&two);
	turns(f, 3);
	buf_init(&content, 1 << 16);
	assert_int_equal(take_message(f, &content), 2);
	buf_fini(&content);
}

/* ---- a disk that stands still ---- */

struct still {
	struct pool_job job;
	int gate; /* read ends when the test closes the other side */
};

static void stand_still(struct pool_job *job)
{
	char c;

	assert_true(read(((struct still *)job)->gate, &c, 1) == 0);
}

static void stands_no_more(struct pool_job *job)
{
	(void)job;
}

static void a_disk_that_stands_still_holds_the_client_and_loses_nothing(void **state)
{
	enum { THREADS = 32, OCTETS = 1 << 20 };
	struct fixture *f = *state;
	static struct still jobs[THREADS];
	int gate[2], fd = come(f, "127.0.0.1");
	char *message = malloc(OCTETS + 5);
	size_t sent = 0;
	struct buf content, wanted;

	assert_true(message != NULL && pipe2(gate, O_CLOEXEC) == 0);
	for (size_t i = 0; i < OCTETS; i++)
		message[i] = (char)('a' + i % 23 + (i >> 16) % 3);
	/* Stuffed dots, so that the runs of content end and begin within what is read. */
	for (size_t i = 100; i < OCTETS; i += 1009)
		memcpy(message + i, "\r\n..", 4);
	memcpy(message + OCTETS, "\r\n.\r\n", 5);
	buf_init(&wanted, 2 << 20);
	for (size_t i = 0; i < OCTETS + 2; i++)
		if (i < 103 || (i - 103) % 1009 != 0)
			assert_true(buf_append_char(&wanted, message[i]));
	begin_message(f, fd);
	for (size_t i = 0; i < THREADS; i++) {
		jobs[i] = (struct still){{.work = stand_still, .done = stands_no_more}, gate[0]};
		assert_true(pool_submit(f->smtpd.pool, &jobs[i].job));
	}
	for (int i = 0; i < 2000 && sent < OCTETS + 5; i++) {
		/* The first piece is odd, so that the writer is full in the middle of one. */
		ssize_t n =
			send(fd, message + sent, i == 0 ? 1500 : OCTETS + 5 - sent, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		if (i == 1000) {
			assert_true(sent < OCTETS);
			assert_int_equal(the_session(f)->step, STEP_content_full);
			fd_close(&gate[1]);
		}
		turns(f, 1);
	}
	assert_int_equal(sent, OCTETS + 5);
	wait_for_reply(f, fd);
	fd_close(&fd);
	turns(f, 3);
	buf_init(&content, 2 << 20);
	assert_int_equal(take_message(f, &content), 1);
	assert_true(slice_find_slice(buf_slice(&content), buf_slice(&wanted)) != SIZE_MAX);
	buf_fini(&content);
	buf_fini(&wanted);
	free(message);
	fd_close(&gate[0]);
}

static void without_a_folder_it_does_not_start(void **state)
{
	struct fixture *f = *state;
	struct smtpd other = {.folder = -1};
	struct fault why = {0};

	assert_false(smtpd_service.start(&f->service, &other, &why));
	assert_non_null(strstr(why.text, "no folder"));
	smtpd_service.destroy(&other);
}

static void a_stop_without_sessions_ends_at_once(void **state)
{
	struct fixture *f = *state;

	assert_false(ended);
	smtpd_service.stop(&f->smtpd, 1000);
	assert_true(ended);
}

static void a_stop_waits_no_longer_than_it_may(void **state)
{
	struct fixture *f = *state;
	int fd = come(f, "127.0.0.1");

	say(fd, "EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n");
	turns(f, 3);
	assert_non_null(the_session(f)->transaction);
	smtpd_service.stop(&f->smtpd, 1000);
	turns(f, 3);
	assert_false(ended);
	loop_advance(f->loop, 1001);
	turns(f, 3);
	assert_true(ended);
	assert_int_equal(f->smtpd.n_sessions, 0);
	fd_close(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_idle_plain_session_is_below_4000_octets, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(others_have_their_turn_after_64_steps, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_client_that_reads_nothing_is_read_nothing_from,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_name_that_dns_confirms_is_the_clients, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_name_whose_address_is_another_is_none, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_ptr_that_is_no_domain_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_client_may_leave_while_dns_is_asked, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_session_that_says_nothing_is_told_after_its_limit,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(with_no_window_at_queued_250_waits_for_a_second,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_answer_of_queued_ends_the_wait_when_there_is_a_window_again, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_disk_that_stands_still_holds_the_client_and_loses_nothing, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(without_a_folder_it_does_not_start, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_stop_without_sessions_ends_at_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_stop_waits_no_longer_than_it_may, set_up,
						tear_down),
	};

	log_open("smtpd", open("/dev/null", O_WRONLY | O_CLOEXEC), false, LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
