/* `tassis status`, `reload`, `stop`: what master and the daemons are asked at their sockets in control/. Touches: those sockets. */
#include "admin/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/ipc/link.h"
#include "common/service/layout.h"
#include "common/service/main_conf.h"

#define ANSWER_WITHIN_MS 30000
#define STATUS_WITHIN_MS 2000
/* master gives its processes less than 30 seconds. */
#define STOP_WITHIN_MS 35000
#define LOOK_AGAIN_US 50000

/* Is somebody behind the socket? */
static bool is_there(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	ok = fd >= 0 && (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 || errno == EAGAIN || errno == EACCES);
	fd_close(&fd);
	return ok;
}

bool admin_is_running(const struct settings *s)
{
	char path[LAYOUT_SOCKET_PATH_MAX];

	return layout_socket_path(s, "control", "master", path, NULL) && is_there(path);
}

/* Each line of text behind prefix. */
static void print_lines(FILE *out, const char *prefix, struct slice text)
{
	struct slice line;

	if (slice_ends(text, SLICE("\n")))
		text.n--;
	while (slice_cut(&text, '\n', &line))
		(void)fprintf(out, "%s%.*s\n", prefix, SLICE_PRINTF(line));
}

static int ask(const char *path, const char *verb, const char *argument, const char *prefix, uint64_t within_ms,
	       struct fault *why)
{
	struct ipc_message m = IPC_MESSAGE(control_ask, .verb = slice_of_cstr(verb), .argument = slice_of_cstr(argument));
	struct ipc_message answer;
	struct buf frame;
	int status = ADMIN_FAILED;

	buf_init(&frame, IPC_FRAME_MAX);
	if (!ipc_ask_once(path, &m, within_ms, &frame, &answer, why)) {
		goto out;
	} else if (answer.type != IPC_TYPE_control_answer) {
		fault_set(why, "4.3.0", "%s answered another question", path);
		goto out;
	}
	status = answer.control_answer.refused ? ADMIN_FAILED : ADMIN_DONE;
	print_lines(status == ADMIN_DONE ? stdout : stderr, prefix, answer.control_answer.text);
out:
	buf_fini(&frame);
	return status;
}

int admin_control(const struct admin *a, const char *name, const char *verb, const char *argument)
{
	char path[LAYOUT_SOCKET_PATH_MAX];
	struct fault why = {0};
	int status = ADMIN_FAILED;

	if (layout_socket_path(a->settings, "control", name, path, &why)) {
		if (!is_there(path)) {
			(void)fprintf(stderr, "tassis is not running (nobody answers at %s)\n", path);
			return ADMIN_NOT_RUNNING;
		}
		status = ask(path, verb, argument, "", ANSWER_WITHIN_MS, &why);
	}
	if (why.text[0] != '\0')
		(void)fprintf(stderr, "tassis: %s\n", why.text);
	return status;
}

/* What a daemon says of itself; one that has nothing to say is left out. */
static void print_daemon_status(const struct settings *s, const char *role, unsigned worker)
{
	char path[LAYOUT_SOCKET_PATH_MAX], name[32], prefix[40];
	struct fault why = {0};

	(void)snprintf(name, sizeof(name), "%s.%u", role, worker);
	(void)snprintf(prefix, sizeof(prefix), "%s/%u ", role, worker);
	if (layout_socket_path(s, "control", name, path, &why) && is_there(path))
		(void)ask(path, "status", "", prefix, STATUS_WITHIN_MS, &why);
}

int command_status(const struct admin *a, int argc, char **argv)
{
	int status;

	(void)argv;
	if (argc > 1)
		return admin_usage("status");
	status = admin_control(a, "master", "status", "");
	if (status != ADMIN_DONE)
		return status;
	for (unsigned n = 0; n < a->settings->lookup_workers; n++)
		print_daemon_status(a->settings, "lookupd", n);
	print_daemon_status(a->settings, "queued", 0);
	return ADMIN_DONE;
}

/* ---- control ---- */

/* With a mistake in main.conf a running master can still be told to stop: what says where it is counts, and no other line. */
static bool lines_of_place(struct slice text, struct buf *out)
{
	struct slice line, name;

	while (slice_cut(&text, '\n', &line)) {
		struct slice rest = slice_trim(line);

		if (slice_cut(&rest, '=', &name) && slice_equal(slice_trim(name), SLICE("spool_dir")))
			buf_append(out, slice_trim(line));
		buf_append_char(out, '\n'); /* the lines keep their numbers */
	}
	return !out->failed;
}

static bool read_place(const char *main_conf, struct settings **out)
{
	struct buf all, place, problems;
	struct fault why = {0};
	bool ok = false;

	buf_init_secret(&all, MAIN_CONF_MAX);
	buf_init(&place, MAIN_CONF_MAX);
	buf_init(&problems, MAIN_CONF_MAX);
	if (!fd_slurp_path(main_conf, &all, NULL, &why))
		buf_printf(&problems, "%s\n", why.text);
	else
		ok = lines_of_place(buf_slice(&all), &place) &&
		     settings_parse(buf_slice(&place), main_conf, out, &problems);
	if (!ok)
		(void)fprintf(stderr, "%.*s", SLICE_PRINTF(buf_slice(&problems)));
	buf_fini(&all);
	buf_fini(&place);
	buf_fini(&problems);
	return ok;
}

/* master's lock on its pid file ends with it, whatever its end; one that was told to stop removes the file last of all. */
static bool has_ended(const char *pid_file)
{
	int fd = open(pid_file, O_RDONLY | O_CLOEXEC);
	bool ended = fd < 0 ? errno == ENOENT : flock(fd, LOCK_SH | LOCK_NB) == 0;

	fd_close(&fd);
	return ended;
}

static int wait_for_the_end(const struct settings *s)
{
	uint64_t until_ms = clock_monotonic_ms() + STOP_WITHIN_MS;
	char path[PATH_MAX];

	if (!layout_path(s->spool_dir, "master.pid", path, sizeof(path), NULL))
		return ADMIN_FAILED;
	while (!has_ended(path)) {
		if (clock_monotonic_ms() > until_ms) {
			(void)fprintf(stderr, "tassis: master has not ended in time; its pid stands in %s\n", path);
			return ADMIN_FAILED;
		}
		(void)usleep(LOOK_AGAIN_US);
	}
	return ADMIN_DONE;
}

static int control(const struct admin *a, const char *verb, const char *argument)
{
	int status = admin_control(a, "master", verb, argument);

	if (status == ADMIN_DONE && strcmp(verb, "stop") == 0) {
		status = wait_for_the_end(a->settings);
		if (status == ADMIN_DONE)
			(void)puts("tassis has stopped.");
	}
	return status;
}

/* What main.conf has besides is master's to judge: of a reload it names every mistake. */
int command_control(const struct admin *a, int argc, char **argv)
{
	struct admin with_place = *a;
	struct settings *settings = NULL;
	int status = ADMIN_FAILED;

	if (argc < 2 || argc > 3)
		return admin_usage("control");
	if (read_place(a->main_conf, &settings)) {
		with_place.settings = settings;
		status = control(&with_place, argv[1], argc > 2 ? argv[2] : "");
	}
	settings_destroy(settings);
	return status;
}
