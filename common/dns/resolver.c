#include "common/dns/resolver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/base/random.h"

#define QUESTIONS_MAX 4096 /* under way at once: a descriptor each */
#define FIRST_WAIT_MS 1500 /* for the first server; it doubles when all were asked */
/* Behind a server that cannot be reached at all, once all were asked: a dead network does not spin.
 */
#define PAUSE_MS 200
#define RECORDS_MAX 262144 /* octets of one answer's records */
#define ALIASES_MAX 8	   /* chains that several answers make */

struct waiter {
	struct list node;
	resolver_done_fn *done;
	void *arg;
};

/* One question under way: for whoever asked it. */
struct query {
	struct table_node node; /* among the resolver's, by type and name */
	struct resolver *resolver;
	struct dns_question question; /* as asked */
	struct dns_question now;      /* as asked at the moment: the end of a chain of aliases */
	char key[sizeof(((struct dns_question *)0)->name) + 2];
	struct list waiters;
	struct loop_timer timer; /* of this try */
	struct loop_task later;	 /* known at once, but told later */
	uint64_t until_ms;
	struct loop_io io;
	int fd;
	bool tcp, edns;
	uint16_t id;
	unsigned n_tries, n_aliases;
	size_t server;		      /* its place */
	struct resolver_server asked; /* the same, as it was then: a reload may change the list */
	bool all_authentic;
	uint32_t ttl_s;	    /* the least along the chain */
	struct buf out, in; /* over TCP: what is to be sent, what has come */
	struct fault why;
};

struct resolver {
	struct loop *loop;
	struct dns_cache cache;
	struct table queries;
	struct resolver_server servers[RESOLVER_SERVERS_MAX];
	size_t n_servers, best;
	uint64_t timeout_ms;
};

static void try_server(struct query *q);
static void on_ready(void *arg, unsigned ready);

/* ---- ends ---- */

static void close_socket(struct query *q)
{
	loop_io_fini(&q->io);
	fd_close(&q->fd);
	buf_fini(&q->out);
	buf_fini(&q->in);
}

/* Tells all and frees. */
static void end(struct query *q, const struct dns_cached *answer)
{
	struct resolver *r = q->resolver;

	close_socket(q);
	loop_timer_cancel(&q->timer);
	loop_task_cancel(&q->later);
	table_remove(&r->queries, &q->node);
	while (!list_empty(&q->waiters)) {
		struct waiter *w = LIST_ENTRY(list_first(&q->waiters), struct waiter, node);

		list_remove(&w->node);
		w->done(w->arg, answer, answer->outcome == DNS_FAILED ? &q->why : NULL);
		free(w);
	}
	free(q);
}

static void end_failed(struct query *q)
{
	end(q, &(struct dns_cached){.outcome = DNS_FAILED});
}

static void tell_known(void *arg)
{
	struct query *q = arg;
	struct dns_cached known;

	if (dns_cache_find(&q->resolver->cache, &q->question, loop_now_ms(q->resolver->loop),
			   &known))
		end(q, &known);
	else
		try_server(q); /* its time was over just now */
}

/* ---- one try ---- */

static const char *server_name(const struct query *q, char text[IP_TEXT_MAX])
{
	return ip_text(&q->asked.ip, text);
}

/* The next server, or the end when the time is over. */
static void try_next(struct query *q)
{
	struct resolver *r = q->resolver;

	close_socket(q);
	q->tcp = false;
	q->n_tries++;
	if (r->n_servers == 0 || loop_now_ms(r->loop) >= q->until_ms) {
		end_failed(q);
		return;
	}
	q->server = (q->server + 1) % r->n_servers;
	try_server(q);
}

/* The server cannot be reached, as why says: the next one is asked, at once as long as there is one
 * that was not. */
static void on_unreachable(struct query *q)
{
	close_socket(q);
	if (q->n_tries + 1 < q->resolver->n_servers)
		try_next(q);
	else
		loop_timer_set(&q->timer, PAUSE_MS);
}

static void on_timer(void *arg)
{
	struct query *q = arg;
	char text[IP_TEXT_MAX];

	if (q->fd >= 0) /* else why says it already */
		fault_set(&q->why, "4.4.3", "the name server %s does not answer",
			  server_name(q, text));
	try_next(q);
}

/* A server that says it cannot is not asked again soon; when all say so, waiting helps nobody. */
static void on_refusal(struct query *q)
{
	char text[IP_TEXT_MAX];

	fault_set(&q->why, "4.4.3", "the name server %s cannot answer for %s", server_name(q, text),
		  q->now.name);
	if (q->n_tries + 1 < q->resolver->n_servers)
		try_next(q);
	else
		end_failed(q);
}

static void finish(struct query *q, const struct dns_answer *a, const struct buf *records)
{
	struct resolver *r = q->resolver;
	struct dns_cached answer = {.outcome = a->outcome,
				    .authentic =
					    q->all_authentic && a->authentic && q->asked.trusted,
				    .ttl_s = a->ttl_s < q->ttl_s ? a->ttl_s : q->ttl_s,
				    .records = buf_slice(records)};

	r->best = q->server;
	if (answer.outcome != DNS_FAILED)
		dns_cache_put(&r->cache, &q->question, loop_now_ms(r->loop), &answer);
	else
		fault_set(&q->why, "4.4.3", "the aliases of %s lead nowhere", q->question.name);
	end(q, &answer);
}

/* The chain leaves this server's answer: the same question goes on with the name it leads to. */
static void follow_alias(struct query *q, const struct dns_answer *a)
{
	q->all_authentic = q->all_authentic && a->authentic && q->asked.trusted;
	if (a->ttl_s < q->ttl_s)
		q->ttl_s = a->ttl_s;
	if (++q->n_aliases > ALIASES_MAX ||
	    !dns_question_set(&q->now, slice_of_cstr(a->alias), q->question.type, NULL)) {
		fault_set(&q->why, "4.4.3", "the aliases of %s lead nowhere", q->question.name);
		end_failed(q);
		return;
	}
	close_socket(q);
	q->tcp = false;
	try_server(q);
}

/* False: it is no answer to the question; q goes on waiting. True: q is dealt with, and may be
 * gone. */
static bool take_answer(struct query *q, struct slice message)
{
	struct dns_answer a;
	struct buf records;
	bool ok;

	buf_init(&records, RECORDS_MAX);
	ok = dns_answer_decode(message, &q->now, q->id, &a, &records);
	if (!ok) {
		buf_fini(&records);
		return false;
	}
	if (a.truncated && !q->tcp) {
		close_socket(q);
		q->tcp = true;
		try_server(q);
	} else if (a.no_edns && q->edns) {
		close_socket(q);
		q->edns = false;
		try_server(q);
	} else if (a.refused || a.truncated) {
		on_refusal(q);
	} else if (a.alias[0]) {
		follow_alias(q, &a);
	} else {
		finish(q, &a, &records);
	}
	buf_fini(&records);
	return true;
}

static void receive_udp(struct query *q)
{
	char message[65536];
	ssize_t n = recv(q->fd, message, sizeof(message), MSG_DONTWAIT);
	char text[IP_TEXT_MAX];

	if (n >= 0) {
		(void)take_answer(q, slice_of(message, (size_t)n));
		return;
	}
	if (errno == EAGAIN || errno == EINTR)
		return;
	fault_errno(&q->why, "4.4.3", "the name server %s cannot be reached", server_name(q, text));
	on_unreachable(q);
}

static void receive_tcp(struct query *q)
{
	char octets[16384];
	ssize_t n = recv(q->fd, octets, sizeof(octets), MSG_DONTWAIT);
	char text[IP_TEXT_MAX];
	struct slice in;
	size_t length;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !buf_append(&q->in, slice_of(octets, (size_t)n))) {
		fault_set(&q->why, "4.4.3", "the name server %s closed its TCP connection",
			  server_name(q, text));
		on_unreachable(q);
		return;
	}
	in = buf_slice(&q->in);
	if (in.n < 2)
		return;
	length = (size_t)(unsigned char)in.p[0] << 8 | (unsigned char)in.p[1];
	if (in.n < length + 2)
		return;
	if (take_answer(q, slice_of(in.p + 2, length)))
		return;
	fault_set(&q->why, "4.4.3", "the name server %s answered another question",
		  server_name(q, text));
	on_unreachable(q);
}

static void send_tcp(struct query *q)
{
	struct slice out = buf_slice(&q->out);
	ssize_t n = send(q->fd, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	char text[IP_TEXT_MAX];

	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOTCONN) {
		fault_errno(&q->why, "4.4.3", "the name server %s cannot be reached over TCP",
			    server_name(q, text));
		on_unreachable(q);
		return;
	}
	if (n > 0)
		buf_consume(&q->out, (size_t)n);
	loop_io_want(&q->io, buf_length(&q->out) ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void on_ready(void *arg, unsigned ready)
{
	struct query *q = arg;

	if (!q->tcp)
		receive_udp(q);
	else if (ready & LOOP_WRITE)
		send_tcp(q);
	else
		receive_tcp(q);
}

static bool open_socket(struct query *q, struct slice message)
{
	struct sockaddr_storage address;
	socklen_t size = ip_to_sockaddr(&q->asked.ip, q->asked.port, &address);

	q->fd = socket(address.ss_family,
		       (q->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (q->fd < 0)
		return false;
	/* Connected: the kernel gives a random port and lets in only what the server sends. */
	if (connect(q->fd, (struct sockaddr *)&address, size) < 0 && errno != EINPROGRESS)
		return false;
	loop_io_init(&q->io, q->resolver->loop, q->fd, on_ready, q);
	if (!q->tcp)
		return send(q->fd, message.p, message.n, MSG_NOSIGNAL) == (ssize_t)message.n &&
		       loop_io_want(&q->io, LOOP_READ);
	buf_init(&q->in, 65537 + 16384);
	buf_init(&q->out, 65537);
	buf_append_char(&q->out, (char)(message.n >> 8));
	buf_append_char(&q->out, (char)message.n);
	return buf_append(&q->out, message) && loop_io_want(&q->io, LOOP_READ | LOOP_WRITE);
}

static void try_server(struct query *q)
{
	struct resolver *r = q->resolver;
	uint64_t now = loop_now_ms(r->loop), left = q->until_ms > now ? q->until_ms - now : 0, wait;
	char text[IP_TEXT_MAX];
	struct buf message;
	bool ok;

	if (r->n_servers == 0) {
		fault_set(&q->why, "4.4.3", "no name server is configured");
		end_failed(q);
		return;
	}
	q->server %= r->n_servers;
	q->asked = r->servers[q->server];
	random_fill(&q->id, sizeof(q->id));
	buf_init(&message, 1024);
	ok = dns_question_encode(&q->now, q->id, q->edns, &message) &&
	     open_socket(q, buf_slice(&message));
	if (!ok) {
		fault_errno(&q->why, "4.4.3", "cannot ask the name server %s",
			    server_name(q, text));
		close_socket(q);
	}
	buf_fini(&message);
	wait = (uint64_t)FIRST_WAIT_MS
	       << (q->n_tries / r->n_servers > 6 ? 6 : q->n_tries / r->n_servers);
	if (!ok)
		wait = q->n_tries + 1 < r->n_servers
			       ? 0
			       : PAUSE_MS; /* not from inside this call: it may have come from
					      resolver_ask */
	loop_timer_set(&q->timer, wait < left ? wait : left);
}

/* ---- asking ---- */

static struct slice make_key(const struct dns_question *question, char *key)
{
	size_t n = strlen(question->name);

	key[0] = (char)(question->type >> 8);
	key[1] = (char)question->type;
	memcpy(key + 2, question->name, n);
	return slice_of(key, n + 2);
}

static struct query *begin(struct resolver *r, const struct dns_question *question,
			   struct fault *why)
{
	struct query *q = memory_alloc(1, sizeof(*q), why);
	struct dns_cached known;

	if (q == NULL)
		return NULL;
	q->resolver = r;
	q->question = q->now = *question;
	q->fd = -1;
	q->edns = q->all_authentic = true;
	q->ttl_s = UINT32_MAX;
	q->server = r->best;
	q->until_ms = loop_now_ms(r->loop) + r->timeout_ms;
	list_init(&q->waiters);
	loop_timer_init(&q->timer, r->loop, on_timer, q);
	loop_task_init(&q->later, r->loop, tell_known, q);
	if (!table_insert(&r->queries, &q->node, make_key(question, q->key))) {
		fault_set(why, "4.3.1", "out of memory");
		free(q);
		return NULL;
	}
	if (r->n_servers == 0 || dns_cache_find(&r->cache, question, loop_now_ms(r->loop), &known))
		loop_task_schedule(&q->later);
	else
		try_server(q);
	return q;
}

bool resolver_ask(struct resolver *r, struct slice name, uint16_t type, resolver_done_fn *done,
		  void *arg, struct fault *why)
{
	struct dns_question question;
	char key[sizeof(((struct query *)0)->key)];
	struct table_node *node;
	struct waiter *w;
	struct query *q;

	if (!dns_question_set(&question, name, type, why))
		return false;
	node = table_find(&r->queries, make_key(&question, key));
	if (node == NULL && r->queries.n >= QUESTIONS_MAX) {
		fault_set(why, "4.3.2", "%d questions are under way already", QUESTIONS_MAX);
		return false;
	}
	if ((w = memory_alloc(1, sizeof(*w), why)) == NULL)
		return false;
	*w = (struct waiter){.done = done, .arg = arg};
	q = node ? CONTAINER_OF(node, struct query, node) : begin(r, &question, why);
	if (q == NULL) {
		free(w);
		return false;
	}
	list_append(&q->waiters, &w->node);
	return true;
}

/* ---- life ---- */

struct resolver *resolver_create(struct loop *loop, size_t cache_octets, uint64_t timeout_ms,
				 struct fault *why)
{
	struct resolver *r = memory_alloc(1, sizeof(*r), why);

	if (r == NULL)
		return NULL;
	r->loop = loop;
	r->timeout_ms = timeout_ms;
	dns_cache_init(&r->cache, cache_octets);
	table_init(&r->queries);
	return r;
}

static bool are_the_servers(const struct resolver *r, const struct resolver_server *servers,
			    size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!ip_equal(&servers[i].ip, &r->servers[i].ip) ||
		    servers[i].port != r->servers[i].port ||
		    servers[i].trusted != r->servers[i].trusted)
			return false;
	return n == r->n_servers;
}

void resolver_configure(struct resolver *r, const struct resolver_server *servers, size_t n_servers,
			size_t cache_octets, uint64_t timeout_ms)
{
	if (n_servers > RESOLVER_SERVERS_MAX)
		n_servers = RESOLVER_SERVERS_MAX;
	if (!are_the_servers(r, servers, n_servers)) { /* others may know another truth, and may not
							  be trusted with it */
		dns_cache_fini(&r->cache);
		dns_cache_init(&r->cache, cache_octets);
		memcpy(r->servers, servers, n_servers * sizeof(*servers));
		r->n_servers = n_servers;
		r->best = 0;
	}
	r->timeout_ms = timeout_ms;
	dns_cache_set_max(&r->cache, cache_octets);
}

void resolver_destroy(struct resolver *r)
{
	if (r == NULL)
		return;
	while (r->queries.n) {
		struct query *q = CONTAINER_OF(table_any(&r->queries), struct query, node);

		fault_set(&q->why, "4.3.2", "this process ends");
		end_failed(q);
	}
	table_fini(&r->queries);
	dns_cache_fini(&r->cache);
	free(r);
}
