/* `tassis setup`: from an installed tassis to a mail that lies in the first user's Maildir: five questions, or options, and the steps of setup.h.
 * Touches: what setup.h says, and what the commands touch that it runs: cluster, schema upgrade, domain add, user add, check, master, control reload. */
#include "admin/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/database.h"
#include "admin/secret.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/service/layout.h"
#include "common/service/main_conf.h"

#define OUTPUT_MAX 65536

static const char *libexec(void)
{
	return getenv("TASSIS_LIBEXEC") != NULL ? getenv("TASSIS_LIBEXEC") : TASSIS_LIBEXECDIR;
}

/* ---- the commands it runs ---- */

static bool wait_for(pid_t pid, int *status)
{
	while (waitpid(pid, status, 0) < 0)
		if (errno != EINTR)
			return false;
	return true;
}

NORETURN static void become(const char *path, char *const *argv, int in, int out)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (dup2(in >= 0 ? in : null, STDIN_FILENO) < 0 || (out >= 0 && dup2(out, STDOUT_FILENO) < 0))
		_exit(126);
	(void)execv(path, argv);
	(void)fprintf(stderr, "cannot run %s: %s\n", path, strerror(errno));
	_exit(127);
}

/* Gives it input on its standard input, and takes what it prints where output is not NULL. Its exit status must be 0. */
static bool run(const char *path, const char *const *words, struct slice input, struct buf *output, struct fault *why)
{
	union {
		const char *const *in;
		char *const *out;
	} argv = {.in = words}; /* execv takes no const and changes nothing */
	int in[2] = {-1, -1}, out[2] = {-1, -1}, status = 0;
	char octets[1024];
	bool ok = false;
	pid_t pid;
	ssize_t n;

	(void)fflush(stdout);
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		fault_errno(why, "4.3.0", "cannot run %s", path);
		goto out;
	}
	if (pid == 0)
		become(path, argv.out, in[0], output != NULL ? out[1] : -1);
	fd_close(&in[0]);
	fd_close(&out[1]);
	/* Shorter than a pipe holds. */
	(void)!fd_write_all(in[1], input.p, input.n, -1);
	fd_close(&in[1]);
	while (output != NULL && ((n = read(out[0], octets, sizeof(octets))) > 0 || (n < 0 && errno == EINTR)))
		if (n > 0)
			buf_append(output, slice_of(octets, (size_t)n));
	ok = wait_for(pid, &status) && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (!ok)
		fault_set(why, "4.3.0", "%s %s has failed; after mending what it says, run setup again", words[0],
			  words[1] != NULL && strcmp(words[1], "-c") != 0 ? words[1] : words[1] != NULL ? words[3] : "");
out:
	for (int i = 0; i < 2; i++) {
		fd_close(&in[i]);
		fd_close(&out[i]);
	}
	return ok;
}

/* Another of this program's commands. */
#define COMMAND(s, input, why, ...) \
	run("/proc/self/exe", (const char *const[]){"tassis", "-c", (s)->main_conf, __VA_ARGS__, NULL}, input, NULL, why)

/* ---- the private PostgreSQL ---- */

static bool line_after(struct slice text, const char *beginning, char *out, size_t size)
{
	struct slice line;

	while (slice_cut(&text, '\n', &line))
		if (slice_starts(line, slice_of_cstr(beginning)))
			return slice_cstr(slice_tail(line, strlen(beginning)), out, size, NULL);
	return false;
}

static bool make_cluster(struct setup *s, struct fault *why)
{
	char program[PATH_MAX], dir[PATH_MAX];
	const char *socket = s->folder[0] == '\0' && geteuid() == 0 ? "/run/tassis/postgresql" : NULL;
	struct buf shown;
	bool ok = false;

	if (s->database != SETUP_PRIVATE)
		return true;
	if (!layout_path(slice_of_cstr(libexec()), "cluster", program, sizeof(program), why))
		return false;
	if (s->folder[0] != '\0' && !setup_conf_has(s, "state_dir"))
		(void)snprintf(dir, sizeof(dir), "%.*s/state/postgresql", PATH_MAX - 32, s->folder);
	else if (!layout_path(s->settings->state_dir, "postgresql", dir, sizeof(dir), why))
		return false;
	(void)printf("The private PostgreSQL is in %s.\n", dir);
	buf_init(&shown, OUTPUT_MAX);
	ok = run(program, (const char *const[]){"cluster", "start", dir, socket, NULL}, SLICE_EMPTY, NULL, why) &&
	     run(program, (const char *const[]){"cluster", "show", dir, NULL}, SLICE_EMPTY, &shown, why);
	if (ok && (!line_after(buf_slice(&shown), "database = ", s->conninfo, sizeof(s->conninfo)) ||
		   !line_after(buf_slice(&shown), "database_admin = ", s->conninfo_admin, sizeof(s->conninfo_admin)))) {
		fault_set(why, "4.3.0", "%s does not say where its socket is", program);
		ok = false;
	}
	buf_fini(&shown);
	return ok;
}

/* ---- the steps ---- */

static bool user_is_there(const struct setup *s, bool *there, struct fault *why)
{
	struct database db = {0};
	uint64_t n = 0;
	bool ok = database_open(&db, s->settings, why) &&
		  database_ask_number(&db, &n, why, "SELECT count(*) FROM users WHERE domain = $1 AND local_part = $2",
				      PARAMS(s->user.domain, s->user.local_part));

	database_close(&db);
	*there = n > 0;
	return ok;
}

static bool fill_database(struct setup *s, struct fault *why)
{
	bool there = false;

	if (!COMMAND(s, SLICE_EMPTY, why, "schema", "upgrade") ||
	    !COMMAND(s, SLICE_EMPTY, why, "domain", "add", s->domain, "--if-not-exists") || !user_is_there(s, &there, why))
		return false;
	if (!there)
		return COMMAND(s, buf_slice(&s->password), why, "user", "add", s->user.whole, "--password-stdin");
	s->password_made = false;
	(void)printf("user %s is there already, and keeps the password\n", s->user.whole);
	return true;
}

static bool start(const struct setup *s, struct fault *why)
{
	char program[PATH_MAX];

	if (admin_is_running(s->settings))
		return COMMAND(s, SLICE_EMPTY, why, "control", "reload");
	return layout_path(slice_of_cstr(libexec()), "master", program, sizeof(program), why) &&
	       run(program, (const char *const[]){"master", "-c", s->main_conf, "-l", libexec(), NULL}, SLICE_EMPTY, NULL, why);
}

static void print_end(const struct setup *s, const char *path)
{
	bool elsewhere = strcmp(s->main_conf, TASSIS_SYSCONFDIR "/main.conf") != 0;

	(void)printf("\nA mail to %s came in by SMTP and lies in\n  %s\n", s->user.whole, path);
	if (s->password_made)
		(void)printf("The password of %s is %.*s\n", s->user.whole, SLICE_PRINTF(buf_slice(&s->password)));
	setup_dns_print(s);
	(void)printf("\nNext: publish these records; point Dovecot to the same users (%s/dovecot);", TASSIS_SHAREDIR);
	if (s->certificate == SETUP_SELF_SIGNED)
		(void)printf(" get a certificate that mail programs know;");
	(void)printf(" more users: `tassis%s%s user add NAME@%s`.\n", elsewhere ? " -c " : "", elsewhere ? s->main_conf : "", s->domain);
	if (geteuid() == 0 && access("/run/systemd/system", F_OK) == 0)
		(void)printf("At each boot, by systemd: `tassis stop; %s/cluster stop /var/lib/tassis/postgresql; systemctl enable --now "
			     "tassis-postgresql tassis`.\n", libexec());
	else if (s->database == SETUP_PRIVATE)
		(void)printf("At each boot: `%s/cluster start` with the folder above, then `tassis start`.\n", libexec());
}

static bool set_up(struct setup *s, struct fault *why)
{
	char path[PATH_MAX] = "";

	/* The tables are there before anything looks at them; main.conf says where. */
	if (!make_cluster(s, why) || !setup_conf_write(s, arguments_has(&s->args, "--force"), why) || !fill_database(s, why))
		return false;
	(void)printf("Checking:\n");
	if (!COMMAND(s, SLICE_EMPTY, why, "check") || !start(s, why))
		return false;
	(void)printf("tassis runs.\n");
	if (!setup_mail(s, path, why))
		return false;
	print_end(s, path);
	return true;
}

/* ---- the command ---- */

/* Where everything lies that main.conf does not say: an ordinary user has no /var. */
static bool find_folder(struct setup *s, struct fault *why)
{
	const char *given = arguments_value(&s->args, "--folder");
	char path[PATH_MAX], *end;

	if (given == NULL && geteuid() == 0)
		return true;
	if (given == NULL) {
		(void)snprintf(path, sizeof(path), "%s", s->main_conf);
		end = strrchr(path, '/');
		if (end == NULL)
			(void)snprintf(path, sizeof(path), ".");
		else
			*end = '\0';
		given = path;
	}
	if (realpath(given, s->folder) != NULL)
		return true;
	fault_errno(why, "5.5.4", "%s is no folder", given);
	return false;
}

static bool writable(const struct setup *s, struct fault *why)
{
	char folder[PATH_MAX], *end;

	(void)snprintf(folder, sizeof(folder), "%s", s->main_conf);
	if ((end = strrchr(folder, '/')) != NULL && end != folder)
		*end = '\0';
	if (end == NULL || access(folder, W_OK) == 0 || (errno == ENOENT && geteuid() == 0))
		return true;
	fault_errno(why, "4.3.5", "you may not write to %s; as an ordinary user name a main.conf of your own: tassis -c DIR/main.conf setup", folder);
	return false;
}

static bool begin(struct setup *s, int argc, char **argv, struct fault *why)
{
	if (!arguments_parse(&s->args, SETUP_USAGE, argc, argv, why))
		return false;
	/* Line by line: a password may follow the answers. */
	(void)setvbuf(stdin, NULL, _IONBF, 0);
	s->yes = arguments_has(&s->args, "--yes");
	return writable(s, why) && setup_conf_read(s, why) && find_folder(s, why) && setup_ask(s, why);
}

int command_setup(const struct admin *a, int argc, char **argv)
{
	struct setup *s = calloc(1, sizeof(*s));
	struct fault why = {0};
	bool ok;

	if (s == NULL)
		return ADMIN_FAILED;
	s->main_conf = a->main_conf;
	buf_init_secret(&s->text, MAIN_CONF_MAX);
	buf_init_secret(&s->password, SECRET_MAX);
	buf_init_secret(&s->certificate_password, SECRET_MAX);
	ok = begin(s, argc, argv, &why) && set_up(s, &why);
	if (why.text[0] != '\0')
		(void)fprintf(stderr, "tassis setup: %s\n", why.text);
	arguments_fini(&s->args);
	settings_destroy(s->settings);
	buf_fini(&s->text);
	buf_fini(&s->password);
	buf_fini(&s->certificate_password);
	free(s);
	return ok ? ADMIN_DONE : strcmp(why.status, "5.5.4") == 0 ? ADMIN_USAGE : ADMIN_FAILED;
}
