/* main.conf as setup wants it: the lines that it is asked about, in the places that they have; every other line stays. */
#include "admin/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/commands.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/service/layout.h"
#include "common/service/main_conf.h"

#define SHIPPED TASSIS_SHAREDIR "/main.conf"

/* ---- reading ---- */

static bool slurp(const char *path, struct buf *out, struct fault *why)
{
	return fd_slurp_path(path, out, NULL, why);
}

static bool parse(struct setup *s, struct fault *why)
{
	struct buf problems;
	bool ok;

	buf_init(&problems, 65536);
	ok = settings_parse(buf_slice(&s->text), s->main_conf, &s->settings, &problems);
	if (!ok) {
		(void)fprintf(stderr, "%.*s", SLICE_PRINTF(buf_slice(&problems)));
		fault_set(why, "5.3.5", "%s has mistakes, and is left as it is; mend it, or put it away, and run this again", s->main_conf);
	}
	buf_fini(&problems);
	return ok;
}

bool setup_conf_read(struct setup *s, struct fault *why)
{
	struct buf shipped;
	bool ok = false;

	buf_init(&shipped, MAIN_CONF_MAX);
	if (!slurp(SHIPPED, &shipped, why))
		goto out;
	if (access(s->main_conf, F_OK) != 0 && errno == ENOENT) {
		s->fresh = true;
		ok = buf_append(&s->text, buf_slice(&shipped));
	} else if ((ok = slurp(s->main_conf, &s->text, why))) {
		s->fresh = slice_equal(buf_slice(&s->text), buf_slice(&shipped));
	}
	ok = ok && parse(s, why);
out:
	buf_fini(&shipped);
	return ok;
}

/* ---- lines ---- */

/* What stands behind "NAME =", or behind "#NAME =" with commented: "# NAME = " is prose. */
static bool line_of(struct slice line, const char *name, bool commented, struct slice *value)
{
	struct slice key;

	line = slice_trim(line);
	if (commented && (!slice_starts(line, SLICE("#")) || slice_starts(line, SLICE("# "))))
		return false;
	line = slice_tail(line, commented ? 1 : 0);
	if (slice_find(line, '=') == SIZE_MAX || !slice_cut(&line, '=', &key) ||
	    !slice_equal(slice_trim(key), slice_of_cstr(name)))
		return false;
	*value = slice_trim(line);
	return true;
}

static bool text_has(struct slice text, const char *name, bool commented)
{
	struct slice line, value;

	while (slice_cut(&text, '\n', &line))
		if (line_of(line, name, commented, &value))
			return true;
	return false;
}

bool setup_conf_has(const struct setup *s, const char *name)
{
	return text_has(buf_slice(&s->text), name, false);
}

static void put(struct buf *out, const struct setup_setting *setting)
{
	for (unsigned i = 0; i < setting->n; i++)
		buf_printf(out, "%s = %s\n", setting->name, setting->lines[i]);
}

bool setup_conf_set(struct buf *text, const struct setup_setting *setting, struct fault *why)
{
	struct slice rest = slice_trim(buf_slice(text)), line, value;
	bool commented = !text_has(rest, setting->name, false), placed = false;
	struct buf out;

	buf_init_secret(&out, MAIN_CONF_MAX);
	while (slice_cut(&rest, '\n', &line)) {
		if (!line_of(line, setting->name, commented, &value) || (commented && placed)) {
			buf_append(&out, line);
			buf_append_char(&out, '\n');
		} else if (!placed) {
			put(&out, setting);
			placed = true;
		}
	}
	if (!placed)
		put(&out, setting);
	if (out.failed) {
		fault_set(why, "4.3.1", "no memory for main.conf");
		buf_fini(&out);
		return false;
	}
	buf_fini(text);
	*text = out;
	return true;
}

/* Are these the lines that the file has? */
static bool is_so(struct slice text, const struct setup_setting *setting)
{
	struct slice line, value;
	unsigned n = 0;

	while (slice_cut(&text, '\n', &line)) {
		if (!line_of(line, setting->name, false, &value))
			continue;
		if (n >= setting->n || !slice_equal(value, slice_of_cstr(setting->lines[n])))
			return false;
		n++;
	}
	return n == setting->n;
}

/* ---- what setup wants ---- */

struct wanted {
	struct setup_setting settings[24];
	unsigned n;
	char paths[6][PATH_MAX];
	unsigned n_paths;
	char listen[8][96];
	char secret[1024];
};

static struct setup_setting *want(struct wanted *w, const char *name)
{
	struct setup_setting *s = &w->settings[w->n++];

	*s = (struct setup_setting){.name = name};
	return s;
}

static void want_one(struct wanted *w, const char *name, const char *value)
{
	struct setup_setting *s = want(w, name);

	s->lines[0] = value;
	s->n = value[0] != '\0';
}

static void want_listen(struct wanted *w, const struct setup *s, bool low)
{
	static const char *const kinds[] = {"smtp starttls", "submission required", "submission implicit"};
	static const char *const options[] = {"--smtp-port", "--submission-port", "--smtps-port"};
	static const char *const low_ports[] = {"25", "587", "465"}, *const high_ports[] = {"2525", "2587", "2465"};
	const char *address = arguments_value(&s->args, "--address");
	const char *const addresses[] = {address != NULL ? address : "0.0.0.0", "[::]"};
	struct setup_setting *listen = want(w, "listen");

	for (unsigned kind = 0; kind < 3; kind++) {
		const char *port = arguments_value(&s->args, options[kind]);

		if (port == NULL)
			port = low ? low_ports[kind] : high_ports[kind];
		for (unsigned i = 0; i < (address != NULL ? 1 : 2); i++) {
			bool brackets = strchr(addresses[i], ':') != NULL && addresses[i][0] != '[';

			(void)snprintf(w->listen[listen->n], sizeof(w->listen[0]), "%s%s%s:%s %s", brackets ? "[" : "", addresses[i],
				       brackets ? "]" : "", port, kinds[kind]);
			listen->lines[listen->n] = w->listen[listen->n];
			listen->n++;
		}
	}
}

static void want_path(struct wanted *w, const struct setup *s, const char *setting, const char *name)
{
	char *path = w->paths[w->n_paths++];

	if (setup_conf_has(s, setting))
		return; /* the administrator's choice */
	(void)snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX - 32, s->folder, name);
	want_one(w, setting, path);
}

static void want_places(struct wanted *w, const struct setup *s)
{
	bool low = geteuid() == 0 && s->folder[0] == '\0';
	bool asked = arguments_has(&s->args, "--smtp-port") || arguments_has(&s->args, "--submission-port") ||
		     arguments_has(&s->args, "--smtps-port") || arguments_has(&s->args, "--address");

	if (asked || !setup_conf_has(s, "listen") || (s->fresh && !low))
		want_listen(w, s, low);
	if (s->folder[0] != '\0') {
		want_path(w, s, "spool_dir", "spool");
		want_path(w, s, "mail_dir", "mail");
		want_path(w, s, "state_dir", "state");
		want_path(w, s, "log_file", "tassis.log");
	}
	if (!setup_conf_has(s, "log_to") && (s->folder[0] != '\0' || access("/dev/log", F_OK) != 0))
		want_one(w, "log_to", "file");
}

static bool want_certificate(struct wanted *w, const struct setup *s, struct fault *why)
{
	if (s->certificate == SETUP_AS_IS)
		return true;
	want_one(w, "tls_certificate", s->certificate == SETUP_FILES ? s->certificate_file : "");
	want_one(w, "tls_key", s->certificate == SETUP_FILES ? s->key_file : "");
	if (!slice_cstr(buf_slice(&s->certificate_password), w->secret, sizeof(w->secret), why))
		return false;
	want_one(w, "tls_password", s->certificate == SETUP_FILES ? w->secret : "");
	return true;
}

static bool want_all(struct wanted *w, const struct setup *s, struct fault *why)
{
	want_one(w, "hostname", s->hostname);
	want_places(w, s);
	if (s->database != SETUP_DATABASE_AS_IS) {
		want_one(w, "database", s->conninfo);
		want_one(w, "database_admin", s->conninfo_admin);
	}
	if (!setup_conf_has(s, "postmaster"))
		want_one(w, "postmaster", s->user.whole);
	return want_certificate(w, s, why);
}

/* ---- writing ---- */

/* The lines that say something else than the answers do. */
static bool no_conflict(const struct setup *s, const struct wanted *w, struct fault *why)
{
	struct buf names;

	buf_init(&names, 1024);
	for (unsigned i = 0; i < w->n; i++)
		if (!is_so(buf_slice(&s->text), &w->settings[i]) && setup_conf_has(s, w->settings[i].name))
			buf_printf(&names, " %s", w->settings[i].name);
	if (buf_length(&names) > 0)
		fault_set(why, "5.3.5", "%s says something else of%.*s, and is left as it is: change these lines yourself, or say --force, which keeps "
			  "the old file beside the new one", s->main_conf, SLICE_PRINTF(buf_slice(&names)));
	buf_fini(&names);
	return why->text[0] == '\0';
}

/* A new file of that name, or false with errno. */
static bool write_new(const char *path, struct slice octets)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	bool ok = fd >= 0 && fd_write_all(fd, octets.p, octets.n, -1) && fsync(fd) == 0;

	fd_close(&fd);
	return ok;
}

static bool write_file(const char *path, struct slice octets, struct fault *why)
{
	char temporary[PATH_MAX];
	int n = snprintf(temporary, sizeof(temporary), "%s.new", path);
	bool ok = false;

	if (n > 0 && (size_t)n < sizeof(temporary)) {
		(void)unlink(temporary);
		ok = write_new(temporary, octets) && rename(temporary, path) == 0;
	}
	if (!ok)
		fault_errno(why, "4.3.5", "cannot write %s", path);
	return ok;
}

/* Under a name that says when, and is nobody's yet. */
static bool keep_old(const char *path, struct fault *why)
{
	char kept[PATH_MAX], at[32] = "";
	time_t now = time(NULL);
	struct buf old;
	struct tm tm;
	bool ok = false;

	if (access(path, F_OK) != 0)
		return true;
	buf_init_secret(&old, MAIN_CONF_MAX);
	if (!slurp(path, &old, why))
		goto out;
	if (gmtime_r(&now, &tm) != NULL)
		(void)strftime(at, sizeof(at), "%Y%m%d-%H%M%S", &tm);
	for (unsigned i = 0; i < 100 && !ok; i++) {
		int n = snprintf(kept, sizeof(kept), i == 0 ? "%s.%s" : "%s.%s-%u", path, at, i);

		ok = n > 0 && (size_t)n < sizeof(kept) && write_new(kept, buf_slice(&old));
		if (!ok && errno != EEXIST)
			break;
	}
	if (ok)
		(void)printf("The old main.conf is kept as %s.\n", kept);
	else
		fault_errno(why, "4.3.5", "cannot keep the old %s beside the new one", path);
out:
	buf_fini(&old);
	return ok;
}

static bool make_folder_of(const char *path, struct fault *why)
{
	char folder[PATH_MAX];
	char *end;

	(void)snprintf(folder, sizeof(folder), "%s", path);
	if ((end = strrchr(folder, '/')) == NULL || end == folder)
		return true;
	*end = '\0';
	if (mkdir(folder, 0755) == 0 || errno == EEXIST)
		return true;
	fault_errno(why, "4.3.5", "cannot make the folder %s", folder);
	return false;
}

static bool change_text(struct setup *s, const struct wanted *w, struct buf *text, bool *changed, struct fault *why)
{
	for (unsigned i = 0; i < w->n; i++) {
		if (is_so(buf_slice(text), &w->settings[i]))
			continue;
		*changed = true;
		if (!setup_conf_set(text, &w->settings[i], why))
			return false;
	}
	/* What is written must be what can be read. */
	buf_fini(&s->text);
	s->text = *text;
	*text = (struct buf){0};
	settings_destroy(s->settings);
	s->settings = NULL;
	return parse(s, why);
}

bool setup_conf_write(struct setup *s, bool force, struct fault *why)
{
	bool there = access(s->main_conf, F_OK) == 0, changed = false, ok = false;
	struct wanted w = {0};
	struct buf text;

	buf_init_secret(&text, MAIN_CONF_MAX);
	if (!want_all(&w, s, why) || (!force && !s->fresh && !no_conflict(s, &w, why)))
		goto out;
	if (!buf_append(&text, buf_slice(&s->text))) {
		fault_set(why, "4.3.1", "no memory for main.conf");
		goto out;
	}
	if (!change_text(s, &w, &text, &changed, why))
		goto out;
	if (there && !changed) {
		(void)printf("%s is as it should be.\n", s->main_conf);
		ok = true;
		goto out;
	}
	ok = make_folder_of(s->main_conf, why) && keep_old(s->main_conf, why) && write_file(s->main_conf, buf_slice(&s->text), why);
	if (ok)
		(void)printf("%s is written.\n", s->main_conf);
out:
	buf_fini(&text);
	return ok;
}
