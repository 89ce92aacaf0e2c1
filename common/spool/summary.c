#include "common/spool/summary.h"

#include "common/base/fault.h"
#include "common/ipc/frame.h"

#define SUMMARY_MAX ((size_t)256 << 20)

bool spool_summary_read(int fd, struct slice id, struct spool_summary *out, struct fault *why)
{
	uint64_t end;

	*out = (struct spool_summary){0};
	arena_init(&out->arena, SUMMARY_MAX);
	buf_init(&out->block, SPOOL_ENVELOPE_MAX);
	buf_init(&out->tail, SPOOL_TAIL_MAX);
	if (!spool_header_read(fd, id, &out->header, why) || !spool_envelope_read(fd, &out->header, &out->block, why) ||
	    !envelope_decode(buf_slice(&out->block), &out->arena, &out->envelope, why) ||
	    !spool_tail_read(fd, &out->header, SPOOL_TAIL_MAX, &out->tail, &end, why))
		return false;
	out->states = arena_alloc(&out->arena, out->envelope.n_recipients * sizeof(*out->states), why);
	return out->states != NULL &&
	       spool_states_read(buf_slice(&out->tail), &out->arena, out->states, out->envelope.n_recipients, why);
}

void spool_summary_fini(struct spool_summary *s)
{
	arena_reset(&s->arena);
	buf_fini(&s->block);
	buf_fini(&s->tail);
}

bool spool_summary_put_entry(const struct spool_summary *s, uint64_t next_attempt_us, bool held, struct buf *entries)
{
	struct ipc_queue_entry e = {.id = slice_of_cstr(s->header.id),
				    .received_us = s->header.received_us,
				    .next_attempt_us = next_attempt_us,
				    .size_bytes = s->header.content_length,
				    .reverse_path = s->envelope.reverse_path,
				    .held = held};

	for (size_t i = s->envelope.n_recipients; i-- > 0;) {
		const struct spool_recipient_state *st = &s->states[i];

		if (st->done)
			continue;
		e.n_recipients++;
		e.first_recipient = s->envelope.recipients[i].forward_path;
		e.reason = st->has_last && st->last.kind != SPOOL_RESULT_DELIVERED ? slice_head(st->last.reply, IPC_REPLY_MAX) : SLICE_EMPTY;
	}
	return ipc_put_queue_entry(entries, &e);
}

static enum deliver_outcome outcome_of(const struct spool_recipient_state *st)
{
	if (!st->has_last)
		return DELIVER_WAITING;
	if (st->done && st->last.kind == SPOOL_RESULT_DELIVERED)
		return DELIVER_DELIVERED;
	return st->done || st->failed ? DELIVER_FAILED : DELIVER_DEFERRED;
}

bool spool_summary_put_recipients(const struct spool_summary *s, struct buf *recipients)
{
	for (size_t i = 0; i < s->envelope.n_recipients; i++) {
		const struct spool_recipient_state *st = &s->states[i];
		bool done_now = st->has_last && st->last.kind != SPOOL_RESULT_DEFERRED;
		struct ipc_queue_recipient r = {.forward_path = s->envelope.recipients[i].forward_path,
						.state = (uint8_t)outcome_of(st),
						.n_attempts = st->n_attempts + done_now,
						.last_attempt_us = st->has_last ? st->last.at_us : 0,
						.status = slice_head(st->last.status, 12),
						.reply = slice_head(st->last.reply, IPC_REPLY_MAX),
						.host = slice_head(st->last.host, IPC_HOST_MAX)};

		if (!ipc_put_queue_recipient(recipients, &r))
			return false;
	}
	return true;
}

static enum deliver_outcome attempt_outcome(enum spool_result_kind kind)
{
	if (kind == SPOOL_RESULT_DELIVERED)
		return DELIVER_DELIVERED;
	return kind == SPOOL_RESULT_DEFERRED ? DELIVER_DEFERRED : DELIVER_FAILED;
}

static bool put_attempt(const struct spool_summary *s, const struct spool_result *r, struct buf *attempts)
{
	struct ipc_queue_attempt a = {.forward_path = r->forward_path,
				      .at_us = r->at_us,
				      .outcome = (uint8_t)attempt_outcome(r->kind),
				      .status = slice_head(r->status, 12),
				      .reply = slice_head(r->reply, IPC_REPLY_MAX),
				      .host = slice_head(r->host, IPC_HOST_MAX)};

	if (r->recipient >= s->envelope.n_recipients || r->kind == SPOOL_RESULT_WARNED || r->kind == SPOOL_RESULT_REPORTED)
		return true; /* the latter two are about the sender */
	if (a.forward_path.n == 0)
		a.forward_path = s->envelope.recipients[r->recipient].forward_path;
	return ipc_put_queue_attempt(attempts, &a);
}

/* A record is seldom four times as long as its line; where that is not so, what does not fit is left out. */
void spool_summary_put_attempts(struct spool_summary *s, struct buf *attempts)
{
	struct slice tail = buf_slice(&s->tail), rest = tail;
	struct spool_result r;
	size_t at;

	if (tail.n > attempts->max / 4) {
		rest = slice_tail(tail, tail.n - attempts->max / 4);
		at = slice_find(rest, '\n');
		rest = slice_tail(rest, at == SIZE_MAX ? rest.n : at + 1);
	}
	while (spool_result_next(&rest, &s->arena, &r))
		if (!put_attempt(s, &r, attempts))
			return;
}

bool spool_summary_has_domain(const struct spool_summary *s, struct slice domain)
{
	for (size_t i = 0; i < s->envelope.n_recipients; i++) {
		struct slice path = s->envelope.recipients[i].forward_path;
		size_t at = slice_find_last(path, '@');

		if (!s->states[i].done && at != SIZE_MAX && slice_equal_nocase(slice_tail(path, at + 1), domain))
			return true;
	}
	return false;
}
