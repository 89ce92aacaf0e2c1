/* admin/queue.h: the verbs of `tassis queue`, and what they share. Which of them there are, and their words, stands in QUEUE_VERBS (queue_verbs.h).
 * Touches: standard output and standard error; the socket control/queued.0. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/queue_verbs.h"
#include "admin/usage.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/ipc/link.h"
#include "common/service/layout.h"
#include "common/spool/filter.h"
#include "common/spool/id.h"

struct fault;
struct settings;

#define QUEUE_WITHIN_MS 10000u
#define QUEUE_LINE_MAX (64u << 20)

struct queue {
	const struct settings *settings;
	const char *verb;
	struct arguments args;
	bool json;
	struct spool_filter filter;
	enum queue_held held;
	char socket[LAYOUT_SOCKET_PATH_MAX];
	struct buf out; /* what is written next */
};

/* Prints its result. Fails: why; 5.5.4 is a wrong command line, 4.4.x that queued does not answer. */
typedef bool queue_verb_fn(struct queue *q, struct fault *why);
#define V(verb, usage) queue_verb_fn queue_##verb;
QUEUE_VERBS(V)
#undef V

/* ---- text (queue_text.c) ---- */

/* What others wrote goes to a terminal: no control characters. */
void queue_put_clean(struct buf *out, struct slice s);
void queue_put_path(struct buf *out, struct slice path);
/* "2026-11-25 16:00:15", in the host's time zone. */
void queue_put_time(struct buf *out, uint64_t wall_us);
/* "next attempt in 5 min", "held". */
void queue_put_next(struct buf *out, uint64_t at_us, bool held);
/* Writes and empties q->out. */
void queue_write(struct queue *q);
/* "1 message", "5 messages". */
const char *queue_messages(uint64_t n);
void queue_say_from_files(const struct fault *why);

/* ---- asking (queue_ask.c) ---- */

/* One ask and the answer of that type; the caller fini's frame either way. Fails: temporary, queued does not answer; else what it says. */
MUST_USE bool queue_ask(const struct queue *q, const struct ipc_message *ask, uint64_t within_ms, enum ipc_type answered, struct buf *frame,
			struct ipc_message *answer, struct fault *why);
/* The messages that q's filter lets through, page by page: fn gets each page's queue_entry records. *asked: queued has answered at least once. Fails: as above, or fn did. */
typedef bool queue_page_fn(void *arg, struct slice entries, struct fault *why);
MUST_USE bool queue_pages(const struct queue *q, queue_page_fn *fn, void *arg, bool *asked, struct fault *why);
/* The verb is done to n messages, at most STEER_AT_ONCE; adds to the counts, and says on standard error which were refused. */
#define QUEUE_STEER_AT_ONCE 1000u
struct queue_counts {
	uint64_t done, under_way, refused;
};
MUST_USE bool queue_steer(const struct queue *q, enum queue_verb verb, const char (*ids)[SPOOL_ID_LENGTH + 1], size_t n, struct queue_counts *counts,
			  struct fault *why);
