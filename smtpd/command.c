#include <stdio.h>

#include "common/base/fault.h"
#include "common/log/log.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"
#include "smtpd/verbs.h"

static verb_fn *const verbs[SMTP_N_VERBS] = {
	[SMTP_EHLO] = verb_ehlo, [SMTP_HELO] = verb_helo,	  [SMTP_MAIL] = verb_mail,
	[SMTP_RCPT] = verb_rcpt, [SMTP_DATA] = verb_data,	  [SMTP_RSET] = verb_rset,
	[SMTP_NOOP] = verb_noop, [SMTP_QUIT] = verb_quit,	  [SMTP_VRFY] = verb_vrfy,
	[SMTP_HELP] = verb_help, [SMTP_STARTTLS] = verb_starttls, [SMTP_AUTH] = verb_auth,
};

enum next session_refuse_command(struct session *s, const struct reply *no)
{
	log_event(command_refused, F_ID(session_id(s)), F_IP(client, &s->address),
		  F_SLICE(user, s->user), F_NUMBER(reply, no->code), F_TEXT(status, no->status),
		  F_TEXT(reason, no->text));
	return session_refuse(s, no);
}

/* The session begins. */
enum next step_connected(struct session *s)
{
	struct fault why = {0};
	struct reply hello;

	if (s->tls == LISTENER_TLS_IMPLICIT && !stream_is_tls(&s->stream)) {
		if (!encryption_begin(s, &why)) {
			log_event(tls_failed, F_ID(session_id(s)), F_IP(client, &s->address),
				  F_FAULT(&why));
			s->ending = "TLS is not available";
			return NEXT_END;
		}
		return session_wait(s, STEP_encrypted);
	}
	/* RFC 5321 4.2: the greeting names us. RFC 2034 4: it has no enhanced status. */
	reply_set(&hello, 220, "", "%.*s ESMTP tassis",
		  SLICE_PRINTF(smtpd_settings(s->smtpd)->hostname));
	session_reply(s, &hello);
	return session_command(s);
}

/* RFC 5321 2.4: one line, one command. */
enum next step_command(struct session *s)
{
	struct slice line;
	struct smtp_command c;
	struct reply no;
	enum session_line what = session_take_line(s, &line);

	if (what != SESSION_LINE)
		return session_refuse_line(s, what);
	if (!smtp_command_parse(line, &c, &no))
		return session_refuse_command(s, &no);
	if (s->tls == LISTENER_TLS_REQUIRED && !stream_is_tls(&s->stream) &&
	    !(smtp_verb_flags(c.verb) & VERB_PLAIN)) {
		reply_set(&no, 530, "5.7.0", "say STARTTLS first"); /* RFC 3207 4 */
		return session_refuse_command(s, &no);
	}
	return verbs[c.verb](s, c.argument);
}

/* ---- EHLO, HELO ---- */

unsigned session_extensions(const struct session *s)
{
	unsigned offered = EXTENSION_SIZE | EXTENSION_8BITMIME | EXTENSION_DSN;

	if (!s->extended)
		return 0;
	return session_offers_auth(s) ? offered | EXTENSION_AUTH : offered;
}

/* RFC 5321 4.1.1.1: both end what was under way. */
static bool take_name(struct session *s, struct slice name, struct reply *no)
{
	struct fault why = {0};

	if (!smtp_client_says_name(name)) {
		reply_set(no, 501, "5.5.4", "say who you are: EHLO mail.example.org");
		return false;
	}
	if (!session_keep(s, name, &s->helo, &why)) {
		reply_set_fault(no, 452, &why);
		return false;
	}
	session_reset(s);
	return true;
}

enum next verb_ehlo(struct session *s, struct slice argument)
{
	const struct settings *conf = smtpd_settings(s->smtpd);
	struct reply r;

	if (!take_name(s, argument, &r))
		return session_refuse_command(s, &r);
	s->extended = true;
	reply_set(&r, 250, "",
		  "%.*s\nSIZE %llu\n8BITMIME\nPIPELINING\nENHANCEDSTATUSCODES\nDSN%s%s\nHELP",
		  SLICE_PRINTF(conf->hostname), (unsigned long long)conf->message_size_max,
		  encryption_is_offered(s) ? "\nSTARTTLS" : "",
		  session_offers_auth(s) ? "\nAUTH PLAIN LOGIN" : "");
	session_reply(s, &r);
	return session_command(s);
}

enum next verb_helo(struct session *s, struct slice argument)
{
	struct reply r;

	if (!take_name(s, argument, &r))
		return session_refuse_command(s, &r);
	s->extended = false;
	reply_set(&r, 250, "", "%.*s", SLICE_PRINTF(smtpd_settings(s->smtpd)->hostname));
	session_reply(s, &r);
	return session_command(s);
}

/* ---- the small ones ---- */

static enum next say(struct session *s, unsigned code, const char *status, const char *text)
{
	struct reply r;

	reply_set(&r, code, status, "%s", text);
	session_reply(s, &r);
	return session_command(s);
}

enum next verb_noop(struct session *s, struct slice argument)
{
	(void)argument;
	return say(s, 250, "2.0.0", "nothing done");
}

enum next verb_rset(struct session *s, struct slice argument)
{
	(void)argument;
	session_reset(s);
	return say(s, 250, "2.0.0", "forgotten");
}

/* RFC 5321 7.3: who is here is not told; whether mail would be taken, RCPT tells. */
enum next verb_vrfy(struct session *s, struct slice argument)
{
	struct reply no;

	if (argument.n > 0)
		return say(s, 252, "2.5.2", "not told; send a message and see");
	reply_set(&no, 501, "5.5.4", "the form is %s", smtp_verb_form(SMTP_VRFY));
	return session_refuse_command(s, &no);
}

enum next verb_help(struct session *s, struct slice argument)
{
	struct buf text;
	struct reply r;

	(void)argument;
	buf_init(&text, REPLY_TEXT_MAX);
	buf_append_cstr(&text, "these commands are done here:");
	for (size_t i = 0; i < SMTP_N_VERBS; i++)
		if (!(smtp_verb_flags((enum smtp_verb)i) & VERB_KNOWN_ONLY))
			buf_printf(&text, "\n%s", smtp_verb_form((enum smtp_verb)i));
	reply_set(&r, 214, "2.0.0", "%.*s", SLICE_PRINTF(buf_slice(&text)));
	buf_fini(&text);
	session_reply(s, &r);
	return session_command(s);
}

enum next verb_quit(struct session *s, struct slice argument)
{
	enum next next;
	struct reply r;

	(void)argument;
	reply_set(&r, 221, "2.0.0", "%.*s says goodbye",
		  SLICE_PRINTF(smtpd_settings(s->smtpd)->hostname));
	next = session_close(s, &r, "the client said QUIT");
	s->lingers = false;
	return next;
}
