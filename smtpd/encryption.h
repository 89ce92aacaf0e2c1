/* smtpd/encryption.h: TLS at the server's side: the certificate from master, signatures and
 * ticket keys from lookupd, STARTTLS.
 * Touches: common/tls. No private key is here: each full handshake asks lookupd to sign. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/list.h"
#include "common/base/slice.h"
#include "common/event/loop.h"
#include "common/ipc/link.h"

struct fault;
struct session;
struct smtpd;
struct tls_context;

struct encryption {
	struct tls_context *context;
	struct list signatures; /* asked for and not come */
	struct ipc_ask tickets;
	struct loop_timer renew; /* ticket keys, before they are over */
};

MUST_USE bool encryption_start(struct smtpd *d, struct fault *why);
/* All sessions are gone. */
void encryption_stop(struct smtpd *d);
/* Reads a chain from fd (stays the caller's). One that cannot be used is logged, and what was there
 * stays. */
void encryption_take_certificate(struct smtpd *d, int fd, struct slice path);

/* May this session say STARTTLS? */
bool encryption_is_offered(const struct session *s);
/* Begins the handshake; STEP_encrypted goes on. Fails: temporary, no certificate. */
MUST_USE bool encryption_begin(struct session *s, struct fault *why);
