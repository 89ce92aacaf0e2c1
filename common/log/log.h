/* common/log/log.h: one event, one line: time, daemon, message or session id, event name, key=value.
 * Touches: the one descriptor it was given, or syslog's socket. The only state outside a daemon's context: one
 * static logger a process, set up by log_open, used from the loop's thread alone.
 *
 * Nobody formats a peer's octets: the logger quotes. A value is bare where it is only letters, digits and -._@:/+<>[]=~, else in
 * double quotes with \" \\ \xHH. A value over 1000 octets is cut, and "..." follows it; so it does a line over 8192, which
 * loses whole fields. Every line ends with one LF and is one write, so that writers share a file.
 *
 *	log_event(recipient_refused, F_ID(t->id), F_SLICE(to, path), F_FAULT(&why));
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/address.h"
#include "common/base/attributes.h"
#include "common/base/fault.h"
#include "common/base/slice.h"
#include "common/log/events.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_name {
#define EVENT(name, level, text) LOG_EVENT_##name,
	LOG_EVENTS(EVENT)
#undef EVENT
};

enum log_key {
#define KEY(name, text) LOG_KEY_##name,
	LOG_KEYS(KEY)
#undef KEY
};

struct log_field {
	enum { LOG_FIELD_ID, LOG_FIELD_SLICE, LOG_FIELD_NUMBER, LOG_FIELD_IP, LOG_FIELD_FAULT } kind;
	enum log_key key;
	struct slice slice;
	uint64_t number;
	const struct ip *ip;
	const struct fault *fault;
};

/* The message's or session's id, which stands before the event's name; at most one a line. */
#define F_ID(s) ((struct log_field){.kind = LOG_FIELD_ID, .slice = (s)})
#define F_SLICE(k, s) ((struct log_field){.kind = LOG_FIELD_SLICE, .key = LOG_KEY_##k, .slice = (s)})
#define F_TEXT(k, s) F_SLICE(k, slice_of_cstr(s))
#define F_NUMBER(k, n) ((struct log_field){.kind = LOG_FIELD_NUMBER, .key = LOG_KEY_##k, .number = (uint64_t)(n)})
#define F_IP(k, a) ((struct log_field){.kind = LOG_FIELD_IP, .key = LOG_KEY_##k, .ip = (a)})
/* status= and reason= */
#define F_FAULT(f) ((struct log_field){.kind = LOG_FIELD_FAULT, .fault = (f)})

#define log_event(name, ...)                                                                                  \
	log_write(LOG_EVENT_##name, (const struct log_field[]){__VA_ARGS__},                                  \
		  sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

/* Writes the line when the event's level is wanted. Never fails, never blocks for long, keeps errno. */
void log_write(enum log_name name, const struct log_field *fields, size_t n);

/* Starts the process's logger, after its last fork. daemon is the name in each line ("smtpd/0"), copied. fd: where lines go (a file opened with O_APPEND, standard error);
 * takes it. syslog true: fd is a connected datagram socket of syslog, and lines get its frame (facility mail). Until it is
 * called, lines go to standard error. */
void log_open(const char *daemon, int fd, bool syslog, enum log_level wanted);
/* The descriptor after a rotation, or other settings: as log_open, the daemon's name stays. */
void log_reopen(int fd, bool syslog, enum log_level wanted);
void log_close(void);
bool log_wanted(enum log_level level);
const char *log_event_name(enum log_name name);

/* Appends the lists of tassis-log(5): every event with its level, every key. False: no room. */
struct buf;
bool log_print_mdoc(struct buf *out);
