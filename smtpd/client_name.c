#include "smtpd/client_name.h"

#include <stdlib.h>

#include "common/base/fault.h"
#include "common/base/memory.h"
#include "common/mail/path.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

/* RFC 1035 3.2.2, RFC 3596 2.1. */
enum { TYPE_A = 1, TYPE_PTR = 12, TYPE_AAAA = 28 };
/* resolvd's own limit comes first. */
enum { GRACE_MS = 1000 };

struct client_name {
	struct ipc_ask ask;
	struct session *session;
	struct buf name; /* what PTR says, not yet confirmed */
};

static void finish(struct client_name *n)
{
	n->session->name_lookup = NULL;
	ipc_ask_cancel(&n->ask);
	buf_fini(&n->name);
	free(n);
}

void client_name_cancel(struct session *s)
{
	if (s->name_lookup != NULL)
		finish(s->name_lookup);
}

static bool ask(struct client_name *n, struct slice name, uint16_t type, ipc_answer_fn *fn)
{
	struct smtpd *d = n->session->smtpd;
	struct ipc_peer *resolvd = service_peer(d->service, IPC_ROLE_RESOLVD, 0);
	struct ipc_message m = IPC_MESSAGE(dns_ask, .name = name, .type = type);

	return resolvd != NULL &&
	       ipc_ask(resolvd, &n->ask, &m, -1, smtpd_settings(d)->dns_timeout + GRACE_MS, true,
		       fn, n, NULL);
}

/* The first record of answer that is good for type and, with address, has it. */
static bool find_record(const struct ipc_message *answer, uint16_t type, const struct ip *address,
			struct ipc_dns_record *out)
{
	struct slice list;
	bool broken = false;

	if (answer == NULL || answer->type != IPC_TYPE_dns_answer ||
	    answer->dns_answer.outcome != DNS_OK)
		return false;
	list = answer->dns_answer.records;
	while (ipc_next_dns_record(&list, out, &broken))
		if (out->type == type && (address == NULL || ip_equal(&out->address, address)))
			return true;
	return false;
}

static void address_answered(void *arg, const struct ipc_message *answer, int *fd,
			     const struct fault *why)
{
	struct client_name *n = arg;
	struct session *s = n->session;
	struct ipc_dns_record record;

	(void)fd;
	(void)why;
	/* Without memory it goes without a name. */
	if (find_record(answer, s->address.family == 4 ? TYPE_A : TYPE_AAAA, &s->address,
			&record) &&
	    !session_keep(s, buf_slice(&n->name), &s->client_name, NULL))
		s->client_name = SLICE_EMPTY;
	finish(n);
}

static void name_answered(void *arg, const struct ipc_message *answer, int *fd,
			  const struct fault *why)
{
	struct client_name *n = arg;
	struct ipc_dns_record record;

	(void)fd;
	(void)why;
	if (find_record(answer, TYPE_PTR, NULL, &record) &&
	    domain_to_ascii(record.name, &n->name, NULL) &&
	    ask(n, buf_slice(&n->name), n->session->address.family == 4 ? TYPE_A : TYPE_AAAA,
		address_answered))
		return;
	finish(n);
}

/* RFC 1035 3.5, RFC 3596 2.5. */
static bool append_reverse(const struct ip *ip, struct buf *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *o = ip->octets;

	if (ip->family == 4)
		return buf_printf(out, "%u.%u.%u.%u.in-addr.arpa", o[3], o[2], o[1], o[0]);
	for (int i = 15; i >= 0; i--)
		buf_printf(out, "%c.%c.", digits[o[i] & 15], digits[o[i] >> 4]);
	return buf_append_cstr(out, "ip6.arpa") && !out->failed;
}

void client_name_begin(struct session *s)
{
	struct client_name *n;
	struct buf reverse;

	if (!smtpd_settings(s->smtpd)->smtp_client_name || s->trusted)
		return;
	if (ip_is_loopback(&s->address)) {
		s->client_name = SLICE("localhost");
		return;
	}
	if ((n = memory_alloc(1, sizeof(*n), NULL)) == NULL)
		return;
	n->session = s;
	s->name_lookup = n;
	buf_init(&n->name, IPC_HOST_MAX);
	buf_init(&reverse, IPC_HOST_MAX);
	if (!append_reverse(&s->address, &reverse) ||
	    !ask(n, buf_slice(&reverse), TYPE_PTR, name_answered))
		finish(n);
	buf_fini(&reverse);
}
