/* common/auth/spf_record.h: the SPF record as text, read whole before anything in it counts (RFC
 * 7208 4.6), and its macros (7).
 * Touches: nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/address.h"
#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

struct fault;

enum spf_mechanism { SPF_ALL, SPF_INCLUDE, SPF_A, SPF_MX, SPF_PTR, SPF_IP4, SPF_IP6, SPF_EXISTS };

struct spf_term {
	struct slice text; /* as published, with its qualifier */
	char qualifier;	   /* one of + - ~ ? */
	enum spf_mechanism mechanism;
	struct slice domain; /* a domain-spec with its macros; empty: none was given */
	struct ip network;   /* ip4, ip6; family 0: an address that no client can have */
	unsigned bits4, bits6;
};

struct spf_record {
	struct spf_term *terms; /* the mechanisms, in their order */
	size_t n;
	struct slice redirect, exp; /* domain-specs; empty: not given */
	bool has_all;
};

/* Is this TXT record one of SPF (RFC 7208 4.5)? */
bool spf_record_is(struct slice text);
/* Reads it; out points into text and arena. Fails, permanent: the sentence says which term is wrong
 * (permerror); temporary: the arena is full. */
MUST_USE bool spf_record_parse(struct slice text, struct arena *arena, struct spf_record *out,
			       struct fault *why);

/* What a macro's letter stands for. The address as RFC 7208 7.3 writes it (i), readable (c); p: the
 * validated name of the client. */
struct spf_macros {
	struct slice sender, local_part, sender_domain, domain, helo, receiver, validated;
	struct ip client;
	uint64_t now_s;
};

/* Is text a macro-string (explanation: with the letters c, r and t)? */
bool spf_macro_string_is_sound(struct slice text, bool explanation);
/* Does it need the client's validated name? */
bool spf_macro_needs_name(struct slice text);
/* Appends text, which is sound, with its macros replaced. False: no room. */
MUST_USE bool spf_macro_expand(struct slice text, const struct spf_macros *m, struct buf *out);
