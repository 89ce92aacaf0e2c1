/* AUTH PLAIN (RFC 4954, RFC 4616) and AUTH LOGIN, which older mail programs speak: the server asks
 * for user and password, each in base64. The answer is lookupd's; the password is here for no
 * longer than it takes to ask. The refusal of a wrong login is held back for as long as the
 * account's and the client's wrong logins say. */
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

#define NAME_PLAIN "PLAIN"
#define NAME_LOGIN "LOGIN"

struct credentials {
	struct slice authzid, user, password;
};

static void log_refused(const struct session *s, struct slice mechanism, struct slice user,
			const struct reply *no)
{
	log_event(authentication_refused, F_ID(session_id(s)), F_IP(client, &s->address),
		  F_SLICE(client_name, s->client_name), F_SLICE(helo, s->helo),
		  F_SLICE(mechanism, mechanism), F_SLICE(user, user), F_NUMBER(reply, no->code),
		  F_TEXT(status, no->status), F_TEXT(reason, no->text));
}

/* A login by s->mechanism. */
static enum next refuse_login(struct session *s, struct slice user, const struct reply *no)
{
	log_refused(s, slice_of_cstr(s->mechanism), user, no);
	return session_refuse(s, no);
}

static enum next refuse_response(struct session *s, const char *why)
{
	struct reply no;

	reply_set(&no, 501, "5.5.2", "%s", why);
	return refuse_login(s, SLICE_EMPTY, &no);
}

static enum next refuse_for_now(struct session *s)
{
	struct reply no;

	reply_set(&no, 454, "4.7.0", "nobody can be logged in now");
	return refuse_login(s, s->tried, &no);
}

/* ---- asking lookupd ---- */

static void answered(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct session *s = session_of(arg);

	(void)fd;
	(void)why;
	s->login = LOGIN_UNKNOWN;
	if (answer != NULL && answer->type == IPC_TYPE_auth_answer) {
		s->login = LOGIN_REFUSED;
		s->hold_ms = answer->auth_answer.wait_ms;
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

	s->names_other = c->authzid.n > 0 && !slice_equal_nocase(c->authzid, c->user);
	s->hold_ms = 0;
	if (!session_keep(s, c->user, &s->tried, NULL) || lookupd == NULL ||
	    !ipc_ask(lookupd, &s->ask, &m, -1, session_limit_ms(s, STEP_auth_answered), true,
		     answered, s, NULL))
		return refuse_for_now(s);
	return session_wait(s, STEP_auth_answered);
}

/* ---- PLAIN ---- */

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

static enum next take_plain(struct session *s, struct slice message)
{
	struct credentials c;

	if (!credentials_parse(message, &c))
		return refuse_response(s, "this is no message of the mechanism " NAME_PLAIN);
	return ask(s, &c);
}

/* ---- LOGIN: draft-murchison-sasl-login ---- */

/* RFC 4954 4: 334 and a challenge in base64; the line that answers it wakes the step. */
static enum next challenge(struct session *s, const char *base64, enum session_step step)
{
	struct reply r;

	reply_set(&r, 334, "", "%s", base64);
	session_reply(s, &r);
	return session_wait(s, step);
}

static enum next take_user(struct session *s, struct slice user)
{
	if (user.n == 0 || user.n > IPC_PATH_MAX || slice_find(user, '\0') != SIZE_MAX)
		return refuse_response(s, "this is no user's name");
	if (!session_keep(s, user, &s->tried, NULL))
		return refuse_for_now(s);
	return challenge(s, "UGFzc3dvcmQ6", STEP_auth_password); /* "Password:" */
}

static enum next take_password(struct session *s, struct slice password)
{
	const struct credentials c = {.user = s->tried, .password = password};

	if (password.n == 0 || password.n > PASSWORD_BYTES)
		return refuse_response(s, "this is no password");
	return ask(s, &c);
}

/* ---- responses ---- */

typedef enum next take_fn(struct session *s, struct slice octets);

/* An initial response or one on a line of its own. */
static enum next take_response(struct session *s, struct slice base64, take_fn *take)
{
	struct buf octets;
	enum next next;

	buf_init_secret(&octets, CREDENTIALS_BYTES);
	next = base64_decode(&octets, base64) ? take(s, buf_slice(&octets))
					      : refuse_response(s, "this is not base64");
	buf_fini(&octets);
	return next;
}

static enum next take_line(struct session *s, take_fn *take)
{
	struct slice line;
	struct reply no;
	enum session_line what = session_take_line(s, &line);

	if (what != SESSION_LINE)
		return session_refuse_line(s, what);
	if (slice_equal(line, SLICE("*"))) { /* RFC 4954 4 */
		reply_set(&no, 501, "5.7.0", "cancelled");
		return refuse_login(s, SLICE_EMPTY, &no);
	}
	return take_response(s, line, take);
}

enum next step_auth_response(struct session *s)
{
	return take_line(s, take_plain);
}

enum next step_auth_user(struct session *s)
{
	return take_line(s, take_user);
}

enum next step_auth_password(struct session *s)
{
	return take_line(s, take_password);
}

/* ---- the command ---- */

static const struct mechanism {
	const char *name;
	const char *challenge; /* where there is no initial response */
	enum session_step step;
	take_fn *take;
} mechanisms[] = {
	{NAME_PLAIN, "", STEP_auth_response, take_plain},
	{NAME_LOGIN, "VXNlcm5hbWU6", STEP_auth_user, take_user}, /* "Username:" */
};

static const struct mechanism *mechanism_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(mechanisms); i++)
		if (slice_equal_nocase(name, slice_of_cstr(mechanisms[i].name)))
			return &mechanisms[i];
	return NULL;
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

/* What the command asks for: NULL, and *no. *response is empty where there is none. */
static const struct mechanism *read_command(const struct session *s, struct slice argument,
					    struct slice *name, struct slice *response,
					    struct reply *no)
{
	const struct mechanism *m;
	bool named = slice_word(&argument, name);
	struct slice more;

	if (!may_log_in(s, no))
		return NULL;
	m = mechanism_find(*name);
	if (!named || (slice_word(&argument, response) && slice_word(&argument, &more))) {
		reply_set(no, 501, "5.5.4", "the form is %s", smtp_verb_form(SMTP_AUTH));
		return NULL;
	}
	if (m == NULL)
		reply_set(no, 504, "5.5.4",
			  "the mechanisms done here are " NAME_PLAIN " and " NAME_LOGIN);
	return m;
}

enum next verb_auth(struct session *s, struct slice argument)
{
	struct slice name = SLICE_EMPTY, response = SLICE_EMPTY;
	struct reply no;
	const struct mechanism *m = read_command(s, argument, &name, &response, &no);

	if (m == NULL) {
		log_refused(s, name, SLICE_EMPTY, &no);
		return session_refuse(s, &no);
	}
	s->mechanism = m->name;
	if (response.n == 0)
		return challenge(s, m->challenge, m->step);
	return take_response(s, slice_equal(response, SLICE("=")) ? SLICE_EMPTY : response,
			     m->take);
}

/* ---- the answer ---- */

static void counted(void *arg, const struct ipc_message *answer, int *fd, const struct fault *why)
{
	struct session *s = session_of(arg);

	(void)fd;
	(void)why;
	if (answer != NULL && answer->type == IPC_TYPE_done && answer->done.number > s->hold_ms)
		s->hold_ms = answer->done.number < AUTH_HOLD_MAX_MS ? (uint32_t)answer->done.number
								    : AUTH_HOLD_MAX_MS;
	session_note(s);
}

/* The account's home has counted; the client's does now. Without its word the account's stands. */
static enum next count_for_client(struct session *s)
{
	struct ipc_peer *home =
		service_peer_for(s->smtpd->service, IPC_ROLE_LOOKUPD, ip_client_key(&s->address));
	struct ipc_message m = IPC_MESSAGE(failure_ask, .client = s->address);

	if (home != NULL && ipc_ask(home, &s->ask, &m, -1, session_limit_ms(s, STEP_auth_counted),
				    true, counted, s, NULL))
		return session_wait(s, STEP_auth_counted);
	return session_go(s, STEP_auth_counted);
}

enum next step_auth_answered(struct session *s)
{
	struct reply r;

	switch (s->login) {
	case LOGIN_ACCEPTED:
		log_event(authenticated, F_ID(session_id(s)), F_IP(client, &s->address),
			  F_SLICE(user, s->user), F_TEXT(mechanism, s->mechanism));
		reply_set(&r, 235, "2.7.0", "logged in");
		session_reply(s, &r);
		return session_command(s);
	case LOGIN_REFUSED:
		return count_for_client(s);
	case LOGIN_UNKNOWN:
		break;
	}
	return refuse_for_now(s);
}

/* Nothing is read while the refusal is held back. So a client that goes away instead of waiting is
 * noticed no sooner, and counts as a connection of its address until then. */
enum next step_auth_counted(struct session *s)
{
	return s->hold_ms > 0 ? session_wait(s, STEP_auth_held) : session_go(s, STEP_auth_held);
}

enum next step_auth_held(struct session *s)
{
	struct reply no;
	bool identity =
		s->names_other && smtpd_settings(s->smtpd)->auth_authzid == AUTH_AUTHZID_MATCH;

	reply_set(&no, 535, "5.7.8", "user or password is wrong%s",
		  identity ? ", or the authorisation identity is another's" : "");
	return refuse_login(s, s->tried, &no);
}
