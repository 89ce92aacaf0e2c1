/* common/dns/message.h: DNS messages (RFC 1035 4): a question as octets, an answer as records.
 * Touches: libresolv's builders and parsers, nothing else. Answers are hostile input. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/ipc/messages.h"

struct fault;

enum dns_type {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_OPT = 41,
	DNS_TLSA = 52
};

#define DNS_NAME_MAX 1025 /* a name as text with its escapes, terminated */
#define DNS_UDP_BYTES 1232 /* of an answer that we ask for, RFC 6891; not fragmented anywhere */

struct dns_question {
	char name[256]; /* lower case, without a dot at its end; "" is the root */
	uint16_t type;
};

struct dns_answer {
	enum dns_outcome outcome;
	bool authentic; /* the AD bit, whatever it is worth from that server */
	bool truncated; /* ask again over TCP; nothing else is set */
	bool refused;	/* another server may know better: SERVFAIL, REFUSED and the like */
	bool no_edns;	/* FORMERR, NOTIMP or BADVERS: the server may not know EDNS */
	uint32_t ttl_s;
	/* Not "": the chain of CNAMEs leaves the answer here; ask for that name. */
	char alias[DNS_NAME_MAX];
};

/* name in any case, with or without a dot at its end. Fails, permanent: it is too long, or has an
 * empty label. */
MUST_USE bool dns_question_set(struct dns_question *q, struct slice name, uint16_t type,
			       struct fault *why);
/* Appends the message that asks. False: the name is none. */
MUST_USE bool dns_question_encode(const struct dns_question *q, uint16_t id, bool edns,
				  struct buf *out);
/* Reads an answer to q with that id. Records of q's type at the end of the chain of CNAMEs go to
 * records, as ipc_put_dns_record puts them. False: it is no answer to that question (and whoever
 * waits goes on waiting). */
MUST_USE bool dns_answer_decode(struct slice message, const struct dns_question *q, uint16_t id,
				struct dns_answer *out, struct buf *records);
