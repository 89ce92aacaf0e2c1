#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/log/log.h"
#include "common/service/main_conf.h"
#include "master/background.h"
#include "master/control.h"
#include "master/incoming.h"
#include "master/pid_file.h"
#include "master/published.h"
#include "master/reload.h"
#include "master/slot.h"
#include "master/sockets.h"
#include "master/stages.h"

#define PING_EVERY_MS 10000
#define DESCRIPTORS 131072

static int usage(void)
{
	(void)fputs("usage: master [-f] [-c MAIN_CONF] [-l FOLDER_OF_PROGRAMS]\n"
		    "-f: in the foreground. `tassis start` calls it; see tassis-master(8).\n", stderr);
	return 2;
}

/* ---- signals and timers ---- */

static void signalled(void *arg, int number)
{
	struct master *m = arg;
	struct buf answer;

	if (number == SIGCHLD) {
		children_reap(m);
	} else if (number == SIGHUP) {
		buf_init(&answer, 65536);
		(void)reload(m, &answer);
		buf_fini(&answer);
	} else if (number == SIGUSR1) {
		reload_log(m);
	} else {
		stages_stop(m, 0);
	}
}

static bool watch_signals(struct master *m, struct fault *why)
{
	static const int numbers[] = {SIGCHLD, SIGHUP, SIGUSR1, SIGTERM, SIGINT};

	for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++)
		if (!loop_signal_init(&m->signals[i], m->loop, numbers[i], signalled, m, why))
			return false;
	return true;
}

static void ping_due(void *arg)
{
	struct master *m = arg;

	children_ping(m);
	loop_timer_set(&m->ping, PING_EVERY_MS);
}

/* ---- the settings ---- */

static bool read_settings(struct master *m)
{
	struct settings *read = NULL;
	struct buf problems, waiting;
	struct fault why = {0};
	bool ok = false;

	buf_init(&problems, 65536);
	buf_init(&waiting, 4096);
	if (main_conf_read(m->main_conf, &read, &problems)) {
		ok = main_conf_effective(read, NULL, &m->settings, &waiting, &why);
		if (ok && m->settings->listen.n == 0) {
			fault_set(&why, "5.3.5", "no listen line; for mail from other hosts: listen = 0.0.0.0:25 smtp starttls");
			ok = false;
		}
		if (!ok)
			buf_printf(&problems, "%s: %s\n", m->main_conf, why.text);
	}
	(void)fprintf(stderr, "%.*s", SLICE_PRINTF(buf_slice(&problems)));
	settings_destroy(read);
	buf_fini(&problems);
	buf_fini(&waiting);
	return ok;
}

/* ---- from the first line to the last ---- */

static void prepare_process(void)
{
	struct rlimit files;

	(void)umask(022);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)!chdir("/");
	if (getrlimit(RLIMIT_NOFILE, &files) != 0)
		return;
	/* root may raise it for all daemons; everybody else has what he has. */
	if (geteuid() == 0 && files.rlim_max < DESCRIPTORS)
		files.rlim_max = DESCRIPTORS;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

/* Everything that may fail before a daemon runs. Nothing of another master is touched before its lock is ours. */
static bool set_up(struct master *m, struct fault *why)
{
	int fd;

	if (!accounts_find(m->settings, &m->accounts, why) || !layout_make(m->settings, &m->accounts, why) ||
	    !pid_file_take(m->settings, &m->pid_fd, &m->after_a_crash, why) ||
	    !files_load(&m->files, m->settings, m->terminal, why) || !sockets_bind_ports(m, why) ||
	    !sockets_bind_submit(m, why) || !published_write(m->settings, why) ||
	    (m->loop = loop_create(why)) == NULL || !slots_make(m, why) || !control_open(m, why) ||
	    !watch_signals(m, why))
		return false;
	incoming_tidy(m->settings);
	/* Whoever reads what `tassis start` prints waits for its end, which does not come while we hold it. */
	if (!m->foreground && m->settings->log_to != LOG_TO_STDERR)
		fd_close(&m->terminal);
	fd = fcntl(m->files.log, F_DUPFD_CLOEXEC, 4);
	if (fd >= 0)
		log_open("master", fd, m->settings->log_to == LOG_TO_SYSLOG, (enum log_level)m->settings->log_level);
	m->started_us = m->loaded_us = loop_wall_us(m->loop);
	return true;
}

static void run(struct master *m)
{
	loop_timer_init(&m->ping, m->loop, ping_due, m);
	loop_timer_set(&m->ping, PING_EVERY_MS);
	reload_watch(m);
	stages_start(m);
	(void)loop_run(m->loop);
	loop_timer_cancel(&m->ping);
	loop_timer_cancel(&m->limit);
	reload_unwatch(m);
	incoming_tidy(m->settings);
	log_event(stopped, F_NUMBER(pid, getpid()));
}

static void tear_down(struct master *m)
{
	control_close(m);
	sockets_remove(m);
	if (m->loop != NULL) {
		slots_destroy(m);
		for (size_t i = 0; i < ARRAY_LENGTH(m->signals); i++)
			loop_signal_fini(&m->signals[i]);
	}
	loop_destroy(m->loop);
	if (m->pid_fd >= 0)
		pid_file_remove(m->settings, &m->pid_fd);
	files_fini(&m->files);
	log_close();
}

static int master_run(struct master *m)
{
	struct fault why = {0};

	prepare_process();
	if (set_up(m, &why)) {
		run(m);
	} else {
		(void)fprintf(stderr, "%s\n", why.text);
		m->status = 1;
	}
	tear_down(m);
	return m->status;
}

static bool arguments(struct master *m, int argc, char **argv)
{
	int c;

	m->main_conf = TASSIS_SYSCONFDIR "/main.conf";
	m->libexec = getenv("TASSIS_LIBEXEC") != NULL ? getenv("TASSIS_LIBEXEC") : TASSIS_LIBEXECDIR;
	while ((c = getopt(argc, argv, "c:fl:")) != -1) {
		if (c == 'c')
			m->main_conf = optarg;
		else if (c == 'l')
			m->libexec = optarg;
		else if (c == 'f')
			m->foreground = true;
		else
			return false;
	}
	return optind == argc;
}

/* We leave the folder we were started in. */
static const char *absolute(const char *path, char out[PATH_MAX])
{
	return realpath(path, out) != NULL ? out : path;
}

int master_main(int argc, char **argv)
{
	static char main_conf[PATH_MAX], libexec[PATH_MAX];
	struct master m = {.verdict = -1, .pid_fd = -1, .control_fd = -1};
	struct fault why = {0};
	int status = 1;

	list_init(&m.slots);
	list_init(&m.children);
	list_init(&m.ports);
	files_init(&m.files);
	if (!arguments(&m, argc, argv))
		return usage();
	m.main_conf = absolute(m.main_conf, main_conf);
	m.libexec = absolute(m.libexec, libexec);
	m.terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 4);
	if (!read_settings(&m))
		goto out;
	if (!m.foreground && !background_enter(&m.verdict, &why)) {
		(void)fprintf(stderr, "%s\n", why.text);
		goto out;
	}
	status = master_run(&m);
out:
	settings_destroy(m.settings);
	return status;
}
