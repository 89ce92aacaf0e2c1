#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/queue.h"
#include "common/base/fault.h"

#define PAGE 1000u
#define STEER_WITHIN_MS 60000u

bool queue_ask(const struct queue *q, const struct ipc_message *ask, uint64_t within_ms, enum ipc_type answered, struct buf *frame,
	       struct ipc_message *answer, struct fault *why)
{
	if (!ipc_ask_once(q->socket, ask, within_ms, frame, answer, why))
		return false;
	if (answer->type == answered)
		return true;
	fault_set(why, "5.5.0", "queued gave another answer than was asked for");
	return false;
}

bool queue_pages(const struct queue *q, queue_page_fn *fn, void *arg, bool *asked, struct fault *why)
{
	char after[SPOOL_ID_LENGTH + 1] = "";
	bool last = false;

	while (!last) {
		struct ipc_message answer, ask = IPC_MESSAGE(queue_list_ask, .after = slice_of_cstr(after), .max = PAGE, .to = q->filter.to,
							     .from = q->filter.from, .domain = q->filter.domain,
							     .before_us = q->filter.before_us, .held = (uint8_t)q->held);
		struct buf frame = {0};
		bool ok = queue_ask(q, &ask, QUEUE_WITHIN_MS, IPC_TYPE_queue_list_answer, &frame, &answer, why);

		if (ok) {
			*asked = true;
			last = answer.queue_list_answer.last;
			ok = slice_cstr(answer.queue_list_answer.next, after, sizeof(after), why) &&
			     fn(arg, answer.queue_list_answer.entries, why);
		}
		buf_fini(&frame);
		if (!ok)
			return false;
	}
	return true;
}

/* For the log: who is at the terminal, not whose rights are used. */
static struct slice who(void)
{
	const char *sudo = getuid() == 0 ? getenv("SUDO_USER") : NULL;
	const struct passwd *pw = sudo == NULL ? getpwuid(getuid()) : NULL;

	if (sudo == NULL)
		sudo = pw == NULL ? "?" : pw->pw_name;
	return slice_head(slice_of_cstr(sudo), 64);
}

static void say_refused(struct slice refused, struct queue_counts *counts)
{
	struct ipc_queue_refusal r;
	bool broken = false;

	while (ipc_next_queue_refusal(&refused, &r, &broken)) {
		counts->refused++;
		(void)fprintf(stderr, "tassis queue: %s\n", r.why.text);
	}
}

bool queue_steer(const struct queue *q, enum queue_verb verb, const char (*ids)[SPOOL_ID_LENGTH + 1], size_t n, struct queue_counts *counts,
		 struct fault *why)
{
	struct ipc_message answer, ask = IPC_MESSAGE(queue_steer_ask, .verb = (uint8_t)verb, .who = who());
	struct buf frame = {0}, records;
	bool ok = true;

	buf_init(&records, 65536);
	for (size_t i = 0; i < n && ok; i++)
		ok = ipc_put_queue_id(&records, &(struct ipc_queue_id){.id = slice_of_cstr(ids[i])});
	ask.queue_steer_ask.ids = buf_slice(&records);
	if (!ok)
		fault_set(why, "4.3.1", "no memory for the ids of messages");
	else if ((ok = queue_ask(q, &ask, STEER_WITHIN_MS, IPC_TYPE_queue_steer_answer, &frame, &answer, why))) {
		counts->done += answer.queue_steer_answer.n_done;
		counts->under_way += answer.queue_steer_answer.n_under_way;
		say_refused(answer.queue_steer_answer.refused, counts);
	}
	buf_fini(&frame);
	buf_fini(&records);
	return ok;
}
