/* queued/template.h: the words of notices, which an administrator can replace and translate: one text for each kind and language.
 * Touches: the heap. The texts come from master (master/templates.h).
 *
 * A text is UTF-8. It begins with words for one place each, a line each ("Subject: …"), then an empty line, then the body, in which %{variables} stand for
 * what is known: hostname, postmaster, id, date (of the message), until (when we give up), and recipients, alone on its line: a block for each. In the words
 * for a recipient, host and original. A word that is left out is ours (English). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attributes.h"
#include "common/base/slice.h"

struct fault;

enum notice_kind {
	NOTICE_FAILURE, /* to a sender: it could not be delivered */
	NOTICE_DELAY,   /* to a sender: it waits, and is tried again */
	NOTICE_SUCCESS, /* to a sender who asked for it: it was delivered */
	NOTICE_DOUBLE,  /* to double_bounce: a notice of a failure could not be delivered */
	NOTICE_KINDS
};

/*	W(member, word, English) */
#define TEMPLATE_WORDS(W)                                                                                           \
	W(subject, "Subject", "About your message")                                                               \
	W(alias, "Alias", "(you wrote to %{original})")                                                           \
	W(refused, "Refused", "The other mail server, %{host}, says:")                                            \
	W(expired, "Expired", "It could not be reached for too long; we have given up. The last attempt met this:") \
	W(reason, "Reason", "The reason is:")                                                                     \
	W(delivered, "Delivered", "It lies in the mailbox.")                                                      \
	W(relayed, "Relayed", "It was handed to the mail server %{host}.")                                        \
	W(expanded, "Expanded", "It went on to those who are on this list.")

struct template {
#define W(member, word, english) struct slice member;
	TEMPLATE_WORDS(W)
#undef W
	struct slice body;
};

#define TEMPLATE_MAX 65536u     /* octets of one text */
#define TEMPLATE_LINE_MAX 500u  /* of a line in it */
#define TEMPLATES_PACK_MAX ((size_t)2 << 20)

/* Reads one text; out points into it. Fails, permanent: why says which line is wrong. */
MUST_USE bool template_read(struct slice text, struct template *out, struct fault *why);

struct template_entry;
struct templates {
	struct arena arena;
	struct template_entry *entries;
};

/* None: then all is said in the words that are built in. */
void templates_init(struct templates *t);
void templates_fini(struct templates *t);
/* Takes what master sends (copied), in place of what there was. A text that is wrong is logged and left out: an earlier one of that kind and language counts. Fails: the pack
 * is none, or memory is out; then t is as before. */
MUST_USE bool templates_take(struct templates *t, struct slice pack, struct fault *why);
/* The words for kind in that language ("de", "de-AT"); where there are none, in the language without its region, in English, or those that are built in. Lives until the
 * next take or fini. */
const struct template *templates_find(const struct templates *t, struct slice language, enum notice_kind kind);
