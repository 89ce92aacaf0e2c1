#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/ipc/link.h"

/* Two daemons in one loop: resolvd answers, smtpd asks; their connection goes through a real socket in the file system. */
struct pair {
	struct loop *loop;
	struct ipc_server *server;
	struct ipc_peer *peer;
	char path[64];
	unsigned n_asked, n_answered, n_lost, n_presence;
	bool hold; /* answers are kept back */
	struct ipc_request *held[16];
	unsigned n_held;
	int got_fd;
	char last[64];
};

static void handler(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct pair *p = arg;
	struct ipc_message answer = IPC_MESSAGE(dns_answer, .ttl_s = 7, .records = m->dns_ask.name);

	p->n_asked++;
	if (*fd >= 0) {
		p->got_fd = *fd;
		*fd = -1;
	}
	if (p->hold)
		p->held[p->n_held++] = request;
	else
		ipc_answer(request, &answer, -1);
}

static void presence(void *arg, enum ipc_role role, unsigned worker, bool there)
{
	struct pair *p = arg;

	assert_int_equal(role, IPC_ROLE_SMTPD);
	assert_int_equal(worker, 3);
	p->n_presence += there ? 1 : 100;
}

static void answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct pair *p = arg;

	(void)fd;
	if (answer == NULL) {
		assert_non_null(why);
		p->n_lost++;
		return;
	}
	p->n_answered++;
	assert_int_equal(answer->type, IPC_TYPE_dns_answer);
	snprintf(p->last, sizeof(p->last), "%.*s", SLICE_PRINTF(answer->dns_answer.records));
}

static void connect_peer(void *arg, enum ipc_role role, unsigned worker, struct ipc_peer *peer)
{
	struct pair *p = arg;
	int fd = ipc_connect_unix(p->path, NULL);

	(void)role;
	(void)worker;
	if (fd >= 0)
		assert_true(ipc_hello_send(fd, IPC_ROLE_SMTPD, 3, NULL));
	ipc_peer_connected(peer, fd);
}

static void serve(struct pair *p, uint32_t window)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(p->path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", p->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	p->server = ipc_server_create(p->loop, IPC_ROLE_RESOLVD, window, handler, p, NULL);
	assert_non_null(p->server);
	ipc_server_on_presence(p->server, presence, p);
	assert_true(ipc_server_listen(p->server, fd, false, NULL));
}

static void pair_init(struct pair *p, uint32_t window)
{
	*p = (struct pair){.got_fd = -1};
	snprintf(p->path, sizeof(p->path), "/tmp/link_test.%d", (int)getpid());
	p->loop = loop_create(NULL);
	serve(p, window);
	p->peer = ipc_peer_create(p->loop, IPC_ROLE_SMTPD, IPC_ROLE_RESOLVD, 0, 100000, connect_peer, p, NULL);
	assert_non_null(p->peer);
}

static void pair_fini(struct pair *p)
{
	ipc_peer_destroy(p->peer);
	ipc_server_destroy(p->server);
	for (unsigned i = 0; i < p->n_held; i++)
		ipc_answer_fault(p->held[i], &(struct fault){0});
	loop_destroy(p->loop);
	fd_close(&p->got_fd);
	unlink(p->path);
}

static void turns(struct pair *p, int n)
{
	while (n--)
		loop_turn(p->loop, false);
}

static struct ipc_message question(const char *name)
{
	return IPC_MESSAGE(dns_ask, .name = slice_of_cstr(name), .type = 15);
}

static void an_ask_gets_its_answer(void **state)
{
	struct ipc_message m = question("example.org");
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 1000, false, answered, &p, NULL));
	assert_int_equal(p.n_answered, 0);
	turns(&p, 20);
	assert_int_equal(p.n_answered, 1);
	assert_string_equal(p.last, "example.org");
	assert_int_equal(p.n_presence, 1);
	pair_fini(&p);
}

static void the_window_holds_back_what_is_over_it(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask asks[3] = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 1);
	p.hold = true;
	for (int i = 0; i < 3; i++)
		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_asked, 1);
	p.hold = false;
	ipc_answer(p.held[0], &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
	p.n_held = 0;
	turns(&p, 20);
	assert_int_equal(p.n_asked, 3);
	assert_int_equal(p.n_answered, 3);
	pair_fini(&p);
}

static void a_repeatable_ask_survives_the_servers_end(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask again = {0}, once = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &again, &m, -1, 60000, true, answered, &p, NULL));
	assert_true(ipc_ask(p.peer, &once, &m, -1, 60000, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_asked, 2);
	ipc_server_destroy(p.server);
	turns(&p, 5);
	assert_int_equal(p.n_lost, 1);
	p.hold = false;
	serve(&p, 10);
	for (int i = 0; i < 20; i++) {
		loop_advance(p.loop, 100);
		loop_turn(p.loop, false);
	}
	assert_int_equal(p.n_answered, 1);
	assert_int_equal(p.n_lost, 1);
	for (unsigned i = 0; i < p.n_held; i++)
		ipc_answer(p.held[i], &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
	p.n_held = 0;
	pair_fini(&p);
}

static void a_time_limit_ends_the_wait_and_a_late_answer_finds_nobody(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	p.hold = true;
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 1000, true, answered, &p, NULL));
	turns(&p, 20);
	loop_advance(p.loop, 1001);
	turns(&p, 2);
	assert_int_equal(p.n_lost, 1);
	ipc_answer(p.held[0], &IPC_MESSAGE(dns_answer, .ttl_s = 1), -1);
	p.n_held = 0;
	turns(&p, 10);
	assert_int_equal(p.n_answered, 0);
	pair_fini(&p);
}

static void a_cancelled_ask_is_silent(void **state)
{
	struct ipc_message m = question("a.test");
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 1000, true, answered, &p, NULL));
	turns(&p, 3);
	ipc_ask_cancel(&ask);
	ipc_ask_cancel(&ask);
	turns(&p, 20);
	assert_int_equal(p.n_answered + p.n_lost, 0);
	pair_fini(&p);
}

static void a_descriptor_goes_with_its_frame(void **state)
{
	char path[] = "/tmp/link_test.XXXXXX", octets[8] = {0};
	struct ipc_message m = question("a.test"), plain = question("b.test");
	struct ipc_ask asks[3] = {0};
	int fd = mkstemp(path);
	struct stat here, there;
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	assert_int_equal(write(fd, "mail", 4), 4);
	assert_true(ipc_ask(p.peer, &asks[0], &plain, -1, 0, false, answered, &p, NULL));
	assert_true(ipc_ask(p.peer, &asks[1], &m, fd, 0, false, answered, &p, NULL));
	assert_true(ipc_ask(p.peer, &asks[2], &plain, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_answered, 3);
	assert_true(p.got_fd >= 0 && p.got_fd != fd);
	assert_int_equal(fstat(fd, &here), 0);
	assert_int_equal(fstat(p.got_fd, &there), 0);
	assert_int_equal(here.st_ino, there.st_ino);
	assert_true(fcntl(p.got_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pread(p.got_fd, octets, 4, 0), 4);
	assert_string_equal(octets, "mail");
	close(fd);
	unlink(path);
	pair_fini(&p);
}

static void what_a_role_may_not_send_closes_its_connection(void **state)
{
	struct ipc_message m = IPC_MESSAGE(route_ask, .forward_path = SLICE("a@b.test")); /* queued's, to lookupd */
	struct ipc_ask ask = {0};
	struct pair p;

	(void)state;
	pair_init(&p, 10);
	assert_true(ipc_ask(p.peer, &ask, &m, -1, 0, false, answered, &p, NULL));
	turns(&p, 20);
	assert_int_equal(p.n_asked, 0);
	assert_int_equal(p.n_lost, 1);
	pair_fini(&p);
}

static void noise_octet_by_octet_reaches_no_handler(void **state)
{
	struct ipc_message m = question("a.test");
	struct buf frame;
	struct pair p;
	char octet;
	int fd;

	(void)state;
	pair_init(&p, 10);
	buf_init(&frame, 1000);
	fd = ipc_connect_unix(p.path, NULL);
	assert_true(ipc_hello_send(fd, IPC_ROLE_SMTPD, 3, NULL));
	assert_true(ipc_encode(&m, 9, &frame, NULL));
	for (size_t i = 0; i < buf_length(&frame); i++) {
		assert_int_equal(send(fd, buf_slice(&frame).p + i, 1, MSG_NOSIGNAL), 1);
		turns(&p, 2);
	}
	assert_int_equal(p.n_asked, 1);
	assert_int_equal(send(fd, "\xff\xff\xff\xff\xff", 5, MSG_NOSIGNAL), 5);
	turns(&p, 5);
	while (recv(fd, &octet, 1, MSG_DONTWAIT) > 0)
		;
	assert_int_equal(recv(fd, &octet, 1, MSG_DONTWAIT), 0); /* closed */
	assert_int_equal(p.n_presence, 101);
	close(fd);
	buf_fini(&frame);
	pair_fini(&p);
}

static void the_first_frame_must_say_who_is_there(void **state)
{
	struct ipc_message m = question("a.test");
	struct buf frame;
	struct pair p;
	int fd;

	(void)state;
	pair_init(&p, 10);
	buf_init(&frame, 1000);
	fd = ipc_connect_unix(p.path, NULL);
	assert_true(ipc_encode(&m, 9, &frame, NULL));
	assert_true(fd_write_all(fd, buf_slice(&frame).p, buf_length(&frame), -1));
	turns(&p, 5);
	assert_int_equal(p.n_asked, 0);
	close(fd);
	buf_fini(&frame);
	pair_fini(&p);
}

static void ten_thousand_asks_all_come_back(void **state)
{
	struct ipc_message m = question("example.org");
	struct ipc_ask *asks = calloc(10000, sizeof(*asks));
	struct pair p;

	(void)state;
	pair_init(&p, 500);
	for (int i = 0; i < 10000; i++)
		assert_true(ipc_ask(p.peer, &asks[i], &m, -1, 60000, i % 2, answered, &p, NULL));
	for (int i = 0; i < 1000 && p.n_answered < 10000; i++)
		turns(&p, 1);
	assert_int_equal(p.n_answered, 10000);
	pair_fini(&p);
	free(asks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ask_gets_its_answer),
		cmocka_unit_test(the_window_holds_back_what_is_over_it),
		cmocka_unit_test(a_repeatable_ask_survives_the_servers_end),
		cmocka_unit_test(a_time_limit_ends_the_wait_and_a_late_answer_finds_nobody),
		cmocka_unit_test(a_cancelled_ask_is_silent),
		cmocka_unit_test(a_descriptor_goes_with_its_frame),
		cmocka_unit_test(what_a_role_may_not_send_closes_its_connection),
		cmocka_unit_test(noise_octet_by_octet_reaches_no_handler),
		cmocka_unit_test(the_first_frame_must_say_who_is_there),
		cmocka_unit_test(ten_thousand_asks_all_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
