/* AUTH PLAIN (RFC 4954, RFC 4616): the answer is lookupd's; the password is here for no longer than
 * it takes to ask. */
#include "common/base/ascii.h"
#include "common/base/fault.h"
#include "common/base/text_codec.h"
#include "common/log/log.h"
#include "smtpd/smtpd.h"
#include "smtpd/transaction.h"
#include "smtpd/verbs.h"

enum {
	CREDENTIALS_BYTES = 9216, /* of base64 in a line of 12,288 octets */
	PASSWORD_BYTES = 1024,
};

struct credentials {
	struct slice authzid, user, password;
};

static enum next refuse_login(struct session *s, struct slice user, const struct reply *no)
{
	log_event(authentication_refused, F_ID(session_id(s)), F_IP(client, &s->address),
		  F_SLICE(client_name, s->client_name), F_SLICE(helo, s->helo),
		  F_TEXT(mechanism, "PLAIN"), F_SLICE(user, user), F_NUMBER(reply, no->code),
		  F_TEXT(status, no->status), F_TEXT(reason, no->text));
	return session_refuse(s, no);
}

/* RFC 4616 2: [authzid] NUL authcid NUL passwd. */
static bool credentials_parse(struct slice message, struct credentials *c)
{
	struct slice rest = message;

	if (!slice_cut(&rest, '\0', &c->authzid) || !slice_cut(&rest, '\0', &c->user) ||
	    !slice_cut(&rest, '\0', &c->password))
		return false;
	return rest.p == NULL && c->user.n > 0 && c->password.n > 0 && c->user.n <= IPC_PATH_MAX &&
	       c->authzid.n <= IPC_PATH_MAX && c->password.n <= PASSWORD_BYTES;
}

static void answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct session *s = session_of(arg);

	(void)fd;
	(void)why;
	s->login = LOGIN_UNKNOWN;
	if (answer != NULL && answer->type == IPC_TYPE_auth_answer) {
		s->login = LOGIN_REFUSED;
		if (answer->auth_answer.accepted && answer->auth_answer.user.n > 0)
			s->login = session_keep(s, answer->auth_answer.user, &s->user, NULL)
					   ? LOGIN_ACCEPTED
					   : LOGIN_UNKNOWN;
	}
	session_note(s);
}

/* An account has one home among the lookupd, however its name is written. */
static struct ipc_peer *home_of_account(const struct session *s, struct slice user)
{
	char lower[IPC_PATH_MAX];

	for (size_t i = 0; i < user.n; i++)
		lower[i] = ascii_lower(user.p[i]);
	return service_peer_for(s->smtpd->service, IPC_ROLE_LOOKUPD, slice_of(lower, user.n));
}

static enum next ask(struct session *s, const struct credentials *c)
{
	struct ipc_peer *lookupd = home_of_account(s, c->user);
	struct ipc_message m = IPC_MESSAGE(auth_ask, .client = s->address, .authzid = c->authzid,
					   .user = c->user, .password = c->password);
	struct fault why = {0};
	struct reply no;

	if (!session_keep(s, c->user, &s->tried, &why) || lookupd == NULL ||
	    !ipc_ask(lookupd, &s->ask, &m, -1, session_limit_ms(s, STEP_auth_answered), true,
		     answered, s, &why)) {
		reply_set(&no, 454, "4.7.0", "nobody can be logged in now");
		return refuse_login(s, c->user, &no);
	}
	return session_wait(s, STEP_auth_answered);
}

/* An initial response or one on a line of its own. */
static enum next take_response(struct session *s, struct slice base64)
{
	struct credentials c;
	struct buf message;
	struct reply no;
	enum next next;

	buf_init_secret(&message, CREDENTIALS_BYTES);
	if (!base64_decode(&message, base64)) {
		reply_set(&no, 501, "5.5.2", "this is not base64");
		next = refuse_login(s, SLICE_EMPTY, &no);
	} else if (!credentials_parse(buf_slice(&message), &c)) {
		reply_set(&no, 501, "5.5.2", "this is no message of the mechanism PLAIN");
		next = refuse_login(s, SLICE_EMPTY, &no);
	} else {
		next = ask(s, &c);
	}
	buf_fini(&message);
	return next;
}

static bool may_log_in(const struct session *s, struct reply *no)
{
	if (!session_could_offer_auth(s))
		reply_set(no, 502, "5.5.1", "AUTH is not done here");
	else if (!session_offers_auth(s))
		reply_set(no, 530, "5.7.0", "say STARTTLS first");
	else if (s->user.n > 0)
		reply_set(no, 503, "5.5.1", "you have logged in already");
	else if (s->transaction != NULL)
		reply_set(no, 503, "5.5.1",
			  "a transaction is under way; RSET ends it"); /* RFC 4954 4 */
	else if (!s->extended)
		reply_set(no, 503, "5.5.1", "say EHLO first");
	else
		return true;
	return false;
}

enum next verb_auth(struct session *s, struct slice argument)
{
	struct slice mechanism, response, more;
	struct reply r;

	if (!may_log_in(s, &r))
		return refuse_login(s, SLICE_EMPTY, &r);
	if (!slice_word(&argument, &mechanism)) {
		reply_set(&r, 501, "5.5.4", "the form is %s", smtp_verb_form(SMTP_AUTH));
		return refuse_login(s, SLICE_EMPTY, &r);
	}
	if (!slice_equal_nocase(mechanism, SLICE("PLAIN"))) {
		reply_set(&r, 504, "5.5.4", "the mechanism done here is PLAIN");
		return refuse_login(s, SLICE_EMPTY, &r);
	}
	if (!slice_word(&argument, &response)) {
		reply_set(&r, 334, "", "%s", "");
		session_reply(s, &r);
		return session_wait(s, STEP_auth_response);
	}
	if (slice_word(&argument, &more)) {
		reply_set(&r, 501, "5.5.4", "the form is %s", smtp_verb_form(SMTP_AUTH));
		return refuse_login(s, SLICE_EMPTY, &r);
	}
	return take_response(s, slice_equal(response, SLICE("=")) ? SLICE_EMPTY : response);
}

enum next step_auth_response(struct session *s)
{
	struct slice line;
	struct reply no;
	enum session_line what = session_take_line(s, &line);

	if (what != SESSION_LINE)
		return session_refuse_line(s, what);
	if (slice_equal(line, SLICE("*"))) {
		reply_set(&no, 501, "5.7.0", "cancelled");
		return refuse_login(s, SLICE_EMPTY, &no);
	}
	return take_response(s, line);
}

enum next step_auth_answered(struct session *s)
{
	struct reply r;

	switch (s->login) {
	case LOGIN_ACCEPTED:
		log_event(authenticated, F_ID(session_id(s)), F_IP(client, &s->address),
			  F_SLICE(user, s->user), F_TEXT(mechanism, "PLAIN"));
		reply_set(&r, 235, "2.7.0", "logged in");
		session_reply(s, &r);
		return session_command(s);
	case LOGIN_REFUSED:
		reply_set(&r, 535, "5.7.8", "user or password is wrong");
		return refuse_login(s, s->tried, &r);
	case LOGIN_UNKNOWN:
		break;
	}
	reply_set(&r, 454, "4.7.0", "nobody can be logged in now");
	return refuse_login(s, s->tried, &r);
}
