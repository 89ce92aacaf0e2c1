#include "master/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/service/main_conf.h"
#include "common/tls/pair.h"
#include "master/certificate.h"
#include "master/sealed.h"
#include "master/templates.h"

#define SYSLOG_SOCKET "/dev/log"
#define RESOLV_CONF_MAX 65536
#define KEY_MAX (1u << 20)
#define AUTHORITIES_MAX (16u << 20)
#define ALIASES_MAX (1u << 20)

void files_init(struct files *f)
{
	*f = (struct files){.log = -1, .settings_public = -1, .settings_secret = -1, .certificate = -1, .key = -1,
			    .aliases = -1, .authorities = -1, .resolv = -1, .templates = -1};
}

void files_fini(struct files *f)
{
	fd_close(&f->log);
	fd_close(&f->settings_public);
	fd_close(&f->settings_secret);
	fd_close(&f->certificate);
	fd_close(&f->key);
	fd_close(&f->resolv);
	fd_close(&f->aliases);
	fd_close(&f->authorities);
	fd_close(&f->templates);
	free(f->certificate_path);
	free(f->key_path);
	files_init(f);
}

/* ---- has it changed? ---- */

static struct stamp stamp_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return (struct stamp){0};
	return (struct stamp){.there = true, .device = st.st_dev, .inode = st.st_ino, .size = st.st_size,
			      .changed = st.st_mtim};
}

static bool stamp_equal(const struct stamp *a, const struct stamp *b)
{
	return a->there == b->there && a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* ---- the log ---- */

/* Without a system log on this host there is nothing to connect to; lines are lost until there is one, and mail flows. */
static int syslog_connect(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = SYSLOG_SOCKET};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0)
		(void)!connect(fd, (const struct sockaddr *)&to, sizeof(to));
	return fd;
}

static bool log_open_target(const struct settings *s, int terminal, int *out, struct fault *why)
{
	char path[PATH_MAX];

	if (s->log_to == LOG_TO_SYSLOG) {
		*out = syslog_connect();
	} else if (s->log_to == LOG_TO_STDERR) {
		if (terminal < 0) {
			fault_set(why, "4.3.5", "log_to = stderr takes a restart: in the background the terminal was let go of");
			return false;
		}
		*out = fcntl(terminal, F_DUPFD_CLOEXEC, 4);
	} else {
		if (!slice_cstr(s->log_file, path, sizeof(path), why))
			return false;
		*out = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	}
	if (*out < 0) {
		fault_errno(why, "4.3.5", "cannot open the log%s%.*s", s->log_to == LOG_TO_FILE ? " " : "",
			    s->log_to == LOG_TO_FILE ? slice_int(s->log_file.n) : 0, s->log_file.p);
		return false;
	}
	return true;
}

bool files_log_reopen(struct files *f, const struct settings *s, int terminal, struct fault *why)
{
	struct stamp stamp = stamp_of(SYSLOG_SOCKET);
	int fd = -1;

	if (!log_open_target(s, terminal, &fd, why))
		return false;
	fd_close(&f->log);
	f->log = fd;
	f->syslog_stamp = stamp;
	return true;
}

enum files_look files_look_syslog(struct files *f, const struct settings *s, int terminal, struct fault *why)
{
	struct stamp now = stamp_of(SYSLOG_SOCKET);

	if (s->log_to != LOG_TO_SYSLOG || !now.there || stamp_equal(&now, &f->syslog_stamp))
		return FILES_SAME;
	f->syslog_stamp = now;
	return files_log_reopen(f, s, terminal, why) ? FILES_CHANGED : FILES_REFUSED;
}

/* ---- the settings ---- */

static bool settings_seal(const struct settings *s, enum settings_print_what what, int *fd, struct fault *why)
{
	struct buf text;
	bool ok = false;

	buf_init_secret(&text, MAIN_CONF_MAX);
	if (settings_print(s, what, &text))
		ok = sealed_make("settings", buf_slice(&text), fd, why);
	else
		fault_set(why, "4.3.1", "no memory for the settings");
	buf_fini(&text);
	return ok;
}

/* ---- certificate and key ---- */

static bool pair_load(struct files *f, const struct settings *s, struct fault *why)
{
	char certificate[PATH_MAX], key[PATH_MAX];

	if (!certificate_make(s, why) || !certificate_paths(s, certificate, key, sizeof(certificate), why))
		return false;
	/* Stamps before contents: a change in between is seen at the next look. */
	f->certificate_stamp = stamp_of(certificate);
	f->key_stamp = stamp_of(key);
	if (!certificate_load(s, certificate, key, &f->certificate, &f->key, why))
		return false;
	f->certificate_path = strdup(certificate);
	f->key_path = strdup(key);
	if (f->certificate_path == NULL || f->key_path == NULL) {
		fault_set(why, "4.3.1", "no memory for the certificate");
		return false;
	}
	return true;
}

enum files_look files_look_pair(struct files *f, const struct settings *s, struct fault *why)
{
	struct stamp certificate = stamp_of(f->certificate_path), key = stamp_of(f->key_path);
	int certificate_fd, key_fd;

	if (stamp_equal(&certificate, &f->certificate_stamp) && stamp_equal(&key, &f->key_stamp))
		return FILES_SAME;
	f->certificate_stamp = certificate;
	f->key_stamp = key;
	if (!certificate_load(s, f->certificate_path, f->key_path, &certificate_fd, &key_fd, why))
		return FILES_REFUSED;
	fd_close(&f->certificate);
	fd_close(&f->key);
	f->certificate = certificate_fd;
	f->key = key_fd;
	return FILES_CHANGED;
}

bool files_same_key(const struct files *a, const struct files *b)
{
	struct buf first, second;
	bool same;

	buf_init_secret(&first, KEY_MAX);
	buf_init_secret(&second, KEY_MAX);
	same = fd_slurp(a->key, &first, NULL) && fd_slurp(b->key, &second, NULL) &&
	       slice_equal(buf_slice(&first), buf_slice(&second));
	buf_fini(&first);
	buf_fini(&second);
	return same;
}

/* ---- resolv.conf ---- */

static bool resolv_load(int *out, struct fault *why)
{
	struct buf text;
	bool ok;

	buf_init(&text, RESOLV_CONF_MAX);
	ok = fd_slurp_path(FILES_RESOLV_CONF, &text, NULL, why) && sealed_make("resolv.conf", buf_slice(&text), out, why);
	buf_fini(&text);
	return ok;
}

enum files_look files_look_resolv(struct files *f, const struct settings *s, struct fault *why)
{
	struct stamp now = stamp_of(FILES_RESOLV_CONF);
	int fd = -1;

	if (s->dns_servers.n > 0 || stamp_equal(&now, &f->resolv_stamp))
		return FILES_SAME;
	f->resolv_stamp = now;
	if (!resolv_load(&fd, why))
		return FILES_REFUSED;
	fd_close(&f->resolv);
	f->resolv = fd;
	return FILES_CHANGED;
}

/* ---- aliases_file ---- */

enum files_look files_look_aliases(struct files *f, const struct settings *s, struct fault *why)
{
	char path[PATH_MAX];
	struct stamp now;
	struct buf text;
	bool ok;
	int fd = -1;

	if (!slice_cstr(s->aliases_file, path, sizeof(path), why))
		return FILES_REFUSED;
	now = stamp_of(path);
	if (f->aliases >= 0 && stamp_equal(&now, &f->aliases_stamp))
		return FILES_SAME;
	if (f->aliases < 0 && now.there && stamp_equal(&now, &f->aliases_stamp))
		return FILES_SAME; /* as little to be used as before */
	f->aliases_stamp = now;
	buf_init(&text, ALIASES_MAX);
	ok = (!now.there || fd_slurp_path(path, &text, NULL, why)) && sealed_make("aliases", buf_slice(&text), &fd, why);
	buf_fini(&text);
	if (!ok)
		return FILES_REFUSED;
	fd_close(&f->aliases);
	f->aliases = fd;
	return FILES_CHANGED;
}

/* ---- delivery_tls_ca ---- */

static bool authorities_load(const char *path, int *out, struct fault *why)
{
	struct fault what = {0};
	struct buf text;
	unsigned n;
	bool ok;

	buf_init(&text, AUTHORITIES_MAX);
	ok = fd_slurp_path(path, &text, NULL, &what);
	if (ok && !tls_roots_count(buf_slice(&text), &n, &what)) {
		fault_add(&what, "%s", path);
		ok = false;
	}
	ok = ok && sealed_make("authorities", buf_slice(&text), out, &what);
	buf_fini(&text);
	if (!ok)
		fault_set(why, fault_status(&what),
			  "%s; delivery_tls_ca should name the certificates of the authorities that are "
			  "trusted, in PEM: the usual ones come with the package ca-certificates",
			  what.text);
	return ok;
}

enum files_look files_look_authorities(struct files *f, const struct settings *s, struct fault *why)
{
	char path[PATH_MAX];
	struct stamp now;
	int fd = -1;

	if (!slice_cstr(s->delivery_tls_ca, path, sizeof(path), why))
		return FILES_REFUSED;
	now = stamp_of(path);
	if (stamp_equal(&now, &f->authorities_stamp))
		return FILES_SAME;
	f->authorities_stamp = now;
	if (!now.there && s->delivery_tls_trust == DELIVERY_TLS_TRUST_ANY)
		return FILES_SAME;
	if (!authorities_load(path, &fd, why))
		return FILES_REFUSED;
	fd_close(&f->authorities);
	f->authorities = fd;
	return FILES_CHANGED;
}

/* Without them nothing can be trusted; where nothing need be, a mistake is told at the first look. */
static bool authorities_first(struct files *f, const struct settings *s, struct fault *why)
{
	/* No stamp is like a file that is not there, which it must not be taken for here. */
	f->authorities_stamp = (struct stamp){.there = true};
	if (files_look_authorities(f, s, why) != FILES_REFUSED)
		return true;
	f->authorities_stamp = (struct stamp){.there = true};
	return s->delivery_tls_trust == DELIVERY_TLS_TRUST_ANY;
}

bool files_load(struct files *f, const struct settings *s, int terminal, struct fault *why)
{
	files_init(f);
	if (files_log_reopen(f, s, terminal, why) &&
	    settings_seal(s, SETTINGS_PRINT_PUBLIC, &f->settings_public, why) &&
	    settings_seal(s, SETTINGS_PRINT_CHANGED, &f->settings_secret, why) && pair_load(f, s, why) &&
	    authorities_first(f, s, why) && templates_seal(s, &f->templates, why)) {
		/* Without it resolvd asks 127.0.0.1, as the C library does; the file may come later. */
		(void)files_look_resolv(f, s, NULL);
		/* Told at the first look. */
		if (files_look_aliases(f, s, NULL) == FILES_REFUSED)
			f->aliases_stamp = (struct stamp){0};
		return true;
	}
	files_fini(f);
	return false;
}
