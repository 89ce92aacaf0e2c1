#include "master/stages.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log/log.h"
#include "master/background.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/slot.h"

#define START_WITHIN_MS 60000
/* For a daemon, and beyond that until it is killed. */
#define SMTPD_WITHIN_MS 10000
#define QUEUED_WITHIN_MS 5000
#define REST_WITHIN_MS 4000
#define KILL_AFTER_MS 3000

static bool all_ready(const struct master *m)
{
	if (m->smtpd_waits)
		return false;
	LIST_EACH(node, &m->slots) {
		const struct slot *slot = LIST_ENTRY(node, struct slot, node);

		if (slot->current == NULL || slot->current->state != CHILD_READY)
			return false;
	}
	return true;
}

static void start_failed(struct master *m, const char *program, unsigned number, const char *what)
{
	(void)fprintf(stderr, "%s/%u %s; the log may say more\n", program, number, what);
	stages_stop(m, 1);
}

static void start_too_long(struct master *m)
{
	LIST_EACH(node, &m->slots) {
		const struct slot *slot = LIST_ENTRY(node, struct slot, node);

		if (slot->current == NULL || slot->current->state != CHILD_READY) {
			start_failed(m, slot->kind->program, slot->number, "was not ready within a minute");
			return;
		}
	}
}

/* ---- the end ---- */

/* Whose turn it is in this stage. */
static bool belongs(const struct child *c, enum master_stage stage)
{
	enum ipc_role role = c->slot->kind->role;

	return stage == MASTER_STOP_SMTPD ? role == IPC_ROLE_SMTPD
					  : stage == MASTER_STOP_QUEUED ? role == IPC_ROLE_QUEUED : true;
}

static bool stage_is_empty(const struct master *m)
{
	LIST_EACH(node, &m->children)
		if (belongs(LIST_ENTRY(node, struct child, node), m->stage))
			return false;
	return true;
}

static void stage_begin(struct master *m, enum master_stage stage)
{
	uint64_t within_ms = stage == MASTER_STOP_SMTPD    ? SMTPD_WITHIN_MS
			     : stage == MASTER_STOP_QUEUED ? QUEUED_WITHIN_MS
							   : REST_WITHIN_MS;

	m->stage = stage;
	LIST_EACH(node, &m->children) {
		struct child *c = LIST_ENTRY(node, struct child, node);

		if (belongs(c, stage))
			child_stop(c, within_ms);
	}
	loop_timer_set(&m->limit, within_ms + KILL_AFTER_MS);
}

static void stages_advance(struct master *m)
{
	while (m->stage > MASTER_RUNNING && stage_is_empty(m)) {
		if (m->stage == MASTER_STOP_REST) {
			loop_stop(m->loop);
			return;
		}
		stage_begin(m, m->stage + 1);
	}
}

static void stage_kill(struct master *m)
{
	LIST_EACH(node, &m->children) {
		struct child *c = LIST_ENTRY(node, struct child, node);

		if (belongs(c, m->stage))
			(void)kill(c->pid, SIGKILL);
	}
}

void stages_stop(struct master *m, int status)
{
	if (m->stage > MASTER_RUNNING)
		return;
	log_event(stopping, F_NUMBER(pid, getpid()));
	if (m->foreground)
		notify_stopping();
	m->status = status;
	LIST_EACH(node, &m->slots)
		loop_timer_cancel(&LIST_ENTRY(node, struct slot, node)->restart);
	stage_begin(m, MASTER_STOP_SMTPD);
	stages_advance(m);
}

/* ---- what happens ---- */

static void limit_over(void *arg)
{
	struct master *m = arg;

	if (m->stage == MASTER_STARTING)
		start_too_long(m);
	else if (m->stage > MASTER_RUNNING)
		stage_kill(m);
}

void stages_start(struct master *m)
{
	m->stage = MASTER_STARTING;
	loop_timer_init(&m->limit, m->loop, limit_over, m);
	loop_timer_set(&m->limit, START_WITHIN_MS);
	LIST_EACH(node, &m->slots)
		slot_start(LIST_ENTRY(node, struct slot, node));
}

void stages_child_ready(struct master *m)
{
	if (m->stage > MASTER_RUNNING || !all_ready(m))
		return;
	if (m->stage == MASTER_STARTING) {
		m->stage = MASTER_RUNNING;
		loop_timer_cancel(&m->limit);
		log_event(started, F_TEXT(version, TASSIS_VERSION), F_NUMBER(pid, getpid()));
		background_verdict(&m->verdict);
		m->systemd_waits = m->foreground;
	}
	if (m->systemd_waits)
		notify_ready();
	m->systemd_waits = false;
}

void stages_child_ended(struct master *m, const struct child *c, bool wanted)
{
	/* One that had been ready is none that cannot start: it comes again, as later. */
	if (m->stage == MASTER_STARTING && !wanted && c->state == CHILD_STARTING)
		start_failed(m, c->slot->kind->program, c->worker, "ended before it was ready");
	else
		stages_advance(m);
}
