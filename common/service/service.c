/* A daemon's stages, in this order; none is gone back to:
 *
 *	WAITING   log, settings and folders come
 *	STARTED   account taken, callbacks->start has returned true; listeners and files come
 *	READY     master knows; the daemon works
 *	STOPPING  callbacks->stop was called
 *	ENDED     the loop stops
 */
#include "common/service/service.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/base/number.h"
#include "common/base/table.h"
#include "common/log/log.h"
#include "common/service/account.h"
#include "common/service/peers.h"

#define CHANNEL_FD 3
#define SETTINGS_TEXT_MAX (1u << 20)
#define STOP_ON_SIGNAL_MS 10000
#define STOP_ON_LOSS_MS 5000
#define STOP_GRACE_MS 2000

enum stage { STAGE_WAITING, STAGE_STARTED, STAGE_READY, STAGE_STOPPING, STAGE_ENDED };

struct service_private {
	enum stage stage;
	int status;
	char name[32]; /* "smtpd/0" */
	struct ipc_channel *channel;
	struct settings *settings;
	struct service_peers peers;
	struct loop_timer limit;
	struct loop_signal terminate;
	int root;    /* the folder to go into, -1: none */
	int log_copy; /* the log's file, for what libraries write to standard error; -1: none */
	bool log_is_open;
	bool start_called;
};

static void end(struct service *s, int status)
{
	if (s->private->stage != STAGE_ENDED)
		s->private->status = status;
	s->private->stage = STAGE_ENDED;
	if (s->loop != NULL)
		loop_stop(s->loop);
}

static void start_failed(struct service *s, const struct fault *why)
{
	log_event(start_failed, F_FAULT(why));
	(void)fprintf(stderr, "%s: %s\n", s->private->name, why->text);
	end(s, 1);
}

void service_end(struct service *s)
{
	end(s, 0);
}

static void limit_over(void *arg)
{
	end(arg, 0);
}

static void stop(struct service *s, uint64_t within_ms)
{
	bool worked = s->private->stage == STAGE_STARTED || s->private->stage == STAGE_READY ||
		      s->private->stage == STAGE_STOPPING;

	if (s->private->stage == STAGE_ENDED)
		return;
	if (s->private->stage != STAGE_STOPPING)
		log_event(stopping, F_NUMBER(pid, getpid()));
	if (!worked || s->callbacks->stop == NULL) {
		end(s, 0);
		return;
	}
	s->private->stage = STAGE_STOPPING;
	loop_timer_set(&s->private->limit, within_ms + STOP_GRACE_MS);
	s->callbacks->stop(s->daemon, within_ms);
}

static void terminated(void *arg, int signal_number)
{
	(void)signal_number;
	stop(arg, STOP_ON_SIGNAL_MS);
}

/* master is gone: nobody is left who would end us if we hung, so the kernel shall. */
static void channel_gone(void *arg)
{
	(void)alarm((STOP_ON_LOSS_MS + 3 * STOP_GRACE_MS) / 1000);
	stop(arg, STOP_ON_LOSS_MS);
}

/* ---- what master sends ---- */

static void take_log(struct service *s, const struct ipc_log *m, int *fd)
{
	enum log_level level = m->level > LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : (enum log_level)m->level;
	bool syslog = m->log_to == LOG_TO_SYSLOG;

	if (*fd < 0)
		return;
	fd_close(&s->private->log_copy);
	if (m->log_to == LOG_TO_FILE)
		s->private->log_copy = fcntl(*fd, F_DUPFD_CLOEXEC, CHANNEL_FD + 1);
	if (s->private->log_is_open)
		log_reopen(*fd, syslog, level);
	else
		log_open(s->private->name, *fd, syslog, level);
	s->private->log_is_open = true;
	*fd = -1;
}

static bool settings_read(int fd, struct settings **out, struct fault *why)
{
	struct buf text, problems;
	struct stat st;
	bool ok = false;

	buf_init_secret(&text, SETTINGS_TEXT_MAX); /* the database's password may stand in it */
	buf_init(&problems, SETTINGS_TEXT_MAX);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		fault_set(why, "4.3.0", "the settings came without a file");
		goto out;
	}
	if (!fd_slurp(fd, &text, why))
		goto out;
	if (!settings_parse(buf_slice(&text), "settings", out, &problems)) {
		fault_set(why, "4.3.0", "%.*s", SLICE_PRINTF(slice_trim(buf_slice(&problems))));
		goto out;
	}
	ok = true;
out:
	buf_fini(&text);
	buf_fini(&problems);
	return ok;
}

static void take_settings(struct service *s, int fd)
{
	struct settings *old = s->private->settings, *new = NULL;
	struct fault why = {0};

	if (!settings_read(fd, &new, &why)) {
		if (old == NULL)
			start_failed(s, &why);
		else
			log_event(configuration_refused, F_FAULT(&why));
		return;
	}
	s->settings = s->private->settings = new;
	if (s->private->start_called && s->callbacks->reload != NULL) {
		s->callbacks->reload(s->daemon);
		log_event(reloaded, F_NUMBER(pid, getpid()));
	}
	settings_destroy(old);
}

static bool server_make(struct service *s, struct fault *why)
{
	if (s->callbacks->handler == NULL)
		return true;
	s->server = ipc_server_create(s->loop, s->callbacks->role, s->callbacks->window, s->callbacks->handler,
				      s->daemon, why);
	if (s->server == NULL)
		return false;
	ipc_server_on_presence(s->server, s->callbacks->presence, s->daemon);
	return true;
}

static void take_account(struct service *s, const struct ipc_account *m)
{
	struct account account = {.change = m->change, .uid = m->uid, .gid = m->gid, .keep_fowner = m->keep_fowner};
	struct fault why = {0};

	if (s->private->stage != STAGE_WAITING)
		return;
	if (s->private->settings == NULL) {
		fault_set(&why, "4.3.0", "no settings have come");
		start_failed(s, &why);
		return;
	}
	if (!account_take(&account, s->private->root, &why) || !server_make(s, &why)) {
		start_failed(s, &why);
		return;
	}
	fd_close(&s->private->root);
	s->private->start_called = true;
	if (!s->callbacks->start(s, s->daemon, &why)) {
		start_failed(s, &why);
		return;
	}
	if (s->private->stage == STAGE_WAITING)
		s->private->stage = STAGE_STARTED;
}

static void take_folder(struct service *s, const struct ipc_folder *m, int *fd)
{
	if (s->private->stage != STAGE_WAITING || *fd < 0)
		return;
	if (slice_equal(m->name, SLICE("chroot"))) {
		fd_close(&s->private->root);
		s->private->root = *fd;
		*fd = -1;
	} else if (s->callbacks->folder != NULL) {
		s->callbacks->folder(s->daemon, *fd, m->name);
		*fd = -1;
	}
}

static void take_listener(struct service *s, const struct ipc_listener *m, int *fd)
{
	struct fault why = {0};
	int socket = *fd;

	if (s->private->stage != STAGE_STARTED || socket < 0)
		return;
	if (m->kind == LISTENING_PORT) {
		if (s->callbacks->listener == NULL)
			return;
		*fd = -1;
		s->callbacks->listener(s->daemon, socket, m->line);
	} else if (s->server != NULL) {
		*fd = -1;
		if (!ipc_server_listen(s->server, socket, m->kind == LISTENING_CONTROL, &why)) {
			fault_add(&why, "socket %.*s", SLICE_PRINTF(m->line));
			start_failed(s, &why);
		}
	}
}

static void take_file(struct service *s, const struct ipc_file *m, int *fd)
{
	int file = *fd;

	if (!s->private->start_called || s->private->stage == STAGE_ENDED || file < 0 || s->callbacks->file == NULL)
		return;
	*fd = -1;
	s->callbacks->file(s->daemon, file, m->name, m->path);
}

static void begin(struct service *s)
{
	struct ipc_message ready = IPC_MESSAGE(ready, .pid = (uint32_t)getpid());
	struct fault why = {0};

	if (s->private->stage != STAGE_STARTED)
		return;
	s->private->stage = STAGE_READY;
	/* What a library or a sanitizer has to say belongs into the log's file from here on: nobody looks at a terminal any more. */
	if (s->private->log_copy >= 0)
		(void)dup2(s->private->log_copy, STDERR_FILENO);
	log_event(started, F_TEXT(version, TASSIS_VERSION), F_NUMBER(pid, getpid()));
	if (!ipc_channel_send(s->private->channel, &ready, -1, &why))
		start_failed(s, &why);
}

static void pong(struct service *s, uint64_t at_ms)
{
	struct ipc_message m = IPC_MESSAGE(pong, .at_ms = at_ms);

	/* Without memory for it we look stuck, and are. */
	if (!ipc_channel_send(s->private->channel, &m, -1, NULL))
		return;
}

static void from_master(void *arg, struct ipc_request *request, const struct ipc_message *m, int *fd)
{
	struct service *s = arg;
	struct fault why = {0};

	if (m->type == IPC_TYPE_log)
		take_log(s, &m->log, fd);
	else if (m->type == IPC_TYPE_settings)
		take_settings(s, *fd);
	else if (m->type == IPC_TYPE_folder)
		take_folder(s, &m->folder, fd);
	else if (m->type == IPC_TYPE_account)
		take_account(s, &m->account);
	else if (m->type == IPC_TYPE_listener)
		take_listener(s, &m->listener, fd);
	else if (m->type == IPC_TYPE_file)
		take_file(s, &m->file, fd);
	else if (m->type == IPC_TYPE_begin)
		begin(s);
	else if (m->type == IPC_TYPE_ping)
		pong(s, m->ping.at_ms);
	else if (m->type == IPC_TYPE_stop)
		stop(s, m->stop.within_ms);
	if (request != NULL) {
		fault_set(&why, "4.3.0", "master may not ask that");
		ipc_answer_fault(request, &why);
	}
}

/* ---- from the first line to the last ---- */

static bool arguments(struct service *s, int argc, char **argv)
{
	uint64_t worker;

	if (argc != 3 || !number_u64(slice_of_cstr(argv[2]), UINT16_MAX, &worker))
		return false;
	s->worker = (unsigned)worker;
	s->kind = strcmp(argv[1], "-") == 0 ? SLICE_EMPTY : slice_of_cstr(argv[1]);
	(void)snprintf(s->private->name, sizeof(s->private->name), "%s/%u", ipc_role_name(s->callbacks->role),
		       s->worker);
	return true;
}

static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static void prepare(const struct service *s)
{
	static const int ignored[] = {SIGPIPE, SIGINT, SIGHUP, SIGUSR1};
	enum ipc_role role = s->callbacks->role;

	for (size_t i = 0; i < ARRAY_LENGTH(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	/* queued appends to smtpd's files, as a member of the group of their folder. */
	(void)umask(role == IPC_ROLE_SMTPD ? 007 : 077);
	account_limits(role == IPC_ROLE_SMTPD || role == IPC_ROLE_LOOKUPD);
	(void)fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
}

static bool set_up(struct service *s, struct fault *why)
{
	struct service_private *p = s->private;

	if ((s->loop = loop_create(why)) == NULL)
		return false;
	loop_timer_init(&p->limit, s->loop, limit_over, s);
	if (!loop_signal_init(&p->terminate, s->loop, SIGTERM, terminated, s, why) ||
	    !fd_nonblocking(CHANNEL_FD, why))
		return false;
	p->channel = ipc_channel_create(s->loop, CHANNEL_FD, s->callbacks->role, IPC_ROLE_MASTER, from_master,
					channel_gone, s, why);
	p->peers = (struct service_peers){.loop = s->loop, .self = s->callbacks->role, .channel = p->channel};
	return p->channel != NULL;
}

static void tear_down(struct service *s)
{
	struct service_private *p = s->private;

	if (p->start_called && s->callbacks->destroy != NULL)
		s->callbacks->destroy(s->daemon);
	service_peers_fini(&p->peers);
	ipc_server_destroy(s->server);
	ipc_channel_destroy(p->channel);
	settings_destroy(p->settings);
	fd_close(&p->root);
	fd_close(&p->log_copy);
	if (s->loop != NULL) {
		loop_timer_cancel(&p->limit);
		loop_signal_fini(&p->terminate);
	}
	loop_destroy(s->loop);
}

int service_main(int argc, char **argv, const struct service_callbacks *callbacks, void *daemon)
{
	struct service_private private = {.root = -1, .log_copy = -1};
	struct service s = {.callbacks = callbacks, .daemon = daemon, .private = &private};
	struct fault why = {0};

	if (!arguments(&s, argc, argv) || !is_socket(CHANNEL_FD)) {
		(void)fprintf(stderr, "%s is started by master, nobody else; see tassis(8)\n",
			      ipc_role_name(callbacks->role));
		return 2;
	}
	prepare(&s);
	if (set_up(&s, &why))
		(void)loop_run(s.loop);
	else
		start_failed(&s, &why);
	tear_down(&s);
	if (private.status == 0)
		log_event(stopped, F_NUMBER(pid, getpid()));
	log_close();
	return private.status;
}

struct ipc_peer *service_peer(struct service *s, enum ipc_role role, unsigned worker)
{
	return service_peers_get(&s->private->peers, role, worker);
}

unsigned service_n_workers(const struct service *s, enum ipc_role role)
{
	uint64_t n = 1;

	if (role == IPC_ROLE_LOOKUPD)
		n = s->settings->lookup_workers;
	else if (role == IPC_ROLE_LOCAL)
		n = s->settings->local_workers;
	else if (role == IPC_ROLE_REMOTE)
		n = s->settings->remote_workers;
	/* master says how many cores there are; 0 never leaves it. */
	return n > 0 ? (unsigned)n : 1;
}

struct ipc_peer *service_peer_for(struct service *s, enum ipc_role role, struct slice key)
{
	/* Every asker must find the same worker, so the secret is none. A skew that somebody brings about costs one worker some work. */
	static const uint8_t no_secret[16];

	return service_peer(s, role, (unsigned)(siphash(no_secret, key.p, key.n) % service_n_workers(s, role)));
}
