/* t/unit/deliverd/remote/stage.h: a whole deliverd/remote in one loop with a queued that asks it, a
 * resolvd and a far end. */
#pragma once

#include <fcntl.h>
#include <stdlib.h>

#include "common/conf/settings.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "common/tls/context.h"
#include "deliverd/remote/job.h"
#include "deliverd/remote/remote.h"
#include "deliverd/remote/session.h"
#include "t/unit/common/spool/compose.h"
#include "t/unit/deliverd/remote/far.h"
#include "t/unit/deliverd/remote/names.h"

#define CONTENT "Subject: Lunch\r\n\r\nAt noon?\r\n.\r\n"
#define ANSWERS_MAX 128
#define RESULTS_MAX 300

struct result {
	enum deliver_outcome outcome;
	char status[16], reply[1100], host[256];
};

/* One deliver_ask and what came back. */
struct delivery {
	struct ipc_ask ask;
	unsigned n_answers;
	bool failed;
	struct fault why;
	size_t n_results;
	struct result results[RESULTS_MAX];
};

/* What an ask says; zeroed: from ann@near.test to bob@far.test, by MX of far.test. */
struct order {
	const char *host, *reverse_path;
	uint16_t port;
	bool not_mx, eight_bit, utf8, no_file;
	enum route_tls tls;
	const char *username, *password;
	const char *to[8]; /* else n_to recipients r0@far.test … */
	size_t n_to;
	struct slice content;
};

struct stage {
	struct loop *loop;
	struct service service;
	struct settings *settings;
	struct remote remote;
	struct names names;
	struct far far;
	struct ipc_server *server;
	struct ipc_peer *queued;
	char path[64];
	unsigned n_ended;
	struct delivery deliveries[ANSWERS_MAX];
	size_t n_deliveries;
};

static struct stage *st;

/* In place of those of common/service/service.c. */
struct ipc_peer *service_peer(struct service *s, enum ipc_role role, unsigned worker)
{
	(void)s;
	(void)worker;
	assert_int_equal(role, IPC_ROLE_RESOLVD);
	return st->names.peer;
}

void service_end(struct service *s)
{
	(void)s;
	st->n_ended++;
}

static inline void stage_handler(void *arg, struct ipc_request *request,
				 const struct ipc_message *m, int *fd)
{
	(void)arg;
	job_begin(&st->remote, request, &m->deliver_ask, fd);
}

static inline void stage_connect(void *arg, enum ipc_role role, unsigned worker,
				 struct ipc_peer *peer)
{
	int fd = ipc_connect_unix(st->path, NULL);

	(void)arg;
	(void)role;
	(void)worker;
	if (fd >= 0)
		assert_true(ipc_hello_send(fd, IPC_ROLE_QUEUED, 0, NULL));
	ipc_peer_connected(peer, fd);
}

/* These lines are main.conf from here on. */
static inline void stage_configure(const char *template, ...) PRINTF_LIKE(1, 2);
static inline void stage_configure(const char *template, ...)
{
	struct buf text, problems;
	va_list args;

	settings_destroy(st->settings);
	st->settings = NULL;
	buf_init(&text, 10000);
	buf_init(&problems, 10000);
	va_start(args, template);
	buf_vprintf(&text, template, args);
	va_end(args);
	if (!settings_parse(buf_slice(&text), "main.conf", &st->settings, &problems))
		fail_msg("%.*s", SLICE_PRINTF(buf_slice(&problems)));
	st->service.settings = st->settings;
	buf_fini(&text);
	buf_fini(&problems);
}

/* more: further lines of main.conf. */
static inline void stage_begin(const char *more)
{
	st = calloc(1, sizeof(*st));
	assert_non_null(st);
	st->loop = loop_create(NULL);
	names_begin(&st->names, st->loop);
	far_begin(&st->far, st->loop);
	names_say(&st->names, "far.test", DNS_MX, 10, "mx.far.test");
	names_say(&st->names, "mx.far.test", DNS_A, 0, "127.0.0.1");
	stage_configure(
		"hostname = mx.test.com\nlisten = 127.0.0.1:1 smtp none\ndelivery_port = %u\n%s",
		st->far.port, more);
	st->service.loop = st->loop;
	st->remote = (struct remote){
		.service = &st->service, .hostname = "mx.test.com", .idle_max = 100};
	list_init(&st->remote.jobs);
	list_init(&st->remote.sessions);
	table_init(&st->remote.idle);
	avoided_init(&st->remote.avoided);
	st->remote.tls = tls_client_create(
		st->loop, false, st->settings->delivery_tls_trust == DELIVERY_TLS_TRUST_CA, NULL);
	assert_non_null(st->remote.tls);
	snprintf(st->path, sizeof(st->path), "/tmp/remote.%d", (int)getpid());
	st->server = ipc_server_create(st->loop, IPC_ROLE_REMOTE, 1000, stage_handler, NULL, NULL);
	assert_true(ipc_server_listen(st->server, listen_unix(st->path), false, NULL));
	st->queued = ipc_peer_create(st->loop, IPC_ROLE_QUEUED, IPC_ROLE_REMOTE, 0, 1000,
				     stage_connect, NULL, NULL);
	log_open("test", open("/dev/null", O_WRONLY | O_CLOEXEC), false, LOG_LEVEL_DEBUG);
}

/* As main.c's destroy. */
static inline void stage_destroy_remote(void)
{
	session_free_all(&st->remote);
	while (!list_empty(&st->remote.jobs))
		job_abandon(LIST_ENTRY(list_first(&st->remote.jobs), struct job, node));
	assert_int_equal(st->remote.n_idle, 0);
	assert_int_equal(st->remote.idle.n, 0);
}

static inline void stage_end(void)
{
	stage_destroy_remote();
	tls_context_destroy(st->remote.tls);
	table_fini(&st->remote.idle);
	avoided_fini(&st->remote.avoided);
	for (size_t i = 0; i < st->n_deliveries; i++)
		ipc_ask_cancel(&st->deliveries[i].ask);
	ipc_peer_destroy(st->queued);
	ipc_server_destroy(st->server);
	names_end(&st->names);
	far_end(&st->far);
	loop_destroy(st->loop);
	settings_destroy(st->settings);
	unlink(st->path);
	free(st);
}

static inline void stage_answered(void *arg, const struct ipc_message *answer, int *fd,
				  const struct fault *why)
{
	struct delivery *d = arg;
	struct ipc_deliver_result r;
	struct slice list;
	bool broken = false;

	(void)fd;
	d->n_answers++;
	d->failed = answer == NULL || answer->type != IPC_TYPE_deliver_answer;
	if (d->failed) {
		d->why = answer ? answer->failed.why : *why;
		return;
	}
	list = answer->deliver_answer.results;
	while (ipc_next_deliver_result(&list, &r, &broken)) {
		struct result *out = &d->results[r.index];

		assert_true(r.index < RESULTS_MAX && r.outcome != DELIVER_WAITING);
		assert_int_equal(out->outcome, DELIVER_WAITING); /* one result for each */
		out->outcome = (enum deliver_outcome)r.outcome;
		snprintf(out->status, sizeof(out->status), "%.*s", SLICE_PRINTF(r.status));
		snprintf(out->reply, sizeof(out->reply), "%.*s", SLICE_PRINTF(r.reply));
		snprintf(out->host, sizeof(out->host), "%.*s", SLICE_PRINTF(r.host));
		d->n_results++;
	}
	assert_false(broken);
}

static inline int stage_spool_file(struct slice content)
{
	char path[] = "/tmp/stage.XXXXXX";
	struct spool_header h;
	struct buf file;
	int fd = mkstemp(path), reader;

	buf_init(&file, 16 << 20);
	compose(&file, COMPOSE_ID, SLICE("from ann@near.test\nto bob@far.test\n"), content, &h);
	assert_true(fd_write_all(fd, buf_slice(&file).p, buf_length(&file), -1));
	buf_fini(&file);
	fd_close(&fd);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	return reader;
}

/* queued asks. */
static inline struct delivery *deliver(const struct order *o)
{
	struct delivery *d = &st->deliveries[st->n_deliveries++];
	int fd = o->no_file ? -1 : stage_spool_file(o->content.n ? o->content : SLICE(CONTENT));
	struct ipc_message m =
		IPC_MESSAGE(deliver_ask, .id = SLICE(COMPOSE_ID), .received_us = 1764088515123456,
			    .port = o->port, .mx = !o->not_mx, .tls = (uint8_t)o->tls,
			    .eight_bit = o->eight_bit, .utf8 = o->utf8);
	struct buf list;
	char name[64];

	assert_true(st->n_deliveries <= ANSWERS_MAX);
	m.deliver_ask.username = slice_of_cstr(o->username ? o->username : "");
	m.deliver_ask.password = slice_of_cstr(o->password ? o->password : "");
	m.deliver_ask.host = slice_of_cstr(o->host ? o->host : "far.test");
	m.deliver_ask.reverse_path =
		slice_of_cstr(o->reverse_path ? o->reverse_path : "ann@near.test");
	buf_init(&list, 1 << 20);
	for (size_t i = 0; i < (o->n_to ? o->n_to : 8); i++) {
		const char *to = o->n_to		      ? name
				 : i == 0 && o->to[0] == NULL ? "bob@far.test"
							      : o->to[i];
		struct ipc_deliver_recipient r = {.index = (uint32_t)i};

		snprintf(name, sizeof(name), "r%zu@far.test", i);
		if (to == NULL)
			break;
		r.forward_path = slice_of_cstr(to);
		assert_true(ipc_put_deliver_recipient(&list, &r));
	}
	m.deliver_ask.recipients = buf_slice(&list);
	assert_true(ipc_ask(st->queued, &d->ask, &m, fd, 0, false, stage_answered, d, NULL));
	buf_fini(&list);
	fd_close(&fd);
	return d;
}

static inline void turns(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		loop_turn(st->loop, false);
}

/* Turns the loop until what is true; three real seconds are too long. */
#define UNTIL(what)                                                                                \
	do {                                                                                       \
		for (int turn_ = 0; turn_ < 15000 && !(what); turn_++) {                           \
			loop_turn(st->loop, false);                                                \
			usleep(turn_ < 1000 ? 0 : 200);                                            \
		}                                                                                  \
		if (!(what))                                                                       \
			fail_msg("never came: %s", #what);                                         \
	} while (0)

/* The one result of a delivery to one recipient. */
static inline const struct result *result_of(struct delivery *d)
{
	UNTIL(d->n_answers);
	assert_int_equal(d->n_answers, 1);
	assert_false(d->failed);
	assert_int_equal(d->n_results, 1);
	return &d->results[0];
}
