#include "master/kinds.h"

#include <string.h>

#include "common/base/attributes.h"
#include "common/conf/settings.h"

const struct daemon_kind daemon_kinds[] = {
	{.role = IPC_ROLE_LOOKUPD, .program = "lookupd", .kind = "-", .account = ACCOUNT_LOOKUP, .in_place = true,
	 .has_sockets = true},
	{.role = IPC_ROLE_RESOLVD, .program = "resolvd", .kind = "-", .account = ACCOUNT_DNS, .in_empty = true,
	 .in_place = true, .has_sockets = true},
	{.role = IPC_ROLE_QUEUED, .program = "queued", .kind = "-", .account = ACCOUNT_QUEUE, .keep_fowner = true,
	 .in_place = true, .has_sockets = true, .folder = "spool"},
	{.role = IPC_ROLE_LOCAL, .program = "deliverd-local", .kind = "-", .account = ACCOUNT_MAIL,
	 .has_sockets = true, .folder = "mail"},
	{.role = IPC_ROLE_REMOTE, .program = "deliverd-remote", .kind = "-", .account = ACCOUNT_OUT,
	 .in_empty = true, .has_sockets = true},
	{.role = IPC_ROLE_SMTPD, .program = "smtpd", .kind = "smtp", .account = ACCOUNT_IN, .folder = "incoming"},
	{.role = IPC_ROLE_SMTPD, .program = "smtpd", .kind = "submission", .account = ACCOUNT_SUB,
	 .folder = "incoming"},
};
const size_t n_daemon_kinds = ARRAY_LENGTH(daemon_kinds);

/* Is there a listen line for this kind of smtpd? */
static bool kind_is_wanted(const struct daemon_kind *k, const struct settings *s)
{
	enum listener_kind wanted = strcmp(k->kind, "smtp") == 0 ? LISTENER_SMTP : LISTENER_SUBMISSION;
	struct listener l;

	for (size_t i = 0; i < s->listen.n; i++)
		if (listener_parse(s->listen.p[i], &l, NULL) && l.kind == wanted)
			return true;
	return false;
}

unsigned daemon_kind_count(const struct daemon_kind *k, const struct settings *s)
{
	if (k->role == IPC_ROLE_SMTPD && kind_is_wanted(k, s))
		return (unsigned)s->smtp_workers;
	/* For public/submit there is always one: programs of this host are believed who they are, and so are kept apart from port 25. */
	if (k->role == IPC_ROLE_SMTPD)
		return strcmp(k->kind, "submission") == 0 ? 1 : 0;
	return daemon_role_count(k->role, s);
}

unsigned daemon_role_count(enum ipc_role role, const struct settings *s)
{
	if (role == IPC_ROLE_LOOKUPD)
		return (unsigned)s->lookup_workers;
	if (role == IPC_ROLE_LOCAL)
		return (unsigned)s->local_workers;
	if (role == IPC_ROLE_REMOTE)
		return (unsigned)s->remote_workers;
	return role == IPC_ROLE_RESOLVD || role == IPC_ROLE_QUEUED ? 1 : 0;
}

