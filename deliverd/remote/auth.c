/* AUTH (RFC 4954): user and password of the route, by PLAIN (RFC 4616), else LOGIN. Whatever comes
 * of it is no statement about the message: a refusal is our administrator's mistake, and mail waits
 * until it is mended. */
#include "deliverd/remote/steps.h"

#include <stdio.h>

#include "common/base/fault.h"
#include "deliverd/remote/job.h"
#include "deliverd/remote/remote.h"

#define SECRET_MAX 2048
#define COMMAND_MAX 512 /* RFC 5321 4.5.3.1.4 */

bool session_needs_tls(const struct session *s)
{
	return s->job && s->job->username.n > 0 && s->job->tls != ROUTE_TLS_NONE &&
	       !ip_is_loopback(&s->ip);
}

/* The next of what the mechanism wants to know, behind the octets before. */
static enum next say_next(struct session *s, const char *before)
{
	const struct job *j = s->job;
	struct slice password = buf_slice(&j->password);
	struct buf secret;

	buf_init_secret(&secret, SECRET_MAX);
	if (s->mechanism == AUTH_PLAIN) {
		buf_append_char(&secret, '\0');
		buf_append(&secret, j->username);
		buf_append_char(&secret, '\0');
		buf_append(&secret, password);
	} else {
		buf_append(&secret, s->n_auth_said == 0 ? j->username : password);
	}
	s->n_auth_said++;
	session_say_secret(s, before, buf_slice(&secret));
	buf_fini(&secret);
	return session_wait(s, STEP_auth_sent);
}

static enum next say_auth(struct session *s)
{
	const struct job *j = s->job;
	size_t n = (j->username.n + buf_length(&j->password) + 2 + 2) / 3 * 4;

	s->n_auth_said = 0;
	s->mechanism = s->can.auth_plain ? AUTH_PLAIN : AUTH_LOGIN;
	if (s->mechanism == AUTH_PLAIN && n + sizeof("AUTH PLAIN \r\n") - 1 <= COMMAND_MAX)
		return say_next(s, "AUTH PLAIN ");
	session_say(s, "AUTH %s", s->mechanism == AUTH_PLAIN ? "PLAIN" : "LOGIN");
	return session_wait(s, STEP_auth_sent);
}

enum next step_auth(struct session *s)
{
	struct fault why = {0};

	if (s->job->username.n == 0)
		return session_go(s, STEP_ready);
	if (!stream_is_tls(&s->stream) && session_needs_tls(s))
		fault_set(&why, "4.7.11",
			  "the route has a password, which is not sent in the clear, and the "
			  "connection is not encrypted");
	else if (!s->can.auth_plain && !s->can.auth_login)
		fault_set(&why, "4.7.4",
			  "the route has a user, and the far end offers neither AUTH PLAIN nor "
			  "AUTH LOGIN");
	else
		return say_auth(s);
	return session_fail(s, &why);
}

enum next step_auth_sent(struct session *s)
{
	size_t n_wanted = s->mechanism == AUTH_PLAIN ? 1 : 2;

	if (s->reply.code / 100 == 2)
		return session_go(s, STEP_ready);
	if (s->reply.code == 334 && s->n_auth_said < n_wanted)
		return say_next(s, "");
	if (s->reply.code == 535 && s->reply.status[0] == '\0')
		snprintf(s->reply.status, sizeof(s->reply.status), "5.7.8");
	return session_fail_reply(s, "AUTH");
}
