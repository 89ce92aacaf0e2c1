#include "common/ipc/peer.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/log/log.h"

/* An ask is in one of two lists, or in none:
 *   waiting  not sent: no connection, or the window is full
 *   sent     its answer is awaited; its request number is a slot and how often that slot was used, so that a late answer finds nobody
 * A connection is the current one, or a retired one: its server takes no more asks (a welcome with window 0), and owes answers still. What is
 * asked meanwhile goes over the next one.
 * Invariants: 1. n_unanswered <= window, but on a retired one: it counts answers that are still to come, cancelled asks included. 2. Whoever is in
 * a list has ask->peer set. 3. Callbacks run from the loop only: out of an incoming frame, a timer, or the end of a connection (and from destroy). 4. A callback
 * may ask, cancel, and destroy the peer: it is called last, or (tell_lost) with the peer held. */

#define PAUSE_FIRST_MS 50
#define PAUSE_LONGEST_MS 2000
#define SLOT_BITS 16
#define SLOTS_MAX (1u << SLOT_BITS)

struct slot {
	struct ipc_ask *ask;
	uint16_t uses; /* never 0 in a request number */
};

/* One connection and what was sent on it. */
struct way {
	struct list node; /* among the peer's retired; in no list while it is the current one */
	struct ipc_peer *peer;
	struct ipc_connection *connection; /* NULL: an attached peer's has ended */
	size_t window, n_unanswered;
	struct list sent;
};

struct ipc_peer {
	struct loop *loop;
	enum ipc_role self, role;
	unsigned worker;
	size_t waiting_max;
	ipc_connect_fn *connect; /* NULL: attached */
	void *arg;
	struct way *way; /* the current connection; NULL: none. An attached peer's is always there */
	struct list retired;
	struct loop_timer again;
	uint64_t pause_ms;
	uint64_t connected_at_ms;
	bool connecting;
	bool kept_up; /* connects though nobody waits */
	bool held, destroyed; /* tell_lost calls back: whoever destroys it now leaves the freeing to it */
	size_t n_waiting, n_sent;
	struct list waiting, lost; /* lost: sent on a connection that has ended, to be told */
	struct slot *slots;
	size_t n_slots, next_slot;
};

/* ---- slots ---- */

static bool take_slot(struct ipc_peer *p, struct ipc_ask *a)
{
	size_t n = p->n_slots ? p->n_slots * 2 : 64;
	struct slot *slots;

	for (size_t i = 0; i < p->n_slots; i++) {
		size_t at = (p->next_slot + i) % p->n_slots;

		if (p->slots[at].ask == NULL) {
			p->next_slot = at + 1;
			p->slots[at].ask = a;
			if (++p->slots[at].uses == 0)
				p->slots[at].uses = 1;
			a->request = (uint32_t)p->slots[at].uses << SLOT_BITS | (uint32_t)at;
			return true;
		}
		if (i == 8 && n <= SLOTS_MAX)
			break; /* rather more room than a long search */
	}
	if (n > SLOTS_MAX || (slots = realloc(p->slots, n * sizeof(*slots))) == NULL)
		return false;
	memset(slots + p->n_slots, 0, (n - p->n_slots) * sizeof(*slots));
	p->slots = slots;
	p->next_slot = p->n_slots;
	p->n_slots = n;
	return take_slot(p, a);
}

static struct ipc_ask *find_ask(const struct ipc_peer *p, uint32_t request)
{
	size_t at = request & (SLOTS_MAX - 1);

	if (at >= p->n_slots || p->slots[at].ask == NULL || p->slots[at].uses != request >> SLOT_BITS)
		return NULL;
	return p->slots[at].ask;
}

/* ---- asks ---- */

/* Out of every list; free to be used again. */
static void release(struct ipc_ask *a)
{
	struct ipc_peer *p = a->peer;

	list_remove(&a->node);
	if (a->request) {
		p->slots[a->request & (SLOTS_MAX - 1)].ask = NULL;
		p->n_sent--;
	} else {
		p->n_waiting--;
	}
	loop_timer_cancel(&a->timer);
	buf_fini(&a->frame);
	fd_close(&a->fd);
	a->peer = NULL;
	a->request = 0;
}

static void fail(struct ipc_ask *a, const struct fault *why)
{
	int none = -1;

	release(a);
	a->fn(a->arg, NULL, &none, why);
}

static void on_limit(void *arg)
{
	struct ipc_ask *a = arg;
	struct fault why = {0};

	fault_set(&why, "4.4.1", "%s did not answer in time", ipc_role_name(a->peer->role));
	fail(a, &why);
}

static bool is_connected(const struct ipc_peer *p)
{
	return p->way && p->way->connection;
}

/* From waiting to sent. False: it cannot go now. */
static bool send_ask(struct ipc_peer *p, struct ipc_ask *a)
{
	struct way *w = p->way;

	if (!is_connected(p) || w->n_unanswered >= w->window || !take_slot(p, a))
		return false;
	if (!ipc_connection_send_frame(w->connection, buf_slice(&a->frame), a->request, a->fd, NULL)) {
		p->slots[a->request & (SLOTS_MAX - 1)].ask = NULL;
		a->request = 0;
		return false;
	}
	p->n_waiting--;
	p->n_sent++;
	w->n_unanswered++;
	list_remove(&a->node);
	list_append(&w->sent, &a->node);
	if (!a->repeat) {
		buf_fini(&a->frame);
		fd_close(&a->fd);
	}
	return true;
}

static void send_waiting(struct ipc_peer *p)
{
	while (!list_empty(&p->waiting))
		if (!send_ask(p, LIST_ENTRY(list_first(&p->waiting), struct ipc_ask, node)))
			return;
}

static void connect_now(void *arg)
{
	struct ipc_peer *p = arg;

	if (is_connected(p) || p->connecting || p->connect == NULL || (list_empty(&p->waiting) && !p->kept_up))
		return;
	p->connecting = true;
	p->connect(p->arg, p->role, p->worker, p);
}

/* At once, unless it is under way already. */
static void want_connection(struct ipc_peer *p)
{
	if (!is_connected(p) && !p->connecting && !loop_timer_is_set(&p->again))
		loop_timer_set(&p->again, 0);
}

/* Fills a with all that must be kept. */
static bool make_ask(struct ipc_peer *p, struct ipc_ask *a, const struct ipc_message *m, int fd, struct fault *why)
{
	if (!is_connected(p) && p->connect == NULL) {
		fault_set(why, "4.4.2", "the connection to %s has ended", ipc_role_name(p->role));
		return false;
	}
	if (p->n_waiting >= p->waiting_max) {
		fault_set(why, "4.3.2", "%zu questions to %s wait already", p->n_waiting, ipc_role_name(p->role));
		return false;
	}
	if (!ipc_encode(m, 0, &a->frame, why))
		return false;
	if (fd >= 0 && (a->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) {
		fault_errno(why, "4.3.0", "cannot duplicate a descriptor");
		return false;
	}
	return true;
}

bool ipc_ask(struct ipc_peer *p, struct ipc_ask *a, const struct ipc_message *m, int fd, uint64_t within_ms, bool repeat, ipc_answer_fn *fn,
	     void *arg, struct fault *why)
{
	assert(a->peer == NULL);
	*a = (struct ipc_ask){.repeat = repeat, .fd = -1, .fn = fn, .arg = arg};
	buf_init(&a->frame, IPC_FRAME_MAX);
	if (!make_ask(p, a, m, fd, why)) {
		buf_fini(&a->frame);
		return false;
	}
	a->peer = p;
	loop_timer_init(&a->timer, p->loop, on_limit, a);
	list_init(&a->node);
	list_append(&p->waiting, &a->node);
	p->n_waiting++;
	if (within_ms)
		loop_timer_set(&a->timer, within_ms);
	send_waiting(p);
	want_connection(p);
	return true;
}

void ipc_ask_cancel(struct ipc_ask *a)
{
	if (a->peer)
		release(a);
}

/* ---- the connection ---- */

static struct way *way_create(struct ipc_peer *p, size_t window, struct fault *why)
{
	struct way *w = memory_alloc(1, sizeof(*w), why);

	if (w == NULL)
		return NULL;
	w->peer = p;
	w->window = window;
	list_init(&w->node);
	list_init(&w->sent);
	return w;
}

/* What was sent on it is in no list of its any more. */
static void way_free(struct way *w)
{
	if (w == NULL)
		return;
	list_remove(&w->node);
	free(w);
}

static void close_if_done(struct way *w)
{
	if (w->n_unanswered > 0)
		return;
	ipc_connection_close(w->connection);
	way_free(w);
}

/* Its server sends us elsewhere. */
static void retire(struct way *w)
{
	struct ipc_peer *p = w->peer;

	p->way = NULL;
	list_append(&p->retired, &w->node);
	want_connection(p);
	close_if_done(w);
}

static bool take_answer(struct way *w, const struct ipc_message *m, uint32_t request, int *fd, struct fault *why)
{
	struct ipc_peer *p = w->peer;
	struct ipc_ask *a = find_ask(p, request);

	if (w->n_unanswered == 0) {
		fault_set(why, "5.5.1", "an answer came that nobody awaits");
		return false;
	}
	w->n_unanswered--;
	if (a)
		release(a);
	if (w == p->way)
		send_waiting(p);
	else
		close_if_done(w);
	if (a)
		a->fn(a->arg, m, fd, NULL); /* last: it may destroy p */
	return true;
}

bool ipc_peer_answer(struct ipc_peer *p, const struct ipc_message *m, uint32_t request, int *fd, struct fault *why)
{
	return take_answer(p->way, m, request, fd, why);
}

static bool on_frame(void *arg, const struct ipc_message *m, uint32_t request, bool answer, int *fd, struct fault *why)
{
	struct way *w = arg;

	if (m->type == IPC_TYPE_welcome && !answer && w == w->peer->way) {
		w->window = m->welcome.window;
		if (w->window == 0)
			retire(w);
		else
			send_waiting(w->peer);
		return true;
	}
	if (!answer) {
		fault_set(why, "5.5.1", "only answers are taken here");
		return false;
	}
	return take_answer(w, m, request, fd, why);
}

/* Those to be repeated go back, before those that wait, in their order; the others to lost. */
static void sort_sent(struct way *w)
{
	struct ipc_peer *p = w->peer;

	while (!list_empty(&w->sent)) {
		struct ipc_ask *a = LIST_ENTRY(w->sent.prev, struct ipc_ask, node);

		list_remove(&a->node);
		if (a->repeat && p->connect) {
			p->slots[a->request & (SLOTS_MAX - 1)].ask = NULL;
			a->request = 0;
			p->n_sent--;
			p->n_waiting++;
			list_prepend(&p->waiting, &a->node);
		} else {
			list_prepend(&p->lost, &a->node);
		}
	}
}

static void fail_all(struct list *l, const struct fault *why)
{
	while (!list_empty(l))
		fail(LIST_ENTRY(list_first(l), struct ipc_ask, node), why);
}

static void free_peer(struct ipc_peer *p)
{
	loop_timer_cancel(&p->again);
	way_free(p->way);
	free(p->slots);
	free(p);
}

/* Whoever was lost hears of it. May free p, when a callback destroyed it. */
static void tell_lost(struct ipc_peer *p, const struct fault *why)
{
	bool held = p->held;

	p->held = true;
	fail_all(&p->lost, why);
	if (p->connect == NULL) /* there will be no other connection */
		fail_all(&p->waiting, why);
	p->held = held;
	if (p->destroyed && !held)
		free_peer(p);
}

/* The next attempt, if anybody waits then. */
static void connect_again(struct ipc_peer *p)
{
	loop_timer_set(&p->again, p->pause_ms);
	p->pause_ms = p->pause_ms * 2 > PAUSE_LONGEST_MS ? PAUSE_LONGEST_MS : p->pause_ms * 2;
}

static void on_gone(void *arg, const struct fault *why)
{
	struct way *w = arg;
	struct ipc_peer *p = w->peer;

	log_event(peer_lost, F_TEXT(peer, ipc_role_name(p->role)), F_NUMBER(process, p->worker), F_FAULT(why));
	sort_sent(w);
	if (w == p->way) {
		p->way = NULL;
		if (loop_now_ms(p->loop) - p->connected_at_ms >= PAUSE_LONGEST_MS)
			p->pause_ms = PAUSE_FIRST_MS;
		connect_again(p);
	} else {
		send_waiting(p);
		want_connection(p);
	}
	way_free(w);
	tell_lost(p, why);
}

void ipc_peer_connected(struct ipc_peer *p, int fd)
{
	struct ipc_connection_owner owner = {.self = p->self, .other = p->role, .frame = on_frame, .gone = on_gone};
	struct way *w;

	p->connecting = false;
	if (is_connected(p)) { /* an answer to an earlier attempt */
		fd_close(&fd);
		return;
	}
	if (fd < 0 || (w = way_create(p, 0, NULL)) == NULL) {
		fd_close(&fd);
		connect_again(p);
		return;
	}
	owner.arg = w;
	if ((w->connection = ipc_connection_create(p->loop, fd, &owner)) == NULL) {
		way_free(w);
		connect_again(p);
		return;
	}
	p->way = w;
	loop_timer_cancel(&p->again);
	p->connected_at_ms = loop_now_ms(p->loop);
	log_event(peer_connected, F_TEXT(peer, ipc_role_name(p->role)), F_NUMBER(process, p->worker));
}

struct ipc_peer *ipc_peer_create(struct loop *loop, enum ipc_role self, enum ipc_role role, unsigned worker, size_t waiting_max,
				 ipc_connect_fn *connect, void *arg, struct fault *why)
{
	struct ipc_peer *p = memory_alloc(1, sizeof(*p), why);

	if (p == NULL)
		return NULL;
	p->loop = loop;
	p->self = self;
	p->role = role;
	p->worker = worker;
	p->waiting_max = waiting_max;
	p->connect = connect;
	p->arg = arg;
	p->pause_ms = PAUSE_FIRST_MS;
	list_init(&p->waiting);
	list_init(&p->retired);
	list_init(&p->lost);
	loop_timer_init(&p->again, loop, connect_now, p);
	return p;
}

struct ipc_peer *ipc_peer_create_attached(struct loop *loop, enum ipc_role self, enum ipc_role role, size_t window, struct fault *why)
{
	struct ipc_peer *p = ipc_peer_create(loop, self, role, 0, 4096, NULL, NULL, why);

	if (p && (p->way = way_create(p, window, why)) == NULL) {
		free_peer(p);
		return NULL;
	}
	return p;
}

void ipc_peer_attach(struct ipc_peer *p, struct ipc_connection *c)
{
	struct fault why = {0};

	p->way->connection = c;
	if (c) {
		send_waiting(p);
		return;
	}
	p->way->n_unanswered = 0;
	sort_sent(p->way);
	fault_set(&why, "4.4.2", "%s has closed the connection", ipc_role_name(p->role));
	tell_lost(p, &why);
}

void ipc_peer_destroy(struct ipc_peer *p)
{
	bool owns = p && p->connect; /* else the connection is somebody else's */
	struct fault why = {0};

	if (p == NULL)
		return;
	fault_set(&why, "4.3.2", "the connection to %s is given up", ipc_role_name(p->role));
	p->connect = NULL; /* nothing is repeated any more, and nothing asked */
	p->destroyed = true;
	LIST_EACH(node, &p->retired) {
		struct way *w = LIST_ENTRY(node, struct way, node);

		ipc_connection_close(w->connection);
		sort_sent(w);
		way_free(w);
	}
	if (p->way) {
		if (owns)
			ipc_connection_close(p->way->connection);
		p->way->connection = NULL;
		sort_sent(p->way);
	}
	tell_lost(p, &why);
}

void ipc_peer_keep_up(struct ipc_peer *p)
{
	p->kept_up = true;
	want_connection(p);
}

bool ipc_peer_is_up(const struct ipc_peer *p)
{
	return is_connected(p) && p->way->window > 0;
}

size_t ipc_peer_under_way(const struct ipc_peer *p)
{
	return p->n_sent + p->n_waiting;
}

size_t ipc_peer_window(const struct ipc_peer *p)
{
	return p->way ? p->way->window : 0;
}
