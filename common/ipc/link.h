/* common/ipc/link.h: one connection between two daemons, and the asks on it.
 * Touches: UNIX stream sockets and the descriptors they carry. No other I/O.
 *
 * All of it is asynchronous: nothing here calls back from inside a call. Two full sockets cannot wait for each other: a
 * side sends at most as many asks as the other's window allows, the rest wait in the sender's memory; and an answer always has room.
 * A frame that is wrong, or not permitted between the two roles, closes the connection and is logged (frame_refused). A received descriptor
 * is close-on-exec, and is closed when the handler did not take it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/list.h"
#include "common/event/loop.h"
#include "common/ipc/frame.h"

struct fault;
struct ipc_link;
struct ipc_server;

/* ---- asking ---- */

struct ipc_ask;
/* answer: NULL when there was none: the connection ended (and the ask was not to be repeated) or the time was over; why then says which. A `failed` message
 * comes as such in answer. fd: the descriptor that came with it or -1; set *fd to -1 to keep it. The ask is free to be used again. */
typedef void ipc_answer_fn(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why);

/* Lies in whoever asks. Zeroed before first use. */
struct ipc_ask {
	struct list node;        /* among the peer's that wait, or that were sent */
	struct loop_timer timer; /* the time limit */
	struct ipc_peer *peer;   /* NULL: not under way */
	uint32_t request;        /* 0: not sent yet */
	bool repeat;
	int fd;                  /* kept for a repetition, or until it is sent; else -1 */
	ipc_answer_fn *fn;
	void *arg;
	struct buf frame;        /* the same */
};

/* The way to one worker of one role. It connects by itself (through connect, which asks master), again after a loss, with pauses of 50 ms growing to 2 s.
 * Where the other side is drained, it asks the next process at once, and waits for the answers of the old one beside. */
struct ipc_peer;
typedef void ipc_connect_fn(void *arg, enum ipc_role role, unsigned worker, struct ipc_peer *peer);
/* The caller owns it. role: who is there. self: who we are (what may be sent is checked). waiting_max: asks that may wait in memory. */
MUST_USE struct ipc_peer *ipc_peer_create(struct loop *loop, enum ipc_role self, enum ipc_role role, unsigned worker, size_t waiting_max,
					  ipc_connect_fn *connect, void *arg, struct fault *why);
/* Every ask under way gets its answer NULL before this returns, except cancelled ones. May be called from an answer's fn. NULL does nothing. */
void ipc_peer_destroy(struct ipc_peer *p);
/* connect's answer, later or at once: a connected socket whose hello is sent (takes fd), or -1 when there is none now. */
void ipc_peer_connected(struct ipc_peer *p, int fd);
/* From now on it is connected as far as it can be, though nobody asks: the other side sees us come and go. */
void ipc_peer_keep_up(struct ipc_peer *p);
bool ipc_peer_is_up(const struct ipc_peer *p);
/* Asks that wait for their answer, and how many the other side grants (0 while it is not connected). */
size_t ipc_peer_under_way(const struct ipc_peer *p);
size_t ipc_peer_window(const struct ipc_peer *p);

/* Sends m and later calls fn once. fd (or -1) is sent with it and stays the caller's: a duplicate is kept as long as needed. within_ms: time limit, waiting for a connection included; 0: none.
 * repeat: when the connection ends before the answer, m is sent again on the next one; else the answer is NULL at once. False: it cannot even wait (too many wait, a field too long, no memory); fn will
 * not be called. */
MUST_USE bool ipc_ask(struct ipc_peer *p, struct ipc_ask *a, const struct ipc_message *m, int fd, uint64_t within_ms, bool repeat,
		      ipc_answer_fn *fn, void *arg, struct fault *why);
/* fn will not be called; a late answer finds nobody. Safe on one that is not under way. */
void ipc_ask_cancel(struct ipc_ask *a);

/* ---- answering ---- */

/* One ask that came in; lives until it is answered. */
struct ipc_request;
/* m's slices live until this returns. Answer now or later, exactly once (request NULL: a notice, no answer). fd as above. */
typedef void ipc_handler_fn(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd);
/* worker of a peer has connected (true) or its connection has ended (false). */
typedef void ipc_presence_fn(void *arg, enum ipc_role role, unsigned worker, bool there);

/* Serves listeners of one daemon. window: asks that each connection may have waiting here. The caller owns it. */
MUST_USE struct ipc_server *ipc_server_create(struct loop *loop, enum ipc_role self, uint32_t window, ipc_handler_fn *fn, void *arg,
					      struct fault *why);
/* The window of connections that come from here on, which is a setting with some daemons. */
void ipc_server_set_window(struct ipc_server *s, uint32_t window);
/* presence may be NULL. */
void ipc_server_on_presence(struct ipc_server *s, ipc_presence_fn *fn, void *arg);
/* Takes the listening socket fd. admin_only: whoever connects is ADMIN, and is taken only from root or our own uid (SO_PEERCRED); else the
 * connecting process must be root or our own uid (master made the connection), and its hello says the role. */
MUST_USE bool ipc_server_listen(struct ipc_server *s, int fd, bool admin_only, struct fault *why);
/* For a process that another one takes the place of: closes the listeners and tells every daemon to ask that one from here on (welcome again, with window 0).
 * What is under way is answered, and what is asked until it has heard of it; then it closes the connection. fn is called, from the loop, when a connection
 * has ended and no daemon is connected any more. Again: does nothing. */
typedef void ipc_drained_fn(void *arg);
void ipc_server_drain(struct ipc_server *s, ipc_drained_fn *fn, void *arg);
/* ipc_server_drain was called, and no daemon is connected: nobody will ask. */
bool ipc_server_is_drained(const struct ipc_server *s);
/* Closes listeners and connections; requests not yet answered may still be (to nobody). NULL does nothing. */
void ipc_server_destroy(struct ipc_server *s);

/* Sends m as the answer, with fd or -1 (stays the caller's), and frees request. To a connection that has ended: nothing happens. */
void ipc_answer(struct ipc_request *request, const struct ipc_message *m, int fd);
/* The answer `failed`. */
void ipc_answer_fault(struct ipc_request *request, const struct fault *why);
enum ipc_role ipc_request_role(const struct ipc_request *request);
unsigned ipc_request_worker(const struct ipc_request *request);

/* ---- a pair that needs no connecting: master and a child on their socketpair, both asking and answering ---- */

struct ipc_channel;
typedef void ipc_gone_fn(void *arg);
/* Takes fd. fn as above for what comes in; gone when the other side has closed. The window is 64 both ways. */
MUST_USE struct ipc_channel *ipc_channel_create(struct loop *loop, int fd, enum ipc_role self, enum ipc_role other, ipc_handler_fn *fn, ipc_gone_fn *gone,
						void *arg, struct fault *why);
/* Asks under way get their NULL before this returns. May be called from any callback of it. NULL does nothing. */
void ipc_channel_destroy(struct ipc_channel *c);
/* To ask on it: a peer that is always connected; owned by the channel. */
struct ipc_peer *ipc_channel_peer(struct ipc_channel *c);
/* Sends a notice; fd or -1 stays the caller's. */
MUST_USE bool ipc_channel_send(struct ipc_channel *c, const struct ipc_message *m, int fd, struct fault *why);

/* ---- making a connection ---- */

/* A non-blocking connection to the socket at path, or -1. */
int ipc_connect_unix(const char *path, struct fault *why);
/* Says on a new connection who is at this end of it. */
MUST_USE bool ipc_hello_send(int fd, enum ipc_role role, unsigned worker, struct fault *why);

/* ---- for programs without a loop (tassis queue, tassis status) ---- */

/* Connects to the socket at path as ADMIN, asks once, and waits for the answer at most within_ms. On success *answer points into *frame, which the caller fini's. */
MUST_USE bool ipc_ask_once(const char *path, const struct ipc_message *m, uint64_t within_ms, struct buf *frame, struct ipc_message *answer,
			   struct fault *why);
