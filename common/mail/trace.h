/* common/mail/trace.h: the trace fields of RFC 5321 4.4: Received, which whoever takes a message
 * puts in front of it, and Return-Path, which final delivery does.
 * Touches: nothing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/address.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct received {
	struct slice helo;	  /* what the client called itself; empty: nothing (with local: no SMTP
				     was spoken) */
	struct slice client_name; /* what DNS calls it, both ways; empty: not known */
	struct ip client;	  /* family 0: made here, no from clause */
	bool local;		  /* from a program of this host, whose user has uid: it stands there
				     instead */
	uint32_t uid;
	struct slice by;	  /* our host name */
	struct slice tls;	  /* "(TLSv1.3:TLS_AES_256_GCM_SHA384:256)", or empty */
	bool extended, encrypted, authenticated; /* RFC 3848: E, S, A */
	struct slice id;
	struct slice forward_path; /* the recipient where there is one alone, so that no recipient
				      is told of another; else empty */
	uint64_t at_us;
};

/* Appends the field, folded, CR LF at its end. What a client said of itself stands in it with every
 * octet replaced that a domain or an address literal cannot hold. False: no room. */
bool received_append(const struct received *r, struct buf *out);
/* RFC 3848 and RFC 5321: "SMTP", "ESMTP", "ESMTPS", "ESMTPSA" … */
const char *received_protocol(const struct received *r);
/* Appends "Return-Path: <ann@example.org>", CR LF at its end; "<>" for the null reverse-path.
 * False: no room. */
bool return_path_append(struct slice reverse_path, struct buf *out);
