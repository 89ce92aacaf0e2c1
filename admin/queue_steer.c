/* `tassis queue hold|release|retry|delete|bounce`, flush and stats. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/json.h"
#include "admin/queue.h"
#include "common/base/fault.h"

#define FLUSH_WITHIN_MS 600000u /* of one domain, every waiting message's file is looked at */
#define STATS_MAX 10000u

/* ---- which ---- */

struct choice {
	struct queue *q;
	enum queue_verb verb;
	bool collects; /* first all ids, for the question */
	char (*ids)[SPOOL_ID_LENGTH + 1];
	size_t n, capacity;
	struct queue_counts counts;
};

static bool choice_add(struct choice *c, struct slice id, struct fault *why)
{
	if (c->n == c->capacity) {
		size_t capacity = c->capacity == 0 ? QUEUE_STEER_AT_ONCE : 2 * c->capacity;
		char(*ids)[SPOOL_ID_LENGTH + 1] = reallocarray(c->ids, capacity, sizeof(*ids));

		if (ids == NULL) {
			fault_set(why, "4.3.1", "out of memory");
			return false;
		}
		c->ids = ids;
		c->capacity = capacity;
	}
	if (!spool_id_is_valid(id)) {
		fault_set(why, "5.5.4", "%.*s is no id of a message", SLICE_PRINTF(id));
		return false;
	}
	return slice_cstr(id, c->ids[c->n++], sizeof(*c->ids), why);
}

static bool choice_steer(struct choice *c, struct fault *why)
{
	for (size_t at = 0, n; at < c->n; at += n) {
		n = c->n - at < QUEUE_STEER_AT_ONCE ? c->n - at : QUEUE_STEER_AT_ONCE;
		if (!queue_steer(c->q, c->verb, (const char(*)[SPOOL_ID_LENGTH + 1])(c->ids + at), n, &c->counts, why))
			return false;
	}
	c->n = 0;
	return true;
}

static bool page_choose(void *arg, struct slice entries, struct fault *why)
{
	struct choice *c = arg;
	struct ipc_queue_entry e;
	bool broken = false;

	while (ipc_next_queue_entry(&entries, &e, &broken))
		if (!choice_add(c, e.id, why))
			return false;
	if (broken)
		fault_set(why, "5.5.0", "queued sent a list that is broken");
	return !broken && (c->collects || choice_steer(c, why));
}

/* ---- asking back ---- */

static bool may_go_on(const struct choice *c, struct fault *why)
{
	char answer[16] = "";

	if (!c->collects || c->n < 2)
		return true;
	if (isatty(STDIN_FILENO)) {
		(void)fprintf(stderr, c->verb == QUEUE_DELETE ? "Delete %zu messages, and tell nobody? [y/N] "
							      : "Return %zu messages to their senders? [y/N] ", c->n);
		if (fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y'))
			return true;
	}
	fault_set(why, "5.3.0", "nothing was done to these %zu messages; --yes does it without asking", c->n);
	return false;
}

/* ---- the verbs ---- */

static const struct {
	const char *one, *many, *later;
} words[N_QUEUE_VERBS] = {
	[QUEUE_HOLD] = {"is held", "are held", "from the end of that attempt on"},
	[QUEUE_RELEASE] = {"is released, and due now", "are released, and due now", "and released"},
	[QUEUE_DELETE] = {"is deleted", "are deleted", "and deleted after that attempt if something of it is left"},
	[QUEUE_RETRY] = {"is due now", "are due now", "already"},
	[QUEUE_BOUNCE] = {"goes back to its sender", "go back to their senders", "and returned after that attempt if something of it is left"},
};

static void say_counts(const struct choice *c)
{
	const struct queue_counts *n = &c->counts;

	(void)printf("%" PRIu64 " %s %s.\n", n->done, queue_messages(n->done), n->done == 1 ? words[c->verb].one : words[c->verb].many);
	if (n->under_way > 0)
		(void)printf("%" PRIu64 " %s being delivered now, %s.\n", n->under_way, n->under_way == 1 ? "message is" : "messages are",
			     words[c->verb].later);
	if (n->refused > 0)
		(void)printf("%" PRIu64 " %s left as %s.\n", n->refused, queue_messages(n->refused), n->refused == 1 ? "it was" : "they were");
}

static bool is_filtered(const struct queue *q)
{
	return q->filter.to.n > 0 || q->filter.from.n > 0 || q->filter.domain.n > 0 || q->filter.before_us > 0;
}

/* Ids, or a filter, or --all: never all by mistake. */
static bool choice_is_sound(const struct queue *q, struct fault *why)
{
	bool ids = arguments_word(&q->args, 0) != NULL, all = arguments_has(&q->args, "--all");

	if (ids + is_filtered(q) + all == 1)
		return true;
	fault_set(why, "5.5.4", "which messages? Either ids, or --to, --from, --domain and --older together, or --all");
	return false;
}

static bool steer(struct queue *q, enum queue_verb verb, struct fault *why)
{
	struct choice c = {.q = q, .verb = verb};
	const char *id;
	bool asked = false, ok = choice_is_sound(q, why);

	c.collects = (verb == QUEUE_DELETE || verb == QUEUE_BOUNCE) && !arguments_has(&q->args, "--yes");
	q->held = verb == QUEUE_RELEASE ? QUEUE_HELD : verb == QUEUE_HOLD || verb == QUEUE_RETRY ? QUEUE_NOT_HELD : QUEUE_HELD_OR_NOT;
	for (size_t i = 0; ok && (id = arguments_word(&q->args, i)) != NULL; i++)
		ok = choice_add(&c, slice_of_cstr(id), why);
	if (ok && c.n == 0)
		ok = queue_pages(q, page_choose, &c, &asked, why);
	ok = ok && may_go_on(&c, why) && choice_steer(&c, why);
	if (ok || c.counts.done > 0)
		say_counts(&c);
	if (ok && c.counts.refused > 0) {
		why->text[0] = '\0'; /* each was told */
		ok = false;
	}
	free(c.ids);
	return ok;
}

bool queue_hold(struct queue *q, struct fault *why)
{
	return steer(q, QUEUE_HOLD, why);
}

bool queue_release(struct queue *q, struct fault *why)
{
	return steer(q, QUEUE_RELEASE, why);
}

bool queue_retry(struct queue *q, struct fault *why)
{
	return steer(q, QUEUE_RETRY, why);
}

bool queue_delete(struct queue *q, struct fault *why)
{
	return steer(q, QUEUE_DELETE, why);
}

bool queue_bounce(struct queue *q, struct fault *why)
{
	return steer(q, QUEUE_BOUNCE, why);
}

bool queue_flush(struct queue *q, struct fault *why)
{
	struct slice domain = slice_of_cstr(arguments_word(&q->args, 0));
	struct ipc_message answer, ask = IPC_MESSAGE(queue_flush_ask, .domain = domain);
	struct buf frame = {0};
	bool ok = queue_ask(q, &ask, domain.n == 0 ? QUEUE_WITHIN_MS : FLUSH_WITHIN_MS, IPC_TYPE_done, &frame, &answer, why);

	if (ok)
		(void)printf("%" PRIu64 " %s due now.\n", answer.done.number, answer.done.number == 1 ? "message is" : "messages are");
	buf_fini(&frame);
	return ok;
}

/* ---- stats ---- */

static void destination_show(struct buf *out, const struct ipc_queue_destination *d)
{
	buf_printf(out, "%8" PRIu64 "  ", d->waiting);
	if (d->oldest_us > 0)
		queue_put_time(out, d->oldest_us);
	else
		buf_printf(out, "%-19s", "");
	buf_append_cstr(out, "  ");
	if (d->name.n == 0)
		buf_append_cstr(out, "(not known yet, or several)");
	else
		queue_put_clean(out, d->name);
	if (d->under_way > 0)
		buf_printf(out, ", %u under way", d->under_way);
	if (d->failing) {
		buf_append_cstr(out, ", cannot be reached, ");
		queue_put_next(out, d->next_us, false);
	}
	if (d->reply.n > 0) {
		buf_append_cstr(out, "\n          ");
		if (d->by.n > 0) {
			queue_put_clean(out, d->by);
			buf_append_cstr(out, " said: ");
		}
		queue_put_clean(out, d->reply);
	}
	buf_append_char(out, '\n');
}

static void destination_show_json(struct buf *out, const struct ipc_queue_destination *d)
{
	buf_append_char(out, '{');
	json_name(out, "destination");
	json_string(out, d->name);
	json_name(out, "waiting");
	json_number(out, d->waiting);
	json_name(out, "oldest");
	json_time(out, d->oldest_us);
	json_name(out, "under_way");
	json_number(out, d->under_way);
	json_name(out, "failing");
	buf_append_cstr(out, d->failing ? "true" : "false");
	json_name(out, "next_attempt");
	json_time(out, d->next_us);
	json_name(out, "host");
	json_string(out, d->by);
	json_name(out, "reply");
	json_string(out, d->reply);
	buf_append_cstr(out, "}\n");
}

bool queue_stats(struct queue *q, struct fault *why)
{
	struct ipc_message answer, ask = IPC_MESSAGE(queue_stats_ask, .max = STATS_MAX);
	const struct ipc_queue_stats_answer *stats = &answer.queue_stats_answer;
	struct buf frame = {0};
	bool broken = false, ok = queue_ask(q, &ask, QUEUE_WITHIN_MS, IPC_TYPE_queue_stats_answer, &frame, &answer, why);

	if (ok) {
		struct slice rest = stats->destinations;
		struct ipc_queue_destination d;

		if (!q->json && rest.n > 0)
			(void)printf("%8s  %-19s  %s\n", "waiting", "oldest", "destination");
		for (; ipc_next_queue_destination(&rest, &d, &broken); queue_write(q)) {
			if (q->json)
				destination_show_json(&q->out, &d);
			else
				destination_show(&q->out, &d);
		}
		if (!q->json)
			(void)printf("%s%" PRIu64 " %s, %" PRIu64 " held, %" PRIu64 " being delivered.\n", stats->more ? "and others\n" : "", stats->waiting,
				     stats->waiting == 1 ? "message waits" : "messages wait", stats->held, stats->active);
	}
	buf_fini(&frame);
	return ok;
}
