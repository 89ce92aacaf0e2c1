#include "master/batch.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "master/master.h"

static bool send_file(struct child *c, const char *name, const char *path, int fd)
{
	struct ipc_message m = IPC_MESSAGE(file, .name = slice_of_cstr(name), .path = slice_of_cstr(path));

	return fd < 0 || ipc_channel_send(c->channel, &m, fd, NULL);
}

/* The same, by a path out of the settings. */
static bool send_named(struct child *c, const char *name, struct slice path, int fd)
{
	struct ipc_message m = IPC_MESSAGE(file, .name = slice_of_cstr(name), .path = path);

	return fd < 0 || ipc_channel_send(c->channel, &m, fd, NULL);
}

static bool send_log(struct child *c)
{
	const struct settings *s = c->slot->master->settings;
	struct ipc_message m = IPC_MESSAGE(log, .log_to = (uint8_t)s->log_to, .level = (uint8_t)s->log_level);

	return ipc_channel_send(c->channel, &m, c->slot->master->files.log, NULL);
}

static bool send_settings(struct child *c)
{
	struct master *m = c->slot->master;
	struct ipc_message message = IPC_MESSAGE(settings, .generation = m->generation);
	bool secret = c->slot->kind->role == IPC_ROLE_LOOKUPD;

	return ipc_channel_send(c->channel, &message, secret ? m->files.settings_secret : m->files.settings_public, NULL);
}

void child_send(struct child *c, unsigned batch)
{
	const struct settings *s = c->slot->master->settings;
	const struct files *f = &c->slot->master->files;
	enum ipc_role role = c->slot->kind->role;

	if (c->channel == NULL || c->told_to_stop)
		return;
	if (((batch & BATCH_LOG) && !send_log(c)) || ((batch & BATCH_SETTINGS) && !send_settings(c)) ||
	    ((batch & BATCH_KEY) && role == IPC_ROLE_LOOKUPD && !send_file(c, "key", f->key_path, f->key)) ||
	    ((batch & BATCH_ALIASES) && role == IPC_ROLE_LOOKUPD &&
	     !send_named(c, "aliases", s->aliases_file, f->aliases)) ||
	    ((batch & BATCH_AUTHORITIES) && role == IPC_ROLE_REMOTE &&
	     !send_named(c, "authorities", s->delivery_tls_ca, f->authorities)) ||
	    ((batch & BATCH_TEMPLATES) && role == IPC_ROLE_QUEUED && !send_file(c, "templates", "templates", f->templates)) ||
	    ((batch & BATCH_CERTIFICATE) && role == IPC_ROLE_SMTPD &&
	     !send_file(c, "certificate", f->certificate_path, f->certificate)) ||
	    ((batch & BATCH_RESOLV) && role == IPC_ROLE_RESOLVD &&
	     !send_file(c, "resolv.conf", FILES_RESOLV_CONF, f->resolv)))
		(void)kill(c->pid, SIGKILL);
}

void children_send(struct master *m, unsigned batch)
{
	LIST_EACH(node, &m->children)
		child_send(LIST_ENTRY(node, struct child, node), batch);
}

static bool send_folder(struct child *c, const char *name, int fd)
{
	struct ipc_message m = IPC_MESSAGE(folder, .name = slice_of_cstr(name));

	return ipc_channel_send(c->channel, &m, fd, NULL);
}

static bool send_empty(struct child *c, struct fault *why)
{
	char path[PATH_MAX];
	bool ok;
	int fd;

	if (!layout_path(c->slot->master->settings->spool_dir, "empty", path, sizeof(path), why))
		return false;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		fault_errno(why, "4.3.0", "cannot open %s", path);
		return false;
	}
	ok = send_folder(c, "chroot", fd);
	fd_close(&fd);
	return ok;
}

static bool send_listener(struct child *c, enum listening kind, const char *line, int fd)
{
	struct ipc_message m = IPC_MESSAGE(listener, .kind = (uint8_t)kind, .line = slice_of_cstr(line));

	return fd < 0 || ipc_channel_send(c->channel, &m, fd, NULL);
}

static bool send_listeners(struct child *c)
{
	struct slot *slot = c->slot;
	char name[32];

	(void)snprintf(name, sizeof(name), "%s.%u", ipc_role_name(slot->kind->role), slot->number);
	if (!send_listener(c, LISTENING_PRIVATE, name, slot->private_fd) ||
	    !send_listener(c, LISTENING_CONTROL, name, slot->control_fd))
		return false;
	LIST_EACH(node, &slot->master->ports) {
		struct port *p = LIST_ENTRY(node, struct port, node);
		bool ours = slot->kind->role == IPC_ROLE_SMTPD &&
			    strcmp(slot->kind->kind, p->kind == LISTENER_SMTP ? "smtp" : "submission") == 0;

		if (ours && !send_listener(c, LISTENING_PORT, p->line, p->fd))
			return false;
	}
	return true;
}

bool child_send_all(struct child *c, int folder, struct fault *why)
{
	struct master *m = c->slot->master;
	const struct daemon_kind *k = c->slot->kind;
	struct ipc_message account = IPC_MESSAGE(account, .change = m->accounts.change,
						 .uid = m->accounts.of[k->account].uid,
						 .gid = m->accounts.of[k->account].gid, .keep_fowner = k->keep_fowner);
	struct ipc_message begin = IPC_MESSAGE(begin, .generation = m->generation);

	child_send(c, BATCH_LOG | BATCH_SETTINGS);
	if ((k->in_empty && !send_empty(c, why)) ||
	    (k->role == IPC_ROLE_SMTPD && !send_folder(c, "chroot", folder)) ||
	    (folder >= 0 && !send_folder(c, k->folder, folder)) ||
	    !ipc_channel_send(c->channel, &account, -1, why))
		return false;
	/* Before the sockets: who connects in that moment finds a certificate, and a key behind it. */
	child_send(c, BATCH_KEY | BATCH_CERTIFICATE | BATCH_RESOLV | BATCH_ALIASES | BATCH_AUTHORITIES | BATCH_TEMPLATES);
	return send_listeners(c) && ipc_channel_send(c->channel, &begin, -1, why);
}
