#include "master/control.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/conf/settings.h"
#include "master/master.h"
#include "master/reload.h"
#include "master/sockets.h"
#include "master/stages.h"

#define ANSWER_MAX 65536
#define WINDOW 16

/* ---- status ---- */

static const char *child_state_name(const struct child *c)
{
	if (c->stuck)
		return "stuck";
	switch (c->state) {
	case CHILD_STARTING:
		return "starting";
	case CHILD_READY:
		return "ready";
	case CHILD_STOPPING:
		return "stopping";
	}
	return "";
}

static void append_child(const struct child *c, struct buf *out)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%s/%u", ipc_role_name(c->slot->kind->role), c->worker);
	buf_printf(out, "%-12s %-10s pid %-7ld %-8s restarts %-4u since ", name,
		   c->slot->kind->role == IPC_ROLE_SMTPD ? c->slot->kind->kind : "-", (long)c->pid, child_state_name(c),
		   c->slot->restarts);
	clock_append_rfc3339(out, c->started_us);
	buf_append_char(out, '\n');
}

static void append_empty(const struct slot *slot, struct buf *out)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%s/%u", ipc_role_name(slot->kind->role), slot->number);
	buf_printf(out, "%-12s %-10s is not there; starts again within %llu ms; restarts %u\n", name,
		   slot->kind->role == IPC_ROLE_SMTPD ? slot->kind->kind : "-", (unsigned long long)slot->pause_ms,
		   slot->restarts);
}

static const char *stage_name(const struct master *m, unsigned not_ready)
{
	if (m->stage > MASTER_RUNNING)
		return "is stopping";
	if (m->stage == MASTER_STARTING)
		return "is starting";
	return not_ready > 0 ? "runs, but not all of it" : "runs";
}

static void append_status(const struct master *m, struct buf *out)
{
	unsigned n = 0, not_ready = 0, restarts = 0;

	LIST_EACH(node, &m->slots) {
		const struct slot *slot = LIST_ENTRY(node, struct slot, node);

		n++;
		restarts += slot->restarts;
		if (slot->current == NULL || slot->current->state != CHILD_READY)
			not_ready++;
	}
	buf_printf(out, "tassis %s %s: %u of %u processes ready, %u restarts, pid %ld, since ", TASSIS_VERSION,
		   stage_name(m, not_ready), n - not_ready, n, restarts, (long)getpid());
	clock_append_rfc3339(out, m->started_us);
	buf_printf(out, ", %s as of ", m->main_conf);
	clock_append_rfc3339(out, m->loaded_us);
	buf_append_char(out, '\n');
	LIST_EACH(node, &m->children)
		append_child(LIST_ENTRY(node, struct child, node), out);
	LIST_EACH(node, &m->slots)
		if (LIST_ENTRY(node, struct slot, node)->current == NULL)
			append_empty(LIST_ENTRY(node, struct slot, node), out);
}

/* ---- the verbs ---- */

static void answer(struct ipc_request *request, const struct buf *text, bool refused)
{
	struct ipc_message m = IPC_MESSAGE(control_answer, .text = buf_slice(text), .refused = refused);

	ipc_answer(request, &m, -1);
}

static void control_ask(struct master *m, struct ipc_request *request, struct slice verb)
{
	struct buf text;
	bool refused = false, stops = false;

	buf_init(&text, ANSWER_MAX);
	if (slice_equal(verb, SLICE("status"))) {
		append_status(m, &text);
	} else if (slice_equal(verb, SLICE("ping"))) {
		buf_append_cstr(&text, "master is there.\n");
	} else if (slice_equal(verb, SLICE("reload"))) {
		refused = !reload(m, &text);
	} else if (slice_equal(verb, SLICE("reopen"))) {
		reload_log(m);
		buf_append_cstr(&text, "The log was opened anew.\n");
	} else if (slice_equal(verb, SLICE("stop"))) {
		buf_append_cstr(&text, "tassis is stopping.\n");
		stops = true;
	} else {
		buf_append_cstr(&text, "master knows no such word; it knows status, reload, reopen, stop and ping.\n");
		refused = true;
	}
	answer(request, &text, refused);
	buf_fini(&text);
	if (stops)
		stages_stop(m, 0);
}

static void from_admin(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct fault why = {0};

	(void)fd;
	if (request == NULL)
		return;
	if (m->type == IPC_TYPE_control_ask) {
		control_ask(arg, request, m->control_ask.verb);
		return;
	}
	fault_set(&why, "5.3.3", "master does not answer that");
	ipc_answer_fault(request, &why);
}

bool control_open(struct master *m, struct fault *why)
{
	int fd;

	if (!sockets_bind_unix(m->settings, "control", "master", &m->control_fd, why))
		return false;
	m->control = ipc_server_create(m->loop, IPC_ROLE_MASTER, WINDOW, from_admin, m, why);
	if (m->control == NULL)
		return false;
	/* The server takes a duplicate: ours says that there is a name to remove. */
	fd = fcntl(m->control_fd, F_DUPFD_CLOEXEC, 4);
	if (fd < 0) {
		fault_errno(why, "4.3.0", "cannot duplicate a socket");
		return false;
	}
	return ipc_server_listen(m->control, fd, true, why);
}

void control_close(struct master *m)
{
	ipc_server_destroy(m->control);
	m->control = NULL;
}
