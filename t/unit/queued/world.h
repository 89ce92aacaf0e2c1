/* t/unit/queued/world.h: a whole queued in one process and one loop, with a clock that the test moves and peers that do as their addresses say.
 *
 * Domains tell where mail goes: local.test is local; list.test is an alias for ann@local.test, fail-bob@far.test and defer-carl@far.test;
 * smart-USER.test is one host, with user USER and password "secret" of it; refused.test is refused for good; down.test has no answer now; all others are remote, host the domain itself.
 * Local-parts tell what becomes of it: fail-…, defer-…, grey-… (the first time), hold-… (no answer until the test says so), crash-… (the deliverd dies); all others are delivered,
 * dsn-… by a host that knows DSN. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/crc32c.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/ipc/link.h"
#include "common/log/log.h"
#include "common/spool/envelope.h"
#include "common/spool/file.h"
#include "common/spool/summary.h"
#include "queued/message.h"
#include "queued/queued.h"

#define CONTENT "From: carol@far.test\r\nSubject: Lunch\r\n\r\nAt noon?\r\n"
#define MAX_SEEN 4096

/* A delivery that a fake deliverd was asked for. */
struct seen {
	enum ipc_role role;
	char id[SPOOL_ID_LENGTH + 1], host[256], reverse_path[256];
	char to[2048]; /* "ann@local.test bob@local.test" */
	size_t n_to;
	char content[4096];
	char username[64], password[64], mailbox[64];
	char notify[64], orcpt[520], ret[8]; /* of the last recipient */
	uint64_t quota_messages;
	bool alone;
	struct ipc_request *held;
	uint32_t held_index;
};

struct world {
	char dir[64];
	struct loop *loop;
	struct settings *settings;
	struct queued q;
	struct ipc_server *queued, *lookupd, *local, *remote;
	struct ipc_peer *to_lookupd, *to_local, *to_remote, *smtpd[3];
	struct spool_id_source ids;
	struct seen seen[MAX_SEEN];
	size_t n_seen;
	unsigned n_answered, n_refused;
	bool ended, lookupd_is_down;
	struct slice route_mailbox;
	bool asked_spam;
	const char *dead;       /* no host of this next hop can be reached */
	char asked_mailbox[64]; /* of the last route_ask that had one */
	int log;
};

static struct world *w;

/* ---- the loop ---- */

static UNUSED void turn(void)
{
	loop_turn(w->loop, false);
}

/* Turns the loop until what is true; five real seconds are too long. */
#define UNTIL(what)                                                        \
	do {                                                               \
		uint64_t limit_ = clock_monotonic_ms() + 5000;             \
		while (!(what) && clock_monotonic_ms() < limit_) {         \
			turn();                                            \
			usleep(100);                                       \
		}                                                          \
		if (!(what))                                               \
			fail_msg("never came true: %s", #what);            \
	} while (0)

/* Long enough for whatever would happen to happen. */
static UNUSED void settle(void)
{
	for (unsigned i = 0; i < 100; i++) {
		turn();
		usleep(200);
	}
}

static UNUSED void advance(uint64_t ms)
{
	loop_advance(w->loop, ms);
	turn();
}

/* ---- sockets ---- */

static const char *socket_path(const char *name, char out[108])
{
	(void)snprintf(out, 108, "%s/%s.sock", w->dir, name);
	return out;
}

static int socket_listen(const char *name)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	socket_path(name, sa.sun_path);
	(void)unlink(sa.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 100), 0);
	return fd;
}

struct way {
	const char *name;
	enum ipc_role self;
};
static const struct way ways[] = {{"lookupd", IPC_ROLE_QUEUED}, {"local", IPC_ROLE_QUEUED},   {"remote", IPC_ROLE_QUEUED},
				  {"queued", IPC_ROLE_SMTPD},   {"queued", IPC_ROLE_SMTPD}, {"queued", IPC_ROLE_SMTPD}};

static void way_connect(void *arg, enum ipc_role role, unsigned worker, struct ipc_peer *peer)
{
	const struct way *way = arg;
	struct fault why;
	char path[108];
	int fd = ipc_connect_unix(socket_path(way->name, path), &why);

	(void)role;
	/* worker is the far end's; of smtpd it is the place in ways that tells its own */
	if (fd >= 0 && !ipc_hello_send(fd, way->self, way->self == IPC_ROLE_SMTPD ? (unsigned)(way - &ways[3]) : worker, &why))
		fd_close(&fd);
	ipc_peer_connected(peer, fd);
}

static struct ipc_peer *peer_create(size_t way, enum ipc_role role)
{
	struct fault why;
	struct way *arg = (struct way *)(uintptr_t)&ways[way];
	struct ipc_peer *p = ipc_peer_create(w->loop, ways[way].self, role, 0, 10000, way_connect, arg, &why);

	assert_non_null(p);
	return p;
}

static struct ipc_server *server_create(const char *name, enum ipc_role role, uint32_t window, ipc_handler_fn *fn, void *arg)
{
	struct fault why;
	struct ipc_server *s = ipc_server_create(w->loop, role, window, fn, arg, &why);

	assert_non_null(s);
	assert_true(ipc_server_listen(s, socket_listen(name), false, &why));
	return s;
}

/* ---- lookupd ---- */

static void target_put(struct buf *out, const char *path, enum route_kind kind)
{
	struct ipc_route_target t = {.kind = (uint8_t)kind, .forward_path = slice_of_cstr(path)};
	struct slice domain = slice_tail(t.forward_path, slice_find_last(t.forward_path, '@') + 1);

	if (kind == ROUTE_LOCAL) {
		t.folder = SLICE("local.test/box");
		t.mailbox = w->route_mailbox;
		t.quota_messages = 30;
	}
	else if (kind == ROUTE_REMOTE) {
		t.host = domain;
		t.port = 25;
		t.mx = true;
		if (slice_starts(domain, SLICE("smart-"))) {
			t.host = SLICE("smart.test");
			t.username = slice_head(slice_tail(domain, 6), domain.n - 11);
			t.password = SLICE("secret");
		}
	} else
		fault_set(&t.why, "5.1.1", "there is no mailbox %s", path);
	assert_true(ipc_put_route_target(out, &t));
}

static void lookupd_handle(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct ipc_message answer = IPC_MESSAGE(route_answer, .targets = SLICE_EMPTY);
	struct fault why;
	struct buf targets;
	char path[256];

	(void)arg;
	(void)fd;
	buf_init(&targets, 65536);
	assert_int_equal(m->type, IPC_TYPE_route_ask);
	assert_true(slice_cstr(m->route_ask.forward_path, path, sizeof(path), &why));
	w->asked_spam = m->route_ask.spam;
	if (m->route_ask.mailbox.n > 0)
		assert_true(slice_cstr(m->route_ask.mailbox, w->asked_mailbox, sizeof(w->asked_mailbox), &why));
	if (w->lookupd_is_down || strstr(path, "@down.test") != NULL) {
		fault_set(&why, "5.4.4", "PostgreSQL does not answer"); /* even where lookupd were to call it permanent, it is not */
		ipc_answer_fault(request, &why);
		buf_fini(&targets);
		return;
	}
	if (strstr(path, "@list.test") != NULL) {
		target_put(&targets, "ann@local.test", ROUTE_LOCAL);
		target_put(&targets, "fail-bob@far.test", ROUTE_REMOTE);
		target_put(&targets, "defer-carl@far.test", ROUTE_REMOTE);
	} else if (strstr(path, "@refused.test") != NULL)
		target_put(&targets, path, ROUTE_REFUSED);
	else if (strstr(path, "@broken.test") != NULL)
		assert_true(buf_append_cstr(&targets, "no records at all"));
	else if (strstr(path, "@nowhere.test") == NULL)
		target_put(&targets, path, strstr(path, "@local.test") != NULL ? ROUTE_LOCAL : ROUTE_REMOTE);
	answer.route_answer.targets = buf_slice(&targets);
	ipc_answer(request, &answer, -1);
	buf_fini(&targets);
}

/* ---- deliverd ---- */

static void result_put(struct buf *results, uint32_t index, struct slice path)
{
	struct ipc_deliver_result r = {.index = index,
				       .outcome = DELIVER_DELIVERED,
				       .status = SLICE("2.0.0"),
				       .reply = SLICE("250 2.0.0 taken"),
				       .host = SLICE("mx.far.test")};

	r.dsn = slice_starts(path, SLICE("dsn-"));
	if (slice_starts(path, SLICE("fail-"))) {
		r.outcome = DELIVER_FAILED;
		r.status = SLICE("5.1.1");
		r.reply = SLICE("550 5.1.1 nobody of that name");
	} else if (slice_starts(path, SLICE("defer-"))) {
		r.outcome = DELIVER_DEFERRED;
		r.status = SLICE("4.2.1");
		r.reply = SLICE("452 4.2.1 come again");
	} else if (slice_starts(path, SLICE("grey-"))) {
		r.outcome = DELIVER_DEFERRED;
		r.status = SLICE("4.7.1");
		r.reply = SLICE("450 4.7.1 greylisted");
	} else if (slice_starts(path, SLICE("busy-"))) {
		r.outcome = DELIVER_DEFERRED;
		r.status = SLICE("4.3.2");
		r.reply = SLICE("421 4.3.2 too much at once");
	} else if (slice_starts(path, SLICE("odd-"))) {
		r.outcome = 77;
	}
	assert_true(ipc_put_deliver_result(results, &r));
}

static void result_put_dead(struct buf *results, uint32_t index)
{
	struct ipc_deliver_result r = {.index = index,
				       .outcome = DELIVER_DEFERRED,
				       .status = SLICE("4.4.1"),
				       .reply = SLICE("connection refused"),
				       .host = SLICE("mx.dead.test")};

	assert_true(ipc_put_deliver_result(results, &r));
}

static void content_read(int fd, const char *id, char *out, size_t size)
{
	struct spool_header h;
	struct fault why;
	size_t n = 0;

	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	if (!spool_header_read(fd, slice_of_cstr(id), &h, &why) || !spool_content_read(fd, &h, 0, out, size - 1, &n, &why))
		fail_msg("the delivery's file: %s", why.text);
	out[n] = '\0';
}

static void deliverd_handle(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	const struct ipc_deliver_ask *ask = &m->deliver_ask;
	struct ipc_message answer = IPC_MESSAGE(deliver_answer, .results = SLICE_EMPTY);
	struct seen *seen = &w->seen[w->n_seen++];
	struct ipc_server **self = arg;
	struct slice recipients = ask->recipients;
	struct ipc_deliver_recipient r;
	struct buf results;
	bool broken = false, crash = false;
	struct fault why;

	assert_int_equal(m->type, IPC_TYPE_deliver_ask);
	assert_true(w->n_seen < MAX_SEEN && *fd >= 0);
	*seen = (struct seen){.role = self == &w->local ? IPC_ROLE_LOCAL : IPC_ROLE_REMOTE};
	assert_true(slice_cstr(ask->id, seen->id, sizeof(seen->id), &why) && slice_cstr(ask->host, seen->host, sizeof(seen->host), &why) &&
		    slice_cstr(ask->reverse_path, seen->reverse_path, sizeof(seen->reverse_path), &why));
	assert_true(slice_cstr(ask->username, seen->username, sizeof(seen->username), &why) &&
		    slice_cstr(ask->password, seen->password, sizeof(seen->password), &why));
	seen->alone = ask->alone;
	assert_true(slice_cstr(ask->ret, seen->ret, sizeof(seen->ret), &why));
	content_read(*fd, seen->id, seen->content, sizeof(seen->content));
	buf_init(&results, 1 << 20);
	while (ipc_next_deliver_recipient(&recipients, &r, &broken)) {
		size_t used = strlen(seen->to);

		if (used + r.forward_path.n + 2 < sizeof(seen->to))
			(void)snprintf(seen->to + used, sizeof(seen->to) - used, "%s%.*s", used > 0 ? " " : "", SLICE_PRINTF(r.forward_path));
		seen->n_to++;
		assert_true(slice_cstr(r.notify, seen->notify, sizeof(seen->notify), &why) &&
			    slice_cstr(r.orcpt, seen->orcpt, sizeof(seen->orcpt), &why));
		seen->quota_messages = r.quota_messages;
		assert_true(slice_cstr(r.mailbox, seen->mailbox, sizeof(seen->mailbox), &why));
		crash |= slice_starts(r.forward_path, SLICE("crash-"));
		if (slice_starts(r.forward_path, SLICE("hold-"))) {
			seen->held = request;
			seen->held_index = r.index;
		}
		if (w->dead != NULL && strcmp(seen->host, w->dead) == 0)
			result_put_dead(&results, r.index);
		else if (!slice_starts(r.forward_path, SLICE("silent-")))
			result_put(&results, r.index, r.forward_path);
	}
	assert_false(broken);
	answer.deliver_answer.results = buf_slice(&results);
	answer.deliver_answer.unreachable = w->dead != NULL && strcmp(seen->host, w->dead) == 0;
	if (crash) {
		ipc_server_destroy(*self);
		*self = NULL; /* the test starts it anew */
		ipc_answer_fault(request, &why);
	} else if (seen->held == NULL)
		ipc_answer(request, &answer, -1);
	buf_fini(&results);
}

static UNUSED void release(struct seen *seen, enum deliver_outcome outcome)
{
	struct ipc_message answer = IPC_MESSAGE(deliver_answer, .results = SLICE_EMPTY);
	struct ipc_deliver_result r = {.index = seen->held_index, .outcome = (uint8_t)outcome, .status = SLICE("2.0.0")};
	struct buf results;

	buf_init(&results, 4096);
	assert_true(ipc_put_deliver_result(&results, &r));
	answer.deliver_answer.results = buf_slice(&results);
	ipc_answer(seen->held, &answer, -1);
	seen->held = NULL;
	buf_fini(&results);
}

static void deliverds_start(void)
{
	if (w->local == NULL)
		w->local = server_create("local", IPC_ROLE_LOCAL, 100, deliverd_handle, &w->local);
	if (w->remote == NULL)
		w->remote = server_create("remote", IPC_ROLE_REMOTE, 100, deliverd_handle, &w->remote);
}

/* The deliveries whose recipients are exactly these. */
static UNUSED size_t n_delivered_to(const char *to)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_seen; i++)
		n += strcmp(w->seen[i].to, to) == 0;
	return n;
}

static UNUSED struct seen *seen_to(const char *to)
{
	for (size_t i = w->n_seen; i-- > 0;)
		if (strcmp(w->seen[i].to, to) == 0)
			return &w->seen[i];
	fail_msg("no delivery to %s", to);
	return NULL;
}

/* ---- queued ---- */

static struct ipc_peer *peer_worker(void *arg, enum ipc_role role, unsigned worker)
{
	(void)arg;
	(void)worker;
	return role == IPC_ROLE_LOOKUPD ? w->to_lookupd : role == IPC_ROLE_LOCAL ? w->to_local : w->to_remote;
}

static struct ipc_peer *peer_home(void *arg, enum ipc_role role, struct slice key)
{
	assert_true(key.n > 0);
	return peer_worker(arg, role, 0);
}

static unsigned peer_n_workers(void *arg, enum ipc_role role)
{
	(void)arg;
	(void)role;
	return 1;
}

static void settings_take(const char *text)
{
	struct buf problems;
	struct settings *old = w->settings;

	buf_init(&problems, 65536);
	if (!settings_parse(slice_of_cstr(text), "main.conf", &w->settings, &problems))
		fail_msg("%.*s", SLICE_PRINTF(buf_slice(&problems)));
	buf_fini(&problems);
	if (w->q.loop != NULL)
		queued_reload(&w->q, w->settings);
	settings_destroy(old);
}

static void queued_begin(void)
{
	struct queued_peers peers = {.worker = peer_worker, .home = peer_home, .n_workers = peer_n_workers};
	struct fault why;
	int spool = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	w->q = (struct queued){0};
	w->to_lookupd = peer_create(0, IPC_ROLE_LOOKUPD);
	w->to_local = peer_create(1, IPC_ROLE_LOCAL);
	w->to_remote = peer_create(2, IPC_ROLE_REMOTE);
	if (!queued_start(&w->q, w->loop, w->settings, spool, &peers, &why))
		fail_msg("%s", why.text);
	w->queued = server_create("queued", IPC_ROLE_QUEUED, 500, queued_handle, &w->q);
	ipc_server_on_presence(w->queued, queued_presence, &w->q);
	UNTIL(!w->q.scan.first);
}

/* As kill -9 leaves it: nothing is written any more. */
static void queued_kill(void)
{
	queued_destroy(&w->q);
	ipc_server_destroy(w->queued);
	ipc_peer_destroy(w->to_lookupd);
	ipc_peer_destroy(w->to_local);
	ipc_peer_destroy(w->to_remote);
	w->queued = NULL;
	w->to_lookupd = w->to_local = w->to_remote = NULL;
}

static void has_ended(void *arg)
{
	(void)arg;
	w->ended = true;
}

static UNUSED void queued_stop_cleanly(void)
{
	w->ended = false;
	queued_stop(&w->q, 10000, has_ended, NULL);
	UNTIL(w->ended);
	queued_kill();
}

#define PLAIN_SETTINGS "hostname = mail.example.org\n"

static int world_begin(void **state)
{
	static const char *const folders[] = {"incoming", "incoming/0", "incoming/1", "incoming/2", "queue", "corrupt"};
	struct fault why;
	char path[128];

	(void)state;
	w = calloc(1, sizeof(*w));
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/queued-test.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	for (size_t i = 0; i < ARRAY_LENGTH(folders); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", w->dir, folders[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	(void)snprintf(path, sizeof(path), "%s/log", w->dir);
	w->log = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	log_open("queued/0", fcntl(w->log, F_DUPFD_CLOEXEC, 3), false, LOG_LEVEL_INFO);
	w->loop = loop_create(&why);
	settings_take(PLAIN_SETTINGS);
	spool_id_source_init(&w->ids, SLICE("mail.example.org"), 0);
	w->lookupd = server_create("lookupd", IPC_ROLE_LOOKUPD, 1000, lookupd_handle, NULL);
	deliverds_start();
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int world_end(void **state)
{
	(void)state;
	if (w->queued != NULL)
		queued_kill();
	for (size_t i = 0; i < ARRAY_LENGTH(w->smtpd); i++)
		ipc_peer_destroy(w->smtpd[i]);
	for (size_t i = 0; i < w->n_seen; i++)
		if (w->seen[i].held != NULL)
			ipc_answer(w->seen[i].held, &(struct ipc_message){.type = IPC_TYPE_done}, -1);
	ipc_server_destroy(w->lookupd);
	ipc_server_destroy(w->local);
	ipc_server_destroy(w->remote);
	loop_destroy(w->loop);
	settings_destroy(w->settings);
	log_close();
	close(w->log);
	(void)nftw(w->dir, remove_one, 20, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

/* ---- messages ---- */

struct mail {
	char id[SPOOL_ID_LENGTH + 1];
	struct buf envelope;
	uint64_t received_us;
	unsigned worker;
	struct ipc_ask ask;
	bool answered;
};

/* An encoded envelope; to: addresses with a space between; =NAME is the mailbox of the one before, ~VALUE its NOTIFY, ^VALUE its ORCPT; +spam marks the message, +ret=FULL and
 * +notice=failure say more of it. */
static void mail_envelope(struct mail *m, const char *from, const char *to)
{
	struct envelope_recipient recipients[200];
	struct envelope e = {.reverse_path = slice_of_cstr(from), .recipients = recipients};
	struct slice rest = slice_of_cstr(to), word;

	memset(recipients, 0, sizeof(recipients));
	while (slice_word(&rest, &word)) {
		if (slice_equal(word, SLICE("+spam")))
			e.spam = true;
		else if (slice_starts(word, SLICE("~")))
			recipients[e.n_recipients - 1].notify = slice_tail(word, 1);
		else if (slice_starts(word, SLICE("^")))
			recipients[e.n_recipients - 1].orcpt = slice_tail(word, 1);
		else if (slice_starts(word, SLICE("+ret=")))
			e.ret = slice_tail(word, 5);
		else if (slice_starts(word, SLICE("+notice=")))
			e.notice = slice_tail(word, 8);
		else if (slice_starts(word, SLICE("=")))
			recipients[e.n_recipients - 1].mailbox = slice_tail(word, 1);
		else
			recipients[e.n_recipients++].forward_path = word;
	}
	buf_init(&m->envelope, 65536);
	assert_true(envelope_encode(&e, &m->envelope));
}

/* Writes it to a folder of the spool; committed false: as a writer that died leaves it. */
static void mail_write(struct mail *m, const char *folder, bool committed)
{
	struct slice envelope = buf_slice(&m->envelope);
	struct spool_header h = {.received_us = m->received_us,
				 .envelope_offset = SPOOL_HEADER_SIZE,
				 .envelope_length = envelope.n,
				 .envelope_crc = crc32c(0, envelope.p, envelope.n),
				 .content_length = strlen(CONTENT),
				 .content_crc = crc32c(crc32c(0, envelope.p, envelope.n), CONTENT, strlen(CONTENT)),
				 .extents = {{SPOOL_HEADER_SIZE + envelope.n, strlen(CONTENT)}},
				 .n_extents = 1,
				 .tail_offset = SPOOL_HEADER_SIZE + envelope.n + strlen(CONTENT)};
	char path[160], block[SPOOL_HEADER_SIZE] = {0};
	int fd;

	memcpy(h.id, m->id, sizeof(h.id));
	if (committed)
		spool_header_encode(&h, block);
	(void)snprintf(path, sizeof(path), "%s/%s/%s", w->dir, folder, m->id);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_true(fd_write_all(fd, block, sizeof(block), 0) && fd_write_all(fd, envelope.p, envelope.n, SPOOL_HEADER_SIZE) &&
		    fd_write_all(fd, CONTENT, strlen(CONTENT), (off_t)(SPOOL_HEADER_SIZE + envelope.n)));
	close(fd);
}

static struct mail *mail_make(const char *from, const char *to)
{
	struct mail *m = calloc(1, sizeof(*m));

	m->received_us = loop_wall_us(w->loop);
	spool_id_make(&w->ids, m->received_us, m->id);
	mail_envelope(m, from, to);
	return m;
}

static void mail_answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct mail *m = arg;

	(void)fd;
	(void)why;
	m->answered = true;
	if (answer != NULL && answer->type == IPC_TYPE_done)
		w->n_answered++;
	else
		w->n_refused++;
}

static void mail_ask(struct mail *m)
{
	struct ipc_message ask = IPC_MESSAGE(message_ask, .id = slice_of_cstr(m->id), .received_us = m->received_us,
					     .size_bytes = strlen(CONTENT), .envelope = buf_slice(&m->envelope));
	struct fault why;

	if (w->smtpd[m->worker] == NULL)
		w->smtpd[m->worker] = peer_create(3 + m->worker, IPC_ROLE_QUEUED);
	assert_true(ipc_ask(w->smtpd[m->worker], &m->ask, &ask, -1, 0, true, mail_answered, m, &why));
}

/* As smtpd 0 does it. */
static UNUSED struct mail *mail_send(const char *from, const char *to)
{
	struct mail *m = mail_make(from, to);

	mail_write(m, "incoming/0", true);
	mail_ask(m);
	return m;
}

static UNUSED void mail_free(struct mail *m)
{
	ipc_ask_cancel(&m->ask);
	buf_fini(&m->envelope);
	free(m);
}

/* ---- what is there ---- */

static UNUSED bool exists(const char *folder, const char *name)
{
	char path[160];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", w->dir, folder, name);
	return lstat(path, &st) == 0;
}

static UNUSED const char *queue_folder(const char *id)
{
	static char folder[16];

	(void)snprintf(folder, sizeof(folder), "queue/%c", spool_id_hash(slice_of_cstr(id)));
	return folder;
}

static UNUSED bool is_queued(const struct mail *m)
{
	return exists(queue_folder(m->id), m->id);
}

static UNUSED bool is_anywhere(const struct mail *m)
{
	return is_queued(m) || exists("incoming/0", m->id) || exists("incoming/1", m->id) || exists("corrupt", m->id);
}

/* Seconds from now until its mtime. */
static UNUSED int64_t seconds_until_due(const struct mail *m)
{
	char path[160];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", w->dir, queue_folder(m->id), m->id);
	assert_int_equal(lstat(path, &st), 0);
	return (int64_t)st.st_mtime - (int64_t)(loop_wall_us(w->loop) / 1000000);
}

static UNUSED size_t log_count(const char *words)
{
	struct buf text;
	struct fault why;
	size_t n = 0;

	buf_init(&text, 16 << 20);
	assert_true(fd_slurp(w->log, &text, &why));
	for (struct slice rest = buf_slice(&text); (rest.n > 0);) {
		size_t at = slice_find_slice(rest, slice_of_cstr(words));

		if (at == SIZE_MAX)
			break;
		rest = slice_tail(rest, at + 1);
		n++;
	}
	buf_fini(&text);
	return n;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_begin, world_end)
