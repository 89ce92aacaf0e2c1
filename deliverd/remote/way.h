/* deliverd/remote/way.h: to which port of a host a message goes, and how encrypted: what its route
 * says, else delivery_secure.
 * Touches: nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/conf/settings.h"
#include "common/ipc/frame.h"

enum encryption {
	ENCRYPTION_NONE,
	ENCRYPTION_IF_OFFERED, /* STARTTLS; without it, or when it fails, in the clear (RFC 7435) */
	ENCRYPTION_STARTTLS,   /* or not at all */
	ENCRYPTION_IMPLICIT,   /* RFC 8314 3 */
};

struct way {
	uint16_t port;
	enum encryption encryption;
	bool first; /* smtps-first: whatever fails before the end of data, way_last is tried */
};

/* port: the route's, 0: it names none. A route that says nothing of TLS, and names no port but
 * delivery_port, has with smtps-first two ways; all others have one, which both calls give. With
 * delivery_tls_trust = ca TLS that is used at all is required. */
struct way way_first(const struct settings *s, enum route_tls tls, uint16_t port);
struct way way_last(const struct settings *s, enum route_tls tls, uint16_t port);
