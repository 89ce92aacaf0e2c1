#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/dns/resolver.h"
#include "common/ipc/frame.h"
#include "t/unit/common/dns/answer.h"

/* A name server in the same loop, which does what the test says. */
struct server {
	struct loop *loop;
	struct loop_io udp, accept, tcp;
	int udp_fd, accept_fd, tcp_fd;
	uint16_t port;
	unsigned n_asked, n_tcp;
	bool silent, truncate, wrong_id, hang_up;
	unsigned rcode;
};

struct fixture {
	struct loop *loop;
	struct resolver *resolver;
	struct server servers[2];
	unsigned n_done;
	enum dns_outcome outcome;
	bool authentic;
	struct ip ip;
};

/* Makes the answer A 192.0.2.1 to whatever is asked. */
static void make_answer(const struct server *s, const unsigned char *query, size_t n, bool tcp,
			struct buf *out)
{
	struct dns_question q = {.type = (uint16_t)(query[n - 14] << 8 | query[n - 13])};
	size_t at = 12, used = 0;

	while (query[at]) { /* labels with their dots */
		if (used)
			q.name[used++] = '.';
		memcpy(q.name + used, query + at + 1, query[at]);
		used += query[at];
		at += query[at] + 1u;
	}
	q.type = (uint16_t)(query[at + 1] << 8 | query[at + 2]);
	answer_begin(out, &q, (unsigned)(query[0] << 8 | query[1]) ^ s->wrong_id,
		     0x20 | s->rcode | (s->truncate && !tcp ? 0x200 : 0),
		     s->rcode || (s->truncate && !tcp) ? 0 : 1, 0);
	if (!s->rcode && !(s->truncate && !tcp))
		answer_put_record(out, q.name, DNS_A, 60, "\xc0\0\2\1", 4);
}

static void on_udp(void *arg, unsigned ready)
{
	struct server *s = arg;
	unsigned char query[1024];
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	ssize_t n = recvfrom(s->udp_fd, query, sizeof(query), MSG_DONTWAIT,
			     (struct sockaddr *)&from, &size);
	struct buf out;

	(void)ready;
	if (n < 12)
		return;
	s->n_asked++;
	if (s->silent)
		return;
	buf_init(&out, 65535);
	make_answer(s, query, (size_t)n, false, &out);
	sendto(s->udp_fd, buf_slice(&out).p, buf_length(&out), 0, (struct sockaddr *)&from, size);
	buf_fini(&out);
}

static void on_tcp(void *arg, unsigned ready)
{
	struct server *s = arg;
	unsigned char query[1024];
	ssize_t n = recv(s->tcp_fd, query, sizeof(query), MSG_DONTWAIT);
	struct buf out;
	char length[2];

	(void)ready;
	if (n < 14 || s->hang_up) {
		loop_io_fini(&s->tcp);
		fd_close(&s->tcp_fd);
		return;
	}
	s->n_tcp++;
	buf_init(&out, 65535);
	make_answer(s, query + 2, (size_t)n - 2, true, &out);
	length[0] = (char)(buf_length(&out) >> 8);
	length[1] = (char)buf_length(&out);
	assert_int_equal(send(s->tcp_fd, length, 2, 0), 2);
	assert_int_equal(send(s->tcp_fd, buf_slice(&out).p, buf_length(&out), 0), buf_length(&out));
	buf_fini(&out);
}

static void on_accept(void *arg, unsigned ready)
{
	struct server *s = arg;

	(void)ready;
	s->n_tcp += s->hang_up;
	s->tcp_fd = accept4(s->accept_fd, NULL, NULL, SOCK_NONBLOCK);
	loop_io_init(&s->tcp, s->loop, s->tcp_fd, on_tcp, s);
	loop_io_want(&s->tcp, LOOP_READ);
}

/* A port that is free for UDP may be taken for TCP: then another pair is tried. */
static bool bind_both(struct server *s)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	s->udp_fd = socket(AF_INET, SOCK_DGRAM, 0);
	s->accept_fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(s->udp_fd, (struct sockaddr *)&address, size) == 0 &&
	    getsockname(s->udp_fd, (struct sockaddr *)&address, &size) == 0 &&
	    bind(s->accept_fd, (struct sockaddr *)&address, size) == 0 &&
	    listen(s->accept_fd, 4) == 0) {
		s->port = ntohs(address.sin_port);
		return true;
	}
	fd_close(&s->udp_fd);
	fd_close(&s->accept_fd);
	return false;
}

static void server_begin(struct server *s, struct loop *loop)
{
	bool bound = false;

	*s = (struct server){.loop = loop, .tcp_fd = -1};
	for (int tries = 0; tries < 100 && !bound; tries++)
		bound = bind_both(s);
	assert_true(bound);
	loop_io_init(&s->udp, loop, s->udp_fd, on_udp, s);
	loop_io_init(&s->accept, loop, s->accept_fd, on_accept, s);
	loop_io_want(&s->udp, LOOP_READ);
	loop_io_want(&s->accept, LOOP_READ);
}

static void server_end(struct server *s)
{
	loop_io_fini(&s->udp);
	loop_io_fini(&s->accept);
	loop_io_fini(&s->tcp);
	fd_close(&s->udp_fd);
	fd_close(&s->accept_fd);
	fd_close(&s->tcp_fd);
}

/* The first n of both servers. */
static void configure(struct fixture *f, size_t n, bool trusted)
{
	struct resolver_server servers[2] = {0};

	for (int i = 0; i < 2; i++) {
		assert_true(ip_parse(SLICE("127.0.0.1"), &servers[i].ip));
		servers[i].port = f->servers[i].port;
		servers[i].trusted = trusted;
	}
	resolver_configure(f->resolver, servers, n, 1 << 20, 10000);
}

static void begin(struct fixture *f, bool trusted)
{
	*f = (struct fixture){.loop = loop_create(NULL)};
	f->resolver = resolver_create(f->loop, 1 << 20, 10000, NULL);
	server_begin(&f->servers[0], f->loop);
	server_begin(&f->servers[1], f->loop);
	configure(f, 2, trusted);
}

static void end(struct fixture *f)
{
	resolver_destroy(f->resolver);
	server_end(&f->servers[0]);
	server_end(&f->servers[1]);
	loop_destroy(f->loop);
}

static void done(void *arg, const struct dns_cached *answer, const struct fault *why)
{
	struct fixture *f = arg;
	struct slice list = answer->records;
	struct ipc_dns_record r;
	bool broken = false;

	f->n_done++;
	f->outcome = answer->outcome;
	f->authentic = answer->authentic;
	assert_true((why != NULL) == (answer->outcome == DNS_FAILED));
	if (ipc_next_dns_record(&list, &r, &broken))
		f->ip = r.address;
}

static void ask(struct fixture *f, const char *name)
{
	assert_true(resolver_ask(f->resolver, slice_of_cstr(name), DNS_A, done, f, NULL));
}

/* Turns the loop for a moment of real time, until n answers have come. */
static void wait_done(struct fixture *f, unsigned n)
{
	for (int i = 0; i < 2000 && f->n_done < n; i++) {
		loop_turn(f->loop, false);
		usleep(500);
	}
	assert_int_equal(f->n_done, n);
}

static void answer_comes_once_and_is_kept(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	ask(&f, "a.test");
	assert_int_equal(f.n_done, 0);
	wait_done(&f, 1);
	assert_int_equal(f.outcome, DNS_OK);
	assert_true(f.authentic);
	ask(&f, "A.TEST.");
	wait_done(&f, 2);
	assert_int_equal(f.servers[0].n_asked, 1);
	loop_advance(f.loop, 61000);
	ask(&f, "a.test");
	wait_done(&f, 3);
	assert_int_equal(f.servers[0].n_asked, 2);
	end(&f);
}

static void question_asked_by_many_is_sent_once(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	for (int i = 0; i < 10; i++)
		ask(&f, "a.test");
	wait_done(&f, 10);
	assert_int_equal(f.servers[0].n_asked, 1);
	end(&f);
}

static void authentic_counts_only_from_a_trusted_server(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, false);
	ask(&f, "a.test");
	wait_done(&f, 1);
	assert_false(f.authentic);
	end(&f);
}

static void truncated_answer_comes_over_tcp(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	f.servers[0].truncate = true;
	ask(&f, "a.test");
	wait_done(&f, 1);
	assert_int_equal(f.outcome, DNS_OK);
	assert_int_equal(f.servers[0].n_tcp, 1);
	end(&f);
}

static void second_server_is_asked_when_the_first_is_silent(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	f.servers[0].silent = true;
	ask(&f, "a.test");
	loop_turn(f.loop, false);
	loop_advance(f.loop, 1600);
	wait_done(&f, 1);
	assert_int_equal(f.outcome, DNS_OK);
	ask(&f, "b.test"); /* and is the first to be asked from then on */
	wait_done(&f, 2);
	assert_int_equal(f.servers[1].n_asked, 2);
	end(&f);
}

static void second_server_is_asked_at_once_when_the_first_refuses(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	f.servers[0].rcode = 5;
	ask(&f, "a.test");
	wait_done(&f, 1);
	assert_int_equal(f.outcome, DNS_OK);
	end(&f);
}

static void when_all_refuse_the_answer_is_failed_at_once(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	f.servers[0].rcode = f.servers[1].rcode = 2;
	ask(&f, "a.test");
	wait_done(&f, 1);
	assert_int_equal(f.outcome, DNS_FAILED);
	end(&f);
}

static void silence_ends_at_the_time_limit(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	f.servers[0].silent = f.servers[1].silent = true;
	ask(&f, "a.test");
	for (int i = 0; i < 11 && f.n_done == 0; i++) {
		loop_turn(f.loop, false);
		loop_advance(f.loop, 1000);
	}
	wait_done(&f, 1);
	assert_int_equal(f.outcome, DNS_FAILED);
	end(&f);
}

static void answer_with_a_wrong_id_is_not_taken(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	f.servers[0].wrong_id = f.servers[1].wrong_id = true;
	ask(&f, "a.test");
	for (int i = 0; i < 50; i++) {
		loop_turn(f.loop, false);
		usleep(500);
	}
	assert_int_equal(f.servers[0].n_asked, 1);
	assert_int_equal(f.n_done, 0);
	end(&f); /* tells it has failed */
	assert_int_equal(f.n_done, 1);
}

/* Turns the loop for a tenth of a second. */
static void wait_a_moment(struct fixture *f)
{
	for (int i = 0; i < 200; i++) {
		loop_turn(f->loop, false);
		usleep(500);
	}
}

static void servers_that_hang_up_are_asked_with_pauses(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	for (int i = 0; i < 2; i++)
		f.servers[i].truncate = f.servers[i].hang_up = true;
	ask(&f, "a.test");
	wait_a_moment(&f);
	assert_int_equal(f.servers[0].n_tcp, 1);
	assert_int_equal(f.servers[1].n_tcp, 1);
	loop_advance(f.loop, 300);
	wait_a_moment(&f);
	assert_int_equal(f.servers[0].n_tcp, 2);
	assert_int_equal(f.n_done, 0);
	f.servers[1].hang_up = false; /* it heals */
	loop_advance(f.loop, 300);
	wait_done(&f, 1);
	assert_int_equal(f.outcome, DNS_OK);
	end(&f);
}

static void servers_that_are_not_there_fail_at_the_time_limit(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	server_end(&f.servers[0]);
	server_end(&f.servers[1]);
	ask(&f, "a.test");
	wait_a_moment(&f);
	assert_int_equal(f.n_done, 0);
	for (int i = 0; i < 110 && f.n_done == 0; i++) {
		loop_advance(f.loop, 200);
		loop_turn(f.loop, false);
		loop_turn(f.loop, false);
	}
	assert_int_equal(f.n_done, 1);
	assert_int_equal(f.outcome, DNS_FAILED);
	end(&f);
}

static void reload_does_not_make_an_answer_trusted_that_was_asked_for_before(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, false);
	ask(&f, "a.test");
	configure(&f, 2, true);
	wait_done(&f, 1);
	assert_int_equal(f.outcome, DNS_OK);
	assert_false(f.authentic);
	end(&f);
}

static void answers_of_other_servers_are_forgotten(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	ask(&f, "a.test");
	wait_done(&f, 1);
	configure(&f, 2, true); /* the same */
	ask(&f, "a.test");
	wait_done(&f, 2);
	assert_int_equal(f.servers[0].n_asked, 1);
	configure(&f, 1, true);
	ask(&f, "a.test");
	wait_done(&f, 3);
	assert_int_equal(f.servers[0].n_asked, 2);
	end(&f);
}

static void question_under_way_fails_when_no_server_is_left(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, true);
	f.servers[0].silent = f.servers[1].silent = true;
	ask(&f, "a.test");
	configure(&f, 0, true);
	loop_advance(f.loop, 1600);
	wait_done(&f, 1);
	assert_int_equal(f.outcome, DNS_FAILED);
	ask(&f, "b.test");
	wait_done(&f, 2);
	assert_int_equal(f.outcome, DNS_FAILED);
	end(&f);
}

static void servers_of_resolv_conf_are_found(void **state)
{
	struct resolver_server servers[4];
	char text[IP_TEXT_MAX];

	(void)state;
	assert_int_equal(resolver_servers_of_resolv_conf(
				 SLICE("# a comment\nsearch example.org\nnameserver "
				       "192.0.2.53\nnameserver\t2001:db8::53\noptions trust-ad\n"),
				 servers, 4),
			 2);
	assert_string_equal(ip_text(&servers[1].ip, text), "2001:db8::53");
	assert_int_equal(servers[0].port, 53);
	assert_true(servers[0].trusted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_comes_once_and_is_kept),
		cmocka_unit_test(question_asked_by_many_is_sent_once),
		cmocka_unit_test(authentic_counts_only_from_a_trusted_server),
		cmocka_unit_test(truncated_answer_comes_over_tcp),
		cmocka_unit_test(second_server_is_asked_when_the_first_is_silent),
		cmocka_unit_test(second_server_is_asked_at_once_when_the_first_refuses),
		cmocka_unit_test(when_all_refuse_the_answer_is_failed_at_once),
		cmocka_unit_test(silence_ends_at_the_time_limit),
		cmocka_unit_test(answer_with_a_wrong_id_is_not_taken),
		cmocka_unit_test(servers_that_hang_up_are_asked_with_pauses),
		cmocka_unit_test(servers_that_are_not_there_fail_at_the_time_limit),
		cmocka_unit_test(reload_does_not_make_an_answer_trusted_that_was_asked_for_before),
		cmocka_unit_test(answers_of_other_servers_are_forgotten),
		cmocka_unit_test(question_under_way_fails_when_no_server_is_left),
		cmocka_unit_test(servers_of_resolv_conf_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
