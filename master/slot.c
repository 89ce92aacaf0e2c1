#include "master/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/memory.h"
#include "common/conf/settings.h"
#include "common/log/log.h"
#include "master/batch.h"
#include "master/incoming.h"
#include "master/master.h"
#include "master/reload.h"
#include "master/sockets.h"
#include "master/stages.h"

#define CHANNEL_FD 3
#define YOUNG_MS 10000
#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 30000
#define PINGS_UNANSWERED_MAX 6

/* "smtpd/3" */
#define CHILD_NAME_MAX 32
static const char *child_name(const struct child *c, char out[CHILD_NAME_MAX])
{
	(void)snprintf(out, CHILD_NAME_MAX, "%s/%u", ipc_role_name(c->slot->kind->role), c->worker);
	return out;
}

/* ---- what it says ---- */

static void became_ready(struct child *c)
{
	struct master *m = c->slot->master;

	if (c->state != CHILD_STARTING)
		return;
	c->state = CHILD_READY;
	/* On reload: the older ones of this slot were kept until here, so that there is always one. */
	LIST_EACH(node, &m->children) {
		struct child *other = LIST_ENTRY(node, struct child, node);

		if (other->slot == c->slot && other != c && !other->told_to_stop)
			child_stop(other, STOP_OF_REPLACED_MS);
	}
	stages_child_ready(m);
}

static void answer_connect(struct child *c, struct ipc_request *request, const struct ipc_connect_ask *ask)
{
	const struct settings *s = c->slot->master->settings;
	struct ipc_message answer = IPC_MESSAGE(connect_answer, .n_workers = 0);
	struct fault why = {0};
	char name[CHILD_NAME_MAX];
	int fd = -1;

	if (ask->role >= IPC_N_ROLES || ask->worker >= daemon_role_count((enum ipc_role)ask->role, s)) {
		fault_set(&why, "4.3.0", "there is no such worker");
		ipc_answer_fault(request, &why);
		return;
	}
	(void)snprintf(name, sizeof(name), "%s.%u", ipc_role_name((enum ipc_role)ask->role), (unsigned)ask->worker);
	answer.connect_answer.n_workers = (uint16_t)daemon_role_count((enum ipc_role)ask->role, s);
	if (sockets_connect_unix(s, "private", name, &fd, &why) &&
	    ipc_hello_send(fd, c->slot->kind->role, c->worker, &why))
		ipc_answer(request, &answer, fd);
	else
		ipc_answer_fault(request, &why);
	fd_close(&fd);
}

static void answered_ping(struct child *c, uint64_t at_ms)
{
	c->unanswered = 0;
	if (c->key_mark == 0 || at_ms != c->key_mark)
		return;
	c->key_mark = 0;
	reload_key_known(c->slot->master);
}

static void from_child(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct child *c = arg;
	struct fault why = {0};

	(void)fd;
	if (m->type == IPC_TYPE_connect_ask && request != NULL) {
		answer_connect(c, request, &m->connect_ask);
		return;
	}
	if (m->type == IPC_TYPE_ready)
		became_ready(c);
	else if (m->type == IPC_TYPE_pong)
		answered_ping(c, m->pong.at_ms);
	if (request != NULL) {
		fault_set(&why, "4.3.0", "master does not answer that");
		ipc_answer_fault(request, &why);
	}
}

/* It has closed its channel: it ends, and children_reap sees that; or it will answer no ping. */
static void child_gone(void *arg)
{
	(void)arg;
}

/* ---- start ---- */

NORETURN static void become(const struct slot *slot, unsigned worker, int channel)
{
	const char *program = slot->kind->program;
	char path[PATH_MAX], number[16];
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)snprintf(path, sizeof(path), "%s/%s", slot->master->libexec, program);
	(void)snprintf(number, sizeof(number), "%u", worker);
	for (int i = 1; i < 32; i++)
		(void)signal(i, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(126);
	if (channel == CHANNEL_FD ? fcntl(channel, F_SETFD, 0) < 0 : dup2(channel, CHANNEL_FD) < 0)
		_exit(126);
	/* All of ours are close-on-exec; this is for those that we were started with. */
	(void)close_range(CHANNEL_FD + 1, UINT_MAX, 0);
	(void)execl(path, program, slot->kind->kind, number, (char *)NULL);
	(void)fprintf(stderr, "cannot run %s: %s\n", path, strerror(errno));
	_exit(127);
}

/* The folder that a process works in, with its lock. *fd stays -1 with why empty: another process is still there, so wait. */
static bool open_workplace(struct slot *slot, unsigned *worker, int *fd, struct fault *why)
{
	struct master *m = slot->master;
	const struct daemon_kind *k = slot->kind;
	char path[PATH_MAX];

	if (k->role == IPC_ROLE_SMTPD)
		return incoming_claim(m->settings, &m->accounts, k->account, worker, fd, why);
	if (k->folder == NULL)
		return true;
	if (!layout_path(k->role == IPC_ROLE_QUEUED ? m->settings->spool_dir : m->settings->mail_dir, "", path,
			 sizeof(path), why))
		return false;
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0) {
		fault_errno(why, "4.3.0", "cannot open %s", path);
		return false;
	}
	/* Never two queued on one spool: after a crash of master the old one works on for some seconds. */
	if (k->role == IPC_ROLE_QUEUED && flock(*fd, LOCK_EX | LOCK_NB) != 0) {
		fd_close(fd);
		return false;
	}
	return true;
}

static bool fork_child(struct child *c, int *channel, struct fault *why)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
		fault_errno(why, "4.3.0", "cannot make a channel");
		return false;
	}
	c->pid = fork();
	if (c->pid == 0)
		become(c->slot, c->worker, pair[1]);
	if (c->pid < 0) {
		fault_errno(why, "4.3.0", "cannot fork");
		fd_close(&pair[0]);
	}
	fd_close(&pair[1]);
	*channel = pair[0];
	return c->pid > 0;
}

/* False with why empty: not yet. */
static bool child_create(struct slot *slot, struct fault *why)
{
	struct master *m = slot->master;
	struct child *c = memory_alloc(1, sizeof(*c), why);
	int workplace = -1, channel = -1;
	bool ok = false;

	if (c == NULL)
		return false;
	*c = (struct child){.slot = slot, .worker = slot->number, .started_ms = loop_now_ms(m->loop),
			    .started_us = loop_wall_us(m->loop)};
	list_init(&c->node);
	if (!open_workplace(slot, &c->worker, &workplace, why) || !fork_child(c, &channel, why))
		goto out;
	list_append(&m->children, &c->node);
	slot->current = c;
	c->channel = ipc_channel_create(m->loop, channel, IPC_ROLE_MASTER, slot->kind->role, from_child, child_gone, c, why);
	/* From here on it is a process, whose end is seen and mended as any other's. */
	if (c->channel == NULL || !child_send_all(c, workplace, why))
		(void)kill(c->pid, SIGKILL);
	c = NULL;
	ok = true;
out:
	free(c);
	fd_close(&workplace);
	return ok;
}

/* It ended unasked: the next one comes at once, or after a pause that grows while they die young. */
static void slot_lost(struct slot *slot, uint64_t lived_ms)
{
	if (lived_ms >= YOUNG_MS)
		slot->pause_ms = 0;
	else
		slot->pause_ms = slot->pause_ms == 0 ? PAUSE_MIN_MS : slot->pause_ms * 2;
	if (slot->pause_ms > PAUSE_MAX_MS)
		slot->pause_ms = PAUSE_MAX_MS;
	slot->restarts++;
	loop_timer_set(&slot->restart, slot->pause_ms);
}

void slot_start(struct slot *slot)
{
	struct fault why = {0};

	loop_timer_cancel(&slot->restart);
	if (slot->master->stage > MASTER_RUNNING)
		return;
	if (child_create(slot, &why))
		return;
	if (why.text[0] == '\0') {
		loop_timer_set(&slot->restart, PAUSE_MIN_MS);
		return;
	}
	log_event(start_failed, F_TEXT(process, slot->kind->program), F_FAULT(&why));
	slot_lost(slot, 0);
}

static void restart_due(void *arg)
{
	slot_start(arg);
}

/* ---- end ---- */

void child_stop(struct child *c, uint64_t within_ms)
{
	struct ipc_message m = IPC_MESSAGE(stop, .within_ms = within_ms);

	c->told_to_stop = true;
	c->state = CHILD_STOPPING;
	if (c->channel == NULL || !ipc_channel_send(c->channel, &m, -1, NULL))
		(void)kill(c->pid, SIGTERM);
}

static void describe_end(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		(void)snprintf(out, size, "signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
			       WCOREDUMP(status) ? ", core dumped" : "");
	else
		(void)snprintf(out, size, "exit status %d", WEXITSTATUS(status));
}

static void child_ended(struct child *c, int status)
{
	struct slot *slot = c->slot;
	struct master *m = slot->master;
	bool wanted = c->told_to_stop && WIFEXITED(status), current = slot->current == c;
	char name[CHILD_NAME_MAX], how[64];
	uint64_t now_ms = clock_monotonic_ms(), lived_ms = now_ms > c->started_ms ? now_ms - c->started_ms : 0;

	list_remove(&c->node);
	ipc_channel_destroy(c->channel);
	if (current) {
		slot->current = NULL;
		if (m->stage <= MASTER_RUNNING)
			slot_lost(slot, lived_ms);
	}
	if (!wanted) {
		describe_end(status, how, sizeof(how));
		log_event(process_died, F_TEXT(process, child_name(c, name)), F_NUMBER(pid, c->pid), F_TEXT(exit, how),
			  F_NUMBER(pause_ms, current ? slot->pause_ms : 0));
	}
	if (slot->kind->role == IPC_ROLE_SMTPD)
		incoming_tidy(m->settings);
	stages_child_ended(m, c, wanted);
	free(c);
}

void children_reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		LIST_EACH(node, &m->children) {
			struct child *c = LIST_ENTRY(node, struct child, node);

			if (c->pid == pid) {
				child_ended(c, status);
				break;
			}
		}
	}
}

static void ping(struct child *c)
{
	struct ipc_message m = IPC_MESSAGE(ping, .at_ms = loop_now_ms(c->slot->master->loop));
	char name[CHILD_NAME_MAX];

	if (c->stuck) {
		(void)kill(c->pid, SIGKILL);
	} else if (c->unanswered >= PINGS_UNANSWERED_MAX) {
		log_event(process_stuck, F_TEXT(process, child_name(c, name)), F_NUMBER(pid, c->pid));
		c->stuck = true;
		(void)kill(c->pid, SIGABRT);
	} else if (c->channel != NULL && ipc_channel_send(c->channel, &m, -1, NULL)) {
		/* Counted, not timed: time in which we did not run is not the daemon's. */
		c->unanswered++;
	}
}

void children_ping(struct master *m)
{
	LIST_EACH(node, &m->children)
		ping(LIST_ENTRY(node, struct child, node));
}

/* ---- the slots ---- */

static bool slot_make(struct master *m, const struct daemon_kind *k, unsigned number, struct fault *why)
{
	struct slot *slot = memory_alloc_at_start(1, sizeof(*slot));
	char name[CHILD_NAME_MAX];

	*slot = (struct slot){.master = m, .kind = k, .number = number, .private_fd = -1, .control_fd = -1};
	loop_timer_init(&slot->restart, m->loop, restart_due, slot);
	list_init(&slot->node);
	list_append(&m->slots, &slot->node);
	if (!k->has_sockets)
		return true;
	(void)snprintf(name, sizeof(name), "%s.%u", ipc_role_name(k->role), number);
	return sockets_bind_unix(m->settings, "private", name, &slot->private_fd, why) &&
	       sockets_bind_unix(m->settings, "control", name, &slot->control_fd, why);
}

bool slots_make(struct master *m, struct fault *why)
{
	for (size_t i = 0; i < n_daemon_kinds; i++)
		for (unsigned n = 0; n < daemon_kind_count(&daemon_kinds[i], m->settings); n++)
			if (!slot_make(m, &daemon_kinds[i], n, why))
				return false;
	return true;
}

void slots_destroy(struct master *m)
{
	LIST_EACH(node, &m->slots) {
		struct slot *slot = LIST_ENTRY(node, struct slot, node);

		loop_timer_cancel(&slot->restart);
		list_remove(&slot->node);
		free(slot);
	}
}
