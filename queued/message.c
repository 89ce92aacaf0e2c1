#include "queued/message.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/event/loop.h"
#include "common/mail/dsn.h"
#include "queued/queued.h"
#include "queued/record.h"
#include "queued/steer.h"

#define MESSAGE_MAGIC 0x6d657373u
#define LINES_MAX ((size_t)64 << 20)

static bool recipients_make(struct message *m, struct fault *why)
{
	m->n_recipients = m->envelope.n_recipients;
	if (m->n_recipients > MESSAGE_RECIPIENTS_MAX) {
		fault_set(why, "5.5.3", "%zu recipients are more than a message may have", m->n_recipients);
		return false;
	}
	m->recipients = arena_alloc(&m->arena, m->n_recipients * sizeof(*m->recipients), why);
	if (m->recipients == NULL)
		return false;
	for (size_t i = 0; i < m->n_recipients; i++) {
		struct recipient *r = &m->recipients[i];

		r->forward_path = m->envelope.recipients[i].forward_path;
		r->mailbox = m->envelope.recipients[i].mailbox;
		r->notify = dsn_notify_read(m->envelope.recipients[i].notify);
		r->index = (uint32_t)i;
		r->targets_end = &r->targets;
	}
	return true;
}

struct message *message_create(struct queued *q, struct slice id, place p, struct slice envelope, struct fault *why)
{
	struct message *m = memory_alloc(1, sizeof(*m), why);
	struct slice block;

	if (m == NULL)
		return NULL;
	m->magic = MESSAGE_MAGIC;
	m->queued = q;
	m->place = p;
	m->entry = SCHEDULE_NONE;
	m->began_us = loop_wall_us(q->loop);
	list_init(&m->node);
	list_init(&m->unanswered);
	list_init(&m->routing);
	arena_init(&m->arena, MESSAGE_ARENA_MAX);
	buf_init(&m->lines, LINES_MAX);
	loop_timer_init(&m->record_again, q->loop, record_retry, m);
	if (!slice_cstr(id, m->id, sizeof(m->id), why) || !arena_copy(&m->arena, envelope, &block, why) ||
	    !envelope_decode(block, &m->arena, &m->envelope, why) || !recipients_make(m, why)) {
		message_destroy(m);
		return NULL;
	}
	return m;
}

void message_destroy(struct message *m)
{
	if (m == NULL)
		return;
	assert(m->magic == MESSAGE_MAGIC && m->record == NULL && m->notice == NULL);
	m->magic = 0;
	list_remove(&m->node);
	list_remove(&m->unanswered);
	list_remove(&m->routing);
	loop_timer_cancel(&m->record_again);
	steer_drop(m->later);
	buf_fini(&m->lines);
	arena_reset(&m->arena);
	free(m);
}

struct message *message_of(void *arg)
{
	struct message *m = arg;

	assert(m->magic == MESSAGE_MAGIC);
	return m;
}

struct slice message_id(const struct message *m)
{
	return slice_of(m->id, SPOOL_ID_LENGTH);
}

struct target *message_add_target(struct message *m, struct recipient *r, struct slice forward_path, struct fault *why)
{
	struct target *t = arena_alloc(&m->arena, sizeof(*t), why);

	if (t == NULL || !arena_copy(&m->arena, forward_path, &t->forward_path, why))
		return NULL;
	t->recipient = r;
	t->index = UINT32_MAX;
	r->n_targets++;
	*r->targets_end = t;
	r->targets_end = &t->next;
	return t;
}

static void credentials_wipe(void *arg)
{
	struct credentials *c = arg;

	memory_wipe(c->octets, c->n);
}

static struct credentials *credentials_keep(struct message *m, struct slice username, struct slice password, struct fault *why)
{
	struct credentials *c = arena_alloc(&m->arena, sizeof(*c) + username.n + password.n, why);

	if (c == NULL || !arena_defer(&m->arena, credentials_wipe, c, why))
		return NULL;
	memcpy(c->octets, username.p, username.n);
	if (password.n > 0)
		memcpy(c->octets + username.n, password.p, password.n);
	c->n = username.n + password.n;
	c->username = slice_of(c->octets, username.n);
	c->password = slice_of(c->octets + username.n, password.n);
	c->next = m->credentials;
	return m->credentials = c;
}

bool message_credentials(struct message *m, struct slice username, struct slice password, const struct credentials **out,
			 struct fault *why)
{
	*out = NULL;
	if (username.n == 0)
		return true;
	for (const struct credentials *c = m->credentials; c != NULL; c = c->next) {
		if (slice_equal(c->username, username) && slice_equal(c->password, password)) {
			*out = c;
			return true;
		}
	}
	return (*out = credentials_keep(m, username, password, why)) != NULL;
}

bool message_is_alone(const struct message *m)
{
	size_t n = 0, n_routes = 0;

	for (size_t i = 0; i < m->n_recipients; i++) {
		if (m->recipients[i].mailbox.n > 0)
			continue;
		if (++n > 1)
			return false;
		n_routes = m->recipients[i].n_routes;
	}
	return n_routes == 1;
}

void message_set_target(struct message *m, struct target *t, enum target_state state, struct slice status, struct slice reply, struct slice by)
{
	struct fault full;

	t->state = state;
	t->recorded = false;
	t->at_us = loop_wall_us(m->queued->loop);
	if (!arena_copy(&m->arena, status, &t->status, &full))
		t->status = state == TARGET_FAILED ? SLICE("5.0.0") : SLICE("4.0.0");
	if (!arena_copy(&m->arena, reply, &t->reply, &full))
		t->reply = SLICE_EMPTY;
	if (!arena_copy(&m->arena, by, &t->by, &full))
		t->by = SLICE_EMPTY;
}

bool recipient_is_final(const struct recipient *r)
{
	if (r->done)
		return true;
	for (const struct target *t = r->targets; t != NULL; t = t->next)
		if (t->state != TARGET_DELIVERED && t->state != TARGET_TOLD)
			return false;
	return r->routed;
}

uint32_t message_n_attempts(const struct message *m)
{
	uint32_t most = 0;

	for (size_t i = 0; i < m->n_recipients; i++)
		if (!m->recipients[i].done && m->recipients[i].past.n_attempts > most)
			most = m->recipients[i].past.n_attempts;
	return most;
}
