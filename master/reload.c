#include "master/reload.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/conf/settings.h"
#include "common/log/log.h"
#include "common/service/main_conf.h"
#include "master/batch.h"
#include "master/incoming.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/published.h"
#include "master/slot.h"

#define PROBLEMS_MAX 65536
/* lookupd has a new key before an smtpd shows its certificate; one that says nothing holds it up for so long. */
#define KEY_WITHIN_MS 10000
/* No moment of the clock: what comes back in the pong behind a key. */
#define KEY_MARK (1ull << 63)
#define LOOK_EVERY_MS 60000

static void own_log_reopen(struct master *m)
{
	int fd = fcntl(m->files.log, F_DUPFD_CLOEXEC, 4);

	if (fd >= 0)
		log_reopen(fd, m->settings->log_to == LOG_TO_SYSLOG, (enum log_level)m->settings->log_level);
}

/* ---- a new key ---- */

/* What a lookupd is sent it takes in order: the answer to a ping says that it has the key that was sent before. */
static void send_key(struct master *m)
{
	m->key_mark = KEY_MARK | (m->key_mark + 1);
	LIST_EACH(node, &m->children) {
		struct child *c = LIST_ENTRY(node, struct child, node);
		struct ipc_message ping = IPC_MESSAGE(ping, .at_ms = m->key_mark);

		if (c->slot->kind->role != IPC_ROLE_LOOKUPD || c->told_to_stop || c->channel == NULL)
			continue;
		child_send(c, BATCH_KEY);
		if (ipc_channel_send(c->channel, &ping, -1, NULL))
			c->key_mark = m->key_mark;
	}
	loop_timer_set(&m->certificate, KEY_WITHIN_MS);
}

void reload_key_known(struct master *m)
{
	LIST_EACH(node, &m->children)
		if (LIST_ENTRY(node, struct child, node)->key_mark != 0)
			return;
	loop_timer_set(&m->certificate, 0);
}

static void certificate_due(void *arg)
{
	struct master *m = arg;
	bool replace = m->smtpd_waits;

	m->smtpd_waits = false;
	if (!replace)
		children_send(m, BATCH_CERTIFICATE);
	LIST_EACH(node, &m->slots) {
		struct slot *slot = LIST_ENTRY(node, struct slot, node);

		if (replace && slot->kind->role == IPC_ROLE_SMTPD)
			slot_start(slot);
	}
}

/* ---- a new configuration ---- */

static void refuse(struct master *m, struct slice problems, struct buf *answer)
{
	struct slice rest = problems, line, first = SLICE_EMPTY;
	struct fault why = {0};
	unsigned n = 0;

	while (slice_cut(&rest, '\n', &line))
		if (line.n > 0 && n++ == 0)
			first = line;
	fault_set(&why, "5.3.5", "%.*s", SLICE_PRINTF(first));
	log_event(configuration_refused, F_TEXT(file, m->main_conf), F_NUMBER(errors, n), F_FAULT(&why));
	buf_append(answer, problems);
	buf_append_cstr(answer, "The running configuration stays.\n");
}

/* Everything that may fail, without effect. */
static bool prepare(struct master *m, struct settings **settings, struct files *files, struct buf *waiting,
		    struct buf *problems)
{
	struct settings *read = NULL;
	struct fault why = {0};
	bool ok = false;

	if (!main_conf_read(m->main_conf, &read, problems))
		return false;
	if (main_conf_effective(read, m->settings, settings, waiting, &why)) {
		if (files_load(files, *settings, m->terminal, &why)) {
			ok = true;
		} else {
			settings_destroy(*settings);
			*settings = NULL;
		}
	}
	if (!ok)
		buf_printf(problems, "%s: %s\n", m->main_conf, why.text);
	settings_destroy(read);
	return ok;
}

/* Nothing here can fail that matters to the daemons. */
static void take(struct master *m, struct settings *settings, const struct files *files)
{
	bool new_key = !files_same_key(&m->files, files);
	struct fault why = {0};

	settings_destroy(m->settings);
	m->settings = settings;
	files_fini(&m->files);
	m->files = *files;
	m->generation++;
	m->loaded_us = loop_wall_us(m->loop);
	own_log_reopen(m);
	LIST_EACH(node, &m->children) {
		struct child *c = LIST_ENTRY(node, struct child, node);

		/* Not the certificate: who is replaced goes on showing the old one, whose key lookupd still has. */
		child_send(c, BATCH_LOG | BATCH_RESOLV | BATCH_ALIASES | BATCH_AUTHORITIES | BATCH_TEMPLATES |
				      (c->slot->kind->in_place ? BATCH_SETTINGS : 0));
	}
	if (new_key) {
		m->smtpd_waits = true;
		send_key(m);
	}
	LIST_EACH(node, &m->slots) {
		struct slot *slot = LIST_ENTRY(node, struct slot, node);

		if (!slot->kind->in_place && (!m->smtpd_waits || slot->kind->role != IPC_ROLE_SMTPD))
			slot_start(slot);
	}
	log_event(reloaded, F_TEXT(file, m->main_conf));
	if (!published_write(m->settings, &why))
		log_event(file_unusable, F_FAULT(&why));
}

bool reload(struct master *m, struct buf *answer)
{
	struct settings *settings = NULL;
	struct buf problems, waiting;
	struct files files;
	bool ok = false;

	buf_init(&problems, PROBLEMS_MAX);
	buf_init(&waiting, PROBLEMS_MAX);
	if (m->stage > MASTER_RUNNING) {
		buf_append_cstr(answer, "tassis is stopping.\n");
	} else if (!prepare(m, &settings, &files, &waiting, &problems)) {
		refuse(m, buf_slice(&problems), answer);
	} else {
		if (m->foreground && m->stage == MASTER_RUNNING) {
			notify_reloading();
			m->systemd_waits = true;
		}
		take(m, settings, &files);
		buf_printf(answer, "%s is in use.\n", m->main_conf);
		if (buf_length(&waiting) > 0)
			buf_printf(answer, "After a restart only:%.*s.\n", SLICE_PRINTF(buf_slice(&waiting)));
		ok = true;
	}
	buf_fini(&problems);
	buf_fini(&waiting);
	return ok;
}

void reload_log(struct master *m)
{
	struct fault why = {0};

	if (!files_log_reopen(&m->files, m->settings, m->terminal, &why)) {
		log_event(file_unusable, F_FAULT(&why));
		return;
	}
	own_log_reopen(m);
	children_send(m, BATCH_LOG);
}

/* ---- the look ---- */

static void look_pair(struct master *m)
{
	struct fault why = {0};
	enum files_look look = files_look_pair(&m->files, m->settings, &why);

	if (look == FILES_REFUSED) {
		log_event(file_unusable, F_TEXT(file, m->files.certificate_path), F_FAULT(&why));
	} else if (look == FILES_CHANGED) {
		log_event(file_taken, F_TEXT(file, m->files.certificate_path));
		send_key(m);
	}
}

static void look_resolv(struct master *m)
{
	struct fault why = {0};
	enum files_look look = files_look_resolv(&m->files, m->settings, &why);

	if (look == FILES_REFUSED) {
		log_event(file_unusable, F_TEXT(file, FILES_RESOLV_CONF), F_FAULT(&why));
	} else if (look == FILES_CHANGED) {
		log_event(file_taken, F_TEXT(file, FILES_RESOLV_CONF));
		children_send(m, BATCH_RESOLV);
	}
}

static void look_aliases(struct master *m)
{
	struct fault why = {0};
	enum files_look look = files_look_aliases(&m->files, m->settings, &why);

	if (look == FILES_REFUSED) {
		log_event(file_unusable, F_SLICE(file, m->settings->aliases_file), F_FAULT(&why));
	} else if (look == FILES_CHANGED) {
		log_event(file_taken, F_SLICE(file, m->settings->aliases_file));
		children_send(m, BATCH_ALIASES);
	}
}

static void look_authorities(struct master *m)
{
	struct fault why = {0};
	enum files_look look = files_look_authorities(&m->files, m->settings, &why);

	if (look == FILES_REFUSED) {
		log_event(file_unusable, F_SLICE(file, m->settings->delivery_tls_ca), F_FAULT(&why));
	} else if (look == FILES_CHANGED) {
		log_event(file_taken, F_SLICE(file, m->settings->delivery_tls_ca));
		children_send(m, BATCH_AUTHORITIES);
	}
}

static void look(struct master *m)
{
	if (m->stage > MASTER_RUNNING)
		return;
	look_pair(m);
	look_resolv(m);
	look_aliases(m);
	look_authorities(m);
	if (files_look_syslog(&m->files, m->settings, m->terminal, NULL) == FILES_CHANGED) {
		own_log_reopen(m);
		children_send(m, BATCH_LOG);
	}
	incoming_tidy(m->settings);
}

static void look_due(void *arg)
{
	struct master *m = arg;

	look(m);
	loop_timer_set(&m->look, LOOK_EVERY_MS);
}

void reload_watch(struct master *m)
{
	loop_timer_init(&m->certificate, m->loop, certificate_due, m);
	loop_timer_init(&m->look, m->loop, look_due, m);
	loop_timer_set(&m->look, LOOK_EVERY_MS);
}

void reload_unwatch(struct master *m)
{
	loop_timer_cancel(&m->certificate);
	loop_timer_cancel(&m->look);
}
