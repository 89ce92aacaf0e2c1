/* common/mail/command.h: SMTP commands as a server reads them (RFC 5321 4.1): verbs, their
 * arguments, the parameters of MAIL and RCPT.
 * Touches: nothing. All slices point into the line that was given. What is refused is refused
 * with the whole reply. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/attributes.h"
#include "common/base/slice.h"
#include "common/mail/path.h"
#include "common/mail/reply.h"

enum smtp_verb_flag {
	VERB_ALONE = 1,	     /* takes no argument: with one it is 501 5.5.4 */
	VERB_PLAIN = 2,	     /* allowed before a required STARTTLS (RFC 3207 4) */
	VERB_KNOWN_ONLY = 4, /* known, and never done: 502 5.5.1 */
};

/*	V(name, flags, form of it for HELP and for 501) */
#define SMTP_VERBS(V)                                                                              \
	V(EHLO, VERB_PLAIN, "EHLO domain")                                                         \
	V(HELO, VERB_PLAIN, "HELO domain")                                                         \
	V(MAIL, 0, "MAIL FROM:<reverse-path> [parameters]")                                        \
	V(RCPT, 0, "RCPT TO:<forward-path> [parameters]")                                          \
	V(DATA, VERB_ALONE, "DATA")                                                                \
	V(RSET, VERB_ALONE | VERB_PLAIN, "RSET")                                                   \
	V(NOOP, VERB_PLAIN, "NOOP")                                                                \
	V(QUIT, VERB_ALONE | VERB_PLAIN, "QUIT")                                                   \
	V(VRFY, 0, "VRFY string")                                                                  \
	V(HELP, VERB_PLAIN, "HELP")                                                                \
	V(STARTTLS, VERB_ALONE | VERB_PLAIN, "STARTTLS")                                           \
	V(AUTH, 0, "AUTH mechanism [initial-response]")                                            \
	V(EXPN, VERB_KNOWN_ONLY, "EXPN string")                                                    \
	V(TURN, VERB_KNOWN_ONLY, "TURN")                                                           \
	V(ETRN, VERB_KNOWN_ONLY, "ETRN domain")

enum smtp_verb {
#define V(name, flags, form) SMTP_##name,
	SMTP_VERBS(V)
#undef V
	SMTP_N_VERBS
};

const char *smtp_verb_name(enum smtp_verb verb);
const char *smtp_verb_form(enum smtp_verb verb);
unsigned smtp_verb_flags(enum smtp_verb verb);

struct smtp_command {
	enum smtp_verb verb;
	struct slice argument; /* without the blanks around it */
};

/* line: without its CR LF. False: *no says why (500 unknown or control characters in it, 501 an
 * argument where none may be, 502 not done here). */
MUST_USE bool smtp_command_parse(struct slice line, struct smtp_command *out, struct reply *no);

/* What was offered in the EHLO reply, or else its parameters are unknown ones (555 5.5.4). */
enum smtp_extension {
	EXTENSION_SIZE = 1,	/* RFC 1870 */
	EXTENSION_8BITMIME = 2, /* RFC 6152 */
	EXTENSION_AUTH = 4,	/* RFC 4954 5 */
	EXTENSION_SMTPUTF8 = 8, /* RFC 6531 */
	EXTENSION_DSN = 16,	/* RFC 3461 */
};

struct mail_argument {
	struct path reverse_path;
	bool has_size, eight_bit, smtputf8;
	uint64_t size_bytes;	 /* with has_size */
	struct slice auth;	 /* AUTH=, xtext (RFC 4954 5); empty: not given */
	struct slice ret, envid; /* RFC 3461 4.3, 4.4; empty: not given */
};
struct rcpt_argument {
	struct path forward_path;
	struct slice notify, orcpt; /* RFC 3461 4.1, 4.2; empty: not given */
};

/* The argument of MAIL and RCPT (RFC 5321 4.1.1.2, 4.1.1.3). A blank behind the colon is forgiven.
 * False: *no says why: 501 5.5.4 form, 501 5.1.7 or 5.1.3 address, 555 5.5.4 unknown parameter,
 * 501 5.5.4 bad value or a parameter twice. */
MUST_USE bool mail_argument_parse(struct slice argument, unsigned extensions,
				  struct mail_argument *out, struct reply *no);
MUST_USE bool rcpt_argument_parse(struct slice argument, unsigned extensions,
				  struct rcpt_argument *out, struct reply *no);

/* Is s what a client may call itself: anything printable without blanks, 255 octets at most? Wrong
 * names are common and harmless; what they may do to a Received field is trace.h's care. */
bool smtp_client_says_name(struct slice s);
