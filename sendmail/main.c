/* sendmail/main.c: the program that cron, mutt, PHP and the rest call to send a message; also mailq
 * and newaliases. See sendmail.h.
 * Touches: standard input and output; what it calls stands in its files. */
#include "sendmail/sendmail.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/ascii.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/spool/id.h"
#include "sendmail/client.h"
#include "sendmail/drop.h"
#include "sendmail/mailq.h"
#include "sendmail/message.h"
#include "sendmail/options.h"
#include "sendmail/recipients.h"
#include "sendmail/relay.h"
#include "sendmail/where.h"

#define ADDRESS_BYTES 4096
#define ID_WORKER 253 /* of the Message-ID */

int say(int status, const char *template, ...)
{
	va_list args;

	va_start(args, template);
	(void)fputs("sendmail: ", stderr);
	(void)vfprintf(stderr, template, args);
	(void)fputc('\n', stderr);
	va_end(args);
	return status;
}

/* Which of sysexits.h, where the input is of that kind. */
static int status_of(const struct fault *why, int permanent)
{
	return why->class == FAULT_PERMANENT ? permanent : EX_TEMPFAIL;
}

/* ---- the caller ---- */

struct caller {
	struct buf login, full_name;
};

/* What stands in /etc/passwd: "Ann Other,room 7,…", & for the login with a capital. */
static void append_gecos(struct caller *c, struct slice gecos)
{
	struct slice login = buf_slice(&c->login);

	for (size_t i = 0; i < gecos.n && gecos.p[i] != ','; i++) {
		if (gecos.p[i] == '&' && login.n > 0) {
			buf_append_char(&c->full_name, ascii_upper(login.p[0]));
			buf_append(&c->full_name, slice_tail(login, 1));
		} else {
			buf_append_char(&c->full_name, gecos.p[i]);
		}
	}
}

/* Whoever it is: an account without a name has its number. */
static void find_caller(struct caller *c)
{
	const struct passwd *pw = getpwuid(getuid());

	buf_init(&c->login, 1024);
	buf_init(&c->full_name, 1024);
	if (pw != NULL) {
		buf_append_cstr(&c->login, pw->pw_name);
		append_gecos(c, slice_of_cstr(pw->pw_gecos));
	} else {
		buf_printf(&c->login, "uid%lu", (unsigned long)getuid());
	}
}

/* ---- a message ---- */

struct sending {
	const struct options *options;
	const struct where *where;
	struct caller caller;
	struct buf own;	   /* the caller's own address */
	struct buf sender; /* the reverse-path */
	struct message message;
	struct recipients recipients;
};

static struct slice hostname_of(const struct sending *s)
{
	return slice_of_cstr(s->where->hostname);
}

static int find_sender(struct sending *s)
{
	struct slice given = slice_of_cstr(s->options->sender != NULL ? s->options->sender : "");
	struct fault why = {0};

	find_caller(&s->caller);
	buf_init(&s->own, ADDRESS_BYTES);
	buf_init(&s->sender, ADDRESS_BYTES);
	if (!mailbox_complete(buf_slice(&s->caller.login), hostname_of(s), false, &s->own, &why))
		return say(EX_OSERR, "the account's name makes no address: %s", why.text);
	if (s->options->sender == NULL)
		buf_append(&s->sender, buf_slice(&s->own));
	else if (slice_starts(given, SLICE("<")) && slice_ends(given, SLICE(">")) && given.n > 2)
		given = slice_of(given.p + 1, given.n - 2);
	if (s->options->sender != NULL &&
	    !mailbox_complete(given, hostname_of(s), true, &s->sender, &why))
		return say(EX_USAGE, "-f: %s", why.text);
	return EX_OK;
}

static int read_recipients(struct sending *s)
{
	struct fault why = {0};

	for (char **one = s->options->operands; *one != NULL; one++)
		if (!recipients_add(&s->recipients, slice_of_cstr(*one), &why))
			return say(status_of(&why, EX_USAGE), "%s", why.text);
	if (s->recipients.n == 0 && !s->options->from_header)
		return say(
			EX_USAGE,
			"to whom? Recipients stand on the command line or, with -t, in the header");
	return EX_OK;
}

static int read_message(struct sending *s)
{
	struct slice full_name = s->options->full_name != NULL
					 ? slice_of_cstr(s->options->full_name)
					 : buf_slice(&s->caller.full_name);
	struct author author = {
		.address = buf_slice(buf_length(&s->sender) > 0 ? &s->sender : &s->own),
		.full_name = full_name};
	struct spool_id_source ids;
	char id[SPOOL_ID_LENGTH + 1];
	struct fault why = {0};

	if (!message_read(STDIN_FILENO, s->options->dot_is_text, s->where->message_size_max,
			  &s->message, &why))
		return say(why.class == FAULT_PERMANENT ? EX_DATAERR : EX_IOERR, "not sent: %s",
			   why.text);
	if (s->options->from_header &&
	    !recipients_add_of_header(&s->recipients, buf_slice(&s->message.header), &why))
		return say(status_of(&why, EX_DATAERR), "not sent: %s", why.text);
	if (s->recipients.n == 0)
		return say(EX_DATAERR, "not sent: the header names no recipient in To, Cc or Bcc");
	spool_id_source_init(&ids, hostname_of(s), ID_WORKER);
	spool_id_make(&ids, clock_wall_us(), id);
	if (!message_complete(&s->message, &author, slice_of_cstr(id), hostname_of(s),
			      clock_wall_us(), &why))
		return say(EX_OSERR, "not sent: %s", why.text);
	return EX_OK;
}

/* RFC 3461 4: xtext. */
static void append_xtext(const char *text, struct buf *out)
{
	for (; *text != '\0'; text++) {
		if (*text > ' ' && *text <= '~' && *text != '+' && *text != '=')
			buf_append_char(out, *text);
		else
			buf_printf(out, "+%02X", (unsigned)(unsigned char)*text);
	}
}

/* To an smtpd; what none takes now, into maildrop/. */
static int send_message(struct sending *s)
{
	struct buf envid;
	struct submission_request r = {.reverse_path = buf_slice(&s->sender),
				       .message = &s->message,
				       .recipients = &s->recipients,
				       .notify = slice_of_cstr(s->options->notify),
				       .ret = slice_of_cstr(s->options->ret)};
	int status, dropped = EX_OK;

	buf_init(&envid, 1024);
	if (s->options->envid != NULL)
		append_xtext(s->options->envid, &envid);
	r.envid = buf_slice(&envid);
	status = client_submit(s->where, &r);
	if (recipients_next(&s->recipients, NULL, RECIPIENT_LATER) != NULL)
		dropped = drop_message(s->where, &r);
	buf_fini(&envid);
	return dropped != EX_OK ? dropped : status;
}

static int submit(const struct options *o, const struct where *where)
{
	struct sending s = {.options = o, .where = where};
	int status;

	recipients_init(&s.recipients, hostname_of(&s));
	status = find_sender(&s);
	if (status == EX_OK)
		status = read_recipients(&s);
	if (status == EX_OK)
		status = read_message(&s);
	if (status == EX_OK)
		status = send_message(&s);
	recipients_fini(&s.recipients);
	message_fini(&s.message);
	buf_fini(&s.caller.login);
	buf_fini(&s.caller.full_name);
	buf_fini(&s.own);
	buf_fini(&s.sender);
	return status;
}

int main(int argc UNUSED, char **argv)
{
	struct where where;
	struct options o;
	struct fault why = {0};

	(void)signal(SIGPIPE, SIG_IGN);
	if (!options_parse(argv, &o, &why))
		return say(EX_USAGE, "%s", why.text);
	if (o.mode == MODE_NOTHING)
		return EX_OK;
	if (!where_find(o.conf, TASSIS_SYSCONFDIR, &where, &why))
		return say(EX_CONFIG, "%s", why.text);
	if (o.mode == MODE_QUEUE)
		return mailq(&where);
	return o.mode == MODE_SMTP ? relay(&where) : submit(&o, &where);
}
