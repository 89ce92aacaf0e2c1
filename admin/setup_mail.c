/* A mail to the first user, by the way that mail comes in: over our own SMTP port, until it lies in the Maildir.
 * Touches: that port; PostgreSQL as the tables' owner, who says where the Maildir is; the Maildir, which is only looked at. */
#include "admin/setup.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "admin/database.h"
#include "common/base/address.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/fd.h"
#include "common/conf/settings.h"
#include "common/service/layout.h"

#define REPLY_WITHIN_S 60
#define ARRIVES_WITHIN_MS 60000
#define LOOK_AGAIN_US 50000
#define REPLY_MAX 8192
#define ID_MAX 64

/* ---- the dialogue ---- */

struct dialogue {
	int fd;
	struct buf in;  /* read and not used */
	struct slice reply; /* the last line of the last reply; in `last` */
	char last[1024];
};

static bool read_line(struct dialogue *d, struct fault *why)
{
	char octets[1024];
	size_t end;
	ssize_t n;

	while ((end = slice_find(buf_slice(&d->in), '\n')) == SIZE_MAX) {
		n = read(d->fd, octets, sizeof(octets));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || !buf_append(&d->in, slice_of(octets, (size_t)n))) {
			fault_set(why, "4.3.0", "the SMTP port gave no answer");
			return false;
		}
	}
	d->reply = slice_trim(slice_head(buf_slice(&d->in), end));
	if (d->reply.n >= sizeof(d->last))
		d->reply.n = sizeof(d->last) - 1;
	memcpy(d->last, d->reply.p, d->reply.n);
	d->reply = slice_of(d->last, d->reply.n);
	buf_consume(&d->in, end + 1);
	return true;
}

/* Says words and reads the reply, which must begin with the digit. */
static bool say(struct dialogue *d, const char *words, char digit, struct fault *why)
{
	if (words[0] != '\0' && !fd_write_all(d->fd, words, strlen(words), -1)) {
		fault_errno(why, "4.3.0", "the SMTP port took no more");
		return false;
	}
	do {
		if (!read_line(d, why))
			return false;
	} while (d->reply.n > 3 && d->reply.p[3] == '-');
	if (d->reply.n > 0 && d->reply.p[0] == digit)
		return true;
	fault_set(why, "4.3.0", "the SMTP port answered \"%.*s\" to %.*s", SLICE_PRINTF(d->reply), (int)strcspn(words, "\r"),
		  words[0] != '\0' ? words : "a connection");
	return false;
}

static bool open_port(const struct setup *s, int *fd, struct fault *why)
{
	const struct timeval limit = {.tv_sec = REPLY_WITHIN_S};

	for (size_t i = 0; i < s->settings->listen.n; i++) {
		struct sockaddr_storage address;
		struct listener l;
		struct ip ip;
		uint16_t port;
		socklen_t n;

		if (!listener_parse(s->settings->listen.p[i], &l, NULL) || l.kind != LISTENER_SMTP || l.tls == LISTENER_TLS_IMPLICIT ||
		    l.tls == LISTENER_TLS_REQUIRED || !ip_port_parse(l.address, &ip, &port, NULL))
			continue;
		if (ip_is_unspecified(&ip) && !ip_parse(ip.family == 4 ? SLICE("127.0.0.1") : SLICE("::1"), &ip))
			continue;
		n = ip_to_sockaddr(&ip, port, &address);
		*fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (*fd >= 0 && setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
		    connect(*fd, (const struct sockaddr *)&address, n) == 0)
			return true;
		fault_errno(why, "4.3.0", "cannot connect to %.*s", SLICE_PRINTF(l.address));
		fd_close(fd);
	}
	if (why->text[0] == '\0')
		fault_set(why, "5.3.5", "no listen line has a port where mail may come in without TLS");
	return false;
}

static bool send_mail(const struct setup *s, struct dialogue *d, struct fault *why)
{
	char words[4096], date[64];
	time_t now = time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL || strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm) == 0)
		return false;
	(void)snprintf(words, sizeof(words), "EHLO %s\r\n", s->hostname);
	if (!say(d, "", '2', why) || !say(d, words, '2', why) || !say(d, "MAIL FROM:<>\r\n", '2', why))
		return false;
	(void)snprintf(words, sizeof(words), "RCPT TO:<%s>\r\n", s->user.whole);
	if (!say(d, words, '2', why) || !say(d, "DATA\r\n", '3', why))
		return false;
	(void)snprintf(words, sizeof(words),
		       "From: tassis <postmaster@%s>\r\nTo: <%s>\r\nSubject: tassis delivers mail on %s\r\nDate: %s\r\nMessage-ID: <setup.%lld.%ld@%s>\r\n"
		       "Auto-Submitted: auto-generated\r\n\r\n"
		       "tassis setup sent this mail through %s, and here it is.\r\n.\r\n",
		       s->domain, s->user.whole, s->hostname, date, (long long)now, (long)getpid(), s->hostname, s->hostname);
	return say(d, words, '2', why);
}

/* The message's id is the reply's last word. */
static bool id_of(const struct dialogue *d, char id[ID_MAX], struct fault *why)
{
	size_t at = slice_find_last(d->reply, ' ');

	return at != SIZE_MAX && slice_cstr(slice_tail(d->reply, at + 1), id, ID_MAX, why);
}

/* ---- the Maildir ---- */

static bool maildir_of(const struct setup *s, char out[PATH_MAX], struct fault *why)
{
	struct database db = {0};
	char *folder = NULL;
	bool ok = database_open(&db, s->settings, why) &&
		  database_ask(&db, &folder, why, "SELECT coalesce(rtrim(folder, '/'), domain || '/' || local_part) FROM users "
			       "WHERE domain = $1 AND local_part = $2", PARAMS(s->user.domain, s->user.local_part));

	database_close(&db);
	if (ok && folder == NULL)
		fault_set(why, "4.3.0", "there is no user %s", s->user.whole);
	ok = ok && folder != NULL && layout_path(s->settings->mail_dir, folder, out, PATH_MAX, why);
	free(folder);
	return ok;
}

static bool find(const char *maildir, const char *folder, const char *id, char path[PATH_MAX])
{
	char place[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	DIR *dir;
	int n = snprintf(place, sizeof(place), "%s/%s", maildir, folder);

	if (n < 0 || (size_t)n >= sizeof(place) || (dir = opendir(place)) == NULL)
		return false;
	while (!found && (entry = readdir(dir)) != NULL) {
		n = snprintf(path, PATH_MAX, "%s/%s", place, entry->d_name);
		found = strstr(entry->d_name, id) != NULL && n > 0 && n < PATH_MAX;
	}
	(void)closedir(dir);
	return found;
}

/* An IMAP server may have moved it to cur/ by then. */
static bool wait_for_it(const char *maildir, const char *id, char path[PATH_MAX], struct fault *why)
{
	uint64_t until_ms = clock_monotonic_ms() + ARRIVES_WITHIN_MS;

	while (!find(maildir, "new", id, path) && !find(maildir, "cur", id, path)) {
		if (clock_monotonic_ms() > until_ms) {
			fault_set(why, "4.3.0", "the mail %s was taken and is not in %s within a minute; `tassis queue show %s` says why", id, maildir, id);
			return false;
		}
		(void)usleep(LOOK_AGAIN_US);
	}
	return true;
}

bool setup_mail(const struct setup *s, char path[PATH_MAX], struct fault *why)
{
	struct dialogue d = {.fd = -1};
	char maildir[PATH_MAX], id[ID_MAX] = "";
	bool ok;

	buf_init(&d.in, REPLY_MAX);
	ok = maildir_of(s, maildir, why) && open_port(s, &d.fd, why) && send_mail(s, &d, why) && id_of(&d, id, why);
	if (ok)
		(void)!fd_write_all(d.fd, "QUIT\r\n", 6, -1);
	fd_close(&d.fd);
	buf_fini(&d.in);
	return ok && wait_for_it(maildir, id, path, why);
}
