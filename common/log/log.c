#include "common/log/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syslog.h>
#include <unistd.h>

#include "common/base/ascii.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fd.h"

/* A line's limit and a value's; a value may take four times as much once quoted. */
#define LINE_MAX_OCTETS 8192
#define VALUE_MAX_OCTETS 1000
/* Kept free for " ..." and LF. */
#define LINE_END_OCTETS 8

/* The one state that is not in a daemon's context: a process has one log, and an event may happen anywhere. */
static struct {
	int fd;
	bool syslog;
	enum log_level wanted;
	char daemon[48];
	int pid; /* as of log_open: a line needs no system call but its write */
} logger = {.fd = STDERR_FILENO, .wanted = LOG_LEVEL_INFO, .daemon = "tassis"};

static const struct {
	const char *name;
	enum log_level level;
} events[] = {
#define EVENT(name, level, text) {#name, LOG_LEVEL_##level},
	LOG_EVENTS(EVENT)
#undef EVENT
};

static const char *const keys[] = {
#define KEY(name, text) #name,
	LOG_KEYS(KEY)
#undef KEY
};

static bool is_bare(char c)
{
	return ascii_is_alnum(c) || (c && strchr("-._@:/+<>[]=~,", c) != NULL);
}

static void append_value(struct buf *line, struct slice whole)
{
	struct slice value = slice_head(whole, VALUE_MAX_OCTETS);
	size_t bare = 0;

	while (bare < value.n && is_bare(value.p[bare]))
		bare++;
	if (bare == value.n && value.n > 0) {
		buf_append(line, value);
		goto out;
	}
	buf_append_char(line, '"');
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if (c == '"' || c == '\\')
			buf_printf(line, "\\%c", c);
		else if (ascii_is_print((char)c))
			buf_append_char(line, (char)c);
		else
			buf_printf(line, "\\x%02X", c);
	}
	buf_append_char(line, '"');
out:
	if (value.n < whole.n)
		buf_append_cstr(line, "...");
}

static void append_field(struct buf *line, const struct log_field *f)
{
	char address[IP_TEXT_MAX];

	if (f->kind == LOG_FIELD_ID)
		return;
	if (f->kind == LOG_FIELD_FAULT) {
		buf_append_cstr(line, " status=");
		append_value(line, slice_of_cstr(fault_status(f->fault)));
		buf_append_cstr(line, " reason=");
		append_value(line, slice_of_cstr(f->fault->text));
		return;
	}
	buf_printf(line, " %s=", keys[f->key]);
	if (f->kind == LOG_FIELD_NUMBER)
		buf_printf(line, "%llu", (unsigned long long)f->number);
	else if (f->kind == LOG_FIELD_IP)
		append_value(line, slice_of_cstr(ip_text(f->ip, address)));
	else
		append_value(line, f->slice);
}

static int syslog_priority(enum log_level level)
{
	static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

	return LOG_MAIL | priorities[level];
}

static void send_line(struct buf *line)
{
	struct slice octets = buf_slice(line);

	/* There is nobody to tell when the log itself fails; a full syslog socket must not hold up the mail. */
	if (logger.syslog)
		(void)!send(logger.fd, octets.p, octets.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (buf_append_char(line, '\n'))
		while (write(logger.fd, buf_slice(line).p, buf_length(line)) < 0 && errno == EINTR)
			;
}

/* What does not fit in the line is left out, field by field from the end; " ..." says so. */
static void append_fields(struct buf *line, const struct log_field *fields, size_t n)
{
	size_t before = buf_length(line);

	for (size_t i = 0; i < n && !line->failed; i++) {
		before = buf_length(line);
		append_field(line, &fields[i]);
	}
	line->max = LINE_MAX_OCTETS;
	if (line->failed) {
		buf_truncate(line, before);
		buf_append_cstr(line, " ...");
	}
}

void log_write(enum log_name name, const struct log_field *fields, size_t n)
{
	int error = errno;
	struct buf line;
	size_t before;

	if (!log_wanted(events[name].level))
		return;
	buf_init(&line, LINE_MAX_OCTETS - LINE_END_OCTETS);
	(void)buf_reserve(&line, 1024); /* one allocation for nearly every line */
	if (logger.syslog) { /* RFC 3164 4.1, without time and host, which the local daemon adds */
		buf_printf(&line, "<%d>tassis/%s[%d]: ", syslog_priority(events[name].level), logger.daemon, logger.pid ? logger.pid : (int)getpid());
	} else {
		clock_append_rfc3339(&line, clock_wall_us());
		buf_printf(&line, " %s[%d] ", logger.daemon, logger.pid ? logger.pid : (int)getpid());
	}
	before = buf_length(&line);
	for (size_t i = 0; i < n; i++)
		if (fields[i].kind == LOG_FIELD_ID && fields[i].slice.n)
			append_value(&line, fields[i].slice);
	buf_printf(&line, "%s %s", buf_length(&line) == before ? "-" : "", events[name].name);
	append_fields(&line, fields, n);
	send_line(&line);
	buf_fini(&line);
	errno = error;
}

void log_open(const char *daemon, int fd, bool syslog, enum log_level wanted)
{
	snprintf(logger.daemon, sizeof(logger.daemon), "%s", daemon);
	logger.pid = (int)getpid();
	log_reopen(fd, syslog, wanted);
}

void log_reopen(int fd, bool syslog, enum log_level wanted)
{
	if (logger.fd != fd && logger.fd != STDERR_FILENO)
		fd_close(&logger.fd);
	logger.fd = fd;
	logger.syslog = syslog;
	logger.wanted = wanted;
}

void log_close(void)
{
	log_reopen(STDERR_FILENO, false, logger.wanted);
}

bool log_wanted(enum log_level level)
{
	return level <= logger.wanted;
}

const char *log_event_name(enum log_name name)
{
	return events[name].name;
}
