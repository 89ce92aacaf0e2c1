#include "deliverd/remote/way.h"

static enum encryption encryption_of(const struct settings *s, enum route_tls tls)
{
	switch (tls) {
	case ROUTE_TLS_STARTTLS:
		return ENCRYPTION_STARTTLS;
	case ROUTE_TLS_IMPLICIT:
		return ENCRYPTION_IMPLICIT;
	case ROUTE_TLS_NONE:
		return ENCRYPTION_NONE;
	case ROUTE_TLS_STARTTLS_IF_OFFERED:
		break;
	}
	if (s->delivery_secure == DELIVERY_SECURE_NONE)
		return ENCRYPTION_NONE;
	return s->delivery_tls_trust == DELIVERY_TLS_TRUST_CA ? ENCRYPTION_STARTTLS
							      : ENCRYPTION_IF_OFFERED;
}

struct way way_last(const struct settings *s, enum route_tls tls, uint16_t port)
{
	struct way way = {.port = port, .encryption = encryption_of(s, tls)};

	if (port == 0)
		way.port = (uint16_t)(way.encryption == ENCRYPTION_IMPLICIT ? s->delivery_smtps_port
									    : s->delivery_port);
	return way;
}

struct way way_first(const struct settings *s, enum route_tls tls, uint16_t port)
{
	struct way way = way_last(s, tls, port);

	if (tls != ROUTE_TLS_STARTTLS_IF_OFFERED ||
	    s->delivery_secure != DELIVERY_SECURE_SMTPS_FIRST || way.port != s->delivery_port)
		return way;
	return (struct way){.port = (uint16_t)s->delivery_smtps_port,
			    .encryption = ENCRYPTION_IMPLICIT,
			    .first = true};
}
