/* `tassis queue`: what waits, why, and until when; and the hand that steers it. The verbs are in queue_*.c.
 * Touches: the socket control/queued.0; the spool, reading, when queued does not run, and writing for adopt. */
#include "admin/queue.h"

#include <stdio.h>
#include <string.h>

#include "admin/commands.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/conf/pattern.h"
#include "common/conf/settings.h"

static const struct {
	const char *name, *usage;
	queue_verb_fn *fn;
} verbs[] = {
#define V(verb, usage) {#verb, usage, queue_##verb},
	QUEUE_VERBS(V)
#undef V
};

static struct slice option(const struct queue *q, const char *name)
{
	return slice_of_cstr(arguments_value(&q->args, name));
}

/* The options of all verbs that choose; where a verb has none of them, they are not there. */
static bool filter_read(struct queue *q, struct fault *why)
{
	struct slice older = option(q, "--older");
	uint64_t ms = 0;

	q->json = arguments_has(&q->args, "--json");
	q->held = arguments_has(&q->args, "--held") ? QUEUE_HELD : QUEUE_HELD_OR_NOT;
	q->filter = (struct spool_filter){.to = option(q, "--to"), .from = option(q, "--from"), .domain = option(q, "--domain")};
	if (older.n == 0)
		return true;
	if (!pattern_quantity(DURATION, older, &ms) || ms == 0) {
		fault_set(why, "5.5.4", "--older wants a time as main.conf has it: 90s, 30min, 2h, 5d; not %.*s", SLICE_PRINTF(older));
		return false;
	}
	q->filter.before_us = clock_wall_us() > ms * 1000 ? clock_wall_us() - ms * 1000 : 1;
	return true;
}

static int run(const struct admin *a, size_t which, int argc, char **argv)
{
	struct queue q = {.settings = a->settings, .verb = verbs[which].name};
	struct fault why = {0};
	bool parsed = arguments_parse(&q.args, verbs[which].usage, argc, argv, &why), ok = false;

	buf_init(&q.out, QUEUE_LINE_MAX);
	ok = parsed && filter_read(&q, &why) && layout_socket_path(a->settings, "control", "queued.0", q.socket, &why) && verbs[which].fn(&q, &why);
	if (fflush(stdout) != 0 && ok) {
		fault_errno(&why, "5.3.0", "cannot write to standard output");
		ok = false;
	}
	if (!ok && why.text[0] != '\0')
		(void)fprintf(stderr, "tassis queue %s: %s\n", q.verb, why.text);
	if (!parsed)
		(void)fprintf(stderr, "usage: tassis queue %s %s\n", q.verb, verbs[which].usage);
	buf_fini(&q.out);
	arguments_fini(&q.args);
	if (ok)
		return ADMIN_DONE;
	if (strcmp(why.status, "5.5.4") == 0)
		return ADMIN_USAGE;
	return strncmp(why.status, "4.4.", 4) == 0 ? ADMIN_NOT_RUNNING : ADMIN_FAILED;
}

int command_queue(const struct admin *a, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_LENGTH(verbs); i++)
		if (strcmp(verbs[i].name, argv[1]) == 0)
			return run(a, i, argc - 1, argv + 1);
	return admin_usage("queue");
}
