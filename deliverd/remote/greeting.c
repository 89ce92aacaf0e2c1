/* From the connection to a far end that is ready for a message: greeting, EHLO, STARTTLS. */
#include "deliverd/remote/steps.h"

#include <stdio.h>

#include "common/base/fault.h"
#include "common/log/log.h"
#include "common/service/service.h"
#include "common/tls/context.h"
#include "deliverd/remote/job.h"
#include "deliverd/remote/remote.h"

static enum next start_tls(struct session *s)
{
	struct fault why = {0};

	if (s->remote->tls == NULL)
		fault_set(&why, "4.7.5", "TLS is not available here");
	else if (stream_start_tls(&s->stream, s->remote->tls, s->host, &why))
		return session_wait(s, STEP_tls_up);
	return session_fail(s, &why);
}

enum next step_connected(struct session *s)
{
	log_event(next_hop_connected, F_ID(s->job->id), F_TEXT(next_hop, s->host),
		  F_IP(address, &s->ip));
	/* The host is there, and the port of the first way is what failed. */
	if (!s->way.first && ip_equal(&s->ip, &s->job->without_first))
		avoided_add(&s->remote->avoided, &s->ip, loop_now_ms(s->remote->service->loop));
	if (s->way.encryption == ENCRYPTION_IMPLICIT)
		return start_tls(s);
	return session_wait(s, STEP_greeting);
}

/* RFC 3207 4.2: what was known before TLS is forgotten. */
static enum next say_ehlo(struct session *s)
{
	s->can = (struct extensions){0};
	session_say(s, "EHLO %s", s->remote->hostname);
	return session_wait(s, STEP_ehlo_sent);
}

enum next step_tls_up(struct session *s)
{
	char text[128];

	snprintf(text, sizeof(text), "%s %s", stream_tls_text(&s->stream),
		 stream_tls_verified(&s->stream) ? "verified" : "not verified");
	log_event(tls_started, F_ID(s->job->id), F_TEXT(next_hop, s->host), F_IP(address, &s->ip),
		  F_TEXT(tls, text));
	return s->way.encryption == ENCRYPTION_IMPLICIT ? session_wait(s, STEP_greeting)
							: say_ehlo(s);
}

enum next step_greeting(struct session *s)
{
	if (s->reply.code / 100 != 2)
		return session_fail_reply(s, "the connection");
	return say_ehlo(s);
}

enum next step_ehlo_sent(struct session *s)
{
	struct fault why = {0};
	bool required = s->way.encryption == ENCRYPTION_STARTTLS;
	bool wanted = required || s->way.encryption == ENCRYPTION_IF_OFFERED;

	if (s->reply.code >= 500 && (!required || stream_is_tls(&s->stream))) {
		session_say(s, "HELO %s", s->remote->hostname);
		return session_wait(s, STEP_helo_sent);
	}
	if (s->reply.code / 100 != 2)
		return session_fail_reply(s, "EHLO");
	s->can = extensions_read(slice_of_cstr(s->reply.text));
	if (stream_is_tls(&s->stream) || !wanted)
		return session_go(s, STEP_auth);
	if (s->can.starttls && s->remote->tls) {
		session_say(s, "STARTTLS");
		return session_wait(s, STEP_starttls_sent);
	}
	if (!required)
		return session_go(s, STEP_auth);
	fault_set(&why, "4.7.4", "STARTTLS is required, and not offered");
	return session_fail(s, &why);
}

enum next step_helo_sent(struct session *s)
{
	if (s->reply.code / 100 != 2)
		return session_fail_reply(s, "HELO");
	return session_go(s, STEP_auth);
}

enum next step_starttls_sent(struct session *s)
{
	if (s->reply.code / 100 == 2)
		return start_tls(s);
	if (s->way.encryption == ENCRYPTION_STARTTLS || s->reply.code == 421)
		return session_fail_reply(s, "STARTTLS");
	return session_go(s, STEP_auth);
}
